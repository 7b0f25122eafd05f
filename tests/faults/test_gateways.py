"""Gateways that do what they should not, or end: hello twice, a frame dropped, no hello at all, another token."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from websockets.asyncio.server import ServerConnection, serve

from openclaw_nb.client import OpenClawClient, pulse, route
from openclaw_nb.errors import ConnectionLost, RunError
from openclaw_nb.gateway import Gateway
from tests.faults.killed import held
from tests.faults.kinds import CutAfter, Fault, Split
from tests.faults.proxy import FaultProxy, behind, seamless
from tests.spine import Counted, asynchronous, soon

NOBODY = 9  # the port "discard"

PIECES = [f"{i} " for i in range(40)]
TEXT = "".join(PIECES)


@asynchronous
async def test_hello_twice() -> None:
    """A gateway that says hello again, and the answer to a request again, changes nothing."""

    class Again(Fault):
        async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
            yield frame
            if kind in ("res", "connect.challenge"):
                yield frame

    events: list[str] = []
    async with behind(Counted(*PIECES)) as (proxy, client):
        client.on("reconnected", lambda: events.append("reconnected"))
        proxy.faults.append(Again())
        await client.reconnect()
        fits = seamless(run := client.send("go"))
        assert await run == TEXT
        assert fits()
        assert (await client.request("health"))["ok"]
        assert events == ["reconnected"]


@dataclass
class Drop(Fault):
    """Forgets one chat frame."""

    at: int

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        self.at -= kind == "chat"
        if kind != "chat" or self.at:
            yield frame


@asynchronous
async def test_a_frame_that_never_came_is_asked_for() -> None:
    model = Counted(*PIECES, pause=0.001)
    async with behind(model) as (proxy, client):
        for at in (1, 2, 5, len(PIECES)):
            proxy.faults.append(Drop(at))
            await client.reconnect()
            run = client.send("go", session=f"{at}")
            fits = seamless(run)
            assert await run == TEXT, at
            assert fits()
    assert model.calls == 4


@asynchronous
async def test_a_gateway_that_never_says_hello(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers pings, and nothing else."""
    monkeypatch.setattr(route, "OPEN_TIMEOUT", 0.3)

    async def silent(ws: ServerConnection) -> None:
        async for _ in ws:
            pass

    async with serve(silent, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with asyncio.timeout(60):
            with pytest.raises(ConnectionLost):
                await OpenClawClient(token="x").connect(f"ws://127.0.0.1:{port}")


@asynchronous
async def test_a_gateway_that_ends_in_good_order() -> None:
    """It says why its runs end, says shutdown, closes with 1012; another one at its port is found."""
    model = Counted("one ", until=asyncio.Event())
    async with contextlib.AsyncExitStack() as stack:
        first = Gateway(model=model, token="same", port=stack.enter_context(held()))
        await first.start()
        client = await stack.enter_async_context(OpenClawClient(token="same", max_restore_attempts=0))
        await client.connect(first.url)
        run = client.send("go")
        await soon(lambda: run.text)
        await first.close()
        with pytest.raises(RunError, match="gateway was stopped") as failure:
            await run
        assert failure.value.code == "GATEWAY_STOPPED"
        assert failure.value.partial == "one "
        async with Gateway(model=model, token="same", port=first.port):
            await client.reconnect()
            model.until.set()  # type: ignore[union-attr]
            assert await client.send("go", session="other") == "one "


@asynchronous
async def test_a_gateway_that_lets_in_and_hangs_up_is_left_in_peace() -> None:
    """Coming back at once each time would be hundreds of connections in this time."""
    async with behind(Counted("one ", until=asyncio.Event()), reconnect_delay=0.5) as (proxy, client):
        run = client.send("go")
        await soon(lambda: run.text)
        proxy.faults.extend(CutAfter(1, "res") for _ in range(1_000))
        proxy.cut()
        await asyncio.sleep(1)
        assert proxy.connections < 15
        proxy.faults.clear()
        run.cancel()


@asynchronous
async def test_a_gateway_with_another_token_ends_it() -> None:
    model = Counted("one ", until=asyncio.Event())
    async with FaultProxy(NOBODY) as proxy, Gateway(model=model, token="a") as first, Gateway(token="b") as second:
        proxy.upstream = first.port
        async with OpenClawClient(token="a") as client:
            await client.connect(proxy.url)
            run = client.send("go")
            await soon(lambda: run.text)
            proxy.upstream = second.port
            proxy.cut()
            with pytest.raises(RunError, match="does not let us in") as failure:
                await run
            assert (failure.value.code, failure.value.partial) == ("AUTH_TOKEN_MISMATCH", "one ")
            assert proxy.connections == 2, "a wrong token is not tried again"


@asynchronous
async def test_a_long_answer_on_a_slow_link_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that come are a sign of life, though the frame they belong to takes longer than a ping may."""
    monkeypatch.setattr(pulse, "PING", 1.0)
    monkeypatch.setattr(pulse, "PONG", 1.0)
    text = "".join(f"{i:07} " for i in range(50_000))
    async with behind(Counted(text), token_batch_size=10) as (proxy, client):
        proxy.faults.extend([Split(2_000, 0.02)] for _ in range(20))
        await client.reconnect()
        async with asyncio.timeout(120):
            assert await client.send("go") == text
        assert proxy.connections == 2, "it was not cut on the way"
