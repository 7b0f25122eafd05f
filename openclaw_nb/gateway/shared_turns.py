"""Turns, whose turn it is in each session, among all instances: runs of one session work one after the other.

The place in the queue belongs to the run, so whoever takes a run over has its place as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from ..sharing import Sharing
from .shared_run import SharedRun
from .shared_sessions import SharedSessions

__all__ = ["Turns"]

LOOK = 0.5
"""Seconds between two looks whose turn it is: the word that it is somebody's may be lost."""


class Turns:
    """The runs of this instance that wait for others of their session, and those that take in what was said before."""

    def __init__(self, sharing: Sharing, sessions: SharedSessions) -> None:
        self._sharing = sharing
        self._sessions = sessions
        self._waiting: dict[str, SharedRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._looker: asyncio.TimerHandle | None = None

    def go_on(self, run: SharedRun, is_first: bool, heard: list[Any]) -> None:
        """Begin, once it is its turn, with what was ``heard`` in its session before."""
        if not is_first:
            self._waiting[run.name] = run
            self._look_later()
            return
        self._waiting.pop(run.name, None)
        if (work := self._sessions.take_in(run.turn.session, heard)) is None:
            run.begin()
            return
        task = asyncio.get_running_loop().create_task(_first(work, run.begin), name="openclaw sharing")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def ask(self, run: SharedRun) -> None:
        """See whether it is its turn."""
        if not run.queued:
            run.begin()
            return
        self._waiting[run.name] = run
        op = ("session", run.session, self._sessions.seen(run.session), run.name)
        self._sharing.do(op, partial(self._told, run))
        self._look_later()

    def leave(self, run: SharedRun) -> None:
        """It waits no more."""
        self._waiting.pop(run.name, None)

    def stand_alone(self) -> None:
        """There is nobody to wait for: those of this instance wait for each other all the same."""
        for run in tuple(self._waiting.values()):
            self.go_on(run, True, [])

    def close(self) -> None:
        self._waiting.clear()
        if self._looker is not None:
            self._looker.cancel()
        for task in self._tasks:
            task.cancel()

    def _told(self, run: SharedRun, result: Any) -> None:
        if run.ours and run.author is None and run.name in self._waiting:
            heard, is_first = result if result else ([], True)
            self.go_on(run, is_first, heard)

    def _look_later(self) -> None:
        if self._looker is None:
            self._looker = asyncio.get_running_loop().call_later(LOOK, self._look)

    def _look(self) -> None:
        self._looker = None
        for run in tuple(self._waiting.values()):
            self.ask(run)


async def _first(work: Any, then: Callable[[], None]) -> None:
    try:
        await work
    finally:
        then()
