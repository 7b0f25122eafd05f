"""An agent's turn at a worker: its text, steps, calls and cost arrive as if they were made here."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb import OpenClawAgent, Runtime, ThreadPool
from openclaw_nb.distributed import worker
from openclaw_nb.errors import RunError, TaskTimeout
from openclaw_nb.events import Status
from openclaw_nb.run import Result
from tests.pool.teams import soon


async def counting(prompt: str) -> AsyncIterator[str]:
    for n in range(10):
        yield f"{n} "
        await asyncio.sleep(0.01)
    yield f"at {os.getpid()}"


def test_a_function_of_the_notebook(pool: ThreadPool) -> None:
    work = pool.execute(OpenClawAgent("counter", model=counting), "count")
    (result,) = work.result(60).results.values()
    assert isinstance(result, Result), result
    text, _, process = result.text.rpartition(" at ")
    assert text == "0 1 2 3 4 5 6 7 8 9"
    assert int(process) != os.getpid()
    assert result.usage.output_tokens == 11
    assert work.lanes[0].workers[0].startswith("tcp://127.0.0.1:")


def test_a_tool_and_what_is_kept(pool: ThreadPool) -> None:
    def where() -> str:
        """Where this is."""
        return f"process {os.getpid()}"

    work = pool.execute(OpenClawAgent("caller", model="offline", tools=[where]), "use where()")
    (result,) = work.result(60).results.values()
    assert isinstance(result, Result), result
    (step,) = (step for step in work.lanes[0].steps if step.title == "where()")
    assert step.text.startswith("process ")
    assert str(os.getpid()) not in step.text
    assert step.text in result.text
    messages = Runtime.shared().memory.head(work.lanes[0].session).state["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[2]["content"] == step.text
    assert messages[-1]["run"] == work.lanes[0].run_id


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_says_what_it_would_say_here(pool: ThreadPool, level: int) -> None:
    with ThreadPool() as here:
        agent = OpenClawAgent("same", model="offline")
        (mine,) = here.execute(agent, "compute 17 * 23", level=level).result(60).results.values()
        afar = pool.execute(agent, "compute 17 * 23", level=level)
        (theirs,) = afar.result(60).results.values()
    assert isinstance(mine, Result)
    assert isinstance(theirs, Result), theirs
    assert str(theirs) == str(mine)
    assert [(step.key, step.text) for step in theirs.steps] == [(step.key, step.text) for step in mine.steps]
    assert theirs.usage == mine.usage
    assert afar.lanes[0].level == level


def test_half_a_pair_and_others(pool: ThreadPool) -> None:
    async def odd(prompt: str) -> AsyncIterator[str]:
        for piece in ("\0", "\ud83d", "\ude00", "\u200d", "\u202e", "\udfff", "é"):
            yield piece
            await asyncio.sleep(0.04)

    (result,) = pool.execute(OpenClawAgent("odd", model=odd), "go").result(60).results.values()
    assert str(result) == "\0\U0001f600\u200d\u202e\udfffé"


def test_stopped(pool: ThreadPool, tmp_path: Path) -> None:
    closed = tmp_path / "closed"

    async def endless(prompt: str) -> AsyncIterator[str]:
        try:
            while True:
                yield "on "
                await asyncio.sleep(0.01)
        finally:
            closed.touch()

    work = pool.execute(OpenClawAgent("endless", model=endless), "go")
    soon(lambda: work.lanes[0].text)
    asked = time.monotonic()
    work.cancel()
    (result,) = work.result(60).results.values()
    assert isinstance(result, Result)
    assert result.status is Status.STOPPED
    assert result.text.startswith("on ")
    soon(closed.exists)
    assert time.monotonic() - asked < 25, "and not at its time limit"


def test_a_tool_that_hangs(pool: ThreadPool) -> None:
    def hang() -> None:
        """It never ends."""
        time.sleep(30)

    hanging = OpenClawAgent("hanging", model="offline", tools=[hang])
    work = pool.execute([hanging] * 8, "use hang()", timeout=1, per_task=8)  # every thread that the workers have
    for error in work.result(60).results.values():
        assert isinstance(error, TaskTimeout), error
        assert "the time limit of 1 s was reached" in str(error)
    (result,) = pool.execute(OpenClawAgent("next", model=counting), "count").result(60).results.values()
    assert str(result).startswith("0 1 2")


def test_a_model_that_hangs(pool: ThreadPool, tmp_path: Path) -> None:
    def hanging(name: str) -> OpenClawAgent:
        async def hang(prompt: str) -> AsyncIterator[str]:
            yield "first"
            await asyncio.sleep(0.05)
            (tmp_path / name).touch()
            time.sleep(30)  # noqa: ASYNC251 - as it should not

        return OpenClawAgent(name, model=hang)

    def over() -> bool:
        for lane in work.lanes:
            if lane.text and (tmp_path / lane.name).exists():
                lane.late()  # as when its time is over
        return work.done()

    work = pool.execute([hanging(f"hanging{n}") for n in range(8)], "go", timeout=90, per_task=8)
    soon(over)
    for error in work.result(60).results.values():
        assert isinstance(error, TaskTimeout), error
        assert error.partial is not None
        assert error.partial.text == "first"
    (result,) = pool.execute(OpenClawAgent("next", model=counting), "count").result(60).results.values()
    assert str(result).startswith("0 1 2")


def test_a_budget(pool: ThreadPool) -> None:
    async def dear(prompt: str) -> AsyncIterator[str]:
        while True:
            yield "word "
            await asyncio.sleep(0.001)

    dear.prices = (0.0, 1_000_000.0)  # type: ignore[attr-defined]  # a dollar for each
    work = pool.execute(OpenClawAgent("dear", model=dear), "go", budget=20.0)
    (result,) = work.result(60).results.values()
    assert isinstance(result, Result), result
    assert result.cost is not None
    assert 19 <= result.cost <= 21
    assert "budget" in work.lanes[0].words


def test_what_a_model_raises(pool: ThreadPool) -> None:
    async def broken(prompt: str) -> AsyncIterator[str]:
        yield "some"
        raise ValueError("no more")

    work = pool.execute(OpenClawAgent("broken", model=broken), "go")
    (error,) = work.result(60).results.values()
    assert isinstance(error, RunError)
    assert str(error) == "broken() raised ValueError: no more"
    assert error.partial is not None
    assert error.partial.text == "some"


def _level(key: str, dask_worker: Any) -> int | None:
    """The one that a turn knows of, if it is at this worker."""
    turn = dask_worker.plugins[worker.NEWS].at_work.get(key)
    return turn.attempt._work._level if turn is not None else None


def test_a_changed_level(pool: ThreadPool, tmp_path: Path) -> None:
    go = tmp_path / "go"

    async def slow(prompt: str) -> AsyncIterator[str]:
        yield "a step"
        while not go.exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)

    work = pool.execute(OpenClawAgent("slow", model=slow), "go", level=3)
    soon(lambda: work.lanes[0].steps)
    run, executor = work.lanes[0].run, pool.executor
    assert run is not None
    assert executor is not None
    run.set_level(1)
    (posted,) = executor.posted.values()
    soon(lambda: 1 in executor.client.run(_level, f"openclaw-{posted.id}-0").values())
    go.touch()
    (result,) = work.result(60).results.values()
    assert isinstance(result, Result)
    assert [step.key for step in result.steps] == ["plan"]  # the others are left out
