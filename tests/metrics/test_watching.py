"""Runs at a gateway elsewhere are counted where they are asked for; those of the one here by itself, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from openclaw_nb import Gateway, OpenClawClient, Runtime
from openclaw_nb.errors import RunError
from openclaw_nb.metrics import Metrics
from openclaw_nb.metrics.instruments import DONE, FAILED
from openclaw_nb.metrics.watching import Watching
from openclaw_nb.models.function import FunctionModel
from tests.spine import soon


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    runtime = Runtime.shared()
    yield runtime
    runtime.close()


def test_those_here_are_counted_once(runtime: Runtime) -> None:
    for _ in range(3):
        runtime.client().send("hello", level=1, model="offline:0").result(60)
    metrics = runtime.metrics
    assert metrics.value("openclaw_requests_total", DONE) == 3
    assert metrics.total().levels == {1: 3, 2: 0, 3: 0, 4: 0}
    assert sum(metrics.total().buckets) == 3
    assert metrics.value("openclaw_connections") == 1
    assert metrics.value("openclaw_snapshots_total") > 0


def test_those_elsewhere_and_what_a_client_goes_through() -> None:
    async def slow(prompt: str) -> AsyncIterator[str]:
        while True:
            yield "word "
            await asyncio.sleep(0.01)

    async def main() -> None:
        metrics = Metrics()
        watching = Watching(metrics, asyncio.get_running_loop())
        async with Gateway("offline:0") as quick, Gateway(FunctionModel(slow)) as endless:
            for gateway in (quick, endless):
                client = OpenClawClient(
                    token=gateway.token, max_reconnect_attempts=1, max_restore_attempts=0, reconnect_delay=0.01
                )
                client.spending.began = watching.run
                watching.client(client)
                await client.connect(gateway.url)
                run = client.send("count to 20", level=1)
                if gateway is quick:
                    result = await run
                    assert metrics.value("openclaw_requests_total", DONE) == 1
                    assert metrics.value("openclaw_tokens_total", "output") == result.usage.output_tokens
                    assert sum(metrics.total().buckets) == 1
                    await client.close()
            async for _ in run:
                break
            assert metrics.value("openclaw_runs_active") == 1
            assert metrics.written > result.usage.output_tokens
            await endless.close()
            with pytest.raises(RunError):
                await run
            await soon(lambda: metrics.value("openclaw_reconnects_total") >= 1, "an attempt to come back")
            await client.close()
        assert metrics.value("openclaw_requests_total", FAILED) == 1
        assert metrics.value("openclaw_runs_active") == 0
        assert metrics.total().levels == {1: 2, 2: 0, 3: 0, 4: 0}
        metrics.close()

    asyncio.run(main())
