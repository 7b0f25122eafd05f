"""Lane, one agent's part in one task: its slot, its thread, its run, and what came of it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..agent import OpenClawAgent
from ..approval_words import WAITS
from ..approvals import Approvals
from ..errors import OpenClawError, RunError, RunTimeout, TaskTimeout
from ..events import End, RunEvent, Status, Step
from ..redaction import redact
from ..run import Result, Run, within
from ..tools import ToolResult
from ..waits import part_of, places
from .slots import Ticket

if TYPE_CHECKING:
    from ..sessions.memory import Cut
    from .binding import Binding
    from .record import Member
    from .work import PoolRun
    from .workers import Job

__all__ = ["Lane"]

log = logging.getLogger("openclaw_nb")

_NONE = Approvals(lambda event: None)

NOT_STARTED = "NOT_STARTED"
"""The code of one that was stopped while it waited."""


class Lane:
    """One agent in a `PoolRun`. ``run`` is None until it has its slot, ``outcome`` until it has ended.

    ``name`` is the agent's, with a number where its task has several of that name; ``session`` the branch that it
    works in, and ``run_id`` what its run is known by.
    """

    def __init__(
        self,
        work: PoolRun,
        member: Member,
        agent: OpenClawAgent,
        send: Callable[[Lane], Run],
        cut: Cut | None = None,
        outcome: Result | RunError | None = None,
    ) -> None:
        self.work = work
        self.name = member.name
        self.agent = agent
        self.session = member.session
        self.run_id = member.run
        self.cut = cut
        self._send = send
        self.run: Run | None = None
        self.outcome = outcome
        self.ticket: Ticket | None = None
        self.binding: Binding | None = None
        self.leave: Callable[[], None] = _nothing
        self._lock = threading.Lock()  # it either begins, or ends without
        self._begun = False
        self._job: Job | None = None  # the last call of a tool
        self._doing = ""  # in words
        self.workers: list[str] = []
        """The addresses of the workers that it was at work at, where that is not here: one after the other died."""
        self._until: float | None = None  # on the monotonic clock, where its time is not the run's own
        self._limit = 0.0
        self._late = False
        self._stack = ""  # where its thread was given up
        self._why = ""
        self.context = contextvars.copy_context()  # by which what its tools print goes to the cell that asked
        self.context.run(part_of.set, (self.run_id, self.name))
        self.enter(self.session)

    def __repr__(self) -> str:
        return f"<Lane {self.name}: {self.words}>"

    def enter(self, session: str) -> None:
        """Work in this session."""
        self.session = session
        self.context.run(within.set, within.get() | {session})

    # -- what one can ask at any time --------------------------------------------------------------

    def done(self) -> bool:
        return self.outcome is not None

    @property
    def status(self) -> Status:
        match self.outcome:
            case Result(status=status):
                return status
            case None:
                return Status.WAITING if self.run is None else _in_flight(self.run)
            case RunError(code=code):
                return Status.STOPPED if code == NOT_STARTED else Status.FAILED

    @property
    def words(self) -> str:
        """Its state, for people."""
        match self.outcome:
            case Result() as result:
                return result.words or str(result.status)
            case RunError() as error:
                return str(error)
        if self.approvals.pending:
            return WAITS
        if self._doing:
            return self._doing
        if self.run is not None:
            reasons = self.run.status is Status.WAITING and self.run.steps
            return self.run.words or ("reasoning" if reasons else str(_in_flight(self.run)))
        return self.work.why_waits(self)

    @property
    def line(self) -> str:
        """Where it stands in the queue, for people; "" once it has begun."""
        if self.run is not None or self.done():
            return ""
        place = self.work.place_in_line(self)
        return "in line, next" if place == 1 else f"in line, {place} to go"

    @property
    def approvals(self) -> Approvals:
        """What of its run waits for a person."""
        return self.run.approvals if self.run is not None else _NONE

    @property
    def level(self) -> int | None:
        known = self.run if self.run is not None else self._result
        return known.level if known is not None else None

    @property
    def level_reason(self) -> str:
        return self.run.level_reason if self.run is not None else ""

    @property
    def output(self) -> str:
        """The name of what its answer has to be, which is JSON then."""
        return self.run.output if self.run is not None else ""

    @property
    def text(self) -> str:
        return self.run.text if self.run is not None else str(self._result or "")

    @property
    def tokens(self) -> int:
        if self.run is None:
            return self._result.usage.output_tokens if self._result is not None else 0
        return self.run.tokens

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.run.steps if self.run is not None else ()

    @property
    def seconds(self) -> float:
        """Seconds at work: those in the queue do not count."""
        return self.run.seconds if self.run is not None else 0.0

    @property
    def cost(self) -> float | None:
        """USD, once it has ended and where the price is known."""
        return self._result.cost if self._result is not None else None

    @property
    def stack(self) -> str:
        """Where its tool is now, the innermost call last; "" where none is at work in a thread here."""
        job = self._job
        return job.worker.where(job) if self._doing and job is not None and job.worker is not None else ""

    @property
    def _result(self) -> Result | None:
        """What there is of an answer at its end."""
        return self.outcome.partial if isinstance(self.outcome, RunError) else self.outcome

    def cancel(self, why: str = "stopped by you") -> None:
        """Stop it, or have it not begin; what came is kept. From any thread."""
        self._why = self._why or why
        self.leave_out(why)
        if self.run is not None:
            self.run.cancel(why)

    def leave_out(self, why: str) -> None:
        """Have it not begin, unless it has."""
        self._end(RunError(f"{self.name} was not started: {why}", code=NOT_STARTED), begun=False)

    # -- as a place of those that wait for each other ----------------------------------------------

    def above(self) -> dict[str, str]:
        """The lanes whose tools lie on top of its own on its thread."""
        worker = self._job.worker if self._job is not None else None
        lanes = worker.above(self) if worker is not None else []
        return {lane.run_id: lane.name for lane in lanes if isinstance(lane, Lane)}

    def lend(self) -> None:
        if self.ticket is not None:
            self.ticket.lend()

    def take_back(self) -> None:
        if self.ticket is not None:
            self.ticket.take_back()

    # -- at work -----------------------------------------------------------------------------------

    def start(self, ticket: Ticket) -> None:
        """It has its slot. What goes wrong is its outcome."""
        with self._lock:
            self._begun = True
        self.ticket = ticket
        if self.done():
            ticket.release()
            return
        places[self.run_id] = self
        try:
            run = self._send(self)
        except OpenClawError as error:
            self.end(error if isinstance(error, RunError) else RunError(str(error), code=error.code))
            return
        except BaseException as error:
            self.end(RunError(f"{self.name} could not be started: {type(error).__name__}: {error}"))
            if isinstance(error, Exception):
                return
            raise
        self.run = run
        run.subscribe(self._heard)
        if run.done():  # before anybody listened
            self._ended(run)
        elif self._why:
            run.cancel(self._why)
        self.work.tell(self, None)

    async def place(self, name: str, work: Callable[[], Any]) -> ToolResult:
        """Run a tool on this agent's thread, in this lane's context."""
        binding = self.binding
        if binding is None:
            raise RunError(f"{self.name} has ended, and its tool {name} came too late")
        self.say(f"runs {name}")
        self._job = job = binding.submit(self, work, name)
        try:
            result: ToolResult = await asyncio.wrap_future(job.done)
            return result
        except asyncio.CancelledError:
            if not job.done.done():
                self._stack = binding.give_up(job)
            raise
        finally:
            self.say("")

    def call(self, work: Callable[[], Any]) -> None:
        """Have a callback made on this agent's thread, or here where it is bound to none."""

        def made() -> None:
            try:
                work()
            except BaseException:  # sys.exit() in one must not end the thread that feeds all runs
                log.exception("a handler of agent %s failed", self.name)

        if self.binding is not None:
            self.binding.submit(self, made)
        else:
            self.context.run(made)

    # -- at work at a worker elsewhere -------------------------------------------------------------

    def begun(self, where: str, limit: float) -> float:
        """It is at work there, for so many seconds from when it first was; how many are left."""
        now = time.monotonic()
        self.workers.append(where)
        self._limit = limit
        self._until = self._until or now + limit
        return max(0.0, self._until - now)

    def late(self) -> None:
        """They are over."""
        self._late = True
        if self.run is not None:
            self.run.cancel("its time is over")

    def say(self, words: str) -> None:
        """What it does, for people; "" where its text says so."""
        if words != self._doing:
            self._doing = words
            self.work.tell(self, None)

    def _heard(self, event: RunEvent) -> None:
        if isinstance(event, End) and self.run is not None:
            self._ended(self.run)
        else:
            self.work.tell(self, event)

    def _ended(self, run: Run) -> None:
        try:
            result = run.result(0)
            if self._late and result.status is Status.STOPPED:
                late = RunTimeout(f"the time limit of {self._limit:g} s was reached")
                late.partial = result
                raise late
            self.end(result)
        except RunTimeout as error:
            self.end(self._timed_out(error))
        except RunError as error:
            self.end(error)

    def _timed_out(self, error: RunTimeout) -> TaskTimeout:
        stack = redact(self._stack)
        where = f", while its tool was at {stack.splitlines()[-1].strip()}" if stack else ""
        timeout = TaskTimeout(f"{self.name} was given up: {error}{where}")
        timeout.stack, timeout.partial = stack, error.partial
        return timeout

    def end(self, outcome: Result | RunError) -> None:
        """It has ended so."""
        self._end(outcome, begun=True)

    def _end(self, outcome: Result | RunError, *, begun: bool) -> None:
        with self._lock:
            if self.outcome is not None or self._begun > begun:
                return
            self.outcome = outcome
        self.leave()
        if self.binding is not None:
            self.binding.leave()
            self.binding = None
        places.pop(self.run_id, None)
        self.work.ended(self)


def _in_flight(run: Run) -> Status:
    """It is at work from its first step on, and may know its end a moment before its outcome is there."""
    begun = run.status.final or (run.status is Status.WAITING and run.steps)
    return Status.STREAMING if begun else run.status


def _nothing() -> None:
    """What there is to leave before it has begun."""
