"""HomeLoop, the event loop that a client lives on, reached from any thread and from any other loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..errors import ConnectionLost

__all__ = ["CLOSED", "LOOP_ENDED", "NOT_CONNECTED", "HomeLoop"]

T = TypeVar("T")

NOT_CONNECTED = "this client is not connected; `await client.connect(uri)` first"
CLOSED = (
    "this client is not connected any more: it was closed, or openclaw_nb was unloaded since; connect it again, or "
    "make the agent anew that has it"
)
LOOP_ENDED = "the event loop this client was connected on has ended"


class HomeLoop:
    """The loop and its thread; none at first."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self.thread: int | None = None

    def settle(self) -> None:
        """It is the one that is running here."""
        self._loop, self.thread = asyncio.get_running_loop(), threading.get_ident()

    @property
    def is_running(self) -> bool:
        return self._loop is not None and self._loop.is_running()

    @property
    def is_here(self) -> bool:
        """Whether this is its thread."""
        return threading.get_ident() == self.thread

    def call(self, function: Callable[..., object], *arguments: Any) -> bool:
        """Have it called there, soon; False where there is no loop (any more)."""
        if self._loop is None:
            return False
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            return False
        return True

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work`` there, from whichever loop one is on; ConnectionLost where there is none."""
        loop = self._loop
        if loop is asyncio.get_running_loop():
            return await work
        if loop is None or not loop.is_running():
            work.close()
            raise ConnectionLost(NOT_CONNECTED if loop is None else LOOP_ENDED)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
