"""A local cluster by one word: of processes here, on loopback, gone with its pool (tests/cluster kills them)."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import AsyncIterator

import psutil
import pytest

from openclaw_nb import OpenClawAgent, ThreadPool
from tests.pool.teams import soon

KEEPS = "Dask keeps one thread for large messages"


async def whose(prompt: str) -> AsyncIterator[str]:
    yield str(os.getpid())


@pytest.mark.leaks(KEEPS)
def test_a_local_cluster() -> None:
    agent = OpenClawAgent("whose", model=whose)
    with ThreadPool(max_threads=3, executor="local") as pool:
        assert pool.executor is not None
        count = min(os.cpu_count() or 1, 3)
        assert pool.executor.words.startswith("a local cluster, ")
        assert sum(pool.executor.client.nthreads().values()) >= 3
        workers = {child.pid for child in multiprocessing.active_children()}
        assert len(workers) == count
        for process in (psutil.Process(), *map(psutil.Process, filter(None, workers))):
            listens = [one.laddr.ip for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN]
            assert set(listens) <= {"127.0.0.1"}
        (result,) = pool.execute(agent, "go").result(60).results.values()
        assert int(str(result)) in workers
    soon(lambda: not multiprocessing.active_children())
