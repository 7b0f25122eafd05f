"""What the tests of the gateway's door share: sockets and frames by hand, and how a connection ends."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from typing import Any

from websockets.exceptions import ConnectionClosed

from openclaw_nb.gateway import Gateway
from openclaw_nb.protocol.frames import encode
from tests.spine import Raw, hello

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def framed(payload: bytes, opcode: int = 1, *, fin: bool = True, announce: int | None = None) -> bytes:
    """A masked client frame, by hand."""
    size = len(payload) if announce is None else announce
    length = b"\xfe" + struct.pack("!H", size) if size < 65_536 else b"\xff" + struct.pack("!Q", size)
    return (
        bytes([(0x80 if fin else 0) | opcode]) + (bytes([0x80 | size]) if size < 126 else length) + bytes(4) + payload
    )


async def end_of(raw: Raw) -> tuple[int, str]:
    """Read until the gateway closes; its code and reason."""
    try:
        while True:
            await asyncio.wait_for(raw.read(), 60)
    except ConnectionClosed as end:
        return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")


async def log_in(raw: Raw, token: str | None) -> Any:
    await raw.ws.send(encode(hello(token)).decode())
    return await raw.reply("hello")


@contextlib.asynccontextmanager
async def stranger(served: Gateway, sends: bytes = b"", **options: Any) -> AsyncIterator[asyncio.StreamReader]:
    """A socket that sends this and no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, **options)
    try:
        writer.write(sends)
        yield reader
    finally:
        writer.transport.abort()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the gateway hangs up, in whichever way."""
    told = b""
    with contextlib.suppress(ConnectionError):
        while data := await asyncio.wait_for(reader.read(65_536), 60):
            told += data
    return told
