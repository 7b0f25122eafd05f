"""OpenClawAgent: levels, models and instructions of one's own, at the gateway in this process and elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from openclaw_nb import Gateway, OpenClawAgent, OpenClawClient, Runtime, health
from openclaw_nb.agent import known_agents
from openclaw_nb.engine import AgentSpec
from openclaw_nb.errors import ConfigError, ModelError, OpenClawError, SnapshotError
from openclaw_nb.events import Delta, End, Step
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta
from openclaw_nb.run import Result


class Echo:
    """Answers with what it was asked, at which level, and under which instructions."""

    name = "echo"

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        yield TextDelta(f"{request.prompt}|{request.level}|{request.instructions}|{len(request.messages)}")


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()


def test_a_model_and_instructions_of_its_own() -> None:
    agent = OpenClawAgent("poet", model=Echo(), instructions="in verse", reasoning_level=2)
    assert agent.analyze("sing").result(60) == "sing|2|in verse|1"


def test_agents_of_one_name_do_not_mix() -> None:
    first = OpenClawAgent("twin", model=Echo(), instructions="one", reasoning_level=2)
    second = OpenClawAgent("twin", model=Echo(), instructions="two", reasoning_level=1)
    answers = [agent.execute("who?", session=str(id(agent))).result(60) for agent in (first, second)]
    assert answers == ["who?|2|one|1", "who?|1|two|1"]


@pytest.mark.parametrize(("tag", "level"), [("simple", 1), ("complex", 3), ("complex_task", 4), ("own", 1)])
def test_complexity_tags(tag: str, level: int) -> None:
    agent = OpenClawAgent("tagged", model=Echo(), level_thresholds={"own": 1})
    run = agent.analyze("q", tag, session=f"tag {tag}")
    assert run.result(60).level == level
    assert f"|{level}|" in run.text


def test_max_level_limits_what_is_chosen_by_hand_too() -> None:
    agent = OpenClawAgent("limited", model=Echo(), reasoning_level=4, max_level=3)
    run = agent.analyze("q")
    assert run.result(60).level == 3
    assert run.level_reason == "limited to 3"


def test_adaptive_off_ignores_tags() -> None:
    agent = OpenClawAgent("fixed", model=Echo(), adaptive_reasoning=False)
    assert agent.analyze("q", "complex_task").result(60).level == 2


def test_level_by_hand() -> None:
    agent = OpenClawAgent("hand", model=Echo())
    agent.set_reasoning_level(1)
    assert agent.analyze("q", "complex").result(60).level == 1


def test_memory_goes_on_within_a_session() -> None:
    agent = OpenClawAgent("memory", model=Echo())
    agent.analyze("one", session="m").result(60)
    assert agent.analyze("two", session="m").result(60).endswith("|3")


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match="level 9"):
        OpenClawAgent(reasoning_level=9)
    with pytest.raises(ConfigError, match="not a level from 1 to 4"):
        OpenClawAgent(level_thresholds={"simple": 0})
    with pytest.raises(ConfigError, match="did you mean 'complex'"):
        OpenClawAgent(model=Echo()).analyze("q", "complx")
    with pytest.raises(ConfigError, match="above 0"):
        OpenClawAgent(budget=-1)


def test_with_a_client_of_ones_own() -> None:
    async def work() -> str:
        async with Gateway(model=Echo()) as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            with pytest.raises(ConfigError, match=f"an agent at {gateway.url} takes a model by name"):
                OpenClawAgent(client=client, instructions="x")
            return await OpenClawAgent(client=client).analyze("q", "simple")

    assert asyncio.run(work()) == "q|1||1"


def test_without_streaming_the_text_comes_in_one_piece() -> None:
    async def words(prompt: str) -> AsyncIterator[str]:
        for word in "abcdef":
            yield word + " "
            await asyncio.sleep(0.03)

    agent = OpenClawAgent("still", model=words)
    agent.set_streaming(False)
    assert list(agent.analyze("q")) == ["a b c d e f "]


# -- snapshots -------------------------------------------------------------------------------------


class Fragile:
    """A Model that says "one two three " in pieces and fails after two of them as long as it is ``broken``."""

    name = "fragile"

    def __init__(self, code: str | None = None) -> None:
        self.broken = True
        self.code = code
        self.asked: list[tuple[str, ...]] = []

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.asked.append(tuple(message["content"] for message in request.messages))
        for count, piece in enumerate(("one ", "two ", "three ")):
            if count == 2 and self.broken:
                raise ModelError("the model broke", code=self.code)
            yield TextDelta(piece)
            await asyncio.sleep(0)


def test_the_second_step_of_the_document() -> None:
    """Restored by hand, in the document's own lines."""
    agent = OpenClawAgent("fragile", model=(model := Fragile()))
    task = "count"

    async def document() -> Result:
        try:
            await agent.execute(task)
        except OpenClawError:
            model.broken = False
            # restore from the last snapshot
            snapshot = await agent.load_snapshot()
            return await agent.resume_from(snapshot)
        raise AssertionError("it did not fail")

    result = asyncio.run(document())
    assert result == "one two three "
    assert model.asked == [("count",)] * 2
    assert agent.analyze("more").result(60) == "one two three "
    assert model.asked[-1] == ("count", "one two three ", "more"), "the failed attempt is no part of the session"


def test_a_run_that_came_to_its_end_is_answered_from_memory() -> None:
    agent = OpenClawAgent("fragile", model=(model := Fragile()))
    model.broken = False
    first = agent.analyze("first", "simple").result(60)
    agent.analyze("second").result(60)
    assert first.snapshot is not None
    again = agent.resume_from(first.snapshot)
    assert (again.result(60), again.level, again.level_reason) == ("one two three ", 1, "resumed")
    assert len(model.asked) == 2, "no model was asked"
    agent.analyze("third").result(60)
    assert model.asked[-1] == ("first", "one two three ", "third"), "the session stands there now"
    other = OpenClawAgent("fragile", model=model)
    other.session = "other"
    assert other.resume_from(first.snapshot).result(60) == "one two three "
    assert len(model.asked) == 3, "nor was it for another session"
    other.analyze("fourth").result(60)
    assert model.asked[-1] == ("first", "one two three ", "fourth")


@pytest.mark.parametrize("stopped", [False, True])
def test_isolated(stopped: bool) -> None:
    agent = OpenClawAgent("fragile", model=(model := Fragile()), budget=1.0)
    model.broken = False
    before = agent.analyze("first").result(60).snapshot
    model.broken = True
    run = agent.execute("count", use_snapshot=True)
    if stopped:
        run.subscribe(lambda event: run.cancel() if isinstance(event, Delta) else None)
        run.cancel()
    with contextlib.suppress(ModelError):
        run.result(60)
    memory = Runtime.shared().memory
    head = memory.head("main")
    assert head is not None
    assert head.id == before, "the session stands where it did"
    model.broken = False
    assert agent.analyze("second").result(60) == "one two three "
    assert model.asked[-1] == ("first", "one two three ", "second")


def test_isolated_and_taken_up_again() -> None:
    agent = OpenClawAgent("fragile", model=(model := Fragile()))
    with pytest.raises(ModelError) as failure:
        agent.execute("count", use_snapshot=True).result(60)
    assert Runtime.shared().memory.head("main") is None, "it had not begun"
    attempt = failure.value.partial
    assert attempt is not None
    assert (attempt, attempt.snapshot is not None) == ("one two ", True)
    model.broken = False
    run = agent.resume_from(str(attempt.snapshot))
    assert run.id == attempt.run_id
    assert run.result(60) == "one two three "


def test_isolated_and_well() -> None:
    agent = OpenClawAgent("fragile", model=(model := Fragile()))
    model.broken = False
    result = agent.execute("count", use_snapshot=True).result(60)
    head = Runtime.shared().memory.head("main")
    assert head is not None
    assert head.id == result.snapshot


def test_snapshots_that_are_none() -> None:
    agent = OpenClawAgent("empty", model=Echo())
    with pytest.raises(SnapshotError, match="session 'main' has no snapshot yet"):
        asyncio.run(agent.load_snapshot())
    with pytest.raises(SnapshotError):
        agent.resume_from("nonsense")
    named = Runtime.shared().memory.keep("main", "start")
    assert asyncio.run(agent.load_snapshot("start")).id == named.id
    with pytest.raises(ConfigError, match="nothing was asked in snapshot"):
        agent.resume_from(named)


def test_how_often_they_are_taken() -> None:
    with pytest.raises(ConfigError, match="snapshot_interval is a number of seconds above 0, not 0"):
        OpenClawAgent(snapshot_interval=0)
    agent = OpenClawAgent("often", model=Echo(), snapshot_interval=0.5)
    never = OpenClawAgent("never", snapshot=False)
    specs = Runtime.shared()._engine._agents
    assert (specs[agent.id].snapshot, specs[agent.id].snapshot_interval) == (True, 0.5)
    assert specs[never.id].snapshot is False
    assert specs["main"].snapshot is True


def test_a_gateway_elsewhere_keeps_its_sessions_itself() -> None:
    async def work() -> None:
        async with Gateway(model=Echo()) as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            with pytest.raises(ConfigError, match="keeps its sessions itself"):
                OpenClawAgent(client=client, snapshot=False)
            agent = OpenClawAgent(client=client, reasoning_level=2)
            for call in (agent.load_snapshot(), asyncio.to_thread(agent.resume_from, "x")):
                with pytest.raises(ConfigError, match="keeps its sessions itself; its snapshots are not here"):
                    await call
            assert await agent.execute("q") == "q|2||1"

    asyncio.run(work())


# -- unstable --------------------------------------------------------------------------------------


def test_the_third_step_of_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simpler by hand, in the document's own lines; and by itself, with no line at all."""
    monkeypatch.setattr(health, "HOLD", 0.0)
    agent = OpenClawAgent("fragile", model=(model := Fragile()), reasoning_level=3)
    for i in range(health.ERRORS):
        assert not agent.is_unstable()
        with pytest.raises(ModelError):
            agent.analyze("count", session=f"{i}").result(60)

    if agent.is_unstable():
        # degrade to static reasoning
        agent.set_reasoning_level(1)
        agent.set_streaming(False)

    assert (agent.reasoning_level, agent.client.streaming) == (1, False)
    agent.set_reasoning_level(3)
    agent.set_streaming(True)
    model.broken = False
    for _ in range(health.GOOD):
        run = agent.analyze("count")
        assert list(run) == ["one two three "]
        assert (run.level, run.level_reason) == (1, "unstable: 3 errors in the last minute")
    assert not agent.is_unstable()
    run = agent.analyze("count")
    run.result(60)
    assert (run.level, run.level_reason) == (3, "calm again")


# -- within a run ----------------------------------------------------------------------------------


def test_what_a_run_asks_in_its_own_session_works_in_a_branch_of_it() -> None:
    """It would wait for itself otherwise."""
    helper = OpenClawAgent("helper", model=Echo(), reasoning_level=2)

    async def asks(prompt: str) -> AsyncIterator[str]:
        answer = await helper.analyze("and you?")
        yield f"{answer} in {answer.session}"

    asking = OpenClawAgent("asking", model=asks)
    assert asking.analyze("who?").result(60) == "and you?|2||1 in main-2"
    assert helper.analyze("again").result(60).session == "main"


# -- levels on the way -----------------------------------------------------------------------------


def test_one_that_has_only_a_name_works_in_this_process() -> None:
    """Nothing about it has to be registered by hand, nor is it another gateway's."""
    Runtime.shared().register(AgentSpec("elsewhere"))
    agent = OpenClawAgent("plain", reasoning_level=1)
    assert "42" in agent.analyze("what is 6*7?").result(60)
    twin = OpenClawAgent("plain", reasoning_level=1)
    assert "42" in twin.analyze("what is 6*7?", session="other").result(60)
    assert agent.id == twin.id == "plain", "two of the same are one"


def test_a_level_changed_by_hand_while_it_works_is_that_run_s_alone() -> None:
    agent = OpenClawAgent("changing", model=Echo(), reasoning_level=4)
    changed: list[int] = []

    def lower(event: object) -> None:
        if isinstance(event, Step) and not changed:
            changed.append(1)
            run.set_level(3)

    run = agent.analyze("q")
    run.subscribe(lower)
    result = run.result(60)
    assert (result.level, run.level_reason) in ((3, "changed by you"), (4, "")), "or it was done before"
    assert agent.reasoning_level == 4
    assert agent.analyze("again", level=1).result(60).level == 1


# -- what it calls, and by which name it is found ------------------------------------------------


def test_handlers_hear_of_the_runs_to_come_in_the_context_that_they_were_given_in() -> None:
    said: list[tuple[str, str]] = []
    where = contextvars.ContextVar("where", default="nowhere")
    agent = OpenClawAgent("heard", model=Echo(), reasoning_level=1)
    agent.analyze("before").result(60)

    def register() -> None:
        where.set("a cell")
        agent.on("token", lambda text: said.append((where.get(), text)))
        assert agent.on("end", handler) is handler

    def handler(end: End) -> None:
        said.append((where.get(), str(end.status)))

    contextvars.copy_context().run(register)
    agent.analyze("q", session="s").result(60)
    limit = time.monotonic() + 60
    while len(said) < 2 and time.monotonic() < limit:
        time.sleep(0.005)
    assert said == [("a cell", "q|1||1"), ("a cell", "done")]
    with pytest.raises(ConfigError, match="an agent has no event 'tokens'; there are end, step, token"):
        agent.on("tokens", print)


def test_an_agent_at_the_local_gateway_may_have_its_client_given() -> None:
    client = Runtime.shared().client()
    agent = OpenClawAgent("given", client, model=Echo(), instructions="softly", reasoning_level=1)
    assert agent.analyze("q").result(60) == "q|1|softly|1"
    assert (agent.has_model, agent.model_name, agent.id) == (True, None, "given")
    plain = OpenClawAgent(client=client)
    assert (plain.has_model, plain.model_name, plain.id) == (False, None, "main")


def test_the_newest_of_a_name_is_found_as_long_as_somebody_has_it() -> None:
    first, second = OpenClawAgent("twin", model=Echo()), OpenClawAgent("twin", model=Echo())
    assert known_agents()["twin"] is second
    assert first is not second
    del first, second
    gc.collect()
    assert "twin" not in known_agents()
