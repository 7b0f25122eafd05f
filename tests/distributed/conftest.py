"""What the tests of Dask get: one scheduler with two workers for all of them, and a pool whose agents work there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openclaw_nb import Runtime, ThreadPool
from tests.distributed.clusters import Workers


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """Two of four threads each. Whoever kills some has its own."""
    with Workers() as started:
        import distributed

        client = distributed.Client(started.address, set_as_default=False)  # type: ignore[no-untyped-call]
        client.wait_for_workers(2, timeout=120)  # type: ignore[no-untyped-call]
        client.submit(len, "x" * 2_000_000).result()  # threads that Dask keeps for good are there from now on
        client.close()  # type: ignore[no-untyped-call]
        yield started


@pytest.fixture
def pool(workers: Workers) -> Iterator[ThreadPool]:
    with ThreadPool(executor=workers.address) as pool:
        yield pool


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()
