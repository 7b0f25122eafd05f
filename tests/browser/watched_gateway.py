"""A gateway in a process of its own, seen from outside: what came in over TCP, what went back, what came of it.

python -m tests.browser.watched_gateway: prints its address as a line of JSON, and after each line of stdin what it saw.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openclaw_nb.gateway import Gateway

__all__ = ["Exchange", "Watched", "watched_gateway"]

ROOT = Path(__file__).parents[2]
PAGE = b"<!doctype html><title>a page</title><body>"


@dataclass(frozen=True)
class Exchange:
    """One connection: its first request's line and headers (names in small letters), and all bytes of the answer."""

    request: str
    headers: dict[str, str]
    answer: str

    @property
    def status(self) -> int:
        return int(self.answer.split(" ", 2)[1])

    @property
    def upgrade(self) -> bool:
        return self.headers.get("upgrade") == "websocket"


class Watched:
    """The process as its test sees it. ``pages`` is the port of a server that answers everything with an empty page."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        facts = self._read()
        self.port: int = facts["port"]
        self.pages: int = facts["pages"]
        self.token: str = facts["token"]

    def look(self) -> tuple[list[Exchange], int]:
        """What was exchanged since the last look, and how often the model was called so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("look\n")
        self._process.stdin.flush()
        facts = self._read()
        return [Exchange(**exchange) for exchange in facts["exchanges"]], facts["calls"]

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def watched_gateway() -> Iterator[Watched]:
    """Run it until the end of the block."""
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Watched(process)
        finally:
            process.terminate()


# -- inside the process ----------------------------------------------------------------------------


class _Recorder:
    """Passes TCP connections on to the gateway, and keeps what both sides said first."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._heard: list[tuple[bytearray, bytearray]] = []

    def take(self) -> list[dict[str, Any]]:
        heard, self._heard = self._heard, [(there, back) for there, back in self._heard if there and not back]
        return [_exchange(there, back) for there, back in heard if back]

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = bytearray(), bytearray()
        self._heard.append((there, back))
        gateway_reader, gateway_writer = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(_pipe(reader, gateway_writer, there), _pipe(gateway_reader, writer, back))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            kept += data
            writer.write(data)
    with suppress(OSError):
        writer.close()
        await writer.wait_closed()


def _exchange(there: bytes, back: bytes) -> dict[str, Any]:
    request, *headers = there.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in headers)
    return {
        "request": request,
        "headers": {name.lower(): value.strip() for name, _, value in pairs},
        "answer": back.decode("latin-1"),
    }


async def _serve_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(PAGE) + PAGE)
        writer.close()
        await writer.wait_closed()


async def _watch() -> None:
    calls = 0

    async def model(prompt: str) -> AsyncIterator[str]:
        nonlocal calls
        calls += 1
        yield f"You said: {prompt}"

    async with Gateway(model=model) as gateway:
        recorder = _Recorder(gateway.port)
        servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for serve in (recorder.pass_on, _serve_page)]
        port, pages = (server.sockets[0].getsockname()[1] for server in servers)
        print(json.dumps({"port": port, "pages": pages, "token": gateway.token}), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps({"exchanges": recorder.take(), "calls": calls}), flush=True)


if __name__ == "__main__":
    asyncio.run(_watch())
