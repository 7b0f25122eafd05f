"""PoolRun, the handle of one task that several agents have, and PoolResult, what came of it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .. import seams
from ..errors import DeadlockError, OpenClawError, RunError, RunTimeout
from ..events import RunEvent, Status, Usage
from ..run import Result
from ..waits import awaiting, resumed, wait, waiting_for
from .lane import Lane
from .slots import SlotQueue

if TYPE_CHECKING:
    from .record import Record

__all__ = ["PoolResult", "PoolRun"]

log = logging.getLogger("openclaw_nb")

Listener = Callable[[Lane | None, RunEvent | None], None]


class PoolResult(str):
    """What several agents said, as one text, with what is known about each.

    ``results`` has a Result or the RunError of each, by the agents' names and in their order. ``status`` is DONE where
    any came to its end, else STOPPED or FAILED; ``cost`` is in USD, None where no price is known; ``seconds`` from the
    call to the end; ``snapshot`` the id of its entry in ``session``, whose messages are as they were: see `merge`.
    """

    results: dict[str, Result | RunError]
    status: Status
    mode: str
    session: str
    run_id: str
    seconds: float
    snapshot: str | None
    words: str
    per_task: int
    record: Record | None

    def __new__(cls, results: dict[str, Result | RunError], **facts: Any) -> PoolResult:
        parts = [f"## {name}\n\n{_said(outcome)}" for name, outcome in results.items()]
        self = super().__new__(cls, "\n\n".join(parts))
        self.__dict__.update(facts, results=results)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _result_of, (dict(self.__dict__),)

    @property
    def text(self) -> str:
        return str.__str__(self)

    def __str__(self) -> str:
        return str.__str__(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from ..render import static_output
        from ..side_by_side import bundle

        return bundle(self, live=not static_output())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """In IPython its text/plain, which of a str is not taken from the bundle; in a container its repr."""
        printer.text(repr(self) if len(printer.stack) > 1 else self._repr_mimebundle_()["text/plain"])

    def __repr__(self) -> str:
        return f"<PoolResult {', '.join(self.results)}: {self.words}>"

    @property
    def usage(self) -> Usage:
        """Tokens of all of them together."""
        total = Usage()
        for result in self._answers():
            total += result.usage
        return total

    @property
    def cost(self) -> float | None:
        costs = [result.cost for result in self._answers() if result.cost is not None]
        return sum(costs) if costs else None

    def _answers(self) -> Iterator[Result]:
        for outcome in self.results.values():
            result = outcome.partial if isinstance(outcome, RunError) else outcome
            if result is not None:
                yield result

    def merge(self, name: str | None = None) -> str:
        """Let the session grow by what this agent asked, did and said, or by the task and all answers as one exchange.

        The id of the snapshot. ConfigError for an agent that is none of these or has said nothing, and where a gateway
        elsewhere keeps the sessions.
        """
        from .record import merge

        return merge(self, name)


def _result_of(facts: dict[str, Any]) -> PoolResult:
    """One that was copied or pickled."""
    return PoolResult(**facts)


def _said(outcome: Result | RunError) -> str:
    if isinstance(outcome, RunError):
        text = outcome.partial.text if outcome.partial is not None else ""
        return f"{text}\n\n[{outcome}]".lstrip()
    return outcome.text


class PoolRun:
    """Agents at work on one task: ``await run``, ``run.result(timeout)``; ``run.lanes`` are the agents, in order.

    ``run.cancel("tester")`` stops one of them, ``run.cancel()`` all; what came is kept. Waiting for it from inside an
    agent lends that agent's slot to those it waits for, and raises DeadlockError where they in turn wait for it. A
    thread that a tool starts by itself is not seen to be a part of it.
    """

    takes_slots = True

    def __init__(self, id: str, prompt: str, session: str, mode: str, queue: SlotQueue, interval: float = 0.05) -> None:
        self.id = id
        self.prompt = prompt
        self.session = session
        self.mode = mode
        self.queue = queue
        self.interval = interval  # seconds between two updates of a view
        self.lanes: tuple[Lane, ...] = ()
        self.record: Record | None = None
        self.finish: Callable[[], Future[str | None]] = _nothing_kept
        self._sent = time.monotonic()
        self._over: float | None = None
        self._left = 0
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._done: Future[PoolResult] = Future()
        self._done.set_running_or_notify_cancel()

    def __repr__(self) -> str:
        return f"<PoolRun {self.id[:8]} {', '.join(lane.name for lane in self.lanes)}: {self.words}>"

    # -- what one can ask at any time --------------------------------------------------------------

    def done(self) -> bool:
        return self._done.done()

    @property
    def status(self) -> Status:
        statuses = {lane.status for lane in self.lanes}
        if not all(status.final for status in statuses):
            return Status.STREAMING if Status.STREAMING in statuses else Status.WAITING
        return next((status for status in (Status.DONE, Status.STOPPED) if status in statuses), Status.FAILED)

    @property
    def words(self) -> str:
        """How far it is, for people."""
        statuses = [lane.status for lane in self.lanes]
        done = statuses.count(Status.DONE)
        if all(status.final for status in statuses):
            first = "done" if done == len(statuses) else f"{done} of {len(statuses)} done"
        else:
            first = f"{sum(status.final for status in statuses)} of {len(statuses)} ended"
        counts = ((statuses.count(status), str(status)) for status in (Status.STOPPED, Status.FAILED))
        return ", ".join([first, *(f"{count} {word}" for count, word in counts if count)])

    @property
    def per_task(self) -> int:
        """How many of them may be at work at once."""
        return min(self.queue.most, self.queue.slots.most) if self.mode == "parallel" else 1

    @property
    def tokens(self) -> int:
        return sum(lane.tokens for lane in self.lanes)

    @property
    def cost(self) -> float | None:
        """USD of those that have ended, where a price is known."""
        costs = [lane.cost for lane in self.lanes if lane.cost is not None]
        return sum(costs) if costs else None

    @property
    def seconds(self) -> float:
        return (self._over or time.monotonic()) - self._sent

    def lane(self, name: str) -> Lane:
        """The lane of this name; KeyError where there is none."""
        for lane in self.lanes:
            if lane.name == name:
                return lane
        raise KeyError(f"no agent of it is called {name!r}; there are {', '.join(lane.name for lane in self.lanes)}")

    def cancel(self, name: str | None = None, why: str = "stopped by you") -> None:
        """Stop one agent, or all; from any thread. KeyError for a name that is none of these."""
        if name is not None:
            self.lane(name).cancel(why)
            return
        for lane in reversed(self.lanes):  # or the end of one would start the next
            lane.cancel(why)

    # -- waiting -----------------------------------------------------------------------------------

    def result(self, timeout: float | None = None) -> PoolResult:
        """Wait for the end. ``timeout`` in seconds raises RunTimeout and leaves it going."""
        if not self.done():
            if any(lane.agent.client.is_fed_here for lane in self.lanes):
                raise DeadlockError("this would block the thread that feeds the agents; await it")
            with waiting_for(self):
                wait(self._done, timeout)
        if not self.done():
            raise RunTimeout(f"the agents did not end within {timeout:g} s; they go on, run.cancel() stops them")
        return self._done.result()

    def __await__(self) -> Generator[Any, None, PoolResult]:
        with awaiting(self):
            return (yield from asyncio.wrap_future(self._done).__await__())

    def unended(self) -> dict[str, str]:
        """The names of its agents that have not ended, by their runs' ids."""
        return {lane.run_id: lane.name for lane in self.lanes if not lane.done()}

    # -- events ------------------------------------------------------------------------------------

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(lane, event)`` when something has happened, on whichever thread that was: ``event`` None says
        that the lane's state is another, ``lane`` None that the whole has ended. Returns the way to unsubscribe."""
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock, suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def tell(self, lane: Lane | None, event: RunEvent | None) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(lane, event)
            except BaseException:  # sys.exit() in one must not end the thread that feeds all runs
                log.exception("a listener of pool run %s failed", self.id)

    # -- for its lanes -----------------------------------------------------------------------------

    def take(self, lanes: Iterable[Lane]) -> None:
        """These are its lanes."""
        self.lanes = tuple(lanes)
        self._left = sum(not lane.done() for lane in self.lanes)

    def begin(self) -> None:
        """Have its lanes ask for their slots."""
        waiting = [lane for lane in self.lanes if not lane.done()]
        for lane in waiting[:1] if self.mode == "pipeline" else waiting:
            self._ask(lane)
        if not waiting:  # they had ended before
            self._settle()

    def fail(self, error: OpenClawError) -> None:
        """It cannot begin."""
        for lane in reversed(self.lanes):
            lane.end(RunError(str(error), code=error.code))

    def why_waits(self, lane: Lane) -> str:
        if self.mode == "pipeline":
            before = self.lanes[: self.lanes.index(lane)]
            if before and not before[-1].done():
                return f"waits for {before[-1].name}"
        if lane.ticket is not None and lane.ticket.held_back:
            return f"waits, {self.queue.most} per task"
        return "waits for a free thread"

    def place_in_line(self, lane: Lane) -> int:
        """How many of its lanes begin before this one, it included."""
        return sum(not one.done() and one.run is None for one in self.lanes[: self.lanes.index(lane) + 1])

    def ended(self, lane: Lane) -> None:
        """A lane has its outcome."""
        with self._lock:
            self._left -= 1
            last = not self._left
        self.tell(lane, None)
        if self.mode == "pipeline" and not last:
            self._go_on(lane)
        waited = resumed() if last else []
        if lane.ticket is not None:
            lane.ticket.release([one.ticket for one in waited if isinstance(one, Lane) and one.ticket is not None])
        else:
            for one in waited:
                one.take_back()
        if last:
            self._settle()

    def _go_on(self, lane: Lane) -> None:
        """The next of a pipeline, unless there is nothing to go on with."""
        behind = [other for other in self.lanes[self.lanes.index(lane) + 1 :] if not other.done()]
        if lane.status is Status.DONE:
            for other in behind[:1]:
                self._ask(other)
        else:
            for other in reversed(behind):  # or the end of one would be that of the next
                other.leave_out(f"{lane.name} {lane.status}")

    def _ask(self, lane: Lane) -> None:
        if lane.done():
            return
        ticket = self.queue.ask(lane.start)
        lane.ticket = ticket
        if lane.run is None and lane.done():  # it was stopped meanwhile
            ticket.release()
        elif ticket.waits:
            self.tell(lane, None)

    def _settle(self) -> None:
        with self._lock:
            if self._over is not None:
                return
            self._over = time.monotonic()
        try:
            kept = self.finish()
        except Exception as error:  # or nobody would hear of its end
            kept = Future()
            kept.set_exception(error)
        kept.add_done_callback(self._settled)

    def _settled(self, kept: Future[str | None]) -> None:
        snapshot = None
        try:
            snapshot = kept.result()
        except Exception as error:
            log.warning("the end of pool run %s was not kept: %s", self.id, error)
        results = {lane.name: lane.outcome for lane in self.lanes if lane.outcome is not None}
        facts = {"status": self.status, "mode": self.mode, "session": self.session, "run_id": self.id}
        result = PoolResult(
            results, **facts, seconds=self.seconds, snapshot=snapshot, words=self.words, per_task=self.per_task,
            record=self.record,
        )  # fmt: skip
        self._done.set_result(result)
        self.tell(None, None)
        self._listeners.clear()

    def _ipython_display_(self) -> None:
        seams.show_pool(self)


def _nothing_kept() -> Future[str | None]:
    done: Future[str | None] = Future()
    done.set_result(None)
    return done
