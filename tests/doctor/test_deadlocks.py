"""Agents that wait: for whom, where a tool hangs, what keeps others from their turn, and those that were given up."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from openclaw_nb import Runtime, ThreadPool
from openclaw_nb.doctor import Finding, Patient, State, deadlocks
from openclaw_nb.doctor.deadlocks import deadlocks as look
from tests.pool.teams import LIMIT, Held, saying, soon, too_late, with_tool


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.let_go()


def found(patient: Patient) -> list[Finding]:
    return [finding for finding in look(patient) if finding.state is not State.OK]


def test_nobody_at_work(runtime: Runtime) -> None:
    [finding] = look(Patient(runtime))
    assert finding.state is State.OK
    runtime.pool.max_threads = 7
    [finding] = look(Patient(runtime))
    assert finding.measured == "7 threads, 3 per task"


def test_at_work_and_well(runtime: Runtime, held: Held) -> None:
    with ThreadPool(max_threads=4) as pool:
        run = pool.execute([saying("a", held), saying("b", held)], "go")
        soon(lambda: len(held.asked) == 2)
        [finding] = look(Patient(runtime))
        held.let_go()
        run.result(LIMIT)
    assert (finding.state, finding.figures["at_work"]) == (State.OK, 2)


def test_a_pool_of_one_that_is_full(runtime: Runtime, held: Held) -> None:
    with ThreadPool(max_threads=1) as pool:
        first = pool.execute(saying("a", held), "go")
        second = pool.execute(saying("b", held), "go")
        soon(lambda: held.asked and pool.waiting)
        [finding] = look(Patient(runtime))
        held.let_go()
        first.result(LIMIT)
        second.result(LIMIT)
    assert finding.state is State.LOOK
    assert finding.measured.startswith("1 of 1 at work, 1 in line")
    assert "%openclaw pool 2" in finding.remedy


def test_one_task_that_holds_itself_back(runtime: Runtime, held: Held) -> None:
    with ThreadPool(max_threads=8, max_per_task=1) as pool:
        run = pool.execute([saying("a", held), saying("b", held)], "go")
        soon(lambda: held.asked and pool.waiting)
        [finding] = look(Patient(runtime))
        held.let_go()
        run.result(LIMIT)
    assert finding.state is State.LOOK
    assert "their own task" in finding.words
    assert "--per-task 2" in finding.remedy


def test_one_that_hangs_is_named_with_its_line(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str, str], None]
) -> None:
    news: queue.Queue[str] = queue.Queue()

    def waits_for_ever() -> str:
        return news.get()

    monkeypatch.setattr(deadlocks, "LONG", 0.001)
    with ThreadPool(max_threads=1, timeout=60) as pool:
        run = pool.execute(with_tool("stuck", waits_for_ever), "go")
        next_one = pool.execute(saying("b"), "go")
        soon(lambda: "not_empty.wait()" in run.lanes[0].stack and pool.waiting)
        hung, full = found(Patient(runtime))
        news.put("done")
        run.result(LIMIT)
        next_one.result(LIMIT)
    assert "stuck hangs" in hung.words
    assert "in waits_for_ever, line" in hung.words
    assert "until it is given up" in hung.measured
    assert "--timeout" in hung.remedy
    assert "isolation='process'" in hung.remedy
    assert "snapshots" in hung.remedy
    assert "those that hang hold their slots" in full.remedy
    figure("doctor, a tool that hangs", hung.sentence())


def test_one_that_gets_on_does_not_hang(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = threading.Event(), threading.Event()

    def gets_on() -> str:
        first.wait(LIMIT)
        second.wait(LIMIT)
        return "done"

    with ThreadPool(max_threads=1, timeout=60) as pool:
        run = pool.execute(with_tool("busy", gets_on), "go")
        soon(lambda: "first.wait" in run.lanes[0].stack)

        def between_two_looks(_: float) -> None:
            first.set()
            soon(lambda: "second.wait" in run.lanes[0].stack)

        monkeypatch.setattr(deadlocks, "LONG", 0.001)
        monkeypatch.setattr(deadlocks, "time", SimpleNamespace(sleep=between_two_looks, monotonic=time.monotonic))
        hung = found(Patient(runtime))
        second.set()
        run.result(LIMIT)
    assert first.is_set()
    assert not hung


def test_who_waits_for_whom(runtime: Runtime, held: Held) -> None:
    with ThreadPool(max_threads=1) as pool:
        inner = saying("inner", held)

        def asks() -> str:
            return str(pool.execute(inner, "go").result(LIMIT))

        run = pool.execute(with_tool("outer", asks), "go")
        soon(lambda: held.asked)
        waits = [finding for finding in look(Patient(runtime)) if finding.words.startswith("outer")]
        held.let_go()
        run.result(LIMIT)
    assert [finding.words for finding in waits] == ["outer waits for inner"]
    assert waits[0].state is State.OK
    assert waits[0].figures["seconds"] < LIMIT


def test_one_that_was_given_up(runtime: Runtime) -> None:
    begun, over = threading.Event(), threading.Event()

    def too_long() -> str:
        begun.set(), over.wait(LIMIT)
        return "late"

    with ThreadPool(max_threads=1) as pool:
        run = too_late(pool, with_tool("slow", too_long), begun.is_set)
        over.set()
    [finding] = found(Patient(runtime, works=[run]))
    assert "slow was given up" in finding.words
    assert "over.wait(LIMIT)" in finding.words
    assert finding.figures["timeouts"] == 1
    assert "%openclaw pool --timeout" in finding.remedy


def test_a_circle_that_was_refused(runtime: Runtime) -> None:
    from openclaw_nb.errors import DeadlockError

    async def refused(prompt: str):  # type: ignore[no-untyped-def]
        raise DeadlockError("a → b → a: none of these would ever end, as each waits for the next")
        yield prompt

    with ThreadPool() as pool:
        run = pool.execute(saying("a", refused), "go")
        run.result(LIMIT)
    [finding] = found(Patient(runtime, works=[run]))
    assert "a → b → a" in finding.words
    assert "pipeline" in finding.remedy
