"""Delays: a slow model, a long tokenInterval and a page that is behind are named as what they are, with the setting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from openclaw_nb import Runtime
from openclaw_nb.config import ClusterConfig
from openclaw_nb.doctor import Patient, State
from openclaw_nb.doctor.delays import Part, delays, first_token, is_probed_freely, updates
from openclaw_nb.doctor.link import Trip
from openclaw_nb.engine import AgentSpec

NEAR = Trip([0.001], 0.001, 0.0001, 0.0)


async def slow(prompt: str) -> AsyncIterator[str]:
    await asyncio.sleep(0.7)
    yield "at last"


def test_the_offline_model_is_asked_as_it_costs_nothing(runtime: Runtime) -> None:
    patient = Patient(runtime)
    assert is_probed_freely(patient)
    token, text = delays(patient, NEAR)
    assert "the offline model was asked" in token.measured
    assert token.figures["the model"] < 20
    assert text.state is State.OK
    assert "tokenInterval 50 ms is the largest part" in text.measured
    assert not patient.client.flights
    assert runtime.spending.total.runs == 0
    assert not runtime.memory.sessions()


def test_a_slow_model_is_told_from_tokenInterval(runtime: Runtime, figure: Callable[[str, str], None]) -> None:
    agent = runtime.register(AgentSpec("slow", runtime.resolve(slow)))
    runs = [runtime.client().send("go", level=1, agent=agent, session=f"s{n}") for n in range(3)]
    for run in runs:
        run.result(60)
    token, text = delays(Patient(runtime, works=runs), NEAR)
    assert token.state is State.LOOK, token
    assert "because of the model" in token.words
    assert "tokenInterval is not the cause" in token.remedy
    assert "%openclaw model ollama:NAME" in token.remedy
    assert text.state is State.OK
    figure("doctor, a model that takes 0.7 s", token.sentence())


def test_a_run_that_waits_for_others_of_its_session(runtime: Runtime) -> None:
    async def quick(prompt: str) -> AsyncIterator[str]:
        await asyncio.sleep(1.5 if prompt == "first" else 0)
        yield "soon"

    runtime.configure(ClusterConfig.parse("monitoring: {alertThresholds: {latencyP99: 150ms}}"))
    agent = runtime.register(AgentSpec("quick", runtime.resolve(quick)))
    runs = [runtime.client().send(prompt, level=1, agent=agent) for prompt in ("first", *["go"] * 6)]
    for run in runs:
        run.result(60)
    token = next(iter(delays(Patient(runtime, works=runs), NEAR)))
    assert "because of runs before it in its session" in token.words
    assert "--busy branch" in token.remedy
    assert token.figures["the model"] < token.figures["runs before it in its session"]


def test_the_level_is_named_where_only_deep_runs_are_known() -> None:
    parts = (Part("the model", 2.0, "a nearer one"), Part("the link", 0.1))
    assert first_token(2.1, "a run", parts).state is State.LOOK
    assert first_token(2.1, "a run", parts, target=3.0).state is State.OK
    assert "2.1 s, of which the model 2.0 s" in first_token(2.1, "a run", parts).measured


def test_a_long_token_interval(runtime: Runtime) -> None:
    client = runtime.client()
    client.token_interval = 2.0
    _, text = delays(Patient(runtime), NEAR)
    assert text.state is State.LOOK
    assert "because of tokenInterval" in text.words
    assert "OpenClawClient(token_interval=0.05)" in text.remedy
    assert "tokenInterval: 50" in text.remedy
    client.token_interval = 0.05
    assert list(delays(Patient(runtime), NEAR))[1].state is State.OK


def test_a_long_batch_and_a_page_that_is_behind(runtime: Runtime) -> None:
    client = runtime.client()
    client.token_batch_delay = 1.0
    assert "because of the delay of batches" in list(delays(Patient(runtime), NEAR))[1].words
    client.token_batch_delay = 0.02
    behind = list(delays(Patient(runtime, behind=0.9), NEAR))[1]
    assert "because of the page" in behind.words
    assert "--plain" in behind.remedy


def test_without_streaming(runtime: Runtime) -> None:
    runtime.client().streaming = False
    text = list(delays(Patient(runtime), NEAR))[1]
    assert text.state is State.LOOK
    assert "streaming: true" in text.remedy


def test_nobody_is_asked_who_may_cost_something(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def counted(prompt: str) -> AsyncIterator[str]:
        asked.append(prompt)
        yield "42"

    runtime.namespace = {"counted": counted}
    runtime._adopt({"counted": counted}, None)
    patient = Patient(runtime, model="counted")
    assert not is_probed_freely(patient)
    token = next(iter(delays(patient, NEAR)))
    assert "not known yet" in token.words
    assert "--probe" in token.remedy
    assert not asked
    token = next(iter(delays(Patient(runtime, model="counted", probe=True), NEAR)))
    assert "a question was sent" in token.measured
    assert len(asked) == 1
    assert runtime.spending.total.runs == 0, "it says nothing of the user's own runs"


def test_updates_name_the_largest_part() -> None:
    finding = updates((Part("tokenInterval", 0.05), Part("the link", 0.5, "come nearer")))
    assert (finding.state, finding.remedy) == (State.LOOK, "come nearer")
