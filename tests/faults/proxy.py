"""FaultProxy, a network between a client and its gateway that fails exactly as told, frame by frame."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from openclaw_nb.client import OpenClawClient
from openclaw_nb.gateway import Gateway

__all__ = ["Blackhole", "Cut", "CutAfter", "CutAtByte", "Fault", "FaultProxy", "Slow", "Split", "Twice", "behind"]


class Cut(Exception):
    """The connection breaks here."""


class Fault:
    """What happens to the frames from the gateway on one connection; this one lets all of them through."""

    swallows = False
    """Whether what the client sends is lost as well."""

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        """The bytes that go on for one frame, ``kind`` being its event's name, or its method's ("res")."""
        yield frame


class CutAfter(Fault):
    """Breaks after the ``count``-th frame of a kind; 0 breaks before the first one."""

    def __init__(self, count: int, kind: str = "chat") -> None:
        self.count = count
        self.kind = kind

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        if kind == self.kind:
            if self.count <= 0:
                raise Cut
            self.count -= 1
        yield frame
        if kind == self.kind and self.count == 0:
            raise Cut


class CutAtByte(Fault):
    """Breaks inside the first chat frame, after so many bytes of it."""

    def __init__(self, at: int) -> None:
        self.at = at

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        if kind != "chat":
            yield frame
            return
        yield frame[: self.at]
        raise Cut


class Split(Fault):
    """Lets the bytes through in pieces of ``size``, each on its own."""

    def __init__(self, size: int) -> None:
        self.size = size

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        for start in range(0, len(frame), self.size):
            yield frame[start : start + self.size]
            await asyncio.sleep(0)


class Twice(Fault):
    """Sends every chat and agent frame twice, and now and then an old one again."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        yield frame
        if kind in ("chat", "agent"):
            yield frame
            yield self.seen[len(self.seen) // 2] if self.seen else b""
            self.seen.append(frame)


class Slow(Fault):
    """Lets ``size`` bytes through and then rests for ``rest`` seconds."""

    def __init__(self, size: int, rest: float) -> None:
        self.size = size
        self.rest = rest

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        for start in range(0, len(frame), self.size):
            yield frame[start : start + self.size]
            await asyncio.sleep(self.rest)


class Blackhole(Fault):
    """After ``count`` chat frames swallows everything, both ways, and says nothing."""

    def __init__(self, count: int) -> None:
        self.count = count

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        if self.swallows:
            return
        yield frame
        self.count -= kind == "chat"
        self.swallows = self.count <= 0


class FaultProxy:
    """Listens on loopback and passes on to ``port``; each connection takes the next of ``faults``, or none."""

    def __init__(self, port: int) -> None:
        self.upstream = port
        self.faults: deque[Fault] = deque()
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> FaultProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._server is not None
        self._server.close()
        for pipe in tuple(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Break every connection there is."""
        for pipe in tuple(self._pipes):
            pipe.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        fault = self.faults.popleft() if self.faults else Fault()
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        ends = [writer]
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
            ends.append(up_writer)
            up = asyncio.create_task(_copy(reader, up_writer, fault))
            down = asyncio.create_task(_filter(up_reader, writer, fault))
            try:
                await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pipe in (up, down):
                    pipe.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in ends:
                if len(ends) == 2 and end is writer:
                    with suppress(OSError):
                        await asyncio.wait_for(end.drain(), 1)
                end.transport.abort()
            self._pipes.discard(task)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> None:
    while data := await reader.read(65_536):
        if not fault.swallows:
            writer.write(data)
            await writer.drain()


async def _filter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> None:
    with suppress(Cut, asyncio.IncompleteReadError):
        writer.write(await reader.readuntil(b"\r\n\r\n"))
        while True:
            frame, kind = await _read_frame(reader)
            async for data in fault.pass_on(frame, kind):
                writer.write(data)
                await writer.drain()
    await asyncio.sleep(0.001)  # what was written before is to arrive


async def _read_frame(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    """One unmasked frame as it stands on the wire, and what it is."""
    head = await reader.readexactly(2)
    size = head[1] & 0x7F
    if size >= 126:
        more = await reader.readexactly(2 if size == 126 else 8)
        head, size = head + more, int.from_bytes(more)
    payload = await reader.readexactly(size)
    return head + payload, next(_kinds(payload), "control")


def _kinds(payload: bytes) -> Iterator[str]:
    with suppress(ValueError):
        frame = json.loads(payload)
        yield frame.get("event", frame["type"])


@asynccontextmanager
async def behind(model: Any, **options: Any) -> AsyncIterator[tuple[FaultProxy, OpenClawClient]]:
    """A client that reaches its gateway through a fault proxy; it tells each delta by itself."""
    options = {"token_batch_size": 1, "reconnect_delay": 0.02} | options
    async with (
        Gateway(model=model) as gateway,
        FaultProxy(gateway.port) as proxy,
        OpenClawClient(token=gateway.token, **options) as client,
    ):
        await client.connect(proxy.url)
        yield proxy, client
