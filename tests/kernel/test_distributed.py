"""Agents of a cell at Dask workers, in a real kernel: its lanes end as usual, and so do the processes."""

from __future__ import annotations

import psutil
import pytest

from .conftest import INSTALLED, Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]


def test_a_cell_at_a_local_cluster(kernel: Kernel) -> None:
    kernel.run("""
%load_ext openclaw_nb
import asyncio, os
from openclaw_nb import OpenClawAgent
async def whose(prompt):
    for n in range(5):
        yield f"{n} "
        await asyncio.sleep(0.02)
    yield f"at {os.getpid()}"
a, b = OpenClawAgent("a", model=whose), OpenClawAgent("b", model=whose)
""")
    shown = kernel.run("%openclaw pool 4 --executor local", timeout=300).text
    assert "agents work  at a local cluster, " in shown
    assert kernel.run("%%openclaw --agents a,b --into answer\nwhose").status == "ok"
    said = kernel.run("print(answer.status, *answer.results.values(), os.getpid())").text.split()
    assert said[0] == "done"
    assert said[1:7] == ["0", "1", "2", "3", "4", "at"] == said[8:14]
    assert said[-1] not in {said[7], said[14]}
    workers = [int(said[7]), int(said[14])]
    processes = [psutil.Process(worker) for worker in {*workers}]
    assert "agents work" not in kernel.run("%openclaw pool --executor off", timeout=300).text
    assert not psutil.wait_procs(processes, timeout=60)[1]
