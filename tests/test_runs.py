"""Runs: one turn to a key, ended once whatever ends it, told to all who watch, and forgotten in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from openclaw_nb import runs as module
from openclaw_nb.engine import Turn
from openclaw_nb.errors import ModelError, RequestError
from openclaw_nb.models.base import ModelEvent, TextDelta, ThinkingDelta
from openclaw_nb.run import Usage
from openclaw_nb.runs import ActiveRun, Handler, Runs
from tests.spine import asynchronous, soon


async def ended(run: ActiveRun) -> str:
    await asyncio.wait([run.task])
    await asyncio.sleep(0)
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
    grown = 0

    def grow() -> None:
        nonlocal grown
        grown += 1

    run.watchers.add(grow)
    assert new
    assert runs.find("k") is run
    assert runs.of_session("main", "main") == [run]
    assert await ended(run) == "final"
    assert grown == 4, "three events and the end"
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
    others: list[dict[str, Any]] = [
        {"message": "come"},
        {"level": 2},
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


@pytest.mark.parametrize(
    ("handler", "stop", "state", "facts"),
    [
        (fails, False, "error", {"errorMessage": "it broke", "errorCode": "BROKEN"}),
        (crashes, False, "error", {"errorMessage": "the turn failed: ZeroDivisionError: a fault of ours"}),
        (cancels_itself, False, "error", {"errorMessage": "the turn was cancelled from inside"}),
        (endless, True, "aborted", {"stopReason": "rpc"}),
        (refuses_to_stop, True, "aborted", {"stopReason": "rpc"}),
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
    monkeypatch.setattr(module, "RETAIN", 0.02)
    runs = Runs(hello)
    run, _ = runs.start(Turn("k", "go"))
    await ended(run)
    assert runs.find("k") is run
    await soon(lambda: runs.find("k") is None)
    assert runs.start(Turn("k", "another")) != (run, False)
    await runs.close()
    assert len(runs) == 0


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
