"""Kinds of faults: what may happen to the frames that go one way over a link."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["CLIENT", "GATEWAY", "Cut", "CutAfter", "CutAtByte", "Delay", "Fault", "How", "Split", "Twice", "through"]

CLIENT, GATEWAY = "client", "gateway"
"""Which way frames go: towards the client, or towards the gateway."""


class How(StrEnum):
    """How a link breaks: RST or FIN to both ends, or nothing goes through any more, and nobody is told."""

    RESET = "reset"
    CLOSE = "close"
    SILENCE = "silence"  # both ways
    MUTE = "mute"  # only the way the fault looks at


@dataclass
class Cut(Exception):
    """The link breaks here."""

    how: How


@dataclass
class Fault:
    """What happens to the frames that go ``toward`` one end of one link; this one lets all of them through."""

    toward: str = field(default=CLIENT, kw_only=True)

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        """The bytes that go on for one frame. ``kind`` is its event, its method, "res", "upgrade" or "control"."""
        yield frame


@dataclass
class CutAfter(Fault):
    """Breaks after the ``count``-th frame of a kind; 0 breaks before the first one."""

    count: int
    kind: str = "chat"
    how: How = How.RESET

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        if kind == self.kind:
            if self.count <= 0:
                raise Cut(self.how)
            self.count -= 1
        yield frame
        if kind == self.kind and self.count == 0:
            raise Cut(self.how)


@dataclass
class CutAtByte(Fault):
    """Breaks after so many bytes of the frames of a kind, or of all that comes where ``kind`` is None."""

    at: int
    kind: str | None = "chat"
    how: How = How.RESET

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        if self.kind not in (kind, None):
            yield frame
            return
        if self.at < len(frame):
            yield frame[: self.at]
            raise Cut(self.how)
        self.at -= len(frame)
        yield frame


@dataclass
class Split(Fault):
    """Lets the bytes through in pieces of ``size``, and then rests for ``rest`` seconds."""

    size: int
    rest: float = 0

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        for start in range(0, len(frame), self.size):
            yield frame[start : start + self.size]
            await asyncio.sleep(self.rest)


@dataclass
class Twice(Fault):
    """Sends every chat and agent frame twice, and one from halfway back again."""

    seen: list[bytes] = field(default_factory=list)

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        yield frame
        if kind in ("chat", "agent"):
            yield frame
            yield self.seen[len(self.seen) // 2] if self.seen else b""
            self.seen.append(frame)


@dataclass
class Delay(Fault):
    """Holds every frame for a random time of up to ``longest`` seconds."""

    longest: float
    chance: random.Random

    async def pass_on(self, frame: bytes, kind: str) -> AsyncIterator[bytes]:
        await asyncio.sleep(self.chance.uniform(0, self.longest))
        yield frame


async def through(faults: Sequence[Fault], frame: bytes, kind: str) -> AsyncIterator[bytes]:
    """What of one frame is let through by all of these."""
    if not faults:
        yield frame
        return
    async for piece in faults[0].pass_on(frame, kind):
        async for rest in through(faults[1:], piece, kind):
            yield rest
