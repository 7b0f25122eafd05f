"""Waits, who waits for whom among the runs of this process.

By it a wait that would never end is refused at once, and an agent that only waits for a pool lends its slot meanwhile.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import DeadlockError

__all__ = [
    "Awaited",
    "Place",
    "Waiting",
    "awaiting",
    "part_of",
    "places",
    "resumed",
    "wait",
    "waiter",
    "waiting",
    "waiting_for",
    "way",
]

HEARD = 1.0
"""Seconds after which an interrupt is heard at the latest: one that reached another thread of this process, as one that
was stopped meanwhile, wakes no wait for a lock; on Windows none does."""

part_of: ContextVar[tuple[str, str] | None] = ContextVar("part_of", default=None)
"""The run that this code is a part of, as its model or a tool of it is: its id, and the name of its agent."""


class Awaited(Protocol):
    """What can be waited for."""

    takes_slots: bool
    """Whether it needs slots of a pool to get on."""

    def unended(self) -> Mapping[str, str]:
        """The runs in it that have not ended: the names of their agents by their ids."""


class Place(Protocol):
    """Where an agent of a pool is at work, which is known by its own name there."""

    name: str

    def above(self) -> Mapping[str, str]:
        """The runs, as of `Awaited.unended`, whose work has to end before its own can go on on its thread."""

    def lend(self) -> None: ...

    def take_back(self) -> None: ...


class _Waiter(threading.local):
    """How this thread waits, where others need it meanwhile."""

    wait: Callable[[Future[Any], float | None], None] | None = None
    hold: Callable[[], AbstractContextManager[None]] = nullcontext  # while code awaits, on whichever loop


waiter = _Waiter()

places: dict[str, Place] = {}
"""Of the agents of all pools that are at work, by the ids of their runs."""

_waits: dict[str, list[Awaited]] = {}  # what each run waits for, by its id
_since: dict[str, float] = {}  # and since when it waits for anything
_lent: set[str] = set()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that waits: its id, the names of the agents that it waits for, and the monotonic moment it began."""

    run_id: str
    names: tuple[str, ...]
    since: float


def waiting() -> list[Waiting]:
    """Who waits for whom now; it is never a circle, which `waiting_for` refuses."""
    with _lock:
        known = [(run_id, tuple(whats), _since[run_id]) for run_id, whats in _waits.items()]
    found = [Waiting(run_id, _names(whats), since) for run_id, whats, since in known]
    return [one for one in found if one.names]


def _names(whats: Iterable[Awaited]) -> tuple[str, ...]:
    return tuple(name for what in whats for name in what.unended().values())


def wait(future: Future[Any], timeout: float | None = None) -> None:
    """Until it is done, or so many seconds have passed."""
    if future.done():
        return
    if waiter.wait is not None:
        waiter.wait(future, timeout)
        return
    end = math.inf if timeout is None else time.monotonic() + timeout
    while not future.done() and (rest := end - time.monotonic()) > 0:
        with suppress(FutureTimeout):
            future.exception(min(rest, HEARD))


@contextmanager
def waiting_for(what: Awaited) -> Iterator[None]:
    """While this code waits for it. DeadlockError where that in turn waits for the run that this code is a part of."""
    me = part_of.get()
    if me is None or not what.unended():
        yield
        return
    run_id, name = me
    with _lock:
        if run_id in places:
            name = places[run_id].name
        if (way := _way(what.unended(), run_id)) is not None:
            sentence = f"{' → '.join([name, *way])}: none of these would ever end, as each waits for the next"
            raise DeadlockError(sentence)
        _waits.setdefault(run_id, []).append(what)
        _since.setdefault(run_id, time.monotonic())
    _tell()
    try:
        yield
    finally:
        with _lock:
            _waits[run_id].remove(what)
            if not _waits[run_id]:
                del _waits[run_id], _since[run_id]
        _tell()


@contextmanager
def awaiting(what: Awaited) -> Iterator[None]:
    """The same while it awaits it: on a loop of its own, as in asyncio.run(), it holds up a thread that others need."""
    with waiting_for(what), waiter.hold():
        yield


def way(run: tuple[str, str], to: str) -> tuple[str, ...] | None:
    """The names on the way by which a run, as of `part_of`, waits for another; None where it does not."""
    with _lock:
        return _way(dict([run]), to)


def resumed() -> list[Place]:
    """Those who have lent their places and need them again, as what they waited for has ended."""
    return _changes()[1]


def _tell() -> None:
    lend, back = _changes()
    for place in lend:
        place.lend()
    for place in back:
        place.take_back()


def _changes() -> tuple[list[Place], list[Place]]:
    """Who is to lend its place from now on, and who to take it back; each is told once."""
    with _lock:
        now = {run_id for run_id in _waits if run_id in places and _lends(run_id)}
        lend, back = now - _lent, _lent - now
        _lent.clear()
        _lent.update(now)
        return [places[run_id] for run_id in lend], [places[run_id] for run_id in back if run_id in places]


def _lends(run_id: str) -> bool:
    """Whether a run waits for a pool, or for a run that does."""
    ahead = [run_id]
    while ahead:
        for what in _waits.get(ahead.pop(), ()):
            unended = what.unended()
            if unended and what.takes_slots:
                return True
            ahead += unended
    return False


def _way(runs: Mapping[str, str], to: str) -> tuple[str, ...] | None:
    """The names on the way by which these runs wait for another; None where they do not."""
    ahead: list[tuple[str, tuple[str, ...]]] = [(run_id, (name,)) for run_id, name in runs.items()]
    seen: set[str] = set()
    while ahead:
        run_id, way = ahead.pop()
        if run_id == to:
            return way
        if run_id in seen:
            continue
        seen.add(run_id)
        place = places.get(run_id)
        followed = [what.unended() for what in _waits.get(run_id, ())]
        for more in (*followed, place.above() if place is not None else {}):
            ahead += [(other, (*way, name)) for other, name in more.items()]
    return None
