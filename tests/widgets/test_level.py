"""The picker over a real agent, with a recording comm in place of the page."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from openclaw_nb import LevelPicker, OpenClawAgent, Runtime
from openclaw_nb.errors import ConfigError
from openclaw_nb.front import Front
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta
from openclaw_nb.outlook import Target
from openclaw_nb.widgets import placed
from openclaw_nb.widgets.level import LONGEST, NEXT_STEP
from openclaw_nb.widgets.library import static
from openclaw_nb.widgets.placed import MOST

from .pages import Page, wait_until

pytestmark = pytest.mark.usefixtures("shown")

PROOF = "Prove that there are infinitely many primes, under four conditions, and compare three proofs step by step."


class Gated:
    """Says what it is asked as, and waits with it until the gate is open."""

    name = "gated"

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked: list[tuple[str, int]] = []

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.asked.append((request.stage.kind if request.stage else "", request.level))
        await asyncio.to_thread(self.gate.wait)
        yield TextDelta("done. VERDICT: pass")


class Dear:
    """Costs more than most."""

    name = "dear"
    prices = (10.0, 60.0)  # USD per million tokens asked and made

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        yield TextDelta("done")


@pytest.fixture
def model() -> Gated:
    return Gated()


@pytest.fixture
def agent(model: Gated) -> Iterator[OpenClawAgent]:
    yield OpenClawAgent("picked", model=model)
    model.gate.set()


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()


def choose(page: Page, picker: LevelPicker, level: Any, ask: Any = 1) -> None:
    page.say(picker, {"kind": "choose", "level": level, "ask": ask})


def last(page: Page, picker: LevelPicker) -> dict[str, Any]:
    return page.states(picker)[-1]


def figures(state: dict[str, Any]) -> list[str]:
    return [choice["figure"] for choice in state["choices"]]


# -- linked both ways ----------------------------------------------------------------------------------


def test_a_level_set_anywhere_moves_every_picker_of_that_front(agent: OpenClawAgent, page: Page) -> None:
    pickers = [LevelPicker(agent), LevelPicker(agent.front)]
    other = LevelPicker(Front())
    assert [last(page, picker)["chosen"] for picker in pickers] == [0, 0]
    agent.set_reasoning_level(3)
    for picker in pickers:
        wait_until(lambda picker=picker: last(page, picker)["chosen"] == 3)
    agent.set_reasoning_level("auto")
    for picker in pickers:
        wait_until(lambda picker=picker: last(page, picker)["chosen"] == 0)
    assert [state["chosen"] for state in page.states(other)] == [0]


def test_what_is_chosen_is_the_level_of_the_runs_that_follow(agent: OpenClawAgent, model: Gated, page: Page) -> None:
    picker, other = LevelPicker(agent), LevelPicker(agent)
    choose(page, picker, 1, ask=7)
    wait_until(lambda: last(page, picker)["answered"] == 7)
    assert (agent.reasoning_level, last(page, picker)["chosen"], last(page, picker)["said"]) == (1, 1, "")
    wait_until(lambda: last(page, other)["chosen"] == 1)
    model.gate.set()
    assert agent.analyze("q").result(60).level == 1
    choose(page, picker, 0, ask=8)
    wait_until(lambda: last(page, picker)["answered"] == 8)
    assert agent.reasoning_level == "auto"


def test_a_run_at_work_goes_on_at_it_from_its_next_step(agent: OpenClawAgent, model: Gated, page: Page) -> None:
    picker = LevelPicker(agent)
    run = agent.analyze("q", level=3)
    wait_until(lambda: model.asked)
    choose(page, picker, 1)
    wait_until(lambda: last(page, picker)["said"] == NEXT_STEP)
    assert (last(page, picker)["line"], last(page, picker)["tone"]) == (NEXT_STEP, "")
    wait_until(lambda: run.level == 1)
    model.gate.set()
    run.result(60)
    assert model.asked[0] == ("plan", 3)
    assert {level for _, level in model.asked[1:]} == {1}
    wait_until(lambda: last(page, picker)["said"] == "")
    assert last(page, picker)["chosen"] == 1


def test_auto_leaves_runs_at_work_as_they_are(agent: OpenClawAgent, model: Gated, page: Page) -> None:
    agent.set_reasoning_level(2)
    picker = LevelPicker(agent)
    run = agent.analyze("q")
    choose(page, picker, 0)
    wait_until(lambda: last(page, picker)["answered"] == 1)
    assert (run.level, last(page, picker)["said"]) == (2, "")
    run.cancel()


# -- what it shows -------------------------------------------------------------------------------------


def test_the_prompt_at_hand_is_the_last_one(agent: OpenClawAgent, model: Gated, page: Page) -> None:
    picker = LevelPicker(agent)
    first = last(page, picker)
    assert first["field"].startswith("none yet")
    assert first["choices"][0]["figure"].startswith("would take ")
    model.gate.set()
    agent.analyze(PROOF, level=1).result(60)
    wait_until(lambda: last(page, picker)["field"].startswith("the last one"))
    assert last(page, picker)["choices"][0]["figure"] != first["choices"][0]["figure"]
    assert last(page, picker)["line"] == agent.front.preview(PROOF).decision.reason.removeprefix("auto: ")


def test_what_is_typed_is_estimated_and_goes_nowhere_else(
    agent: OpenClawAgent, page: Page, shown: CapturingDisplayPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    picker = LevelPicker(agent)
    picker._ipython_display_()
    before = figures(last(page, picker))
    page.say(picker, {"kind": "prompt", "text": PROOF})
    wait_until(lambda: figures(last(page, picker)) != before)
    picker.close()
    everything = f"{page.sent} {shown.outputs} {picker.get_state()} {caplog.text} {agent.front.prompt}"
    assert PROOF not in everything
    assert "for the prompt typed here" in shown.outputs[-1]["data"]["text/plain"]
    assert Runtime.shared().store.list() == []


def test_a_page_that_comes_is_told_the_prompt_that_was_given(agent: OpenClawAgent, page: Page) -> None:
    picker, plain = LevelPicker(agent, PROOF), LevelPicker(agent)
    for each in (picker, plain):
        page.say(each, {"kind": "hello"})
    assert page.custom(picker) == [{"kind": "typed", "text": PROOF}]
    assert page.custom(plain) == []
    page.say(picker, {"kind": "prompt", "text": "lone \ud800 half"})
    page.say(picker, {"kind": "hello"})
    assert page.custom(picker)[1] == {"kind": "typed", "text": "lone \ufffd half"}
    assert figures(page.states(picker)[0]) != figures(last(page, plain))


def test_levels_above_the_limit_are_off_and_refused(agent: OpenClawAgent, model: Gated, page: Page) -> None:
    picker = LevelPicker(agent)
    agent.max_level = 2
    off = [False, False, False, True, True]
    wait_until(lambda: [choice["off"] for choice in last(page, picker)["choices"]] == off)
    run = agent.analyze("q", level=1)
    choose(page, picker, 4)
    wait_until(lambda: last(page, picker)["answered"] == 1)
    assert last(page, picker)["line"] == "level 4 is above 2, the highest that is allowed here"
    assert (last(page, picker)["tone"], last(page, picker)["chosen"]) == ("bad", 0)
    assert (agent.reasoning_level, run.level) == ("auto", 1)
    choose(page, picker, 2, ask=2)
    wait_until(lambda: last(page, picker)["line"] == NEXT_STEP)
    run.cancel()


def test_what_limits_auto_is_said(page: Page) -> None:
    picker = LevelPicker(OpenClawAgent("dear", model=Dear(), budget=0.01), PROOF)
    state = last(page, picker)
    level = int(figures(state)[0].removeprefix("would take "))
    assert state["line"].endswith(f"limited to {level} by the agent's budget of $0.01")
    assert all(choice["figure"].startswith("$") for choice in state["choices"][1:])
    free = LevelPicker(OpenClawAgent("dear", model=Dear()), PROOF)
    assert level < int(figures(last(page, free))[0].removeprefix("would take "))


def test_where_nothing_is_known_it_says_why_and_a_level_can_be_chosen(agent: OpenClawAgent, page: Page) -> None:
    front = Front(target=lambda: Target(agent.client, agent="nobody"))
    picker = LevelPicker(front)
    state = last(page, picker)
    assert ("nobody" in state["line"], state["tone"], state["said"]) == (True, "bad", "")
    assert set(figures(state)[1:]) == {"no estimate"}
    choose(page, picker, 3)
    wait_until(lambda: last(page, picker)["chosen"] == 3)
    assert front.level == 3


def test_it_begins_no_other_runtime_when_its_own_has_ended(agent: OpenClawAgent, page: Page) -> None:
    picker = LevelPicker(agent)
    before = figures(last(page, picker))
    Runtime.shared().close()
    agent.set_reasoning_level(2)
    wait_until(lambda: last(page, picker)["chosen"] == 2)
    assert figures(last(page, picker)) == before
    picker.close()
    assert Runtime.running() is None


def test_the_kept_form_follows(
    agent: OpenClawAgent, page: Page, shown: CapturingDisplayPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placed, "CALM", 0.1)
    picker = LevelPicker(agent)
    picker._ipython_display_()
    assert f'data-ocnb-level="{picker.place}"' in shown.outputs[0]["data"]["text/html"]
    agent.set_reasoning_level(4)
    wait_until(lambda: len(shown.outputs) == 2)
    assert "4 ultra, chosen" in shown.outputs[1]["data"]["text/html"].replace('<span class="ocnb-unseen">', "")


def test_static_output_is_the_same_each_time_and_opens_no_widget(
    agent: OpenClawAgent, page: Page, shown: CapturingDisplayPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCLAW_NB_RENDER", "static")
    for _ in range(2):
        LevelPicker(agent)._ipython_display_()
    assert shown.outputs[0]["data"] == shown.outputs[1]["data"]
    assert "data-ocnb" not in shown.outputs[0]["data"]["text/html"]
    assert page.sent == []


# -- what a page may say -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "choose"}, {"kind": "choose", "level": 5, "ask": 1}, {"kind": "choose", "level": -1, "ask": 1},
        {"kind": "choose", "level": "3", "ask": 1}, {"kind": "choose", "level": 3.0, "ask": 1},
        {"kind": "choose", "level": True, "ask": 1}, {"kind": "choose", "level": 3, "ask": "1"},
        {"kind": "choose", "level": 3, "ask": 10**400}, {"kind": "choose", "level": 3, "ask": -1},
        {"kind": "choose", "level": [3], "ask": 1}, {"kind": "prompt", "text": 7},
        {"kind": "prompt", "text": "x" * (LONGEST + 1)}, {"kind": "prompt", "text": "x" * 10_000_000},
        {"kind": "level", "level": 3, "ask": 1}, {"kind": None}, "choose", None,
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_ignored(
    agent: OpenClawAgent, page: Page, caplog: pytest.LogCaptureFixture, content: Any
) -> None:
    picker = LevelPicker(agent)
    before = len(page.sent)
    with caplog.at_level(logging.WARNING, "openclaw_nb"):
        page.say(picker, content)
    (record,) = caplog.records
    assert "ignored a message" in record.getMessage()
    assert len(record.getMessage()) < 300
    assert (agent.reasoning_level, len(page.sent), picker._thread) == ("auto", before, None)


def test_a_page_cannot_change_the_state(agent: OpenClawAgent, page: Page) -> None:
    picker = LevelPicker(agent)
    before = picker.state
    page.say(picker, None, "update")
    picker._handle_msg({"content": {"data": {"method": "update", "state": {"state": {"chosen": 4}}}}})
    assert picker.state is before


def test_a_thousand_choices_at_once_are_a_few_messages_and_the_last_stands(agent: OpenClawAgent, page: Page) -> None:
    picker = LevelPicker(agent, interval=0.2)
    for ask in range(1, 1001):
        choose(page, picker, ask % 4 + 1, ask)
    wait_until(lambda: last(page, picker)["answered"] == 1000)
    assert (agent.reasoning_level, last(page, picker)["chosen"]) == (1, 1)
    assert len(page.states(picker)) < 30


# -- its front -----------------------------------------------------------------------------------------


def test_without_a_notebook_it_says_what_to_do(shell: InteractiveShell) -> None:
    with pytest.raises(ConfigError, match=r"write %load_ext openclaw_nb first, or LevelPicker\(agent\)"):
        LevelPicker()
    with pytest.raises(ConfigError, match=r"is of an agent, .* not of 'main'"):
        LevelPicker("main")  # type: ignore[arg-type]


def test_no_listener_is_left_behind(agent: OpenClawAgent, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    front = agent.front
    for _ in range(20):
        LevelPicker(front).close()
    assert front._listeners == []
    pickers = [LevelPicker(front) for _ in range(MOST + 2)]
    assert len(front._listeners) == MOST
    assert [picker.comm is None for picker in pickers[:3]] == [True, True, False]
    monkeypatch.setenv("OPENCLAW_NB_RENDER", "static")
    LevelPicker(front)
    assert len(front._listeners) == MOST


def test_the_built_files_are_small() -> None:
    assert len(static("level.js").encode()) < 11_000
    assert len(static("level.css").encode()) < 4_000
