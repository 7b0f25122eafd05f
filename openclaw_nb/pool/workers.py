"""Worker, the one thread in which an agent's tools and callbacks run, one at a time, for as long as the agent lives.

A job that only waits for other work lends its thread to whoever else is bound to it, so that no thread ever waits for
itself. A thread that hangs is left alone, and another takes its place.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import selectors
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Protocol
from weakref import WeakSet

from .. import tools, waits
from ..errors import DeadlockError, RunError
from ..waits import part_of, waiter, way

__all__ = ["Job", "Owner", "Worker"]

HEADROOM = 300
"""Frames that a stack has left when no more is begun on top of it."""


class Owner(Protocol):
    """Whose jobs they are."""

    def done(self) -> bool:
        """Whether it has ended, and what it still has at work is of no use."""


class Job:
    """What is to be done for ``owner``, in its context; ``done`` is what it gives or raises."""

    __slots__ = ("context", "done", "given_up", "owner", "task", "tool", "work", "worker")

    def __init__(self, owner: Owner, context: contextvars.Context, work: Callable[[], Any], tool: str = "") -> None:
        self.owner = owner
        self.tool = tool  # its name, where its owner waits for it
        self.context = context
        self.work = work  # a function or a coroutine function, without arguments
        self.worker: Worker | None = None
        self.task: asyncio.Task[Any] | None = None
        self.given_up = False
        self.done: Future[Any] = Future()


class Worker:
    """A thread, started at its first job. ``load`` is for whoever binds agents to it: how many of those in ``bound``
    are at work.

    Functions are run one on top of another: the last one is at work, and those below it wait. Coroutine functions run
    side by side on the thread's own loop, which turns while no function is at work.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.load = 0
        self.bound: WeakSet[Any] = WeakSet()
        self.closed = False
        self._jobs: deque[Job] = deque()
        self._stack: list[Job] = []
        self._tasks: dict[asyncio.Task[Any], Job] = {}
        self._at_work: Job | None = None  # the function that is, if one is
        self._held = 0  # what that awaits on loops of its own
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None
        self._runner: asyncio.Runner | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<Worker {self.name}>"

    def above(self, owner: Owner) -> list[Owner]:
        """Whose functions have begun here since one of ``owner`` did, which cannot go on before they have ended."""
        owners = [job.owner for job in tuple(self._stack)]
        return owners[owners.index(owner) + 1 :] if owner in owners else []

    def where(self, job: Job) -> str:
        """The stack at which a job is now, the innermost call last; "" where it is not at work."""
        with self._news:
            at_work = self._at_work or self._tasks.get(self._task())  # type: ignore[arg-type]
            if at_work is job and self._thread is not None:
                return _stack_of(self._thread)
            return _told(_awaited(job.task.get_coro())) if job.task is not None else ""

    def submit(self, job: Job) -> None:
        """Have it done. RunError where this worker is closed."""
        with self._news:
            if self.closed:
                raise RunError(f"{self.name} has ended, and takes no more work")
            self._take([job])

    def give_up(self, job: Job) -> tuple[str, Worker | None]:
        """Do no more of a job. Gives the stack at which the thread hangs, or at which a coroutine awaits something,
        else ""; and where the thread had to be left alone the worker that does the rest of what was to be done here.

        What waits is told so, where it waits. A thread hangs that is in the middle of this very job, or of one whose
        owner has ended.
        """
        with self._news:
            job.given_up = True
            job.done.cancel()  # where it has not begun
            awaits = ""
            if job.task is not None and self._loop is not None:
                awaits = _told(_awaited(job.task.get_coro()))
                self._loop.call_soon_threadsafe(job.task.cancel)
            self._wake()
            at_work = self._at_work or self._tasks.get(self._task())  # type: ignore[arg-type]
            if self._thread is None or at_work is None or not (at_work is job or at_work.owner.done()):
                return awaits, None
            stack = _stack_of(self._thread)
            if self.closed:
                return stack, None
            self.closed = True
            successor = Worker(self.name)
            successor.load, successor.bound = self.load, self.bound
            if self._jobs:
                successor._take(tuple(self._jobs))
                self._jobs.clear()
        return stack, successor

    def close(self) -> None:
        """End when what is at work has ended; what is not begun is cancelled."""
        with self._news:
            self.closed = True
            for job in self._jobs:
                job.done.cancel()
            self._jobs.clear()
            self._wake()

    # -- inside, from any thread -------------------------------------------------------------------

    def _take(self, jobs: Iterable[Job]) -> None:
        """Under the lock."""
        for job in jobs:
            job.worker = self
            self._jobs.append(job)
        self._refuse()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()
        self._wake()

    def _refuse(self) -> None:
        """Under the lock: what the function that holds up the thread waits for must not wait for the thread."""
        holder = self._at_work.context.get(part_of) if self._held and self._at_work is not None else None
        if holder is None:
            return
        for job in [job for job in self._jobs if job.tool]:
            me = job.context.get(part_of)
            if me is not None and (names := way(holder, me[0])) is not None:
                self._jobs.remove(job)
                circle = " → ".join([*names, names[0]])
                why = f"{job.tool} needs the thread that asyncio.run() holds in a tool of {names[0]}"
                if job.done.set_running_or_notify_cancel():
                    job.done.set_exception(DeadlockError(f"{circle}: {why}; an async tool or .result() lets go of it"))

    def _wake(self, _: object = None) -> None:
        """Have the thread look again, where it waits."""
        with self._news:
            self._news.notify()
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)

    def _task(self) -> asyncio.Task[Any] | None:
        """What the loop is in the middle of."""
        return asyncio.current_task(self._loop) if self._loop is not None else None

    # -- inside, on the thread ---------------------------------------------------------------------

    def _run(self) -> None:
        waiter.wait, waiter.hold = self._wait, self._hold
        self._serve(lambda: self.closed and not self._tasks)
        with self._news:
            loop, self._loop = self._loop, None
        if loop is not None and self._runner is not None:
            loop.call_soon(loop.stop)  # with those calls of it that are left over, which would stop what close() runs
            loop.run_forever()
            self._runner.close()

    def _wait(self, future: Future[Any], timeout: float | None) -> None:
        """Until ``future`` is done or so many seconds have passed, do what else there is to do here."""
        job, self._at_work = self._at_work, None
        try:
            if job is None or _is_deep():
                why = "inside a coroutine" if job is None else "below so many others"
                raise DeadlockError(f"to wait {why} would block the thread, and all that is bound to it: use await")
            future.add_done_callback(self._wake)
            limit = None if timeout is None else time.monotonic() + timeout
            self._serve(lambda: future.done() or job.given_up, limit)
            if job.given_up:
                raise RunError("its agent has ended, so it waits no longer")
        finally:
            self._at_work = job

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """While a function awaits something on a loop of its own nothing else is done here."""
        held = self._at_work is not None
        with self._news:
            self._held += held
            self._refuse()
        try:
            yield
        finally:
            self._held -= held

    def _serve(self, over: Callable[[], bool], limit: float | None = None) -> None:
        """Do what there is to do, until it is over or the moment ``limit`` has come."""
        while (job := self._next(over, limit)) is not None:
            self._do(job)
            del job  # or what was done would be held until there is more to do

    def _next(self, over: Callable[[], bool], limit: float | None) -> Job | None:
        """The next job whose owner has no other one under way here."""
        while True:
            with self._news:
                if over():
                    return None
                under_way = {id(job.owner) for job in (*self._stack, *self._tasks.values())}
                for job in self._jobs:
                    if id(job.owner) not in under_way:
                        self._jobs.remove(job)
                        return job
                rest = None if limit is None else limit - time.monotonic()
                if rest is not None and rest <= 0:
                    return None
                if not self._tasks:
                    self._news.wait(rest)
                    continue
            self._turn_loop(rest)

    def _turn_loop(self, seconds: float | None) -> None:
        loop = self._loop
        assert loop is not None  # noqa: S101
        timer = None if seconds is None else loop.call_later(seconds, loop.stop)
        with suppress(KeyboardInterrupt, SystemExit):  # of a coroutine, which it has ended
            loop.run_forever()
        if timer is not None:
            timer.cancel()

    def _do(self, job: Job) -> None:
        if not job.done.set_running_or_notify_cancel():
            return
        if inspect.iscoroutinefunction(job.work):
            self._begin(job)
            return
        self._stack.append(job)
        self._at_work = job
        try:
            given = job.context.run(job.work)
        except BaseException as error:  # SystemExit and KeyboardInterrupt end no thread
            self._end(job)
            job.done.set_exception(error)
        else:
            self._end(job)
            job.done.set_result(given)

    def _end(self, job: Job) -> None:
        """Before anybody hears of it: who waits for what is below must not find it there."""
        self._at_work = None
        self._stack.remove(job)

    def _begin(self, job: Job) -> None:
        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
            self._loop = self._runner.get_loop()
        assert self._loop is not None  # noqa: S101
        task = self._loop.create_task(job.work(), context=job.context)
        self._tasks[task] = job
        job.task = task
        if job.given_up:
            task.cancel()
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        job = self._tasks.pop(task)
        task.get_loop().stop()  # somebody of the same owner may begin now, or it is over
        if task.cancelled():
            job.done.set_exception(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            job.done.set_exception(error)
        else:
            job.done.set_result(task.result())


def _is_deep() -> bool:
    """Whether this stack has hardly any room left."""
    with suppress(ValueError):
        sys._getframe(sys.getrecursionlimit() - HEADROOM)
        return True
    return False


def _stack_of(thread: threading.Thread) -> str:
    """Where a thread is, the innermost call last, without our own frames."""
    frame = sys._current_frames().get(thread.ident or 0)
    return _told(traceback.extract_stack(frame)) if frame is not None else ""


def _awaited(work: Any) -> traceback.StackSummary:
    """Where a coroutine is, and what it awaits."""
    frames: list[tuple[FrameType, int]] = []
    while (frame := getattr(work, "cr_frame", None)) is not None:
        frames.append((frame, frame.f_lineno))
        work = work.cr_await
    return traceback.StackSummary.extract(iter(frames))


def _told(frames: traceback.StackSummary) -> str:
    theirs = [one for one in frames if not one.filename.startswith(_OURS)]
    return "".join(traceback.format_list(theirs or frames)).rstrip()


_OURS = (__file__, tools.__file__, waits.__file__, threading.__file__, selectors.__file__, asyncio.__path__[0])
"""Files whose frames say nothing about a tool."""
