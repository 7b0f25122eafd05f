"""Runs: one turn to a key, ended once whatever ends it, told to all who watch, and forgotten in time."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from openclaw_nb.engine import Turn
from openclaw_nb.errors import ModelError, RequestError
from openclaw_nb.events import Usage
from openclaw_nb.gateway import runs as module
from openclaw_nb.gateway.runs import ActiveRun, Handler, Runs
from openclaw_nb.models.base import ModelEvent, TextDelta, ThinkingDelta
from tests.spine import asynchronous, soon


async def ended(run: ActiveRun) -> str:
    await soon(lambda: run.done)
    assert run.log.ending is not None
    return run.log.ending.state


async def hello(turn: Turn) -> AsyncIterator[ModelEvent]:
    yield ThinkingDelta("hm", 2)
    yield TextDelta("hel")
    yield TextDelta("lo", 3)
    turn.outcome.usage = Usage(1, 4)
    turn.outcome.model = "m"


async def endless(turn: Turn) -> AsyncIterator[ModelEvent]:
    yield TextDelta("on ")
    await asyncio.Event().wait()


@asynchronous
async def test_a_turn_from_its_start_to_its_end() -> None:
    runs = Runs(hello)
    run, new = runs.start(Turn("k", "go"))
    told: list[str] = []

    class Watcher:
        def grown(self) -> None:
            told.append(str(run.log.text))

    run.watchers.append(Watcher())
    assert new
    assert runs.find("k") is run
    assert runs.of_session("main", "main") == [run]
    assert await ended(run) == "final"
    assert told == ["", "hel", "hello", "hello"], "three events and the end"
    assert (str(run.log.text), run.log.tokens) == ("hello", 4)
    step = run.log.steps["thinking"]
    assert (str(step.text), step.tokens) == ("hm", 2)
    assert step.seconds is not None
    assert run.log.ending is not None
    assert run.log.ending.facts == {
        "stopReason": "stop", "model": "m", "usage": {"input": 1, "output": 4, "estimated": False},
    }  # fmt: skip
    assert runs.of_session("main", "main") == []
    assert not run.stop()
    await runs.close()


@asynchronous
async def test_the_same_turn_again() -> None:
    runs = Runs(endless)
    run, _ = runs.start(Turn("k", "go", level=3, model="m"))
    assert runs.start(Turn("k", "go", level=3, model="m")) == (run, False)
    assert runs.start(Turn("k", "go", level=2, model="m")) == (run, False), "its level may have been changed meanwhile"
    others: list[dict[str, Any]] = [
        {"message": "come"},
        {"model": None},
        {"agent": "x"},
        {"session": "s"},
    ]
    for other in others:
        with pytest.raises(RequestError, match="already used for another message"):
            runs.start(replace(Turn("k", "go", level=3, model="m"), **other))
    assert len(runs) == 1
    await runs.close()


@asynchronous
async def test_stopped_before_its_first_step() -> None:
    called = False

    async def model(turn: Turn) -> AsyncIterator[ModelEvent]:
        nonlocal called
        called = True
        yield TextDelta("x")

    runs = Runs(model)
    run, _ = runs.start(Turn("k", "go"))
    assert run.stop()
    assert await ended(run) == "aborted"
    assert not called
    await runs.close()


async def fails(turn: Turn) -> AsyncIterator[ModelEvent]:
    yield TextDelta("half")
    raise ModelError("it broke", code="BROKEN")


async def crashes(turn: Turn) -> AsyncIterator[ModelEvent]:
    yield TextDelta("half")
    raise ZeroDivisionError("a fault of ours")


async def cancels_itself(turn: Turn) -> AsyncIterator[ModelEvent]:
    yield TextDelta("half")
    raise asyncio.CancelledError


async def refuses_to_stop(turn: Turn) -> AsyncIterator[ModelEvent]:
    yield TextDelta("half")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise ValueError("no") from None


async def ignores_its_stop(turn: Turn) -> AsyncIterator[ModelEvent]:
    yield TextDelta("half")
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    while True:
        yield TextDelta("")
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("handler", "stop", "state", "facts"),
    [
        (fails, False, "error", {"errorMessage": "it broke", "errorCode": "BROKEN"}),
        (crashes, False, "error", {"errorMessage": "the turn failed: ZeroDivisionError: a fault of ours"}),
        (cancels_itself, False, "error", {"errorMessage": "the turn was cancelled from inside"}),
        (endless, True, "aborted", {"stopReason": "rpc"}),
        (refuses_to_stop, True, "aborted", {"stopReason": "rpc"}),
        (ignores_its_stop, True, "aborted", {"stopReason": "rpc"}),
    ],
)
@asynchronous
async def test_ends(handler: Handler, stop: bool, state: str, facts: dict[str, str]) -> None:
    runs = Runs(handler)
    run, _ = runs.start(Turn("k", "go"))
    if stop:
        await soon(lambda: run.log.text.length)
        assert run.stop()
        assert run.stop(), "as often as one likes, until it has ended"
    assert await ended(run) == state
    assert run.log.ending is not None
    assert run.log.ending.facts == facts
    assert str(run.log.text) in ("half", "on ")
    await runs.close()


@asynchronous
async def test_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(hello)
    first, _ = runs.start(Turn("k", "go"))
    await ended(first)
    assert runs.find("k") is first
    second, _ = runs.start(Turn("l", "go"))
    await ended(second)
    assert runs._expiry is not None
    assert runs._expiry.when() == first.ended + module.RETAIN
    first.ended -= module.RETAIN
    runs._expire()
    assert runs.find("k") is None
    assert runs.find("l") is second, "it ended later"
    assert runs._expiry.when() == second.ended + module.RETAIN
    monkeypatch.setattr(module, "RETAIN", 0.05)
    runs._expire()
    await soon(lambda: runs.find("l") is None)
    assert runs._expiry is None
    assert (len(runs), runs._size) == (0, 0)
    assert runs.start(Turn("k", "another")) != (first, False)
    await runs.close()
    assert len(runs) == 0


async def finish(runs: Runs, numbers: range) -> None:
    """Have so many runs begin and end, twenty at once."""
    for first in numbers[::20]:
        turns = [Turn(f"run-{i:028}", f"go {i:08}", session=f"session-{i:08}") for i in range(first, first + 20)]
        await asyncio.wait([runs.start(turn)[0].task for turn in turns])
    assert not runs._runs


@asynchronous
async def test_what_ended_takes_little_and_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "x" * 300

    async def says(turn: Turn) -> AsyncIterator[ModelEvent]:
        yield TextDelta(f"{text} {turn.run_id}")
        yield ThinkingDelta(f"{text} {turn.run_id}")
        turn.outcome.usage = Usage(1, 4)
        turn.outcome.model = "m"

    monkeypatch.setattr(module, "RETAIN_BYTES", 1_000_000)
    runs = Runs(says)
    await finish(runs, range(20))
    gc.collect()
    tracemalloc.start()
    try:
        await finish(runs, range(20, 220))
        gc.collect()
        each = tracemalloc.get_traced_memory()[0] / 200
        (weighed,) = {run.size for run in runs._ended.values()}
        assert 0.75 * weighed < each < weighed, "what is weighed is what it takes, and a little more"
        await finish(runs, range(220, 2220))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    assert 1_000_000 - weighed < sum(run.size for run in runs._ended.values()) == runs._size <= 1_000_000
    kept = list(runs._ended)
    assert kept == sorted(kept), "the oldest were dropped"
    assert runs.find(kept[-1])
    await runs.close()
    assert runs._size == 0


@asynchronous
async def test_what_is_at_work_is_never_dropped_nor_is_the_last_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETAIN_BYTES", 1)
    gate = asyncio.Event()

    async def waits(turn: Turn) -> AsyncIterator[ModelEvent]:
        yield TextDelta("long " * 1000)
        if turn.message == "wait":
            await gate.wait()

    runs = Runs(waits)
    slow, _ = runs.start(Turn("slow", "wait"))
    for i in range(3):
        run, _ = runs.start(Turn(f"{i}", "go"))
        await ended(run)
        assert list(runs._ended) == [f"{i}"], "however big it is, one may ask for it again"
        assert runs.find("slow") is slow
    gate.set()
    assert await ended(slow) == "final"
    assert list(runs._ended) == ["slow"]
    await runs.close()


@asynchronous
async def test_a_run_lets_go_of_what_made_it() -> None:
    class Holds:
        async def __call__(self, turn: Turn) -> AsyncIterator[ModelEvent]:
            for i in range(2000):
                yield TextDelta(f"{i} ")

    handler = Holds()
    runs = Runs(handler)
    run, _ = runs.start(Turn("k", "go", partial="said before ", partial_tokens=2))
    held = [weakref.ref(run.task), weakref.ref(handler)]
    assert await ended(run) == "final"
    await runs.close()
    del runs, handler
    gc.collect()
    assert [ref() for ref in held] == [None, None]
    assert run.log.text._tail == "said before " + "".join(f"{i} " for i in range(2000)), "its parts are joined"
    assert run.log.text._parts == []
    assert run.turn.partial == ""


@asynchronous
async def test_closing_ends_all_and_says_why() -> None:
    runs = Runs(endless)
    started = [runs.start(Turn(f"{i}", "go"))[0] for i in range(5)]
    await soon(lambda: all(run.log.text.length for run in started[:4]))
    unborn, _ = runs.start(Turn("unborn", "go"))
    await runs.close()
    for run in (*started, unborn):
        assert run.log.ending is not None
        assert run.log.ending.facts["errorCode"] == "GATEWAY_STOPPED"
    assert len(runs) == 0
    await runs.close()
