"""Waiting in a cell, so that an interrupt is heard: for a run, for what else a cell awaits, and for its last output."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from importlib.metadata import version
from typing import Any, Protocol

from .errors import OpenClawError

__all__ = ["HEARD", "RENDER", "Waker", "hears_buttons", "until_done", "until_done_async", "until_settled"]

HEARD = 0.1
"""Seconds after which an interrupt is heard at the latest: a task hears it only when its loop wakes up."""

RENDER = 30.0
"""Seconds a cell waits for the last form of its answer; one of 5 MB takes some 10."""


class _Settling(Protocol):
    settled: Future[None]


class _Ending(Awaitable[Any], Protocol):
    def result(self, timeout: float | None = None) -> Any: ...


def until_settled(view: _Settling) -> None:
    """Until a view has its last form, though not for ever."""
    with suppress(FutureTimeout):
        view.settled.result(RENDER)


def until_done(run: _Ending, timeout: float | None) -> None:
    """Until a run has ended, however, or so many seconds have passed."""
    with suppress(OpenClawError, FutureTimeout):
        run.result(timeout)


async def until_done_async(run: _Ending, timeout: float | None) -> None:
    """The same without awaiting the run bare, which would hear no interrupt."""
    ended = asyncio.ensure_future(run)
    ended.add_done_callback(lambda future: future.cancelled() or future.exception())
    loop = asyncio.get_running_loop()
    limit = None if timeout is None else loop.time() + timeout
    while not ended.done() and (limit is None or loop.time() < limit):
        await asyncio.wait({ended}, timeout=HEARD)


def hears_buttons() -> bool:
    """Whether a cell that awaits hears the buttons of views meanwhile: ipykernel 6 keeps them until it has ended."""
    return int(version("ipykernel").partition(".")[0]) >= 7


class Waker:
    """Wakes the loop of a cell from `start` to `stop`, so that whatever is awaited there can be interrupted."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        with suppress(RuntimeError):  # no loop runs here, so nothing is awaited
            self._wake(asyncio.get_running_loop())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(HEARD, self._wake, loop)
