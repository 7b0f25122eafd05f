"""A gateway in a process of its own, and a link ten times too slow for what its model says: what that costs in memory.

python -m tests.faults.slow_reader SECONDS        prints what it saw as JSON
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence

import psutil

from openclaw_nb.client import OpenClawClient
from openclaw_nb.gateway import Gateway
from tests.faults.kinds import Fault, Split
from tests.faults.proxy import FaultProxy, seamless

PIECE = "{:08} is what a token of some fifty bytes may say\n"
RATE = 1_000  # tokens per second
TICKS = 50  # times per second at which the link lets something through
CAUGHT_UP = 120.0  # seconds for all that is left once the link is fast again


async def serve() -> None:
    """A gateway whose model says as many tokens as the prompt tells, until standard input ends."""

    async def model(prompt: str) -> AsyncIterator[str]:
        began = time.monotonic()
        for at in range(int(prompt)):
            yield PIECE.format(at)
            if (ahead := at / RATE - (time.monotonic() - began)) > 0.002:
                await asyncio.sleep(ahead)

    async with Gateway(model=model) as gateway:
        print(gateway.port, gateway.token, flush=True)
        await asyncio.to_thread(sys.stdin.read)


class SlowLink(FaultProxy):
    """Lets a tenth of the text through."""

    slow = True

    def next_faults(self) -> Sequence[Fault]:
        return [Split(RATE * len(PIECE.format(0)) // 10 // TICKS, 1 / TICKS)] if self.slow else []

    def hasten(self) -> None:
        self.slow = False
        for line in self.lines:
            for fault in line.faults:
                fault.rest = 0  # type: ignore[attr-defined]


async def watch(seconds: float, port: int, token: str, process: psutil.Process) -> dict[str, float]:
    """Have ``seconds`` of text made, read a tenth of it meanwhile, then the rest; what that came to."""
    tokens = int(seconds * RATE)
    whole = "".join(PIECE.format(at) for at in range(tokens))
    async with SlowLink(port) as link, OpenClawClient(token=token) as client:
        await client.connect(link.url)
        await client.send(str(10), session="warm")
        before = process.memory_info().rss
        grown = asyncio.create_task(most(process))
        run = client.send(str(tokens), session="slow")
        fits = seamless(run)
        await asyncio.sleep(seconds)
        came = len(run.text)
        link.hasten()
        async with asyncio.timeout(CAUGHT_UP):
            assert await run == whole, "text was lost"
        assert fits(), "text came twice"
        grown.cancel()
        return {
            "seconds": seconds, "came in time": came / len(whole), "MiB of text": len(whole) / 2**20,
            "MiB grown": (await grown - before) / 2**20, "connections": link.connections,
        }  # fmt: skip


async def most(process: psutil.Process) -> int:
    """The most memory it has until this is cancelled, in bytes."""
    highest = 0
    try:
        while True:
            highest = max(highest, process.memory_info().rss)
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        return highest


def main(arguments: list[str]) -> None:
    if arguments == ["serve"]:
        asyncio.run(serve())
        return
    command = [sys.executable, "-m", "tests.faults.slow_reader", "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdin is not None
        assert gateway.stdout is not None
        port, token = gateway.stdout.readline().split()
        try:
            found = asyncio.run(watch(float(arguments[0]), int(port), token, psutil.Process(gateway.pid)))
        finally:
            gateway.stdin.close()
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
