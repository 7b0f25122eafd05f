"""The task at a real worker: who may speak to it, and what it leaves behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb import OpenClawAgent, ThreadPool
from openclaw_nb.distributed import worker
from openclaw_nb.distributed.orders import PYTHON
from openclaw_nb.run import Result
from openclaw_nb.version import __version__
from tests.pool.teams import soon


@pytest.fixture
def client(pool: ThreadPool) -> Iterator[Any]:
    assert pool.executor is not None
    return pool.executor.client


def _state(dask_worker: Any) -> tuple[int, int]:
    turns = dask_worker.plugins[worker.NEWS]
    return len(turns.at_work), sum(thread.name.startswith("openclaw seat") for thread in threading.enumerate())


async def slow(prompt: str) -> AsyncIterator[str]:
    for n in range(30):
        yield f"{n} "
        await asyncio.sleep(0.01)


def test_is_ready(client: Any) -> None:
    assert set(client.run(worker.ready).values()) == {(__version__, PYTHON)}


def test_leaves_nothing(pool: ThreadPool, client: Any) -> None:
    """Ten agents, half of them stopped: no turn is left, and no more seats than threads."""
    agent = OpenClawAgent("slow", model=slow)
    for stopped in (False, True):
        work = pool.execute([agent] * 5, "go", per_task=5)
        soon(lambda work=work: any(lane.text for lane in work.lanes))
        if stopped:
            work.cancel()
        work.result(60)
    soon(lambda: all(turns == 0 and seats <= 8 for turns, seats in client.run(_state).values()))


def test_another_attempt_is_not_told(pool: ThreadPool, client: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"

    async def waits(prompt: str) -> AsyncIterator[str]:
        yield "so "
        while not go.exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)
        yield "it goes on"

    work = pool.execute(OpenClawAgent("waits", model=waits), "go")
    soon(lambda: work.lanes[0].text)
    assert pool.executor is not None
    (posted,) = pool.executor.posted.values()
    key = f"openclaw-{posted.id}-0"
    client.run(worker.tell, key, "another", "level", 4)
    client.run(worker.tell, "another", "another", "go", {})
    go.touch()
    (result,) = work.result(60).results.values()
    assert isinstance(result, Result)
    assert result.text == "so it goes on"
