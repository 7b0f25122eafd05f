"""FaultProxy, a network between clients and their gateway that fails exactly as told, frame by frame, both ways."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from openclaw_nb.client import OpenClawClient
from openclaw_nb.events import Delta, RunEvent
from openclaw_nb.gateway import Gateway
from openclaw_nb.run import Run
from tests.faults.kinds import CLIENT, GATEWAY, Cut, CutAfter, Fault, How, through

__all__ = ["CutAfter", "FaultProxy", "abreast", "behind", "seamless"]

LINGER = 1.0
"""Seconds for which the other end of a silent link is kept from learning that its peer has gone."""


class FaultProxy:
    """Listens on loopback and passes on to ``port``; each connection takes the next of ``faults``, or none.

    Several faults may meet on one connection, each taking what the one before lets through. ``struck`` counts the
    cuts by what they were, ``cut_at`` is the loop's time of the newest one that both ends were told of; ``gateway``
    is the one behind it, where that is in this process.
    """

    def __init__(self, port: int) -> None:
        self.upstream = port
        self.gateway: Gateway | None = None
        self.faults: deque[Fault | Sequence[Fault]] = deque()
        self.connections = 0
        self.struck: Counter[str] = Counter()
        self.cut_at: float | None = None
        self.lines: set[_Line] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> FaultProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1_000)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [line.task for line in self.lines]
        self.cut()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def cut(self, how: How = How.RESET) -> None:
        """Break every connection there is."""
        for line in tuple(self.lines):
            line.how = how
            line.task.cancel()

    def now(self, *faults: Fault) -> None:
        """Let these happen on the connections there are."""
        for line in self.lines:
            line.faults.extend(faults)

    def next_faults(self) -> Sequence[Fault]:
        """What a new connection is to suffer."""
        faults = self.faults.popleft() if self.faults else ()
        return [faults] if isinstance(faults, Fault) else faults

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        line = _Line(self, self.next_faults())
        self.lines.add(line)
        try:
            await line.run(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            line.hang_up()
            self.lines.discard(line)


class _Line:
    """One connection through the proxy."""

    def __init__(self, proxy: FaultProxy, faults: Sequence[Fault]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.faults = list(faults)
        self.how = How.RESET
        self._proxy = proxy
        self._dead: set[str] = set()
        self._where = "in the upgrade"
        self._ends: list[asyncio.StreamWriter] = []

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.append(writer)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._proxy.upstream)
        self._ends.append(up_writer)
        for end in self._ends:
            end.transport.set_write_buffer_limits(0)  # what was drained has left
        ways = [
            asyncio.create_task(self._carry(reader, up_writer, GATEWAY)),
            asyncio.create_task(self._carry(up_reader, writer, CLIENT)),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            self.how = done.pop().result()
            if self._dead:
                await asyncio.sleep(LINGER)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def hang_up(self) -> None:
        for end in self._ends:
            if self.how is How.CLOSE and not end.transport.get_write_buffer_size():
                end.transport.close()
                continue
            with suppress(OSError):  # it has hung up itself
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> How:
        try:
            async for frame, kind in _frames(reader):
                faults = [fault for fault in self.faults if fault.toward == way]
                try:
                    async for piece in through(faults, frame, kind):
                        if way not in self._dead:
                            writer.write(piece)
                            await writer.drain()
                except Cut as cut:
                    if way not in self._dead:
                        self._proxy.struck[f"{cut.how} {self._where}, to the {way}"] += 1
                    if cut.how in (How.RESET, How.CLOSE):
                        self._proxy.cut_at = asyncio.get_running_loop().time()
                        return cut.how
                    self._dead |= {way} if cut.how is How.MUTE else {CLIENT, GATEWAY}
                if way == CLIENT:
                    self._where = "in the handshake" if kind in ("upgrade", "connect.challenge") else "in the stream"
        except OSError:
            return How.RESET
        return How.CLOSE


async def _frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, str]]:
    """What comes, frame by frame, and at the end what is left of one that never became whole."""
    buffer, upgraded = bytearray(), False
    while data := await reader.read(65_536):
        buffer += data
        while size := _size(buffer, upgraded):
            frame = bytes(buffer[:size])
            del buffer[:size]
            yield frame, _kind(frame) if upgraded else "upgrade"
            upgraded = True
    if buffer:
        yield bytes(buffer), "half"


def _size(buffer: bytearray, upgraded: bool) -> int:
    """Bytes of the frame, or the HTTP head, that it begins with; 0 while that is not whole."""
    if not upgraded:
        return len(buffer.partition(b"\r\n\r\n")[0]) + 4 if b"\r\n\r\n" in buffer else 0
    more = {126: 2, 127: 8}.get(buffer[1] & 0x7F, 0) if len(buffer) > 1 else 0
    if len(buffer) < 2 + more:
        return 0
    length = int.from_bytes(buffer[2 : 2 + more]) if more else buffer[1] & 0x7F
    size = 2 + more + (4 if buffer[1] & 0x80 else 0) + length
    return size if len(buffer) >= size else 0


_NAME = re.compile(rb'"type":\s*"res"|"(?:event|method)":\s*"([^"]*)"')


def _kind(frame: bytes) -> str:
    if frame[0] & 0x08:
        return "control"
    masked, start = frame[1] & 0x80, 2 + {126: 2, 127: 8}.get(frame[1] & 0x7F, 0)
    head = frame[start : start + 120]
    if masked:
        head = bytes(byte ^ head[at % 4] for at, byte in enumerate(head[4:]))
    name = _NAME.search(head)
    return (name[1] or b"res").decode() if name else "more"


def seamless(run: Run) -> Callable[[], bool]:
    """Watch the deltas of a run; whether each began where the one before ended, and together they are its text."""
    parts: list[str] = []
    have, fits = 0, True

    def take(event: RunEvent) -> None:
        nonlocal have, fits
        if isinstance(event, Delta):
            fits = fits and event.offset == have
            have += len(event.text)
            parts.append(event.text)

    run.subscribe(take)
    return lambda: fits and "".join(parts) == run.text


@asynccontextmanager
async def abreast(model: Any, count: int, **options: Any) -> AsyncIterator[list[tuple[FaultProxy, OpenClawClient]]]:
    """Clients of one gateway, each behind a fault proxy of its own; they tell each delta by itself."""
    options = {"token_batch_size": 1, "reconnect_delay": 0.02} | options
    async with Gateway(model=model) as gateway, AsyncExitStack() as stack:
        pairs = []
        for _ in range(count):
            proxy = await stack.enter_async_context(FaultProxy(gateway.port))
            proxy.gateway = gateway
            client = await stack.enter_async_context(OpenClawClient(token=gateway.token, **options))
            await client.connect(proxy.url)
            pairs.append((proxy, client))
        yield pairs


@asynccontextmanager
async def behind(model: Any, **options: Any) -> AsyncIterator[tuple[FaultProxy, OpenClawClient]]:
    """A client that reaches its gateway through a fault proxy."""
    async with abreast(model, 1, **options) as [pair]:
        yield pair
