"""PoolRun and PoolResult: one handle for several agents, waited for, listened to, and what came of them."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from openclaw_nb import Runtime, ThreadPool
from openclaw_nb.errors import ConfigError, RunError
from openclaw_nb.events import Delta, Status, Usage
from openclaw_nb.pool.work import PoolResult
from openclaw_nb.run import Result
from tests.pool.teams import LIMIT, Held, ident, saying, soon, with_tool
from tests.spine import asynchronous


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    with ThreadPool(timeout=60) as made:
        yield made


async def fails(prompt: str) -> Any:
    yield "half "
    raise ValueError("broken")


def test_a_result_has_what_each_said_and_what_all_of_it_cost() -> None:
    failed = RunError("too bad")
    failed.partial = Result("half", cost=0.25, usage=Usage(1, 2))
    lost = RunError("gone")
    done = Result("all of it", cost=0.5, usage=Usage(3, 4))
    result = PoolResult({"a": done, "b": failed, "c": lost}, words="1 of 3 done, 2 failed", record=None, session="s")
    assert str(result) == result.text == "## a\n\nall of it\n\n## b\n\nhalf\n\n[too bad]\n\n## c\n\n[gone]"
    assert (result.cost, result.usage) == (0.75, Usage(4, 6))
    assert PoolResult({"c": lost}).cost is None
    assert repr(result) == "<PoolResult a, b, c: 1 of 3 done, 2 failed>"
    with pytest.raises(ConfigError, match="keeps its sessions itself"):
        result.merge()


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_result_can_be_copied_and_pickled(pool: ThreadPool, way: Any) -> None:
    result = pool.execute([saying("a"), saying("b", fails)], "go").result(60)
    other = way(result)
    assert other == result
    assert (other.words, other.snapshot, other.results["a"]) == (result.words, result.snapshot, "did go")
    assert str(other.results["b"]) == str(result.results["b"])


def test_who_awaits_others_on_a_loop_of_its_tool_s_own_completes_or_hears_of_the_circle() -> None:
    def ask() -> str:
        async def main() -> str:
            return str(await few.execute([with_tool("inner", ident)], "part"))

        return asyncio.run(main())

    for size, said in ((1, "outer → inner → outer: tool needs the thread"), (2, "## inner\n\n")):
        with ThreadPool(size, 1, timeout=2 * LIMIT) as few:
            text = few.execute([with_tool("outer", ask)], "go").result(LIMIT).text
        assert said in text
        assert ("holds in a tool of outer" in text) is (size == 1)


def test_a_run_says_what_it_is_and_how_far(pool: ThreadPool) -> None:
    held = Held()
    run = pool.execute([saying("a"), saying("b", fails), saying("c", held)], "go", session="s", per_task=2)
    soon(lambda: held.asked and run.lane("a").done() and run.lane("b").done())
    assert (run.prompt, run.session, run.mode, run.per_task) == ("go", "s", "parallel", 2)
    assert run.words == "2 of 3 ended, 1 failed"
    assert run.status is Status.WAITING
    assert run.unended() == {run.lane("c").run_id: "c"}
    assert not run.done()
    assert repr(run).startswith(f"<PoolRun {run.id[:8]} a, b, c: 2 of 3 ended")
    with pytest.raises(KeyError, match="no agent of it is called 'd'; there are a, b, c"):
        run.lane("d")
    pool.max_threads = 1
    assert run.per_task == 1, "no more than all of them"
    held.let_go()
    result = run.result(60)
    assert (result.status, result.words) == (Status.DONE, "2 of 3 done, 1 failed")
    assert (run.status, run.tokens, run.seconds) == (
        Status.DONE,
        sum(lane.tokens for lane in run.lanes),
        result.seconds,
    )
    assert str(result.results["b"]).startswith("fails() raised ValueError: broken")
    assert "half " in result.text


def test_many_wait_for_it_from_everywhere(pool: ThreadPool) -> None:
    held = Held()
    run = pool.execute([saying("a", held)], "go")

    async def waited() -> PoolResult:
        return (await asyncio.gather(run, run))[0]

    with ThreadPoolExecutor(6) as others:
        waiting = [others.submit(asyncio.run, waited()) for _ in range(3)]
        waiting += [others.submit(run.result, 60) for _ in range(3)]
        soon(lambda: held.asked)
        held.let_go()
        assert {id(one.result(60)) for one in waiting} == {id(run.result())}


@asynchronous
async def test_whoever_stops_waiting_stops_nothing(pool: ThreadPool) -> None:
    held = Held()
    run = pool.execute([saying("a", held)], "go")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run, 0.01)
    held.let_go()
    assert (await run).words == "done"


def test_listeners_hear_each_lane_and_the_end_and_may_fail(pool: ThreadPool, caplog: pytest.LogCaptureFixture) -> None:
    held, heard = Held(), list[tuple[str, str]]()
    run = pool.execute([saying("a", held), saying("b")], "go", mode="pipeline")

    def listen(lane: Any, event: Any) -> None:
        kind = event.text if isinstance(event, Delta) else type(event).__name__ if event else lane and lane.words
        heard.append((lane.name if lane else "", kind or "end"))

    def broken(lane: object, event: object) -> None:
        raise SystemExit("not me")

    run.subscribe(broken)
    run.subscribe(listen)
    forgotten = run.subscribe(lambda lane, event: heard.append(("never", "")))
    forgotten()
    forgotten()
    with caplog.at_level(logging.CRITICAL, "openclaw_nb"):
        held.let_go()
        run.result(60)
    soon(lambda: run._listeners == [])  # it holds nobody when it has ended
    assert heard[-1] == ("", "end")
    assert ("a", "let go") in heard
    assert heard.index(("a", "done")) < heard.index(("b", "done"))
    assert "never" not in {name for name, _ in heard}
    assert heard.count(("", "end")) == 1


def test_its_session_says_what_it_said_before_until_it_is_merged(pool: ThreadPool) -> None:
    saying("x").analyze("before", session="s").result(60)
    result = pool.execute([saying("a"), saying("b")], "go", session="s").result(60)
    memory = Runtime.shared().memory

    def said(session: str) -> list[str]:
        head = memory.head(session)
        return [message["content"] for message in head.state["messages"]] if head else []

    assert said("s") == ["before", "did before"]
    assert said("s/a")[2:] == ["go", "did go"]
    assert memory.head("s").id == result.snapshot  # type: ignore[union-attr]
    result.merge("b")
    assert said("s") == ["before", "did before", "go", "did go"]


def test_one_that_cannot_be_noted_fails_at_once(pool: ThreadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    from openclaw_nb.errors import SnapshotError
    from openclaw_nb.pool import record

    def full(*args: object) -> None:
        raise SnapshotError("the disk is full")

    agents = [saying("a"), saying("b")]
    monkeypatch.setattr(record, "enter", full)
    result = pool.execute(agents, "go").result(60)
    assert {str(one) for one in result.results.values()} == {"the disk is full"}
    assert pool.runs == ()


def test_an_end_that_cannot_be_kept_is_an_end(pool: ThreadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    from openclaw_nb.pool import record

    agent = saying("a")
    monkeypatch.setattr(record, "end", lambda *args: 1 / 0)
    result = pool.execute([agent], "go").result(60)
    assert (result.words, result.snapshot) == ("done", None)


def test_stopped_before_it_has_begun_it_has_ended(pool: ThreadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its entry still has to be written to a slow disk."""
    memory = Runtime.shared().memory
    go = threading.Event()
    writer = ThreadPoolExecutor(1)
    with writer:
        monkeypatch.setattr(memory, "submit", lambda work, *args: writer.submit(lambda: (go.wait(60), work(*args))[1]))
        run = pool.execute([saying("a"), saying("b")], "go", mode="pipeline")
        run.cancel()
        assert run.status is Status.STOPPED
        go.set()
        result = run.result(60)
    assert result.words == "0 of 2 done, 2 stopped"
    assert [snapshot.facts["kind"] for snapshot in memory.store.list()] == ["pool", "pool end"]


# -- waited for from inside an agent ---------------------------------------------------------------


def test_a_tool_may_wait_listen_and_read_and_its_thread_serves_others() -> None:
    """``result(timeout)``, ``for delta in run``, ``async for`` and ``await``, all on the pool's one thread."""
    words: list[str] = []
    other = saying("other")

    def reads() -> str:
        inner = pool.execute([with_tool("inner", lambda: "served")], "x", session="i")
        words.append("".join(other.analyze("read", session="r")))
        return str(inner.result(60).results["inner"])

    async def awaits() -> str:
        inner = pool.execute([with_tool("inner", lambda: "served")], "x", session="j")
        words.append("".join([delta async for delta in other.analyze("read", session="r2")]))
        return str((await inner).results["inner"])

    def times_out() -> str:
        held = Held()
        run = pool.execute([saying("held", held)], "x", session="k")
        try:
            run.result(0.01)
        except TimeoutError as error:
            held.let_go()
            return f"{error}, {run.result(60).words}"
        return "?"

    with ThreadPool(max_threads=1, timeout=60) as pool:
        for tool, given in [(reads, "served"), (awaits, "served"), (times_out, "the agents did not end within 0.01 s")]:
            result = pool.execute([with_tool("a", tool)], "go").result(60)
            assert str(result.results["a"]).startswith(given)
            assert pool.at_work == 0
    assert words == ["did read", "did read"]


@asynchronous
async def test_a_slot_that_is_lent_comes_back_however_the_waiting_ends() -> None:
    """Several waits at once in one agent, some given up."""
    most = [0]

    async def many() -> str:
        runs = [pool.execute([saying(f"i{n}")], "x", session=f"i{n}") for n in range(4)]
        waits = [asyncio.ensure_future(run) for run in runs]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        waits[0].cancel()
        given = await asyncio.gather(*waits, return_exceptions=True)
        return f"{sum(isinstance(one, PoolResult) for one in given)} at {pool.at_work}"

    with ThreadPool(max_threads=1, timeout=60) as pool:
        pool.subscribe(lambda: most.append(pool.at_work))
        results = await asyncio.gather(*(pool.execute([with_tool("a", many)], "go") for _ in range(5)))
        assert {str(result.results["a"]) for result in results} == {"3 at 1"}
        assert pool.at_work == 0
    assert max(most) == 1
