"""Pulse, whether a link on which nothing comes is still alive: it is pinged, and the gateway's ticks are missed.

Any byte is a sign of life: on a slow link a pong waits behind a long frame. A tick has to come whole.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from ..protocol.frames import TICK

__all__ = ["MISSED_TICKS", "PING", "PONG", "Audible", "Pulse"]

PING = 5.0
"""Seconds without a byte from the gateway before it is asked for a sign of life."""

PONG = 5.0
"""Seconds it has to give one before the link is cut."""

PARTS = 10
"""That these are waited in."""

MISSED_TICKS = 2
"""Ticks that may fail to come while pings are answered: then the socket lives, and the gateway behind it does not."""


class Audible(ClientConnection):
    """A connection that knows when its last byte came, in the loop's seconds, and that sends without waiting."""

    heard = 0.0

    def post(self, message: bytes) -> None:
        """Send text now, or never where the connection is about to end. Nothing is held back: a client says little."""
        if self.protocol.state is State.OPEN:
            self.protocol.send_text(message)
            self.send_data()

    def data_received(self, data: bytes) -> None:
        self.heard = self.loop.time()
        super().data_received(data)


class Pulse:
    """Watches one connection on the running loop; `beat` whenever a frame came, `tick` seconds apart at the most."""

    def __init__(self, ws: Audible) -> None:
        self.tick = TICK
        self._ws = ws
        self._time = asyncio.get_running_loop().time
        self._beats = 0
        self.task = asyncio.create_task(self._watch(), name="openclaw pulse")

    def beat(self) -> None:
        self._beats += 1

    @property
    def missed(self) -> str | None:
        """What the link was cut for, or None."""
        return self.task.result() if self.task.done() and not self.task.cancelled() else None

    async def _watch(self) -> str:
        """Cut the link when it is dead, and say by what it showed."""
        beats, unheard = self._beats, 0
        while True:
            if (rest := self._ws.heard + PING - self._time()) > 0:
                await asyncio.sleep(rest)
                continue
            asked = self._time()
            if not await self._answers() and self._ws.heard < asked:
                self._ws.transport.abort()
                return f"gave no sign of life for {PING + PONG:g} s"
            beats, unheard = self._beats, 1 if beats < self._beats else unheard + 1
            if unheard * PING > MISSED_TICKS * self.tick:
                self._ws.transport.abort()
                return f"sent nothing for {unheard * PING:g} s, not even a tick"

    async def _answers(self) -> bool:
        """Whether a ping is answered in time. A cell that holds the interpreter takes one part of it, however long."""
        ping = asyncio.create_task(self._ping())
        for _ in range(PARTS):
            await asyncio.wait([ping], timeout=PONG / PARTS)
        answered = ping.done()
        ping.cancel()
        return answered

    async def _ping(self) -> None:
        with suppress(ConnectionClosed):
            await (await self._ws.ping())
