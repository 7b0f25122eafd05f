"""Lane: how one agent's part begins and ends, whoever is quicker, and what is said of it at any time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from openclaw_nb import OpenClawAgent, TaskTimeout, ThreadPool
from openclaw_nb.errors import ModelError, RunError
from openclaw_nb.events import End, Status, Step
from openclaw_nb.run import Result
from openclaw_nb.waits import places
from tests.pool.teams import Held, ident, saying, soon, too_late, with_tool


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    with ThreadPool(max_threads=2, timeout=60) as made:
        yield made
        assert (made.at_work, made.waiting) == (0, 0)


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.let_go()


def test_what_is_said_of_it_before_while_and_after(pool: ThreadPool, held: Held) -> None:
    run = pool.execute([saying(name, held) for name in "abc"], "go")
    first, _, last = run.lanes
    soon(lambda: len(held.asked) == 2 and last.ticket)
    assert (last.status, last.run, last.outcome, last.text, last.tokens, last.steps) == (
        Status.WAITING, None, None, "", 0, (),
    )  # fmt: skip
    assert (last.seconds, last.cost, last.level, last.level_reason, last.output) == (0.0, None, None, "", "")
    assert (last.words, last.line) == ("waits for a free thread", "in line, next")
    assert (first.status, first.line, first.level) == (Status.WAITING, "", 1)
    assert set(places) == {lane.run_id for lane in run.lanes[:2]}
    held.let_go()
    run.result(60)
    assert isinstance(last.outcome, Result)
    assert (last.status, last.words, last.text, last.line) == (Status.DONE, "done", "let go", "")
    assert last.seconds > 0
    assert repr(last) == "<Lane c: done>"
    assert places == {}


def test_one_that_has_begun_is_not_left_out(pool: ThreadPool, held: Held) -> None:
    run = pool.execute([saying("a", held)], "go")
    soon(lambda: held.asked)
    run.lanes[0].leave_out("too late")
    assert not run.lanes[0].done()
    held.let_go()
    assert run.result(60).words == "done"


def test_it_says_which_tool_it_runs(pool: ThreadPool, held: Held) -> None:
    go, heard = threading.Event(), list[str]()
    run = pool.execute([saying("first", held), with_tool("a", lambda: go.wait(60))], "go", mode="pipeline")
    run.subscribe(lambda lane, event: heard.append(lane.words) if lane and event is None else None)
    held.let_go()
    soon(lambda: run.lanes[1].words == "runs tool")
    go.set()
    run.result(60)
    assert "runs tool" in heard
    assert heard[-1] == "done"


def test_a_tool_runs_with_the_session_and_in_the_context_of_its_lane(pool: ThreadPool) -> None:
    from openclaw_nb.run import within
    from openclaw_nb.waits import part_of

    seen: list[Any] = []

    def tool() -> None:
        seen.append((sorted(within.get()), part_of.get()))

    run = pool.execute([with_tool("a", tool)], "go", session="s")
    run.result(60)
    assert seen == [(["s/a"], (run.lanes[0].run_id, "a"))]
    assert run.lanes[0].session == "s/a"


@pytest.mark.parametrize("bound", [True, False])
def test_callbacks_hear_of_everything_on_the_agents_thread(pool: ThreadPool, bound: bool) -> None:
    agent = with_tool("a", ident, thread_bound=bound)
    heard: dict[str, list[Any]] = {"token": [], "step": [], "end": []}
    idents: set[int] = set()
    for kind in heard:
        agent.on(kind, lambda told, kind=kind: (heard[kind].append(told), idents.add(threading.get_ident())))  # type: ignore[misc]
    [result] = pool.execute([agent], "go").result(60).results.values()
    soon(lambda: heard["end"])
    assert "".join(heard["token"]) == str(result)
    assert {type(one) for one in heard["step"]} == {Step}
    assert [type(one) for one in heard["end"]] == [End]
    assert (idents == {int(str(result))}) is bound


def test_a_callback_that_fails_is_noted_and_one_that_is_slow_costs_no_thread(
    pool: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    agent = with_tool("a", ident)
    slow: list[int] = []

    def fail(_: object) -> None:
        raise SystemExit("my own")

    def late(_: object) -> None:
        time.sleep(0.05)
        slow.append(threading.get_ident())

    agent.on("end", fail)
    agent.on("end", late)
    with caplog.at_level(logging.ERROR, "openclaw_nb"):
        first = pool.execute([agent], "go").result(60)
        soon(lambda: slow)
        again = pool.execute([agent], "go").result(60)
        soon(lambda: len(slow) == 2)
    assert first.text == again.text, "it is on the same thread"
    assert {str(one) for one in slow} == {str(first.results["a"])}
    assert "a handler of agent a failed" in caplog.text
    assert "my own" in caplog.text


def test_one_that_is_slow_to_hear_of_its_own_end_is_no_hung_thread(pool: ThreadPool) -> None:
    """Stopped while it streams, with a callback at work: nothing hangs, and the thread stays."""
    held, begun, go = Held(), threading.Event(), threading.Event()
    agent = saying("a", held)
    agent.on("end", lambda _: (begun.set(), go.wait(60)))  # type: ignore[arg-type, return-value]
    run = pool.execute([agent], "go")
    soon(lambda: held.asked)
    run.cancel()
    assert begun.wait(60)
    assert run.result(60).status is Status.STOPPED
    go.set()


# -- what goes wrong is its own --------------------------------------------------------------------


async def fails(prompt: str) -> Any:
    raise ValueError("broken")
    yield


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), ValueError("no")])
@pytest.mark.parametrize("on_loop", [False, True])
def test_whatever_a_tool_raises_its_neighbours_go_on(pool: ThreadPool, error: BaseException, on_loop: bool) -> None:
    def tool() -> None:
        raise error

    async def later() -> None:
        raise error

    agents = [with_tool("a", later if on_loop else tool), saying("b", fails), with_tool("c", ident)]
    result = pool.execute(agents, "go").result(60)
    assert str(result.results["a"]).startswith(f"tool failed: {type(error).__name__}")
    assert isinstance(result.results["b"], ModelError)
    assert str(result.results["c"]).isdigit()
    assert result.words == "2 of 3 done, 1 failed"
    assert pool.execute(agents[2:], "go").result(60).words == "done"


def test_what_cannot_be_sent_gives_its_slot_back(pool: ThreadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = saying("a")

    def broken(*args: object, **options: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(agent.front, "send", broken)
    result = pool.execute([agent] * 3, "go").result(60)
    assert str(result.results["a"]) == "a could not be started: ZeroDivisionError: oh"
    assert result.words == "0 of 3 done, 3 failed"


def test_an_interrupt_as_it_begins_stops_only_that_one(pool: ThreadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = saying("a")

    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(agent.front, "send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.execute([agent], "go")
    soon(lambda: not pool.runs)


def test_a_coroutine_tool_is_cancelled_when_its_run_is_stopped(pool: ThreadPool) -> None:
    import asyncio

    seen: list[str] = []

    async def tool() -> None:
        try:
            seen.append("begun")
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    agent, other = with_tool("a", tool), with_tool("b", ident)
    with ThreadPool(max_threads=1, timeout=60) as one:
        before = one.execute([other], "go").result(60).text
        outcome = too_late(one, agent, lambda: seen).lanes[0].outcome
        assert isinstance(outcome, TaskTimeout)
        assert outcome.stack.endswith("await asyncio.sleep(600)")
        soon(lambda: seen == ["begun", "cancelled"])
        assert one.execute([other], "go").result(60).text == before, "its thread stays"


# -- whoever is quicker ----------------------------------------------------------------------------


def test_stopped_as_it_begins_it_ends_once_and_gives_its_slot_back() -> None:
    agent = saying("a")
    with ThreadPool(max_threads=2, timeout=60) as pool:
        for n in range(150):
            run = pool.execute([agent] * 3, "go", session=f"s{n % 7}")
            ends: list[str] = []
            run.subscribe(lambda lane, event, ends=ends: ends.append(lane.name) if lane and lane.done() else None)  # type: ignore[misc]
            threads = [threading.Thread(target=run.cancel, args=(name,)) for name in ("a", "a-2", "a-3")]
            for thread in threads:
                time.sleep(n % 4 / 4_000)
                thread.start()
            for thread in threads:
                thread.join(60)
            result = run.result(60)
            assert len(result.results) == 3
            assert not [one for one in result.results.values() if not isinstance(one, Result | RunError)]
        soon(lambda: (pool.at_work, pool.waiting, len(places)) == (0, 0, 0))


def test_an_agent_at_a_gateway_elsewhere_has_its_callbacks_on_its_thread(pool: ThreadPool) -> None:
    import asyncio

    from openclaw_nb import OpenClawClient
    from tests.pool.teams import echo
    from tests.spine import Gateway

    async def main() -> set[int]:
        idents: set[int] = set()
        async with Gateway(model=echo) as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            agent = OpenClawAgent("main", client, reasoning_level=1)
            agent.on("end", lambda _: idents.add(threading.get_ident()))
            run = pool.execute([agent, agent], "go", session="s")
            assert (await run).words == "done"
            assert {lane.session for lane in run.lanes} == {f"s/main-{run.id[:6]}", f"s/main-2-{run.id[:6]}"}
        return idents

    idents = asyncio.run(main())
    soon(lambda: idents)
    assert threading.get_ident() not in idents
