"""Supervisor, which starts workers, starts those again that die, replaces them one by one, and ends them all.

It looks at nothing but processes: each worker is a command that writes one line when it serves, drains at SIGTERM,
ends at once at a second one, and drains too when its standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

__all__ = ["FIRST_WAIT", "LONGEST_WAIT", "MOST_DEATHS", "WITHIN", "Supervisor"]

FIRST_WAIT = 0.1
"""Seconds until a worker that died is started again; twice that after the next death, and so on."""

LONGEST_WAIT = 5.0
"""Seconds that this grows to."""

MOST_DEATHS = 5
"""Deaths of one worker after which it is not started again, if they were all WITHIN so many seconds."""

WITHIN = 60.0

LONGEST_LINE = 65_536
"""Bytes of a line that a worker writes; longer ones are cut into several."""

REST = 0.5
"""Seconds for what an ended worker still had to say, as somebody that it left behind may hold its output open."""


class _Child(asyncio.SubprocessProtocol):
    """One process of a worker."""

    def __init__(self, hear: Callable[[_Child, str], None]) -> None:
        loop = asyncio.get_running_loop()
        self.serves: asyncio.Future[bool] = loop.create_future()
        """Whether it came to serve; known when it writes its first line, or has ended."""
        self.over: asyncio.Future[int] = loop.create_future()
        """Its exit code, when it has ended."""
        self._hear = hear
        self._heard = b""

    @classmethod
    async def start(cls, command: Sequence[str], hear: Callable[[_Child, str], None]) -> _Child:
        _, child = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(hear), *command, stderr=None,
            process_group=0,  # Ctrl-C is for the supervisor alone, which tells each worker once
        )  # fmt: skip
        return child

    @property
    def pid(self) -> int:
        return self._transport.get_pid() or 0

    def signal(self, number: int) -> None:
        if not self.over.done():
            with suppress(ProcessLookupError):
                self._transport.send_signal(number)

    async def end(self) -> None:
        """Have it drain, and wait for its end."""
        self.signal(signal.SIGTERM)
        await asyncio.shield(self.over)

    # -- called by the loop ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *lines, self._heard = (self._heard + data).split(b"\n")
        if len(self._heard) > LONGEST_LINE:
            lines.append(self._heard)
            self._heard = b""
        for line in lines:
            for at in range(0, max(len(line), 1), LONGEST_LINE):
                self._hear(self, line[at : at + LONGEST_LINE].decode(errors="replace"))
            if not self.serves.done():
                self.serves.set_result(True)

    def process_exited(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # what it has started and left
            os.killpg(self.pid, signal.SIGKILL)
        asyncio.get_running_loop().call_later(REST, self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if self.over.done():
            return
        self.over.set_result(self._transport.get_returncode() or 0)
        if not self.serves.done():
            self.serves.set_result(False)
        self._transport.close()


class _Worker:
    """One of the workers, whichever process it is just now."""

    def __init__(self, number: int, command: Sequence[str], owner: Supervisor) -> None:
        self.number = number
        self.children: set[_Child] = set()
        """Its processes: one, or two while the newer one takes the place of the older."""
        self.gave_up = False
        self._child: _Child | None = None
        self._command = command
        self._owner = owner
        self._deaths: deque[float] = deque()
        self._changing = asyncio.Lock()

    async def start(self) -> bool:
        """Start its first process; whether that serves."""
        self._child = await self._start()
        return await self._child.serves

    async def keep(self) -> None:
        """Start it again whenever it dies, until all are to end or it has died too often."""
        while not self._owner.stopping:
            async with self._changing:
                child = self._child = self._child or await self._start()
            code = await asyncio.shield(child.over)
            if self._owner.stopping or self._child is not child:
                continue
            self._child = None
            words = f"worker {self.number} (process {child.pid}) {_ended(code)}"
            if (wait := self._wait()) is None:
                self.gave_up = True
                often = f"{MOST_DEATHS} times within {WITHIN:g} s"
                self._owner.say(f"{words}; it ended {often}, and is not started again")
                return
            self._owner.say(f"{words}; another is started in {wait:g} s")
            await self._owner.pause(wait)

    async def replace(self, *, overlap: bool) -> bool:
        """Put a new process in place of its own, which drains: once the new one serves, or before without ``overlap``.

        Whether the new one came to serve; with overlap the one before goes on where it did not.
        """
        async with self._changing:
            old = self._child
            if old is not None and not overlap:
                self._child = None
                await old.end()
            new = await self._start(*self._owner.successor)
            serves = await new.serves
            if serves or not overlap:
                self._child = new
            if serves and old is not None and overlap:
                await old.end()
            return serves

    def signal(self, number: int) -> None:
        for child in self.children:
            child.signal(number)

    async def _start(self, *options: str) -> _Child:
        child = await _Child.start([*self._command, *options], self._hear)
        self.children.add(child)
        child.over.add_done_callback(lambda _: self.children.discard(child))
        if self._owner.stopping:  # who was told to end meanwhile could not tell this one
            child.signal(signal.SIGTERM)
        return child

    def _hear(self, child: _Child, line: str) -> None:
        self._owner.say(f"worker {self.number} (process {child.pid}): {line}")

    def _wait(self) -> float | None:
        """Seconds until it is started again; None where it has died too often."""
        now = asyncio.get_running_loop().time()
        self._deaths.append(now)
        while now - self._deaths[0] > WITHIN:
            self._deaths.popleft()
        if len(self._deaths) >= MOST_DEATHS:
            return None
        return float(min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (len(self._deaths) - 1)))


class Supervisor:
    """Runs ``commands``, a worker each, until SIGTERM or SIGINT; ``say`` gets a line for whatever happens.

    The first of these signals has the workers drain, the second ends them at once, as ``patience`` seconds after the
    first would. SIGHUP replaces them one by one, each when its successor serves, or before that without ``overlap``,
    as where both would need the same port; where there is a terminal SIGHUP says that it is gone, and ends all.
    ``successor`` is added to the command of one that takes a place.
    """

    def __init__(
        self, commands: Sequence[Sequence[str]], say: Callable[[str], None], *, patience: float, overlap: bool = True,
        successor: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.say = say
        self.successor = tuple(successor)
        self._workers = [_Worker(number, command, self) for number, command in enumerate(commands, 1)]
        self._patience = patience
        self._overlap = overlap
        self._stop = asyncio.Event()
        self._told = 0
        self._rolling: asyncio.Task[None] | None = None

    @property
    def stopping(self) -> bool:
        """Whether all are to end."""
        return self._stop.is_set()

    async def pause(self, seconds: float) -> None:
        """Wait, unless all are to end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def run(self) -> int:
        """Run the workers; the exit code: 0 after a signal, 1 where none of them can be kept alive."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end)
        if not os.isatty(0):
            loop.add_signal_handler(signal.SIGHUP, self._roll)
        try:
            return await self._keep()
        finally:
            if self._rolling is not None:
                self._rolling.cancel()
            self._signal(signal.SIGKILL)
            await asyncio.gather(*(child.over for worker in self._workers for child in worker.children))

    async def _keep(self) -> int:
        first, *others = self._workers
        # What keeps one from serving keeps all from it: it is told once, and nothing is tried again.
        if not await first.start():
            await self._leave()
            return 0 if self.stopping else 1
        await asyncio.gather(*(worker.start() for worker in others))
        await asyncio.gather(*(worker.keep() for worker in self._workers))
        await self._leave()
        if not self.stopping:
            self.say("no worker is left")
        return 0 if self.stopping else 1

    async def _leave(self) -> None:
        """Wait for processes that were about to be replaced, or to take a place, when all were told to end."""
        while over := [child.over for worker in self._workers for child in worker.children]:
            await asyncio.wait(over)

    def _end(self) -> None:
        self._told += 1
        if self._told == 1:
            self.say(f"draining {len(self._workers)} workers")
            self._stop.set()
            asyncio.get_running_loop().call_later(self._patience, self._signal, signal.SIGKILL)
        self._signal(signal.SIGTERM if self._told < 3 else signal.SIGKILL)

    def _signal(self, number: int) -> None:
        for worker in self._workers:
            worker.signal(number)

    def _roll(self) -> None:
        if self._rolling is None or self._rolling.done():
            self._rolling = asyncio.get_running_loop().create_task(self._replace_all())

    async def _replace_all(self) -> None:
        self.say(f"replacing {len(self._workers)} workers, one by one")
        for worker in self._workers:
            if self.stopping or worker.gave_up:
                continue
            if not await worker.replace(overlap=self._overlap):
                self.say(f"worker {worker.number} could not be replaced; the others stay as they are")
                return


def _ended(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
