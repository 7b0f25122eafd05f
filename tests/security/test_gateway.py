"""The gateway against strangers: pages, guesses, foreign hosts, big first frames, and what is no frame at all."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import struct
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import AuthError, ConfigError
from openclaw_nb.gateway import Gateway, connection, gateway
from openclaw_nb.protocol.frames import MAX_HELLO, encode
from tests.protocol.test_server import malformed
from tests.spine import Counted, answering, asynchronous, dialled, hello, let_in, on_both_loops, soon


async def closed_with(ws: object) -> int | None:
    """Read until the gateway closes; its code."""
    try:
        while True:
            await asyncio.wait_for(ws.recv(), 30)  # type: ignore[attr-defined]
    except ConnectionClosed as end:
        return end.rcvd.code if end.rcvd else None


def framed(payload: bytes, opcode: int = 1, *, fin: bool = True, announce: int | None = None) -> bytes:
    """A masked client frame, by hand."""
    size = len(payload) if announce is None else announce
    length = bytes([0x80 | size]) if size < 126 else (
        b"\xfe" + struct.pack("!H", size) if size < 65_536 else b"\xff" + struct.pack("!Q", size)
    )  # fmt: skip
    return bytes([(0x80 if fin else 0) | opcode]) + length + b"\0\0\0\0" + payload


# -- before the upgrade ----------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["null", "file://", "http://localhost:8888", "http://127.0.0.1", "https://evil.com"])
@asynchronous
async def test_no_page_gets_a_websocket(origin: str) -> None:
    async with Gateway() as served:
        for headers in ({"Origin": origin}, {"origin": origin}, {"ORIGIN": origin}):
            with pytest.raises(InvalidStatus) as refusal:
                await connect(served.url, additional_headers=headers, proxy=None)
            assert refusal.value.response.status_code == 403
        assert "0 connections" in repr(served)


@asynchronous
async def test_no_other_host() -> None:
    async with Gateway() as served:
        for host in ("evil.com", f"evil.com:{served.port}", f"127.0.0.1.evil.com:{served.port}", ""):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(
                b"GET / HTTP/1.1\r\nHost: %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" % host.encode()
            )
            assert b"403" in await reader.readline()
            writer.close()
            await writer.wait_closed()


@asynchronous
async def test_what_is_no_websocket_leaves_nothing() -> None:
    async with Gateway() as served:
        for request in (
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            b"\0\xff\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 20_000,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(request)
            assert b"101" not in await reader.read()
            writer.close()
        assert len(served._connections) == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "evil.com", "127.evil.com"])
def test_it_listens_on_this_machine_only(host: str) -> None:
    with pytest.raises(ConfigError, match="listens on loopback only"):
        Gateway(host=host)


@asynchronous
async def test_nobody_else_can_reach_it() -> None:
    async with Gateway() as served:
        assert served._server is not None
        assert {sock.getsockname()[0] for sock in served._server.sockets} == {"127.0.0.1"}


# -- before authentication -------------------------------------------------------------------------


@on_both_loops
async def test_wrong_tokens() -> None:
    async with Gateway(token="right") as served:
        for token in (None, "", "wrong", "Right", "right ", "\ud800"):
            async with dialled(served) as raw:
                await raw.ws.send(encode(hello(token)).decode())
                reply = await raw.reply("hello")
                assert reply["error"]["details"]["code"] == f"AUTH_TOKEN_{'MISMATCH' if token else 'MISSING'}"
                assert await closed_with(raw.ws) == 1008
        with pytest.raises(AuthError, match="does not let us in"):
            await OpenClawClient(token="wrong").connect(served.url)
        async with OpenClawClient(token="right") as client:
            await client.connect(served.url)
    async with Gateway(token="") as closed:
        with pytest.raises(AuthError):
            await OpenClawClient(token="").connect(closed.url)


@asynchronous
async def test_one_guess_to_a_connection() -> None:
    """Guesses that follow a wrong one in the same packet are not looked at, nor is a right one."""
    model = Counted("one")
    async with Gateway(model=model, token="right") as served, dialled(served) as raw:
        send = {"sessionKey": "main", "message": "go", "idempotencyKey": "k"}
        guesses = [encode(hello(f"guess {i}")) for i in range(5)] + [encode(hello("right"))]
        requests = [*guesses, encode({"type": "req", "id": "1", "method": "chat.send", "params": send})]
        raw.ws.transport.write(b"".join(map(framed, requests)))
        assert not (await raw.read())["ok"]
        with pytest.raises(ConnectionClosed) as end:
            await raw.read()
        assert end.value.rcvd is not None
        assert end.value.rcvd.code == 1008
        assert not model.calls
        assert [len(guesses) for guesses in served._door._guesses.values()] == [1]
        async with OpenClawClient(token="right") as client:
            await client.connect(served.url)


@asynchronous
async def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LOGIN", 0.1)
    async with Gateway() as served:
        async with dialled(served) as raw:
            assert await closed_with(raw.ws) == 1008
        for limit in (1.0, 6.0, 24.0):  # the first in which it is let in, however busy the machine is
            monkeypatch.setattr(connection, "LOGIN", limit)
            async with AsyncExitStack() as stack:
                try:
                    raw = await stack.enter_async_context(let_in(served))
                except ConnectionClosed:
                    continue
                await asyncio.sleep(limit + 0.2)
                assert (await raw.ask("health"))["ok"], "who is let in may be silent"
                break
        else:
            raise AssertionError("it was never let in")


@on_both_loops
async def test_a_big_first_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER", 0.1)
    async with Gateway() as served:
        big = encode(hello("x" * 2 * MAX_HELLO))
        ways = {
            "in one frame": framed(big),
            "announced only": framed(b"{", announce=25_000_000),
            "in fragments": framed(big[:60_000], fin=False) + framed(big[60_000:], 0),
            "in many fragments": framed(b"[", fin=False) + framed(b"x" * 100, 0, fin=False) * 700,
            "after a first one": framed(b"x", fin=False) + framed(b"", 0, announce=20_000_000) + b"x" * 100_000,
        }
        for way, data in ways.items():
            async with dialled(served) as raw:
                raw.ws.transport.write(data)
                assert await closed_with(raw.ws) == 1009, way
        await soon(lambda: not served._connections)


@asynchronous
async def test_many_empty_fragments_cost_nothing() -> None:
    async with Gateway() as served, dialled(served) as raw:
        raw.ws.transport.write(framed(b"", fin=False) + framed(b"", 0, fin=False) * 2_000)
        await raw.ws.ping()
        (one,) = served._connections
        assert len(one._message) == 0


@asynchronous
async def test_strangers_do_not_fill_the_memory() -> None:
    """Each announces 25 MiB and sends 60 kB of it: picows must not make room for it."""
    psutil = pytest.importorskip("psutil")
    process = psutil.Process()
    async with Gateway() as served:
        writers = []
        before = process.memory_info().rss
        for _ in range(150):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            writer.write(framed(b"x" * 60_000, announce=25_000_000) + b"x" * 1_000_000)
            writers.append(writer)
        await asyncio.sleep(0.1)
        grown = process.memory_info().rss - before
        for writer in writers:
            writer.transport.abort()
        assert grown < 64 * 2**20
        async with let_in(served) as raw:
            assert (await raw.ask("health"))["ok"]


# -- after it --------------------------------------------------------------------------------------


@asynchronous
async def test_scopes() -> None:
    async with Gateway() as served:
        async with let_in(served, scopes=["operator.pairing"]) as raw:
            for method in ("health", "chat.send", "chat.history"):
                reply = await raw.ask(method, sessionKey="main", message="m", idempotencyKey="k")
                assert reply["error"]["code"] == "FORBIDDEN"
        async with let_in(served, scopes=["operator.read"]) as raw:
            assert (await raw.ask("health"))["ok"]
            assert (await raw.ask("chat.abort", sessionKey="main"))["error"][
                "message"
            ] == "missing scope: operator.write"
            assert (await raw.ask("sessions.reset", key="s"))["error"]["code"] == "FORBIDDEN"
        async with let_in(served, scopes=["operator.write"]) as raw:
            assert (await raw.ask("health"))["ok"]
            assert (await raw.ask("sessions.reset", key="s"))["error"]["code"] == "FORBIDDEN"
        async with let_in(served, scopes=["operator.admin"], client={"id": "test", "mode": "test"}) as raw:
            assert (await raw.ask("health"))["error"]["code"] == "FORBIDDEN"


@on_both_loops
async def test_frames_that_are_no_text() -> None:
    async with Gateway() as served:
        for data, code in (
            (framed(b"\0\1", 2), 1003),
            (framed(b"x", 0), 1002),
            (framed(b"x", fin=False) + framed(b"y"), 1002),
            (framed(b"x", 3), 1002),
            (framed(b"x" * 126, 9), 1002),
            (framed(struct.pack("!H", 1005), 8), 1002),
            (b"\x81\x01x", 1002),
        ):
            async with let_in(served) as raw:
                raw.ws.transport.write(data)
                assert await closed_with(raw.ws) == code, data


@on_both_loops
async def test_fragments_pings_and_closes_of_every_kind() -> None:
    async with Gateway() as served:
        request = encode({"type": "req", "id": "q", "method": "health", "params": {}})
        async with let_in(served) as raw:
            parts = framed(request[:5], fin=False) + framed(b"", 9) + framed(request[5:9], 0, fin=False)
            raw.ws.transport.write(parts + framed(request[9:], 0) + framed(request))
            assert (await raw.reply("q"))["ok"]
            assert (await raw.reply("q"))["ok"]
            await (await raw.ws.ping("x"))
        for payload in (b"", struct.pack("!H", 1000), struct.pack("!H", 4321) + "é".encode()):
            async with let_in(served) as raw:
                raw.ws.transport.write(framed(payload, 8))
                assert await closed_with(raw.ws) == 1000
        await soon(lambda: not served._connections)


@on_both_loops
async def test_malformed_messages_are_answered_and_the_next_valid_one_too() -> None:
    chance = random.Random(11)
    async with Gateway() as served, let_in(served) as raw:
        for i in range(600):
            raw.ws.transport.write(framed(malformed(chance)))
            if i % 20 == 0:
                await raw.send({"type": "req", "id": f"valid {i}", "method": "health"})
                assert (await raw.reply(f"valid {i}"))["ok"]
        await raw.ws.send("[" * 200_000)
        assert (await raw.reply("invalid"))["error"]["code"] == "INVALID_REQUEST"


@asynchronous
async def test_requests_with_wrong_parameters() -> None:
    async with Gateway() as served, let_in(served, caps=("nb.offset", "nb.resume")) as raw:
        for i, (method, params) in enumerate([
            ("nonsense", {}),
            ("connect", {}),
            ("chat.send", {}),
            ("chat.send", {"sessionKey": "", "message": "m", "idempotencyKey": "k"}),
            ("chat.send", {"sessionKey": "main", "message": "m", "idempotencyKey": "k", "thinking": "loud"}),
            ("chat.send", {"sessionKey": "main", "message": "m", "idempotencyKey": "k", "attachments": [{}]}),
            ("chat.send", {"sessionKey": "main", "message": "m", "idempotencyKey": "k", "pace": {"delay": 1e300}}),
            ("chat.abort", {"sessionKey": 5}),
            ("chat.history", {"sessionKey": "main", "limit": 0}),
            ("run.resume", {"runId": "unknown"}),
            ("run.resume", {"runId": "k", "steps": {"thinking": -5}}),
        ]):  # fmt: skip
            reply = await raw.ask(method, f"q{i}", **params)
            assert not reply["ok"], method
            assert reply["error"]["message"]
        assert (await raw.ask("health"))["payload"]["runs"] == 0


@asynchronous
async def test_a_fault_of_ours_is_an_answer_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Gateway() as served, let_in(served) as raw:
        monkeypatch.setattr(served.engine, "messages", lambda session: 1 / 0)
        reply = await raw.ask("chat.history", sessionKey="main")
        assert reply["error"] == {"code": "INTERNAL", "message": "chat.history failed: ZeroDivisionError"}
        assert (await raw.ask("health"))["ok"]
    assert "ZeroDivisionError" in caplog.text


@asynchronous
async def test_no_secret_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "s3cret" + os.urandom(2).hex()
    async with Gateway(model=Counted("one"), token=secret) as served:
        async with OpenClawClient(token=secret) as client:
            await client.connect(served.url)
            await client.send("go")
            channel = client._linked().first
            own = (client, channel, channel.link, channel.session)
            shown = repr((*own, served, served._door, list(served._connections)))
        with pytest.raises(AuthError) as refusal:
            await OpenClawClient(token=secret + "x").connect(served.url)
    assert secret not in caplog.text
    assert secret not in shown
    assert secret not in str(refusal.value)


@asynchronous
async def test_a_client_that_does_not_answer_pings_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "PING", 1.0)
    async with Gateway() as served, dialled(served, ping_interval=None) as raw:
        raw.ws.transport.pause_reading()
        assert len(served._connections) == 1
        await soon(lambda: not served._connections)


@asynchronous
async def test_tokens_do_not_follow_a_redirect() -> None:
    got: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % elsewhere.port
        )
        await writer.drain()

    async with Gateway() as elsewhere, answering(answer) as port:
        with pytest.raises(Exception, match="HTTP 302"):
            await OpenClawClient(token="secret").connect(f"ws://127.0.0.1:{port}")
        assert not elsewhere._connections
    assert len(got) == 1
    assert b"secret" not in got[0]
