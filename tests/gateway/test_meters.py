"""What metrics see of a gateway at work: its runs, its clients, its snapshots; and nothing once it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from openclaw_nb import Gateway, OpenClawClient
from openclaw_nb.engine import Turn
from openclaw_nb.errors import ModelError, RunError
from openclaw_nb.metrics import Metrics
from openclaw_nb.metrics.instruments import DONE, FAILED, STOPPED
from openclaw_nb.models.base import ModelEvent, StepDelta, TextDelta
from openclaw_nb.models.function import FunctionModel
from tests.gateway.test_draining import go_on


class Told:
    """A model that says a token each time it is let."""

    def __init__(self) -> None:
        self.go = asyncio.Semaphore(0)

    async def __call__(self, prompt: str) -> AsyncIterator[str]:
        if prompt == "fail":
            raise ModelError("no", code="MODEL_UNAVAILABLE")
        for _ in range(3):
            await self.go.acquire()
            yield "word "


async def _until(metrics: Metrics, name: str, value: float, label: str = "") -> None:
    for _ in range(6_000):
        if metrics.value(name, label) == value:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{name} stands at {metrics.value(name, label)}, not {value}")


async def _connected(gateway: Gateway) -> OpenClawClient:
    client = OpenClawClient(token=gateway.token, max_restore_attempts=0)
    await client.connect(gateway.url)
    return client


def test_a_run_from_its_beginning_to_its_end() -> None:
    async def main() -> None:
        model = Told()
        async with Gateway(FunctionModel(model)) as gateway:
            metrics, client = gateway.metrics, await _connected(gateway)
            assert metrics.value("openclaw_connections") == 1
            run = client.send("go", level=1)
            await _until(metrics, "openclaw_runs_active", 1)
            assert metrics.window().latency() is None
            model.go.release()
            await _until(metrics, "openclaw_tokens_total", 1, "output")  # while it is at work
            assert sum(metrics.window().buckets) == 1
            assert metrics.value("openclaw_requests_total", DONE) == 0
            second = client.send("go")  # in the same session, so it waits
            await _until(metrics, "openclaw_queue", 1)
            for _ in range(5):
                model.go.release()
            await run
            await second
            assert metrics.value("openclaw_requests_total", DONE) == 2
            assert metrics.value("openclaw_tokens_total", "output") == 6
            assert metrics.value("openclaw_runs_active") == metrics.value("openclaw_queue") == 0
            assert metrics.window().levels == {1: 1, 2: 1, 3: 0, 4: 0}
            assert metrics.value("openclaw_snapshots_total") > 0
            await client.close()
            await _until(metrics, "openclaw_connections", 0)
        assert metrics.value("openclaw_requests_total", DONE) == 2  # what was counted stays
        assert not metrics.has("openclaw_connections")

    asyncio.run(main())


def test_how_runs_end() -> None:
    async def main() -> None:
        model = Told()
        async with Gateway(FunctionModel(model)) as gateway:
            metrics, client = gateway.metrics, await _connected(gateway)
            with pytest.raises(RunError):
                await client.send("fail", session="a")
            run = client.send("go", session="b")
            await _until(metrics, "openclaw_runs_active", 1)
            run.cancel()
            await run
            await _until(metrics, "openclaw_requests_total", 1, STOPPED)
            assert metrics.value("openclaw_requests_total", FAILED) == 1
            assert metrics.window().errors == {"MODEL_UNAVAILABLE": 1}
            assert metrics.window().error_rate == 0.5
            await client.close()

    asyncio.run(main())


def test_a_request_that_is_repeated_is_counted_once() -> None:
    async def main() -> None:
        async with Gateway("offline:0") as gateway:
            first, second = await _connected(gateway), await _connected(gateway)
            for client in (first, second, first):
                await client.send("hello", idempotency_key="same")
                await client.close()
                await client.connect(gateway.url)
            assert gateway.metrics.value("openclaw_requests_total", DONE) == 1
            await first.close()
            await second.close()

    asyncio.run(main())


def test_the_name_of_a_step_is_no_first_token() -> None:
    """A deep level says at once what it is about to do, and that is no answer."""

    async def main() -> None:
        go = asyncio.Event()

        async def turn(_: Turn) -> AsyncGenerator[ModelEvent, None]:
            yield StepDelta("plan", "Plan")
            await go.wait()
            yield StepDelta("plan", "Plan", "first", 1)
            yield TextDelta("word")

        async with Gateway(handler=turn) as gateway:
            metrics, client = gateway.metrics, await _connected(gateway)
            run = client.send("go", level=4)
            await _until(metrics, "openclaw_runs_active", 1)
            await asyncio.sleep(0.05)
            assert metrics.window().latency() is None
            go.set()
            await run
            assert sum(metrics.window().buckets) == 1
            assert metrics.written == 2
            await client.close()

    asyncio.run(main())


def test_draining_is_seen() -> None:
    async def main() -> None:
        async with Gateway("offline:0") as gateway:
            metrics = gateway.metrics
            assert metrics.value("openclaw_draining") == 0
            draining = asyncio.create_task(gateway.drain(5.0, 3_600))
            await _until(metrics, "openclaw_draining", 1)
            go_on(draining)
            await draining

    asyncio.run(main())


def test_one_that_was_given_is_fed_by_several() -> None:
    async def main() -> None:
        metrics = Metrics()
        async with Gateway("offline:0", metrics=metrics) as one, Gateway("offline:0", metrics=metrics) as other:
            for gateway in (one, other):
                client = await _connected(gateway)
                await client.send("hello")
                await client.close()
            assert one.metrics is other.metrics is metrics
            assert metrics.value("openclaw_requests_total", DONE) == 2
            assert metrics.value("openclaw_tokens_total", "input") > 0

    asyncio.run(main())


def test_no_word_of_anybody_is_in_it() -> None:
    """25: names, messages, models, tokens and addresses are nobody's business who reads figures."""
    secret = "sk-planted-7f3a"

    async def answer(prompt: str) -> AsyncIterator[str]:
        yield secret
        raise RunError(f"failed at {secret}", code=secret)

    async def main() -> bytes:
        from prometheus_client import generate_latest

        async with Gateway(FunctionModel(answer), token=secret) as gateway:
            client = await _connected(gateway)
            for session in (secret, f"agent-{secret}"):
                with pytest.raises(RunError):
                    await client.send(f"my key is {secret}", session=session)
            told = generate_latest(gateway.metrics.registry)
            await client.close()
            return told

    told = asyncio.run(main())
    assert b'openclaw_requests_total{outcome="failed"} 2.0' in told
    assert secret.encode() not in told
