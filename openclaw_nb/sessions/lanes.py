"""Lanes: one run at a time in each session, first come first served, so that no two tread on each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Lanes"]


class Lanes:
    """Who works in which session, and who waits for it. For one event loop; from any thread one may ask."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._count: dict[str, int] = {}
        self._beside = 0

    def busy(self, session: str | None = None) -> bool:
        """Whether a run has a session to itself, or waits to; None: whether any run is at work."""
        return bool(self._count or self._beside) if session is None else session in self._count

    @property
    def waiting(self) -> int:
        """How many wait for a session."""
        return sum(count - 1 for count in tuple(self._count.values()))

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Work beside all others."""
        self._beside += 1
        try:
            yield
        finally:
            self._beside -= 1

    @asynccontextmanager
    async def turn(self, session: str) -> AsyncIterator[None]:
        """Have the session to oneself, after all who asked before."""
        lock = self._locks.setdefault(session, asyncio.Lock())
        self._count[session] = self._count.get(session, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._count[session] -= 1
            if not self._count[session]:
                del self._count[session], self._locks[session]
