"""Agents at Dask workers that are killed, leave, or lose their scheduler: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from openclaw_nb import OpenClawAgent, Runtime, ThreadPool
from openclaw_nb.distributed.elsewhere import MOST_DEATHS
from openclaw_nb.errors import ConfigError, RunError
from openclaw_nb.run import Result
from tests.bench.distributed import survived
from tests.distributed.clusters import Workers, messages
from tests.pool.teams import soon

LIMIT = 120.0  # seconds: a safety net against hanging, not a measurement
COUNTED = "".join(f"{n} " for n in range(40))


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Two, which are started anew when they were killed."""
    with Workers(2, 4, nanny=True) as started:
        yield started


@pytest.fixture
def pool(workers: Workers) -> Iterator[ThreadPool]:
    with ThreadPool(executor=workers.address) as pool:
        assert pool.executor is not None
        pool.executor.client.wait_for_workers(2, timeout=LIMIT)
        yield pool


async def counting(prompt: str) -> AsyncIterator[str]:
    for n in range(40):
        yield f"{n} "
        await asyncio.sleep(0.02)


def test_a_worker_is_killed(pool: ThreadPool, tmp_path: Path) -> None:
    """In the middle of an answer: it goes on at the other, and its text stands once."""
    pids = tmp_path / "pids"

    async def told(prompt: str) -> AsyncIterator[str]:
        with pids.open("a") as file:
            file.write(f"{os.getpid()}\n")
        is_first = len(pids.read_text().split()) == 1
        async for piece in counting(prompt):
            yield piece
            if is_first and piece == "20 ":
                await asyncio.sleep(LIMIT)  # until it is killed

    work = pool.execute(OpenClawAgent("told", model=told), "count")
    soon(lambda: "10 " in work.lanes[0].text)
    os.kill(int(pids.read_text()), signal.SIGKILL)
    (result,) = work.result(LIMIT).results.values()
    assert isinstance(result, Result), result
    assert result.text == COUNTED
    assert len(set(pids.read_text().split())) == 2
    assert [message["content"] for message in messages(work.lanes[0])] == ["count", COUNTED]


def test_a_call_is_made_once(pool: ThreadPool, tmp_path: Path) -> None:
    """The worker dies in a call: it is not made again, and the model is told so."""
    calls = tmp_path / "calls"

    def act() -> str:
        """Do it."""
        with calls.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(LIMIT)
        return "done"

    work = pool.execute(OpenClawAgent("actor", model="offline", tools=[act]), "use act()")
    soon(lambda: calls.exists() and calls.read_text().endswith("\n"))
    soon(lambda: work.lanes[0].words == "runs act")
    os.kill(int(calls.read_text()), signal.SIGKILL)
    (result,) = work.result(LIMIT).results.values()
    assert isinstance(result, Result), result
    assert len(calls.read_text().split()) == 1
    assert "whether it took effect is unknown" in result.text
    (step,) = (step for step in result.steps if step.title == "act()")
    assert "whether it took effect is unknown" in step.text


def test_a_step_is_made_again(pool: ThreadPool, tmp_path: Path) -> None:
    """The worker dies in the check of a draft: plan and draft stay, the check begins once more, and says so."""
    asked, seen = tmp_path / "asked", tmp_path / "seen"
    asked.touch()

    async def once(prompt: str) -> AsyncIterator[str]:
        with asked.open("a") as file:
            file.write("x")
        yield "so "
        if len(asked.read_text()) == 3:
            while not seen.exists():  # noqa: ASYNC110 - who makes it is in another process
                await asyncio.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        yield "it is"

    work = pool.execute(OpenClawAgent("once", model=once), "go", level=3)
    soon(lambda: ("check", "so ") in [(step.key, step.text) for step in work.lanes[0].steps])
    seen.touch()
    (result,) = work.result(LIMIT).results.values()
    assert isinstance(result, Result), result
    assert [step.key for step in result.steps][:4] == ["plan", "draft", "check", "check, again"]
    assert [step.text for step in result.steps][:3] == ["so it is", "so it is", "so  [its worker died]"]
    assert result.text == "so it is"


def test_they_die_too_often(pool: ThreadPool) -> None:
    async def deadly(prompt: str) -> AsyncIterator[str]:
        yield "x"
        await asyncio.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)

    work = pool.execute(OpenClawAgent("deadly", model=deadly), "go")
    (error,) = work.result(LIMIT).results.values()
    assert isinstance(error, RunError)
    assert error.code == "WORKERS_LOST"
    assert "4 workers died while they answered it" in str(error)


def test_a_worker_retires(pool: ThreadPool) -> None:
    work = pool.execute([OpenClawAgent("counter", model=counting)] * 3, "count")
    soon(lambda: all("5 " in lane.text for lane in work.lanes))
    assert pool.executor is not None
    pool.executor.client.retire_workers(work.lanes[0].workers)
    assert [str(result) for result in work.result(LIMIT).results.values()] == [COUNTED] * 3


def test_the_scheduler_is_gone() -> None:
    async def endless(prompt: str) -> AsyncIterator[str]:
        async for piece in counting(prompt):
            yield piece
            if piece == "20 ":
                await asyncio.sleep(LIMIT)

    with Workers(1) as workers, ThreadPool(executor=workers.address) as pool:
        work = pool.execute(OpenClawAgent("counter", model=endless), "count")
        soon(lambda: "5 " in work.lanes[0].text)
        assert workers.scheduler is not None
        workers.scheduler.kill()
        (error,) = work.result(LIMIT).results.values()
        assert isinstance(error, RunError)
        assert error.code == "EXECUTOR_LOST"
        assert str(error) == f"the scheduler of Dask at {workers.address} is gone, and who answered with it"
        assert error.partial is not None
        assert COUNTED.startswith(error.partial.text)
        (again,) = pool.execute(OpenClawAgent("counter", model=counting), "count").result(LIMIT).results.values()
        assert isinstance(again, RunError)
        assert again.code == "EXECUTOR_LOST"


def test_nobody_is_there() -> None:
    with pytest.raises(ConfigError, match=r"there is no Dask scheduler at tcp://127\.0\.0\.1:9"):
        ThreadPool(executor="tcp://127.0.0.1:9")


@pytest.mark.leaks("Dask keeps one thread for large messages, and a pipe of each worker that was killed")
def test_workers_are_killed(figure: Callable[[str, str], None]) -> None:
    """As a Poisson process, of a local cluster that is mended meanwhile; not so many that an agent may be given up."""
    with ThreadPool(max_threads=16, max_per_task=16, executor="local") as pool:
        found = survived(pool, tasks=60, between=1.5, most=MOST_DEATHS)
    figure("Dask workers killed", str(found))
    assert (found.once, found.lost, found.twice, found.called_twice) == (60, 0, 0, 0)
    assert found.kills > 0
