"""The worker's side: a turn is one task of Dask, answered on a seat, told of by events of the scheduler.

It says hello and waits for what it is to go on with: Dask starts a task again whose worker has died, and only the one
who asked knows how far that came. It ends when Dask lets go of the task, as it does when the turn is stopped, and when
the client has gone.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from ..version import __version__
from .attempt import Attempt
from .orders import PYTHON
from .seats import Seat, Seats

__all__ = ["NEWS", "answer", "ready", "tell"]

NEWS = "openclaw_nb"
"""What an event is called that has a batch of posts."""

GRACE = 2.0
"""Seconds that a turn which was stopped may take to end: then its seat is left to it, and the task of Dask is over."""

_LOOK = 0.25


class _Turn:
    """A turn at work."""

    def __init__(self, attempt: Attempt, seat: Seat) -> None:
        self.attempt = attempt
        self._seat = seat
        self._work: Future[None] = seat.run(attempt.run())
        self._ended = threading.Event()
        self._work.add_done_callback(lambda _: self._ended.set())
        self._deadline = float("inf")

    def stop(self) -> None:
        self._deadline = min(self._deadline, time.monotonic() + GRACE)
        self._seat.call(self.attempt.stop)

    def tell(self, word: str, value: Any) -> None:
        self._seat.call(self.attempt.tell, word, value)

    def wait(self) -> bool:
        """Until it has ended, or was given up; whether its seat is free."""
        while not self._ended.wait(_LOOK):
            if time.monotonic() > self._deadline:
                return False
        return True


class _Turns(WorkerPlugin):
    """Those at work at one worker, by the keys of their tasks."""

    name = NEWS

    def __init__(self) -> None:
        self.at_work: dict[Any, _Turn] = {}
        self.seats = Seats()

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """On the worker's loop: a task at work that is let go of is to end."""
        turn = self.at_work.get(key)
        if turn is not None and start in ("executing", "long-running") and finish not in ("memory", "error"):
            turn.stop()

    def teardown(self, worker: Worker) -> None:
        for turn in tuple(self.at_work.values()):
            turn.stop()
        self.seats.close()


_adding = threading.Lock()


def _turns(worker: Worker) -> _Turns:
    """On any thread."""
    with _adding:
        found = worker.plugins.get(NEWS)
        if not isinstance(found, _Turns):
            found = _Turns()
            worker.plugins = {**worker.plugins, NEWS: found}  # its loop may be going through the one that was there
            worker.state.plugins = worker.plugins
        return found


def ready(dask_worker: Worker) -> tuple[str, str]:
    """The versions of this package and of Python at a worker, which has imported what it takes to answer."""
    _turns(dask_worker)
    return __version__, PYTHON


def answer(order: str, topic: str, data: bytes) -> None:
    """The task: answer one turn. All is told by posts, and nothing given back."""
    worker = get_worker()
    key = worker.get_current_task()
    turns = _turns(worker)
    seat = turns.seats.take()

    def send(batch: str) -> None:
        with suppress(Exception):  # the worker is closed, and so is whoever would hear
            worker.log_event(topic, {NEWS: batch})

    turns.at_work[key] = turn = _Turn(Attempt(order, data, worker.address, send, seat.model), seat)
    task = worker.state.tasks.get(key)
    if task is None or task.state not in ("executing", "long-running"):  # it was let go of meanwhile
        turn.stop()
    free = turn.wait()
    if turns.at_work.get(key) is turn:
        del turns.at_work[key]
    if free:
        turns.seats.give_back(seat)
    else:
        seat.close()


def tell(key: str, attempt: str, word: str, value: Any, dask_worker: Worker) -> None:
    """Tell a turn at this worker: see `Attempt.tell`. Not if it is another attempt by now."""
    turn = _turns(dask_worker).at_work.get(key)
    if turn is not None and turn.attempt.id == attempt:
        turn.tell(word, value)
