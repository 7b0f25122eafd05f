"""Executor, the way to the workers of one Dask scheduler: orders go there as tasks, and their posts come back.

What a worker tells goes as an event by its own connection to the scheduler, and from there by this client's: no port of
this process, and none of a worker, has to be reachable from the other, and no token to be given away. Measured on two
cores an event is here after 1.5 ms, and after 5 ms where they are busy; a `distributed.Queue` takes 4 to 6 ms there, a
WebSocket of our own 0.6, which is no matter beside the 30 ms in which posts go together. The topic is the client's id:
the scheduler remembers its last 1,000 events, and forgets them with the client.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import distributed

from ..errors import ConfigError, DeadlockError, one_line
from ..redaction import redact
from ..render import counted
from ..version import __version__
from . import posts, worker
from .attempt import at_worker
from .local import LocalWorkers
from .orders import PYTHON

__all__ = ["Executor", "Heard", "Over", "Posted", "differs", "executor_of"]

log = logging.getLogger("openclaw_nb")

dask: Any = distributed
"""Most of it has no types."""

CONNECT = 5.0
"""Seconds that a scheduler may take to answer."""

PORT = 8786
"""Of a scheduler, where its address says none."""

Heard = Callable[[str, int, list[list[Any]]], None]
"""Is told an attempt, the number of its batch, and the posts; on the client's thread."""

Over = Callable[[str], None]
"""Is told how a task ended: "" where it gave back, "killed" where its workers died, "gone" with the scheduler, or what
went wrong."""


class Posted:
    """An order that is under way. `tell` and `drop` are for any thread."""

    def __init__(self, executor: Executor, heard: Heard, over: Over) -> None:
        self.id = secrets.token_hex(8)
        self.heard = heard
        self.over = over
        self._executor = executor
        self._tasks: list[str] = []
        self._task: Any = None
        self._dropped = False

    def send(self, data: bytes) -> None:
        """Have it done, for the first time or once more."""
        self._executor.call(self._send(data))

    def tell(self, where: str, attempt: str, word: str, value: Any) -> None:
        """Tell an attempt at a worker: see `Attempt.tell`."""
        self._executor.call(self._tell(where, attempt, word, value))

    def drop(self, *, ended: bool = False) -> None:
        """Hear no more of it; a turn at work is stopped, unless it was to end by itself."""
        self._dropped = True
        self._executor.posted.pop(self.id, None)
        if not ended:
            self._executor.call(self._drop())

    async def _send(self, data: bytes) -> None:
        if self._dropped:
            return
        client = self._executor.client
        key = f"openclaw-{self.id}-{len(self._tasks)}"
        self._tasks.append(key)
        self._task = task = client.submit(worker.answer, self.id, client.id, data, key=key, pure=False, retries=0)
        how = await _end_of(client, task)
        if self._task is task:
            self._task = None  # what anybody holds is made again when the worker dies that has it
            if not self._dropped:
                self.over(how)

    async def _tell(self, where: str, attempt: str, word: str, value: Any) -> None:
        key = self._tasks[-1]
        with suppress(Exception):  # the worker is gone, of which we hear otherwise
            await self._executor.client.run(worker.tell, key, attempt, word, value, workers=[where], on_error="ignore")

    async def _drop(self) -> None:
        if self._task is not None:
            with suppress(Exception):  # the scheduler is gone
                await self._task.cancel(force=True)


async def _end_of(client: Any, task: Any) -> str:
    """How a task ended, as `Over` is told it."""
    try:
        error = await task.exception()
    except asyncio.CancelledError:  # by whoever else knows the client, or as the scheduler is gone
        return "killed" if client.status == "running" else "gone"
    if error is None:
        return "" if client.status == "running" else "gone"
    return "killed" if isinstance(error, dask.KilledWorker) else f"{type(error).__name__}: {one_line(error, 200)}"


class Executor:
    """The workers of the scheduler that ``client`` knows. ``name`` says what it is; ``own`` is to be closed with it.

    ConfigError where workers have no openclaw_nb, or another one than this.
    """

    def __init__(self, client: Any, name: str, own: Callable[[], None] | None = None) -> None:
        self.client = client
        self.posted: dict[str, Posted] = {}
        self.name = name
        """What it is, in words."""
        self._own = own
        self.users = 0
        """Pools whose agents work there."""
        self._check()
        client.subscribe_topic(client.id, self._heard)

    def __repr__(self) -> str:
        return f"<Executor {self.name}>"

    @property
    def words(self) -> str:
        """What it is, and how many may be at work there at once; the scheduler is asked."""
        try:
            threads = self.client.nthreads().values() if self.alive else None
        except Exception:  # it went while it was asked
            threads = None
        if threads is None:
            return f"{self.name}, which is gone"
        return f"{self.name}, {counted(len(threads), 'worker')} with {counted(sum(threads), 'thread')}"

    @property
    def alive(self) -> bool:
        """Whether the scheduler is there."""
        return bool(self.client.status == "running")

    def post(self, heard: Heard, over: Over) -> Posted:
        """A new order, to be sent."""
        posted = Posted(self, heard, over)
        self.posted[posted.id] = posted
        return posted

    def call(self, work: Coroutine[Any, Any, None]) -> None:
        """Have it done on the client's thread; not at all where that has ended."""
        try:
            asyncio.run_coroutine_threadsafe(work, self.client.loop.asyncio_loop)
        except RuntimeError:
            work.close()

    def close(self) -> None:
        """One of its users needs it no more; the last one ends what it has opened. From any thread but the client's."""
        self.users -= 1
        if self.users > 0:
            return
        for posted in tuple(self.posted.values()):
            posted.drop()
        _shared.pop(self.client, None)
        if self.alive:
            self.client.unsubscribe_topic(self.client.id)
        if self._own is not None:
            self._own()

    def _heard(self, event: tuple[float, Any]) -> None:
        batch = event[1].get(worker.NEWS) if isinstance(event[1], dict) else None
        if batch is None:  # what the scheduler itself has to say of this client
            return
        try:
            order, attempt, number, told = posts.read(batch)
        except ValueError:
            log.warning("a worker told something that is no batch of posts")
            return
        if (posted := self.posted.get(order)) is not None:
            posted.heard(attempt, number, told)

    def _check(self) -> None:
        found = self.client.run(worker.ready, on_error="return")
        lacking = {where: error for where, error in found.items() if isinstance(error, Exception)}
        for where, error in lacking.items():
            raise ConfigError(
                f"the worker at {where} cannot answer for an agent: {one_line(error, 200)}; install openclaw_nb=="
                f"{__version__} there, with the extra distributed"
            )
        for where, has in found.items():
            if wrong := differs(*has):
                raise ConfigError(f"the worker at {where} has {wrong}")


def differs(version: str, python: str) -> str:
    """What a worker has that does not go with what is here; "" where it does."""
    if version != __version__:
        return f"openclaw_nb {version}, and here is {__version__}; both need the same"
    return f"Python {python}, and here is {PYTHON}; both need the same, as functions travel as its code" * (
        python != PYTHON
    )


_shared: WeakKeyDictionary[Any, Executor] = WeakKeyDictionary()


def executor_of(what: object, threads: int) -> Executor:
    """The executor that is meant: "local" for processes here with room for so many agents, the address of a scheduler,
    or a Client. It has one user more.

    ConfigError for anything else, and where nobody is there. DeadlockError at a worker: an agent there that waits for
    others holds the place that they may need.
    """
    if where := at_worker.get():
        sentence = f"this is a part of an agent at the worker {where}, which cannot wait for agents at workers"
        raise DeadlockError(f"{sentence}; a ThreadPool() without an executor works here")
    executor = _executor_of(what, threads)
    executor.users += 1
    return executor


def _executor_of(what: object, threads: int) -> Executor:
    match what:
        case "local":
            local = LocalWorkers(threads)
            return _owned(local.client, "a local cluster", local.close)
        case str() if "://" in what:
            return _at(what)
        case dask.Client():
            if what.asynchronous or getattr(what, "_asynchronous", False):
                raise ConfigError("a Dask client that was made with asynchronous=True cannot wait here; leave that out")
            if what.status != "running":
                raise ConfigError(f"this Dask client is {what.status}, and cannot send work; make another one")
            if (known := _shared.get(what)) is None:
                known = _shared[what] = Executor(what, f"Dask at {what.scheduler.address}")
            return known
    raise ConfigError(
        f"an executor is 'local', the address of a Dask scheduler as tcp://host:8786, or a Client, not {what!r:.60}"
    )


def _at(address: str) -> Executor:
    try:
        where = urlsplit(address)
        if where.username is not None or where.password is not None:
            raise ValueError("an address has no password in it")
        # Or Dask would try for CONNECT seconds, and leave a thread behind when it gives up.
        socket.create_connection((where.hostname or "", where.port or PORT), CONNECT).close()
        client = dask.Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"there is no Dask scheduler at {redact(address)}: {redact(one_line(error, 120))}") from None
    return _owned(client, f"Dask at {address}", client.close)


def _owned(client: Any, name: str, close: Callable[[], None]) -> Executor:
    try:
        return Executor(client, name, close)
    except BaseException:
        close()
        raise
