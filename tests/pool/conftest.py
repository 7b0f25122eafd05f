"""What the tests of pools get: a child process that leaves none behind, and an end of the runtime they have used."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from openclaw_nb import Runtime
from openclaw_nb.pool.processes import Process


@pytest.fixture
def process() -> Iterator[Process]:
    before = set(psutil.Process().children(recursive=True))
    made = Process()
    yield made
    made.close()
    assert not set(psutil.Process().children(recursive=True)) - before


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()
