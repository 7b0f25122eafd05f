"""FaultProxy: each fault does what it says, so that what is shown with it is shown."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.faults.kinds import CLIENT, GATEWAY, CutAfter, CutAtByte, Delay, Fault, How, Split, Twice
from tests.faults.proxy import FaultProxy
from tests.spine import asynchronous, soon

UPGRADE = b"GET / HTTP/1.1\r\n\r\n"
ACCEPT = b"HTTP/1.1 101 \r\n\r\n"


def event(name: str) -> bytes:
    """A frame as the gateway sends it."""
    payload = b'{"type":"event","event":"%b"}' % name.encode()
    return b"\x81" + bytes([len(payload)]) + payload


def request(method: str, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A frame as a client sends it."""
    payload = b'{"type":"req","id":"1","method":"%b"}' % method.encode()
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return b"\x81" + bytes([0x80 | len(payload)]) + mask + masked


class Ends:
    """The two ends of one line through a proxy, and what each has heard."""

    def __init__(self) -> None:
        self.heard = {CLIENT: b"", GATEWAY: b""}
        self.gone: dict[str, type[Exception] | None] = {}
        self.writers: dict[str, asyncio.StreamWriter] = {}

    async def listen(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers[name] = writer
        try:
            while data := await reader.read(4096):
                self.heard[name] += data
            self.gone[name] = None
        except OSError as error:
            self.gone[name] = type(error)
        writer.close()

    async def say(self, towards: str, *frames: bytes) -> None:
        writer = self.writers[CLIENT if towards == GATEWAY else GATEWAY]
        writer.writelines(frames)
        with suppress(OSError):
            await writer.drain()


@asynccontextmanager
async def line(*faults: Fault) -> AsyncIterator[Ends]:
    """A line that suffers these faults, upgraded."""
    ends = Ends()
    server = await asyncio.start_server(lambda *streams: ends.listen(GATEWAY, *streams), "127.0.0.1", 0)
    async with FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        proxy.faults.append(faults)
        task = asyncio.create_task(ends.listen(CLIENT, *await asyncio.open_connection("127.0.0.1", proxy.port)))
        await soon(lambda: GATEWAY in ends.writers and CLIENT in ends.writers)
        await ends.say(GATEWAY, UPGRADE)
        await ends.say(CLIENT, ACCEPT)
        yield ends
    await task
    await soon(lambda: len(ends.gone) == 2)
    server.close()


@pytest.mark.parametrize(("how", "seen"), [(How.RESET, ConnectionResetError), (How.CLOSE, None)])
@asynchronous
async def test_reset_and_close(how: How, seen: type[Exception] | None) -> None:
    async with line(CutAfter(2, "chat", how)) as ends:
        await ends.say(CLIENT, event("tick"), event("chat"), event("chat"), event("chat"))
        await soon(lambda: len(ends.gone) == 2)
        assert ends.heard[CLIENT] == ACCEPT + event("tick") + 2 * event("chat")
        assert ends.gone == {CLIENT: seen, GATEWAY: seen}


@asynchronous
async def test_silence_and_mute() -> None:
    async with line(CutAfter(1, "chat", How.SILENCE)) as ends:
        await ends.say(CLIENT, event("chat"), event("chat"))
        await soon(lambda: ends.heard[CLIENT] == ACCEPT + event("chat"))
        await ends.say(GATEWAY, request("health"))
        await asyncio.sleep(0.05)
        assert ends.heard == {CLIENT: ACCEPT + event("chat"), GATEWAY: UPGRADE}
        assert ends.gone == {}, "nobody is told"
    async with line(CutAfter(0, "health", How.MUTE, toward=GATEWAY)) as ends:
        await ends.say(GATEWAY, request("run.resume"), request("health"), request("run.resume"))
        await ends.say(CLIENT, event("chat"))
        await soon(lambda: ends.heard[CLIENT] == ACCEPT + event("chat"), "the other way")
        await soon(lambda: len(ends.heard[GATEWAY]) > len(UPGRADE), "what comes before it")
        assert ends.heard[GATEWAY] == UPGRADE + request("run.resume")


@asynchronous
async def test_at_a_byte_of_either_way() -> None:
    async with line(CutAtByte(3, "chat", How.CLOSE)) as ends:
        await ends.say(CLIENT, event("tick"), event("chat"))
        await soon(lambda: len(ends.gone) == 2)
        assert ends.heard[CLIENT] == ACCEPT + event("tick") + event("chat")[:3]
    async with line(CutAtByte(7, None, How.CLOSE, toward=GATEWAY)) as ends:
        await soon(lambda: len(ends.gone) == 2)
        assert ends.heard[GATEWAY] == UPGRADE[:7]
    async with line(CutAtByte(len(UPGRADE) + 9, None, How.CLOSE, toward=GATEWAY)) as ends:
        await ends.say(GATEWAY, request("connect"))
        await soon(lambda: len(ends.gone) == 2)
        assert ends.heard[GATEWAY] == UPGRADE + request("connect")[:9]


@asynchronous
async def test_several_on_one_line() -> None:
    began = time.monotonic()
    faults = (Twice(), Split(4, 0.001), Delay(0.01, random.Random(1)), Delay(0.01, random.Random(2), toward=GATEWAY))
    async with line(*faults) as ends:
        long = b"\x81\x7e" + (300).to_bytes(2) + b"x" * 300
        await ends.say(CLIENT, event("chat"), event("tick"), event("chat"), long)
        await ends.say(GATEWAY, request("health"))
        chats = ACCEPT + 2 * event("chat") + event("tick") + 2 * event("chat") + event("chat") + long
        await soon(lambda: ends.heard == {CLIENT: chats, GATEWAY: UPGRADE + request("health")})
    assert time.monotonic() - began > 0.1, "a piece at a time"
