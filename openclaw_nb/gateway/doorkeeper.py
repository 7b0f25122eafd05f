"""Doorkeeper, what a gateway takes in from a client that it has not let in yet: one small message, no more.

picows takes a whole frame in before it shows it to anybody, so a stranger could make the gateway hold as much as a
client may send. The doorkeeper stands between the socket and picows until the client is let in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..protocol.frames import MAX_HELLO

__all__ = ["Doorkeeper"]

FRAMING = 1024
"""Bytes of headers and pings that may come with the first message."""

LONGEST_HEADER = 10
"""Bytes of a frame's header up to its length (RFC 6455, section 5.2)."""


class Doorkeeper(asyncio.BufferedProtocol):
    """Takes the place of ``transport``'s protocol, until `leave`; calls ``refuse`` once, when too much comes."""

    _waste = memoryview(bytearray(MAX_HELLO))
    """Where bytes go that nobody will read, of all who are refused."""

    def __init__(self, transport: asyncio.Transport, refuse: Callable[[], None]) -> None:
        self._transport: Any = transport
        self._inner: Any = transport.get_protocol()
        self._refuse = refuse
        self._left = MAX_HELLO + FRAMING
        self._head = b""
        self._buffer = self._waste
        transport.set_protocol(self)

    def leave(self) -> None:
        """The client is let in: from now on it is picows' alone."""
        self._transport.set_protocol(self._inner)

    def get_buffer(self, sizehint: int) -> memoryview:
        self._buffer = self._waste if self._left < 0 else self._inner.get_buffer(sizehint)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._left < 0:
            return
        self._head += bytes(self._buffer[: min(nbytes, LONGEST_HEADER - len(self._head))])
        self._left -= nbytes
        if self._left < 0 or _announced(self._head) > MAX_HELLO:
            self._left = -1
            self._refuse()
        else:
            self._inner.buffer_updated(nbytes)

    def eof_received(self) -> bool | None:
        return bool(self._inner.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)
        # Kept, these would make a ring of it, and what a flood of strangers sent would wait for the garbage collector.
        self._inner = self._transport = None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


def _announced(head: bytes) -> int:
    """Bytes of payload that a frame's header announces, as far as it is here."""
    match head[1] & 0x7F if len(head) > 1 else 0:
        case 126:
            return int.from_bytes(head[2:4])
        case 127 if len(head) == LONGEST_HEADER:
            return int.from_bytes(head[2:])
        case short:
            return short
