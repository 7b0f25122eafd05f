"""Wire, a client of a gateway with nothing between: it sends what it is told, and keeps every frame of both ways."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

__all__ = ["Frame", "Wire"]

Frame = dict[str, Any]

PATIENCE = 240.0
"""Seconds that an answer may take: the first message after a start takes ten."""


class Wire:
    """One connection. ``frames`` has what came and went, in order, as ("<" or ">", frame)."""

    def __init__(self, url: str, token: str, *, low: int = 3, high: int = 4) -> None:
        self.frames: list[tuple[str, Frame]] = []
        self.closed: tuple[int, str] | None = None
        self._url = url
        self._token = token
        self._versions = low, high
        self._ids = 0
        self._news = asyncio.Event()
        self._socket: ClientConnection
        self._reader: asyncio.Task[None]

    async def __aenter__(self) -> Wire:
        self._socket = await connect(self._url, max_size=None, compression=None)
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader
        await self._socket.close()

    async def let_in(self, **more: Any) -> Frame:
        """Answer the challenge; the response to that."""
        await self.until(lambda frame: frame.get("event") == "connect.challenge")
        low, high = self._versions
        return await self.call("connect", {
            "minProtocol": low, "maxProtocol": high,
            "client": {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"},
            "role": "operator", "scopes": ["operator.read", "operator.write", "operator.approvals"],
            "caps": ["tool-events"], "auth": {"token": self._token}, **more,
        })  # fmt: skip

    async def call(self, method: str, params: Frame) -> Frame:
        """Send a request; its response, whatever it says."""
        id = await self.send(method, params)
        return await self.until(lambda frame: frame.get("type") == "res" and frame.get("id") == id)

    async def send(self, method: str, params: Frame) -> str:
        """Send a request, and wait for nothing; its id."""
        self._ids += 1
        frame = {"type": "req", "id": str(self._ids), "method": method, "params": params}
        self.frames.append((">", frame))
        await self._socket.send(json.dumps(frame))
        return str(self._ids)

    async def chat(self, session: str, message: str, run: str, **more: Any) -> Frame:
        """Send a message; its response."""
        return await self.call("chat.send", {"sessionKey": session, "message": message, "idempotencyKey": run, **more})

    async def ended(self, run: str) -> Frame:
        """The chat event that ends a run."""
        return await self.until(
            lambda frame: (
                frame.get("event") == "chat"
                and frame["payload"].get("runId") == run
                and frame["payload"].get("state") in ("final", "aborted", "error")
            )
        )

    async def until(self, wanted: Callable[[Frame], bool]) -> Frame:
        """The first frame that came like that, now or in a while."""
        seen = 0
        async with asyncio.timeout(PATIENCE):
            while True:
                for way, frame in self.frames[seen:]:
                    if way == "<" and wanted(frame):
                        return frame
                seen = len(self.frames)
                if self.closed is not None:
                    raise AssertionError(f"closed {self.closed} before that came")
                self._news.clear()
                await self._news.wait()

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                self.frames.append(("<", json.loads(message)))
                self._news.set()
        except ConnectionClosed:
            pass
        finally:
            close = self._socket.close_code, self._socket.close_reason
            self.closed = close[0] or 0, close[1] or ""
            self._news.set()
