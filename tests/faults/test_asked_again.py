"""A model that is asked again by the heir of a killed gateway, and what else happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from openclaw_nb.client import OpenClawClient, inflight
from openclaw_nb.errors import RunTimeout
from openclaw_nb.events import Status
from openclaw_nb.gateway import Gateway
from openclaw_nb.run import Result
from tests.faults.killed import held, kill
from tests.faults.proxy import seamless
from tests.spine import Counted, Thinker, asynchronous, soon

PIECES = [f"{i} " for i in range(60)]
TEXT = "".join(PIECES)


class Mortal:
    """A gateway that is killed and started again on its port."""

    def __init__(self, model: Any, port: int) -> None:
        self.model = model
        self.port = port

    async def start(self) -> None:
        self.gateway = Gateway(model=self.model, token="same", port=self.port)
        await self.gateway.start()

    async def kill(self) -> None:
        await kill(self.gateway)

    async def restart(self) -> None:
        await self.kill()
        await self.start()


@asynccontextmanager
async def mortal(model: Any, **options: Any) -> AsyncIterator[tuple[Mortal, OpenClawClient]]:
    with held() as port:
        gateway = Mortal(model, port)
        await gateway.start()
        try:
            async with OpenClawClient(token="same", **{"token_batch_size": 1} | options) as client:
                await client.connect(gateway.gateway.url)
                yield gateway, client
        finally:
            await gateway.gateway.close()


async def history(client: OpenClawClient) -> list[str]:
    """What was said in the main session."""
    said = await client.request("chat.history", {"sessionKey": "agent:main:main"})
    return [message["content"][0]["text"] for message in said["messages"]]


@pytest.mark.parametrize("streaming", [True, False])
@asynchronous
async def test_killed_again_and_again(streaming: bool) -> None:
    async with mortal(Counted(*PIECES, pause=0.003), streaming=streaming) as (gateway, client):
        run = client.send("go")
        fits = seamless(run)
        for _ in range(6):
            await asyncio.sleep(0.05)
            await gateway.restart()
        result = await run
        assert result == TEXT
        assert fits()
        assert result.usage.output_tokens == len(PIECES), "none is counted twice"
        assert await history(client) == ["go", TEXT], "the heir remembers the whole"


@asynchronous
async def test_killed_between_its_last_delta_and_its_end() -> None:
    gate = asyncio.Event()
    async with mortal(Counted(*PIECES, until=gate)) as (gateway, client):
        run = client.send("go")
        await soon(lambda: run.text == TEXT)
        gate.set()
        await gateway.restart()
        assert await run == TEXT


@asynchronous
async def test_thoughts_are_told_once() -> None:
    async with mortal(Thinker(*PIECES, pause=0.002)) as (gateway, client):
        whole = await client.send("go", session="whole")
        run = client.send("go")
        for _ in range(3):
            await asyncio.sleep(0.05)
            await gateway.restart()
        result = await run
        assert result == TEXT
        assert [step.text for step in result.steps] == [step.text for step in whole.steps]


@asynchronous
async def test_one_key_from_two_clients() -> None:
    model = Counted(*PIECES, pause=0.005, until=(gate := asyncio.Event()))
    async with mortal(model) as (gateway, client), OpenClawClient(token="same", token_batch_size=10) as other:
        await other.connect(gateway.gateway.url)
        runs = [one.send("go", idempotency_key="k") for one in (client, other)]
        await soon(lambda: runs[0].tokens > 20)
        await gateway.restart()
        gate.set()
        assert [str(await run) for run in runs] == [TEXT, TEXT]
    assert model.calls == 2, "once, and once again"


# -- stopped meanwhile -----------------------------------------------------------------------------


async def stopped(run: Any, model: Counted, monkeypatch: pytest.MonkeyPatch) -> Result:
    """How it ends, without a wait for a word that does not come, and the model with it."""
    monkeypatch.setattr(inflight, "STOP_TIMEOUT", 1_000.0)
    run.cancel()
    async with asyncio.timeout(60):
        result: Result = await run
    assert result.status is Status.STOPPED
    await soon(lambda: model.closed == model.calls, "stopping the model")
    return result


@asynchronous
async def test_cancelled_and_out_of_time_while_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflight, "STOP_TIMEOUT", 1_000.0)  # it is confirmed: both sides have the same text
    model = Counted(*PIECES, pause=0.01, until=asyncio.Event())
    async with mortal(model) as (gateway, client):
        run, late = client.send("go"), client.send("go", session="late", timeout=0.6)
        await soon(lambda: run.tokens > 30)
        await gateway.restart()
        await soon(lambda: gateway.gateway._runs.find(run.id), "going on at its heir")
        before = run.text
        run.cancel()
        result = await run
        assert result.status is Status.STOPPED
        assert result.startswith(before)
        assert await history(client) == ["go", result]
        with pytest.raises(RunTimeout):
            await late
        await soon(lambda: model.closed == model.calls, "stopping the models")


@asynchronous
async def test_cancelled_before_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Counted(*PIECES, pause=0.01)
    async with mortal(model) as (gateway, client):
        run = client.send("go")
        await soon(lambda: run.tokens > 5)
        await gateway.kill()
        await soon(lambda: run.status is Status.RECONNECTING)
        await stopped(run, model, monkeypatch)
        await gateway.start()
        await client.reconnect()
        assert (await client.request("health"))["runs"] == 0
    assert model.calls == 1, "nobody asks again for what is not wanted any more"


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.002, 0.004, 0.008])
@asynchronous
async def test_cancelled_just_as_it_is_back(delay: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Counted(*PIECES, pause=0.02)
    async with mortal(model) as (gateway, client):
        back = asyncio.Event()
        client.on("reconnected", back.set)
        run = client.send("go")
        await soon(lambda: run.tokens > 5)
        await gateway.restart()
        await back.wait()
        await asyncio.sleep(delay)
        await stopped(run, model, monkeypatch)
