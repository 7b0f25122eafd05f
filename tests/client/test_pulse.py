"""Pulse: a link that died without a word is cut, whichever part of it died; one that is only slow is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from openclaw_nb.client import pulse
from openclaw_nb.client.pulse import Audible, Pulse
from tests.spine import asynchronous, on_both_loops, soon


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PING", 0.05)
    monkeypatch.setattr(pulse, "PONG", 0.4)


@asynccontextmanager
async def watched(
    behave: Callable[[ServerConnection], Awaitable[None]],
) -> AsyncIterator[tuple[ClientConnection, Pulse]]:
    """A connection to a server that behaves so, read to its end, and its pulse."""
    async with (
        serve(behave, "127.0.0.1", 0, ping_interval=None, close_timeout=0.1) as server,
        connect(
            f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", ping_interval=None, close_timeout=0.1, proxy=None,
            create_connection=Audible,
        ) as ws,
    ):  # fmt: skip
        assert isinstance(ws, Audible)
        beating = Pulse(ws)

        async def read() -> None:
            with suppress(ConnectionClosed):
                while True:
                    await ws.recv()
                    beating.beat()

        reader = asyncio.create_task(read())
        try:
            yield ws, beating
        finally:
            for task in (reader, beating.task):
                task.cancel()
            await asyncio.wait([reader, beating.task])


async def answer_pings(ws: ServerConnection) -> None:
    await ws.wait_closed()


async def swallow(ws: ServerConnection) -> None:
    ws.transport.pause_reading()
    await ws.wait_closed()


async def talk(ws: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        while True:
            await ws.send("word")
            await asyncio.sleep(0.02)


@on_both_loops
async def test_one_that_swallows_everything() -> None:
    async with watched(swallow) as (ws, beating):
        await soon(lambda: beating.missed)
        assert beating.missed == "gave no sign of life for 0.45 s"
        await ws.wait_closed()


@asynchronous
async def test_one_whose_own_buffer_is_full_as_well() -> None:
    async with watched(swallow) as (ws, beating):
        flood = asyncio.create_task(ws.send(b"x" * 50_000_000))
        await soon(lambda: beating.missed)
        with suppress(ConnectionClosed):
            await flood


@asynchronous
async def test_a_socket_that_lives_while_its_gateway_does_not() -> None:
    async with watched(answer_pings) as (ws, beating):
        beating.tick = 0.1
        await soon(lambda: beating.missed)
        assert beating.missed == "sent nothing for 0.25 s, not even a tick"
        await ws.wait_closed()


@asynchronous
async def test_one_that_only_answers_pings_lives_until_the_ticks_are_due() -> None:
    async with watched(answer_pings) as (_, beating):
        await asyncio.sleep(0.6)
        assert beating.missed is None


@asynchronous
async def test_one_whose_frame_takes_long_is_alive_by_every_byte_of_it() -> None:
    async def slow(ws: ServerConnection) -> None:
        ws.transport.pause_reading()  # no pong
        ws.transport.write(b"\x81\x7e\x10\x00")
        for _ in range(20):
            ws.transport.write(b"x" * 10)
            await asyncio.sleep(0.03)
        ws.transport.abort()

    async with watched(slow) as (ws, beating):
        await ws.wait_closed()
        assert beating.missed is None


@asynchronous
async def test_one_that_talks_is_not_even_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(talk) as (ws, beating):
        silences: list[float] = []
        ping, time = ws.ping, asyncio.get_running_loop().time

        async def asked() -> Awaitable[float]:
            silences.append(time() - beating._ws.heard)
            return await ping()

        monkeypatch.setattr(ws, "ping", asked)
        await asyncio.sleep(0.6)
        assert beating.missed is None
        assert all(silence >= pulse.PING for silence in silences), "only after a pause of this whole process"


@on_both_loops
async def test_a_cell_that_held_the_interpreter_is_no_sign_of_death(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(answer_pings) as (ws, beating):
        held: list[float] = []
        ping = ws.ping

        async def hold() -> Awaitable[float]:
            pong = await ping()
            if len(held) < 3:  # before a server of the same process can answer
                time.sleep(0.6)  # noqa: ASYNC251 - it is this that is tested
                held.append(0.6)
            return pong

        monkeypatch.setattr(ws, "ping", hold)
        await soon(lambda: beating.missed or len(held) == 3)
        await asyncio.sleep(0.6)
        assert beating.missed is None
