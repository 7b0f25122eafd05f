"""What instances that share their runs count: each run where it was worked on, once in all; and whether they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from openclaw_nb import Gateway, OpenClawClient
from openclaw_nb.metrics import Metrics
from openclaw_nb.metrics.instruments import DONE
from openclaw_nb.models.function import FunctionModel
from openclaw_nb.sharing import Sharing
from tests.cluster.daemons import Daemon
from tests.sharing.together import address


async def _until(metrics: Metrics, name: str, value: float) -> None:
    for _ in range(6_000):
        if metrics.value(name) == value:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{name} stands at {metrics.value(name)}, not {value}")


def test_a_run_that_two_instances_tell_of_is_counted_once(redis_server: Callable[..., Daemon]) -> None:
    redis = redis_server()

    async def main() -> None:
        go = asyncio.Event()

        async def answer(prompt: str) -> AsyncIterator[str]:
            yield "one "
            await go.wait()
            yield "two"

        def gateway() -> Gateway:
            # So long a lease that nobody is taken for dead where the machine lets Redis or us wait for seconds.
            return Gateway(FunctionModel(answer), token="t", sharing=Sharing(address(redis), lease=60.0))

        async with gateway() as here, gateway() as there:
            clients = [OpenClawClient(token="t"), OpenClawClient(token="t")]
            for client, instance in zip(clients, (here, there), strict=True):
                await client.connect(instance.url)
                await _until(instance.metrics, "openclaw_shared", 1)
            run = clients[0].send("go", idempotency_key="same", level=1)
            await _until(here.metrics, "openclaw_runs_active", 1)
            followed = clients[1].send("go", idempotency_key="same", level=1)
            async for _ in followed:
                break
            assert there.metrics.value("openclaw_runs_active") == 0
            assert there.metrics.written == 0
            waiting = clients[1].send("go", level=1)  # in the same session
            await _until(there.metrics, "openclaw_queue", 1)
            go.set()
            assert str(await run) == str(await followed) == "one two"
            await waiting
            assert here.metrics.value("openclaw_requests_total", DONE) == 1
            assert there.metrics.value("openclaw_requests_total", DONE) == 1
            assert (here.metrics.written, there.metrics.written) == (2, 2)
            redis.kill()
            await _until(here.metrics, "openclaw_shared", 0)
            for client in clients:
                await client.close()

    asyncio.run(main())
