"""Instances of a gateway to be loaded, each a process of its own, and a plain server on websockets and json beside.

``python -m tests.bench.instances KIND PORT [REDIS]`` (port 0 takes a free one) prints its port, then answers each line
on its stdin with the CPU seconds (user and system) and the resident bytes it has used. It ends with its stdin. The
token of a gateway is in LOAD_TOKEN.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from functools import cached_property
from pathlib import Path
from typing import Any

import uvloop
from websockets.asyncio.server import serve

from openclaw_nb.cluster import collect_seldom
from openclaw_nb.engine import Turn
from openclaw_nb.gateway import Gateway
from openclaw_nb.models.base import ModelEvent, TextDelta

from . import servers

__all__ = ["KINDS", "TOKEN", "Instance", "tokens_of"]

TOKEN = "the token of the load's own gateways"

KINDS = ("handler", "engine", "shared", "plain")
"""A gateway that serves turns by a function, one with sessions and snapshots, the same with its runs in a Redis, and a
plain server."""


def tokens_of(prompt: str) -> tuple[list[str], float]:
    """What is said to ``load TOKENS KEY PAUSE``, and for how many seconds it rests after each token."""
    _, count, key, pause = prompt.split()
    return [f"{key}.{index:03x} " for index in range(int(count))], int(pause) / 1000


async def model(prompt: str) -> AsyncIterator[str]:
    tokens, pause = tokens_of(prompt)
    for token in tokens:
        yield token
        if pause:
            await asyncio.sleep(pause)


async def handler(turn: Turn) -> AsyncIterator[ModelEvent]:
    tokens, pause = tokens_of(turn.message)
    for token in tokens:
        yield TextDelta(token)
        if pause:
            await asyncio.sleep(pause)


async def run(kind: str, port: int, redis: str | None) -> None:
    done = asyncio.Event()

    def asked() -> None:
        if sys.stdin.readline():
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            print(time.process_time(), pages * os.sysconf("SC_PAGE_SIZE"), flush=True)
        else:
            done.set()

    asyncio.get_running_loop().add_reader(sys.stdin, asked)
    if kind == "plain":
        servers.model = model
        logging.getLogger("websockets").setLevel(logging.CRITICAL)  # the load hangs up without a word
        async with serve(servers.plain, "127.0.0.1", port, compression=None) as server:
            print(server.sockets[0].getsockname()[1], flush=True)
            await done.wait()
        return
    token = os.environ["LOAD_TOKEN"]
    served: Any = {"handler": handler} if kind == "handler" else {"model": model}
    async with Gateway(token=token, port=port, sharing=redis, **served) as gateway:
        collect_seldom()
        print(gateway.port, flush=True)
        await done.wait()


class Instance:
    """One of them, as a process that begins at once; it can be killed, and begun again."""

    def __init__(self, kind: str, port: int = 0, redis: str | None = None) -> None:
        self._command = [sys.executable, "-m", "tests.bench.instances", kind, str(port), *([redis] if redis else [])]
        self.start()

    def start(self) -> None:
        """Begin, or begin again where it was before."""
        self.process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"LOAD_TOKEN": TOKEN},
        )  # fmt: skip

    @cached_property
    def port(self) -> int:
        """Where it listens, as soon as it does."""
        port = self.started()
        self._command[4] = str(port)
        return port

    def started(self) -> int:
        """Its port, once it listens again."""
        return int(self._line())

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        self.process.kill()
        self.process.communicate()

    def used(self) -> tuple[float, int]:
        """CPU seconds, user and system, it has used so far, and its resident bytes."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        cpu, resident = self._line().split()
        return float(cpu), int(resident)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None))
