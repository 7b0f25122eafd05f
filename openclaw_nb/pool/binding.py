"""Binding, which thread an agent's tools run in for as long as it lives, and in which process where it has its own."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from .processes import Process
from .workers import Job, Worker

if TYPE_CHECKING:
    from ..agent import OpenClawAgent
    from .lane import Lane

__all__ = ["Binding", "Bindings"]


class Binding:
    """One agent's thread, and its process."""

    def __init__(self, all: Bindings, worker: Worker) -> None:
        self._all = all
        self.worker = worker
        self.process: Process | None = None

    def submit(self, lane: Lane, work: Callable[[], Any], tool: str = "") -> Job:
        """Have the work of a ``tool`` done, or any other, which is always done in this process. RunError where the
        pool is closed."""
        job = Job(lane, lane.context, work, tool)
        if self.process is not None and tool:
            job.work = partial(self.process.run, tool, work, lambda: job.given_up)
        self._all.submit(self, job)
        return job

    def give_up(self, job: Job) -> str:
        """Do no more of a job; the stack where it hangs, "" where it does not."""
        return self._all.give_up(self, job)

    def leave(self) -> None:
        """Its agent has ended its work; it stays bound."""
        self._all.leave(self)


class Bindings:
    """The workers of a pool, at most ``most()`` of them as long as nobody is bound for life to more."""

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._lock = threading.RLock()
        self._numbers = count(1)
        self._workers: list[Worker] = []
        self._of: weakref.WeakKeyDictionary[OpenClawAgent, Binding] = weakref.WeakKeyDictionary()
        self._closed = False

    def take(self, agent: OpenClawAgent, *, process: bool) -> Binding:
        """The binding of an agent that begins to work: the one that it has, or one to the least busy thread. RunError
        where the pool is closed."""
        with self._lock:
            if self._closed:
                raise RunError("the pool is closed")
            binding = self._of.get(agent)
            if binding is None:
                binding = self._of[agent] = Binding(self, self._least_busy())
                binding.worker.bound.add(agent)
            if process and binding.process is None:
                binding.process = Process()
            binding.worker.load += 1
            return binding

    def submit(self, binding: Binding, job: Job) -> None:
        """See `Binding.submit`."""
        with self._lock:  # or its thread might be given up meanwhile
            binding.worker.submit(job)

    def leave(self, binding: Binding) -> None:
        """See `Binding.leave`."""
        with self._lock:
            binding.worker.load -= 1

    def give_up(self, binding: Binding, job: Job) -> str:
        """See `Binding.give_up`."""
        with self._lock:
            if binding.process is not None:
                job.given_up = True
                return "" if job.done.cancel() else binding.process.kill()
            worker = job.worker
            assert worker is not None  # noqa: S101
            stack, successor = worker.give_up(job)
            if successor is not None:
                self._workers[self._workers.index(worker)] = successor
                for agent in successor.bound:
                    self._of[agent].worker = successor
            return stack

    def close(self) -> None:
        """End the threads and processes; what is at work in a thread is left to its end."""
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.close()
            for binding in self._of.values():
                if binding.process is not None:
                    binding.process.close()
            self._workers.clear()

    def _least_busy(self) -> Worker:
        """Those with nobody at work first, and of these the one that fewest are bound to."""
        best = min(self._workers, key=lambda worker: (worker.load, len(worker.bound)), default=None)
        if best is None or ((best.load or best.bound) and len(self._workers) < self._most()):
            best = Worker(f"openclaw agent {next(self._numbers)}")
            self._workers.append(best)
        return best
