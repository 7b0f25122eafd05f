"""Fact 33 of the design's list: a thousand sockets of strangers cost a gateway little, and its clients nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import ConnectionLost
from openclaw_nb.gateway.connection import LINGER, LOGIN
from openclaw_nb.gateway.gateway import UPGRADE
from openclaw_nb.protocol.frames import encode
from openclaw_nb.run import Run
from tests.security.test_gateway import framed
from tests.spine import LOOPS, asynchronous, hello, soon

resource = pytest.importorskip("resource", reason="needs limits of open files, which Windows has not")

FILES = 2_300
EVERY = 0.02  # seconds between two tokens of the client that streams meanwhile
MIB = 2**20
BUSY = 30.0  # seconds that a busy machine may take
UPGRADE_REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)

SERVER = """
import asyncio, json, resource, sys
from openclaw_nb.gateway import Gateway
from tests.spine import LOOPS

every, loop, files = float(sys.argv[1]), sys.argv[2], int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

async def count(prompt):
    for i in range(1_000_000):
        yield f"{i} "
        await asyncio.sleep(every)

async def main():
    async with Gateway(model=count) as gateway:
        print(json.dumps([gateway.url, gateway.port, gateway.token]), flush=True)
        await asyncio.to_thread(sys.stdin.read)

with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
    runner.run(main())
"""


@dataclass
class Served:
    """A gateway in a process of its own."""

    url: str
    port: int
    token: str
    process: psutil.Process
    before: int = 0
    most: int = 0
    files: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def weigh(self) -> None:
        """Note the most memory it takes, and files it has open, until ``stop``."""
        self.before = self.most = self.process.memory_info().rss
        while not self.stop.is_set():
            self.most = max(self.most, self.process.memory_info().rss)
            self.files = max(self.files, self.process.num_fds())
            await asyncio.sleep(0.1)


@asynccontextmanager
async def served(loop: str, files: int) -> AsyncIterator[Served]:
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryFile() as said:  # a pipe that nobody reads would stop it once it is full
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SERVER, str(EVERY), loop, str(files), env=os.environ | {"PYTHONPATH": path},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=said,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            url, port, token = json.loads(await process.stdout.readline())
            yield Served(url, port, token, psutil.Process(process.pid))
        finally:
            await asyncio.wait_for(process.communicate(b""), 60)
            said.seek(0)
            assert process.returncode == 0, said.read().decode()


async def streaming(client: OpenClawClient, run: Run, until: asyncio.Event) -> tuple[str, float]:
    """Read a run until then: its text, and the longest pause in it."""
    text, longest, last = "", 0.0, time.monotonic()
    async for delta in run:
        text += delta
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
        if until.is_set():
            run.cancel()
    return text, longest


def is_count(text: str) -> bool:
    numbers = text.split()
    return numbers == [str(i) for i in range(len(numbers))]


# -- strangers -------------------------------------------------------------------------------------


async def stranger(port: int, after: float, *writes: bytes, every: float = 0.0) -> float:
    """Connect, write, and stay until hung up on; how many seconds that took. A slow one repeats its last write."""
    await asyncio.sleep(after)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    for data in writes:
        writer.write(data)
    ended = asyncio.ensure_future(drained(reader))
    while not ended.done():
        await asyncio.wait({ended}, timeout=every or None)
        if every and not ended.done():
            writer.write(writes[-1])
    writer.transport.abort()
    return time.monotonic() - began


BARE: list[list[bytes]] = [[], [b"GET / HTT"], [b"\0"], [b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n"]]
"""What those write who never ask for a WebSocket; the last of them slowly."""

UPGRADED = [
    [], [framed(b"{", announce=25_000_000)], [framed(encode(hello("x" * 70_000)))],
    [framed(b"{", fin=False), framed(b"", 0, fin=False)], [framed(b"x" * 60_000, announce=25_000_000), b"x" * MIB],
    [framed(b"", 9)],
]  # fmt: skip
"""What those write who have one: nothing, more than 64 KiB in three ways, and endless fragments and pings."""

BIG, SLOW = (2, 4), (3, 5)  # an announced size alone is not looked at where it comes along with the upgrade


async def bare(port: int) -> list[float]:
    """500 of the first kind; not in one moment, as the system forgets those for whom its queue has no room."""
    return await asyncio.gather(
        *(stranger(port, i * 0.003, *BARE[i % 4], every=1.0 if i % 4 == 3 else 0.0) for i in range(500))
    )


async def upgraded(port: int) -> list[float]:
    """500 of the second kind."""
    kinds = [i % len(UPGRADED) for i in range(500)]
    return await asyncio.gather(*(
        stranger(port, i * 0.003, UPGRADE_REQUEST, *UPGRADED[kind], every=1.0 if kind in SLOW else 0.0)
        for i, kind in enumerate(kinds)
    ))  # fmt: skip


async def drained(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(65_536):
            pass
    except ConnectionError:
        pass


@asynchronous
async def test_a_thousand_strangers(figure: Callable[[str, str], None]) -> None:
    """At each of two gateways; half never ask for a WebSocket; some are slow on purpose, some send far too much."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < FILES:
        pytest.skip(f"a process may open fewer than {FILES:,} files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(FILES, before[0]), before[1]))
    try:
        for words in await asyncio.gather(*map(besieged, LOOPS)):
            figure("reliability 33", words)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def besieged(loop: str) -> str:
    """What a siege of 1,000 costs a gateway on this loop."""
    async with served(loop, FILES) as gateway, OpenClawClient(token=gateway.token) as client:
        await client.connect(gateway.url)
        over = asyncio.Event()
        reading = asyncio.create_task(streaming(client, client.send("count"), over))
        weighing = asyncio.create_task(gateway.weigh())
        await asyncio.sleep(0.5)
        siege = asyncio.gather(bare(gateway.port), upgraded(gateway.port))
        await asyncio.sleep(2)
        async with OpenClawClient(token=gateway.token) as another:
            began = time.monotonic()
            await another.connect(gateway.url)
            entered = time.monotonic() - began
        waits = await asyncio.wait_for(siege, LOGIN + 60)
        over.set()
        text, pause = await reading
        gateway.stop.set()
        await weighing
        await soon(lambda: len(gateway.process.net_connections("tcp")) == 2, "all are gone but the client")
        assert gateway.files > 500, "they were not there at once"
        assert max(waits[0]) < UPGRADE + LINGER + BUSY
        assert max(waits[1]) < LOGIN + LINGER + BUSY
        big_ones = max(seconds for i, seconds in enumerate(waits[1]) if i % len(UPGRADED) in BIG)
        assert big_ones < LOGIN, "they are not waited for until the time to log in is over"
        assert is_count(text)
        assert len(text.split()) > 100
        assert pause < BUSY
        grown = (gateway.most - gateway.before) / MIB
        assert grown < 64
        return (
            f"1,000 sockets before auth ({loop}): closed, without a WebSocket within {max(waits[0]):.1f} s, with one "
            f"within {max(waits[1]):.1f} s, above 64 KiB within {big_ones:.1f} s; memory +{grown:.1f} MiB (asked: 64); "
            f"a client streamed on, its longest pause {pause * 1000:.0f} ms, another came in within "
            f"{entered * 1000:.0f} ms"
        )


@pytest.mark.parametrize("loop", LOOPS)
@asynchronous
async def test_more_strangers_than_files_can_be_opened(loop: str, figure: Callable[[str, str], None]) -> None:
    """290 strangers where 200 files may be open: they end neither it nor what streams; afterwards it takes clients."""
    async with served(loop, 200) as gateway, OpenClawClient(token=gateway.token) as client:
        await client.connect(gateway.url)
        over = asyncio.Event()
        reading = asyncio.create_task(streaming(client, run := client.send("count"), over))
        writers = []
        for _ in range(290):
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writers.append(writer)
        await asyncio.sleep(1)
        for writer in writers:
            writer.transport.abort()
        began = time.monotonic()
        while time.monotonic() < began + 60:
            with suppress(ConnectionLost):  # libuv takes some more from its queue, and hangs up on them
                async with OpenClawClient(token=gateway.token) as another:
                    await another.connect(gateway.url)
                break
        took = time.monotonic() - began
        await soon(lambda: run.tokens > 20, "going on")
        over.set()
        text, _ = await reading
        assert took < 60
        assert is_count(text)
        assert len(text.split()) > 20
    figure(
        "reliability 33",
        f"290 sockets at a gateway with 200 files ({loop}): in again {took * 1000:.0f} ms after they left",
    )
