"""Link, an instance's way to its Redis: operations in batches, one for each turn of the loop, and what is told back.

Two connections: one that operations go over, answered in order, and one on which Redis tells of what was written and
asked. Where either is gone, or Redis does not answer in time, the link is down: all that waits is answered with AWAY,
and it is made anew until it is up again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from ..errors import ConfigError
from .address import OPENING, Address
from .script import SCRIPT

__all__ = ["AWAY", "Link", "LinkUser", "Op", "Source"]

MOST = 256
"""Operations of one batch: Redis does nothing else meanwhile."""

FLYING = 2
"""Batches that may be under way at once: where there is much to do, the next one has more in it."""

PATIENCE = 4
"""Looks, of LOOK seconds, at which one batch may still be unanswered."""

LOOK = 0.25

AGAIN = 0.1
"""Seconds until a link that is down is made anew, the second time twice as long, up to 1."""

log = logging.getLogger("openclaw_nb")

Op = tuple[Any, ...]
"""An operation of the script: its name, and what it takes."""

Then = Callable[[Any], None]
"""Gets the result of an operation, None where there is none to speak of, AWAY where it may not have been done."""


class _Away:
    def __repr__(self) -> str:
        return "AWAY"

    def __bool__(self) -> bool:
        return False


AWAY = _Away()
"""The result of what Redis was not there for."""


class Source(Protocol):
    """What has something to be written, and says so when it is asked."""

    def take(self) -> Iterable[tuple[Op, Then]]:
        """The operations, each with what its result goes to."""


class LinkUser(Protocol):
    """Who is told how the link is."""

    def up(self) -> None:
        """It is there, for the first time or again."""

    def down(self, why: str) -> None:
        """It is gone."""

    def told(self, channel: str, data: bytes) -> None:
        """Something was published; ``data`` is b"" where a channel is being listened to from now on."""


class Link:
    """The link of the instance ``me``. `start` it, and `close` it, on the loop that uses it."""

    def __init__(self, address: Address, user: LinkUser, arguments: Callable[[bytes], tuple[Any, ...]]) -> None:
        self.is_up = False
        self._address = address
        self._user = user
        self._arguments = arguments
        self._client: Any = None
        self._commands: Any = None
        self._ears: Any = None
        self._channels: set[str] = set()
        self._ops: list[tuple[Op, Then]] = []
        self._sources: dict[Source, None] = {}
        self._flying: deque[list[Then]] = deque()
        self._late = 0
        self._scheduled = False
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._maker: asyncio.Task[None] | None = None
        self._looker: asyncio.TimerHandle | None = None
        self._sha = b""

    # -- used from outside -----------------------------------------------------------------------

    async def start(self, *channels: str) -> None:
        """Make it, listening to ``channels``. ConfigError where that fails."""
        self._channels.update(channels)
        self._client = self._address.client()
        await self._make()

    async def close(self) -> None:
        """Have it gone, with what was to be written."""
        self.is_up = False
        if self._maker is not None:
            self._maker.cancel()
            await asyncio.wait({self._maker})
        await self._drop()
        self._answer_all()

    def do(self, op: Op, then: Then) -> None:
        """Have an operation done with all others of this turn of the loop; after those that were asked for before."""
        self._ops.append((op, then))
        self._schedule()

    async def ask(self, op: Op) -> Any:
        """The result of an operation."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.do(op, lambda result: None if answer.done() else answer.set_result(result))
        return await answer

    def due(self, source: Source) -> None:
        """Have a source asked for its operations at the end of this turn of the loop."""
        self._sources[source] = None
        self._schedule()

    def listen(self, channel: str) -> None:
        """Be told what is published there; `told` says when that begins."""
        if channel not in self._channels:
            self._channels.add(channel)
            self._hear("subscribe", channel)

    def leave(self, channel: str) -> None:
        if channel in self._channels:
            self._channels.discard(channel)
            self._hear("unsubscribe", channel)

    # -- batches ---------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._collect)

    def _collect(self) -> None:
        self._scheduled = False
        sources, self._sources = self._sources, {}
        for source in sources:
            self._ops.extend(source.take())
        if self.is_up:
            self._wake.set()
        else:
            self._answer_all()

    async def _write(self, connection: Any) -> None:
        while True:
            await self._wake.wait()
            if len(self._flying) >= FLYING:
                self._room.clear()
                await self._room.wait()
                continue
            batch, self._ops = self._ops[:MOST], self._ops[MOST:]
            if not self._ops:
                self._wake.clear()
            if not batch:
                continue
            self._flying.append([then for _, then in batch])
            packed = msgspec.msgpack.encode([op for op, _ in batch])
            data = _command(b"EVALSHA", self._sha, b"0", *self._arguments(packed))
            await connection.send_packed_command([data], False)

    async def _read(self, connection: Any) -> None:
        while True:
            reply = await connection.read_response(disable_decoding=True)
            self._late = 0
            results = dict(msgspec.msgpack.decode(reply))
            for place, then in enumerate(self._flying.popleft()):
                _settle(then, results.get(place))
            self._room.set()

    def _look(self) -> None:
        """Only looks that come in time count: a process that was asleep finds its answer behind them."""
        loop = asyncio.get_running_loop()
        asleep = self._looker is not None and loop.time() - self._looker.when() > LOOK
        self._late = self._late + 1 if self._flying and not asleep else 0
        self._looker = loop.call_later(LOOK, self._look)
        if self._late > PATIENCE:
            self._lost(TimeoutError("it does not answer"))

    # -- being told ------------------------------------------------------------------------------

    def _hear(self, what: str, channel: str) -> None:
        if self.is_up and self._ears is not None:
            data = _command(what.upper().encode(), channel.encode())
            task = asyncio.ensure_future(self._ears.send_packed_command([data], False))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _listen(self, connection: Any) -> None:
        while True:
            kind, channel, data = await connection.read_response(disable_decoding=True)
            if kind != b"unsubscribe":
                self._user.told(channel.decode(), data if kind == b"message" else b"")

    # -- up and down -----------------------------------------------------------------------------

    async def _make(self) -> None:
        address = self._address
        self._commands = await address.connect(self._client)
        try:
            self._ears = await address.connect(self._client)
            await self._commands.send_command("SCRIPT", "LOAD", SCRIPT, check_health=False)
            self._sha = await self._commands.read_response(disable_decoding=True)
            await self._ears.send_packed_command([_command(b"SUBSCRIBE", *(c.encode() for c in self._channels))], False)
            for _ in tuple(self._channels):
                await asyncio.wait_for(self._ears.read_response(disable_decoding=True), OPENING)
        except ConfigError:
            await self._hang_up()
            raise
        except Exception as error:
            await self._hang_up()
            raise ConfigError(f"the Redis at {address} cannot be used: {address.words(error)}") from None
        self.is_up, self._late = True, 0
        works = self._write(self._commands), self._read(self._commands), self._listen(self._ears)
        self._tasks = [asyncio.create_task(self._keep(work), name="openclaw sharing") for work in works]
        self._looker = asyncio.get_running_loop().call_later(LOOK, self._look)
        self._user.up()
        for channel in tuple(self._channels):
            self._user.told(channel, b"")

    async def _keep(self, work: Any) -> None:
        try:
            await work
        except Exception as error:
            self._lost(error)

    def _lost(self, error: Exception) -> None:
        """It is down: nobody waits any more, and it is made anew."""
        if not self.is_up:
            return
        self.is_up = False
        self._answer_all()
        self._user.down(self._address.words(error))
        self._maker = asyncio.create_task(self._make_again(), name="openclaw sharing")

    async def _make_again(self) -> None:
        await self._drop()
        pause = AGAIN
        while True:
            with suppress(ConfigError):
                await self._make()
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)

    async def _drop(self) -> None:
        if self._looker is not None:
            self._looker.cancel()
        tasks, self._tasks = [task for task in self._tasks if task is not asyncio.current_task()], []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._hang_up()

    async def _hang_up(self) -> None:
        for connection in (self._commands, self._ears):
            if connection is not None:
                with suppress(Exception):
                    await connection.disconnect(nowait=True)
        self._commands = self._ears = None

    def _answer_all(self) -> None:
        """What was under way, and what waits, may not be done."""
        flying, self._flying = self._flying, deque()
        ops, self._ops = self._ops, []
        for batch in flying:
            for then in batch:
                _settle(then, AWAY)
        for _, then in ops:
            _settle(then, AWAY)


def _settle(then: Then, result: Any) -> None:
    try:
        then(result)
    except Exception:
        log.exception("what Redis said was not taken")


def _command(*words: bytes) -> bytes:
    """A command as RESP has it."""
    parts = [b"*%d\r\n" % len(words)]
    parts.extend(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    return b"".join(parts)
