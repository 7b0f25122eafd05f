"""SharedRun, a run as all instances know it: its log has what is in Redis, whoever is at work on it.

Where it is at work here, an ordinary ActiveRun writes its draft; what that says is written to Redis, and stands in the
log, which clients are told, once it is there. Where it is not, the log follows what somebody else writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from sys import getsizeof
from typing import Any, Protocol

from ..engine import Turn
from ..protocol.runlog import Cursor, Ending
from ..sharing import AWAY, Op, Sharing, records
from .runs import ABORTED, RUN_BYTES, TOO_LONG, ActiveRun

__all__ = ["Keeper", "SharedRun"]

REASONS = {"rpc": ABORTED, "timeout": TOO_LONG}
"""How a run ends that somebody asks to be stopped."""


class Keeper(Protocol):
    """Who keeps the runs of an instance, and knows what they add to their sessions."""

    sharing: Sharing

    def author(self, run: SharedRun) -> ActiveRun:
        """Have it worked on here."""

    def pair(self, run: SharedRun) -> tuple[str, str, str]:
        """What it added: the session's name in keys, the text, and the entry that is the last one known here."""

    def written(self, run: SharedRun, at: str) -> None:
        """What it added is the entry ``at``, and nothing is between that and the last one known here."""

    def over(self, run: SharedRun) -> None:
        """It has ended, for all to see."""

    def lost(self, run: SharedRun, author: ActiveRun) -> None:
        """It is somebody else's now."""


class _Waiting:
    """Waits for the end of a run."""

    def __init__(self, run: ActiveRun) -> None:
        self._run = run
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def grown(self) -> None:
        if self._run.done and not self.ended.done():
            self.ended.set_result(None)


class SharedRun(ActiveRun):
    """One turn, here or elsewhere. ``epoch`` is what it is written by here, 0 where it is somebody else's.

    ``alone`` says that Redis knows nothing of it, or has it otherwise: it goes on here to its end for those who follow
    it here. ``behind`` says that Redis misses something of it.
    """

    __slots__ = (
        "_cursor", "_ending", "_keeper", "alone", "author", "behind", "due", "epoch", "full", "heard", "known", "name",
        "part", "queued", "reading", "session",
    )  # fmt: skip

    def __init__(self, keeper: Keeper, turn: Turn, full: str, part: str) -> None:
        self._stand(turn)
        self._keeper = keeper
        self.full, self.part = full, part
        self.name = records.name_of(turn.run_id)
        self.session = records.name_of(turn.session)
        self.queued = not turn.beside
        """Whether it waits for its turn in its session."""
        self.author: ActiveRun | None = None
        self.epoch = 0
        self.alone = self.behind = False
        self.reading = False
        """Whether it is being read, so that what is ``heard`` of it waits."""
        self.heard: list[dict[str, Any]] = []
        self.due = 0.0
        """When it is to have ended, on the loop's clock; 0 for never."""
        self.known: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Whether it is new, once that is known."""
        self.known.add_done_callback(lambda known: known.cancelled() or known.exception())
        self._cursor: Cursor | None = None
        self._ending: Ending | None = None

    def __hash__(self) -> int:
        return id(self)

    @property
    def ours(self) -> bool:
        """Whether it is at work here, or waits here for its turn."""
        return (self.epoch > 0 or self.alone) and not self.done

    @property
    def here(self) -> bool:
        return self.author is not None

    @property
    def waits(self) -> bool:
        return self.ours and self.author is None

    @property
    def written(self) -> int:
        author = self.author
        return 0 if author is None or author.done else author.written

    # -- what is asked of it ---------------------------------------------------------------------

    def begin(self) -> None:
        """Have it worked on here, from where its log stands."""
        if self.author is None and not self.done and self._ending is None:
            self.author = self._keeper.author(self)
            self.author.watchers.append(self)
            self._cursor = Cursor(self.author.log, offset=self.author.log.text.length)
            if self.due:
                self.author.stop_after(max(self.due - asyncio.get_running_loop().time(), 0.001))

    def stop(self, ending: Ending = ABORTED) -> bool:
        if self.done:
            return False
        if self.author is not None:
            return self.author.stop(ending)
        if self.ours:
            self.end_here(ending)
        else:
            reason = ending.facts.get("stopReason", "rpc")
            self._keeper.sharing.do(("ask", self.name, "abort", reason))
        return True

    def stop_for(self, reason: str) -> None:
        """Somebody elsewhere wants it stopped."""
        self.stop(REASONS.get(reason, ABORTED))

    def end_here(self, ending: Ending) -> None:
        """End it without anybody at work on it."""
        if self._ending is None:
            self._ending = ending
            self.lasted = time.time() - self.began
            self._keeper.sharing.due(self)

    def stop_after(self, seconds: float) -> None:
        if seconds <= 0 or self.done or self.due:
            return
        self.due = asyncio.get_running_loop().time() + seconds
        if self.author is not None:
            self.author.stop_after(seconds)
        elif self.ours:
            self._timer = asyncio.get_running_loop().call_later(seconds, self.stop, TOO_LONG)
        self._keeper.sharing.do(("ask", self.name, "due", round(1000 * seconds)))

    def change(self, level: int) -> None:
        super().change(level)
        if not self.ours and not self.done:
            self._keeper.sharing.do(("ask", self.name, "level", level))

    async def over(self, timeout: float | None = None) -> None:
        if not self.done:
            waiting = _Waiting(self)
            self.watchers.append(waiting)
            await asyncio.wait({waiting.ended}, timeout=timeout)
            self.watchers.remove(waiting)

    # -- written here ----------------------------------------------------------------------------

    def grown(self) -> None:
        """Its author has said more."""
        self._keeper.sharing.due(self)

    def take(self) -> Iterator[tuple[Op, Callable[[Any], None]]]:
        """What is to be written of it, with what comes of that."""
        for entry in self._fresh():
            if self.alone:
                self._written(entry, None)
            else:
                yield self._op(entry), partial(self._written, entry)

    def restore(self) -> list[tuple[Op, Callable[[Any], None]]]:
        """All of it, for a Redis that missed something or lost everything."""
        self.behind = False
        self.epoch = self.epoch or 1
        record = records.record_of(self.turn, self.began)
        op = ("restore", self.name, self.epoch, self.full, self.part, record, self.session, self.queued)
        whole = [(self._op(entry), _nothing) for entry in records.entries_of(Cursor(self.log), self.lasted)]
        return [(op, self._restored), *whole]

    def release(self) -> ActiveRun | None:
        """It is somebody else's from now on; who was at work on it here."""
        author, self.author, self._cursor, self.epoch = self.author, None, None, 0
        if author is not None:
            author.watchers.remove(self)
            author.turn.isolated = True  # its session is to stay as it was
            author.stop()
        return author

    def apply(self, entry: dict[str, Any]) -> None:
        """Let its log grow, and tell who follows it. ValueError where something before the entry is missing."""
        lasted = records.apply(entry, self.log)
        if lasted is not None:
            self._settle_shared(lasted)
        for watcher in tuple(self.watchers):
            watcher.grown()
        if lasted is not None:
            self._keeper.over(self)

    def _fresh(self) -> list[dict[str, Any]]:
        if self._cursor is not None and self.author is not None:
            return list(records.entries_of(self._cursor, self.author.lasted))
        if self._ending is not None and self.ours:
            ending, self._ending = self._ending, None
            return [{"end": [ending.state, ending.facts, self.log.tokens, self.lasted, self.log.text.length]}]
        return []

    def _op(self, entry: dict[str, Any]) -> Op:
        text = records.write(entry)
        if (end := entry.get("end")) is None:
            return "write", self.name, self.epoch, text
        into, pair, seen = self._keeper.pair(self)
        return "finish", self.name, self.epoch, text, end[0], self.session, self.queued, pair, into, seen

    def _written(self, entry: dict[str, Any], result: Any) -> None:
        if not self.ours:
            return
        if result == "taken":
            self.lose()
            return
        if result is AWAY or result == "gone":
            self.behind = True
        elif result is not None:
            self._keeper.written(self, result[1])
        self.apply(entry)

    def lose(self) -> None:
        author = self.release()
        if author is not None:
            self._keeper.lost(self, author)

    def _restored(self, result: Any) -> None:
        if result == "taken":  # while Redis was away somebody else went on with it, who may say something else
            self.alone = True
        elif result is AWAY:
            self.behind = True

    def _settle_shared(self, lasted: float) -> None:
        """Keep only what a later question needs."""
        turn, log = self.turn, self.log
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.author = self._cursor = None
        turn.partial = ""
        self.ended = asyncio.get_running_loop().time()
        self.lasted = lasted
        self.size = RUN_BYTES + sum(len(image["data"]) for image in turn.images)
        self.size += getsizeof(turn.message) + 2 * getsizeof(turn.session) + getsizeof(str(log.text))
        self.size += sum(getsizeof(str(step.text)) for step in log.steps.values())


def _nothing(_: Any) -> None:
    pass
