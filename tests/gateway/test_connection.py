"""Connection: frames of one turn leave in one write, first and last at once, and nothing after the close."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator

import pytest
from websockets.exceptions import ConnectionClosed

from openclaw_nb.engine import Turn
from openclaw_nb.gateway import Gateway
from openclaw_nb.gateway import connection as module
from openclaw_nb.gateway.connection import HIGH_WATER, Connection, _text_frame
from openclaw_nb.models.base import ModelEvent, TextDelta
from openclaw_nb.protocol.runlog import LONGEST_DELTA
from openclaw_nb.protocol.telling import LONGEST_LIVE
from tests.spine import Counted, Raw, asynchronous, let_in, on_both_loops, soon


def only(gateway: Gateway) -> Connection:
    (connection,) = gateway._connections
    return connection


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
@on_both_loops
async def test_frames_of_every_length(size: int) -> None:
    async with Gateway() as gateway, let_in(gateway, caps=("nb.offset",)) as raw:
        text = json.dumps("x" * (size - 2)) if size >= 2 else "7" * size
        only(gateway).send(text.encode())
        assert await raw.ws.recv() == text
    frame = _text_frame(b"x" * size)
    assert frame[0] == 0x81
    assert len(frame) - size == (2 if size < 126 else 4 if size < 65_536 else 10)


@on_both_loops
async def test_frames_of_one_turn_leave_in_one_write() -> None:
    async with Gateway() as gateway, let_in(gateway, caps=("nb.offset",)) as raw:
        connection = only(gateway)
        written: list[int] = []
        transport = connection._transport.underlying_transport  # type: ignore[union-attr]

        class Spy:
            def write(self, data: bytes) -> None:
                written.append(len(data))
                transport.write(data)

        class Transport:
            underlying_transport = Spy()

        real, connection._transport = connection._transport, Transport()  # type: ignore[assignment]
        for i in range(50):
            connection.send_event("tick", {"i": i})
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        connection._transport = real
        assert len(written) == 1
        assert [(await raw.event("tick"))["i"] for _ in range(50)] == list(range(50))


@on_both_loops
async def test_what_a_model_says_in_one_go_is_told_in_one_frame() -> None:
    async def burst(turn: Turn) -> AsyncGenerator[ModelEvent, None]:
        for i in range(100):
            yield TextDelta(f"{i} ")

    async with Gateway(handler=burst) as gateway, let_in(gateway, caps=("nb.offset",)) as raw:
        params = {"sessionKey": "main", "message": "go", "idempotencyKey": "k", "pace": {"size": 1, "delay": 0}}
        await raw.send({"type": "req", "id": "1", "method": "chat.send", "params": params})
        assert (await raw.read())["id"] == "1"
        delta, final = [(await raw.read())["payload"] for _ in range(2)]
        assert (delta["deltaText"], delta["tokens"]) == ("".join(f"{i} " for i in range(100)), 100)
        assert (final["state"], final["tokens"]) == ("final", 100)


@on_both_loops
async def test_what_was_said_before_the_close_arrives_and_nothing_after() -> None:
    async with Gateway() as gateway:
        for size in (10, 5_000_000):
            async with let_in(gateway) as raw:
                connection = only(gateway)
                connection.send_event("tick", {"x": "x" * size})
                connection.close(1012, "é" * 100)
                connection.close(1008, "a second time")
                connection.send_event("tick", {"late": True})
                connection._flush()
                assert len((await raw.event("tick"))["x"]) == size
                with pytest.raises(ConnectionClosed) as end:
                    await raw.read()
                assert end.value.rcvd is not None
                assert end.value.rcvd.code == 1012
                assert end.value.rcvd.reason == "é" * 61
            await soon(lambda: not gateway._connections)
            connection.close(1000, "long gone")
            connection.send(b"x")


@on_both_loops
async def test_it_may_die_at_any_moment() -> None:
    """The transport is aborted while deltas are due: the run goes on, and the next connection gets all of it."""
    model = Counted(*(f"{i} " for i in range(200)))
    async with Gateway(model=model) as gateway:
        for when in range(0, 60, 3):
            params = {"sessionKey": f"s{when}", "message": "go", "idempotencyKey": f"k{when}"}
            async with let_in(gateway, caps=("nb.offset", "nb.resume")) as raw:
                connection = only(gateway)
                await raw.send({"type": "req", "id": "1", "method": "chat.send", "params": params})
                for _ in range(when):
                    await asyncio.sleep(0)
                connection.abort()
                await soon(lambda: not gateway._connections)
            async with let_in(gateway, caps=("nb.offset", "nb.resume")) as raw:
                await raw.send({"type": "req", "id": "1", "method": "chat.send", "params": params})
                assert await text_of(raw) == "".join(f"{i} " for i in range(200))
            await soon(lambda: not gateway._connections)


async def text_of(raw: Raw) -> str:
    text = ""
    while (payload := await raw.event("chat"))["state"] == "delta":
        assert payload["offset"] == len(text)
        text += payload["deltaText"]
    assert payload["length"] == len(text)
    return text


@on_both_loops
async def test_a_run_asked_for_twice_in_one_turn_is_told_from_where_it_was_asked_last() -> None:
    async with Gateway(model=Counted("one ")) as gateway, let_in(gateway, caps=("nb.offset", "nb.resume")) as raw:
        await raw.ask("chat.send", sessionKey="main", message="go", idempotencyKey="k")
        await raw.event("chat", state="final")
        run = gateway._runs.find("k")
        assert run is not None
        for offset in (0, 3, 1):
            only(gateway).watch(run, offset=offset, steps=None, pace=None)
        assert (await raw.event("chat"))["deltaText"] == "ne "
        assert (await raw.event("chat"))["state"] == "final"
        reply = await raw.ask("health")
        assert reply["ok"]
        assert not run.watchers


@on_both_loops
async def test_the_close_is_the_last_frame() -> None:
    async with Gateway() as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        connection = only(gateway)
        connection.send(b'"before"')
        connection.close(1012, "bye")
        connection.send(b'"after"')
        connection._flush()
        told = await reader.read()
        writer.close()
        assert b'"before"' in told
        assert told.endswith(b"\x88\x05\x03\xf4bye")


@on_both_loops
async def test_many_runs_behind_one_slow_reader_share_one_buffer() -> None:
    async with Gateway(model=Counted("x" * 1_000_000)) as gateway, let_in(gateway, caps=("nb.offset",)) as raw:
        raw.ws.transport.pause_reading()
        connection = only(gateway)
        for i in range(20):
            params = {"sessionKey": f"s{i}", "message": "go", "idempotencyKey": f"k{i}"}
            await raw.send({"type": "req", "id": f"{i}", "method": "chat.send", "params": params})
        await soon(lambda: connection._paused and len(gateway._runs._ended) == 20)
        transport = connection._transport.underlying_transport  # type: ignore[union-attr]
        assert transport.get_write_buffer_size() < 2 * HIGH_WATER + LONGEST_DELTA
        raw.ws.transport.resume_reading()
        texts = dict.fromkeys((f"k{i}" for i in range(20)), 0)
        ended = set[str]()
        while len(ended) < 20:
            payload = await raw.event("chat")
            assert len(payload.get("deltaText", "")) <= LONGEST_DELTA
            texts[payload["runId"]] += len(payload.get("deltaText", ""))
            if payload["state"] == "final":
                ended.add(payload["runId"])
        assert set(texts.values()) == {1_000_000}


@asynchronous
async def test_a_full_buffer_makes_its_runs_wait() -> None:
    gate = asyncio.Event()
    async with Gateway(model=Counted("x" * 9_000_000, "y", until=gate)) as gateway, let_in(gateway) as raw:
        raw.ws.transport.pause_reading()
        params = {"sessionKey": "main", "message": "go", "idempotencyKey": "k"}
        await raw.send({"type": "req", "id": "1", "method": "chat.send", "params": params})
        connection = only(gateway)
        await soon(lambda: connection._paused)
        transport = connection._transport.underlying_transport  # type: ignore[union-attr]
        assert transport.get_write_buffer_size() > HIGH_WATER
        gate.set()
        raw.ws.transport.resume_reading()
        while (payload := await raw.event("chat"))["state"] == "delta":
            last = payload
        assert last["message"]["content"][0]["text"] == "x" * (LONGEST_LIVE - 1) + "y"
        assert not connection._paused


@asynchronous
async def test_whole_texts_are_told_at_a_pace_and_the_longer_the_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    for code_points in (1_000_000, 100):
        monkeypatch.setattr(module, "CODE_POINTS", code_points)
        async with Gateway(model=Counted(*["word "] * 60, pause=0.005)) as gateway, let_in(gateway) as raw:
            params = {"sessionKey": "main", "message": "go", "idempotencyKey": "k"}
            await raw.send({"type": "req", "id": "1", "method": "chat.send", "params": params})
            began, texts = time.monotonic(), []
            while (payload := await raw.event("chat"))["state"] == "delta":
                texts.append(payload["message"]["content"][0]["text"])
            most = (time.monotonic() - began) / module.PATIENCE + 3
            assert texts[0] == "word "
            assert texts[-1] == "word " * 60
            assert len(texts) <= (most if code_points > 100 else most / 2 + 2)
