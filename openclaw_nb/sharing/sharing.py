"""Sharing, one instance's part in what several have in common: its lease, and runs that it takes over from the dead."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ..errors import ConfigError
from .address import Address, Password
from .link import AWAY, Link, Op, Source
from .script import NOBODY

__all__ = ["Sharing", "SharingUser"]

BEAT = 0.1
"""Seconds between two signs of life."""

LEASE = 1.0
"""Seconds without one after which an instance counts as dead; one that has hung up does so after two looks."""

GRACE = 0.03
"""Seconds between the two looks."""

LIFE = 86_400.0
"""Seconds a run may take."""

SESSION = 86_400.0
"""Seconds for which what was said in a session is kept after the last word."""

MOST_SAID = 500
"""Runs of a session that are kept, about."""

MOST_TAKEN = 32
"""Runs that are taken over at once, so that several instances take their parts."""

log = logging.getLogger("openclaw_nb")


class SharingUser(Protocol):
    """Who serves the runs."""

    def came_back(self) -> None:
        """What is shared can be reached, for the first time or again."""

    def went_away(self) -> None:
        """It cannot be reached: this instance stands alone."""

    def followed(self, name: str, entry: str) -> None:
        """A run that is followed has grown by an entry; "" where following begins, and it is to be read so far."""

    def asked(self, what: str, name: str, value: Any) -> None:
        """Somebody asks something of a run that is at work here: turn, abort, level."""

    def take_over(self, run: list[Any]) -> None:
        """A run of an instance that died is at work here from now on."""

    def check(self) -> None:
        """This instance was taken for dead: some of its runs may be others' now."""


class Sharing:
    """What gateway instances share, in the Redis at ``address`` (``redis://127.0.0.1:6379/0``, without a password).

    ``password`` is a reference to it, ``env:NAME``; ``prefix`` tells several clusters in one Redis apart. ConfigError
    for an address that cannot be one, and where the package redis is not installed. One serves one gateway.
    """

    def __init__(
        self, address: str, *, password: str | Password | None = None, prefix: str = "openclaw_nb", lease: float = LEASE
    ) -> None:
        if not prefix.isascii() or not prefix.isprintable() or set(prefix) & set(" {}<>*?[]") or not prefix:
            raise ConfigError(f"a prefix of keys is plain, such as openclaw_nb, not {prefix!r}")
        self.address = Address(address, password)
        self.prefix = prefix
        self.me = secrets.token_hex(6)
        """What this instance is called by the others."""
        self.others = 0
        """Instances that are alive beside this one."""
        self.retain = 300.0
        """Seconds for which a run that has ended can still be had."""
        self._lease = lease
        self._user: SharingUser | None = None
        self._link = Link(self.address, self, self._arguments)
        self._mine = f"{prefix}:to:{self.me}"
        self._beater: asyncio.TimerHandle | None = None
        self._suspects: set[str] = set()
        self._since = 0.0
        self._beaten = 0.0
        self._leaving = False

    def __repr__(self) -> str:
        return f"<Sharing {self.address} {'up' if self.is_up else 'down'}>"

    @property
    def is_up(self) -> bool:
        """Whether the Redis can be reached."""
        return self._link.is_up

    async def start(self, user: SharingUser) -> None:
        """Take part. ConfigError where there is no such Redis."""
        if self._user is not None:
            raise ConfigError("a Sharing serves one gateway; make another one for this")
        self._user = user
        try:
            await self._link.start(self._mine)
        except ConfigError:
            self._user = None
            raise

    async def close(self) -> None:
        """Take part no more: the others need not wait for the lease to end."""
        if self._user is None:
            return
        self._stop()
        if self.is_up:
            await self._link.ask(("goodbye",))
        await self._link.close()
        self._user = None

    # -- operations ------------------------------------------------------------------------------

    def do(self, op: Op, then: Callable[[Any], None] | None = None) -> None:
        """Have an operation of the script done, with all others of this turn of the loop."""
        self._link.do(op, then or _nothing)

    async def ask(self, op: Op) -> Any:
        """The result of an operation; AWAY where Redis is not there."""
        return await self._link.ask(op)

    def due(self, source: Source) -> None:
        """Have a source asked for its operations at the end of this turn of the loop."""
        self._link.due(source)

    def follow(self, name: str) -> None:
        """Be told what is written of a run."""
        self._link.listen(self._log(name))

    def unfollow(self, name: str) -> None:
        self._link.leave(self._log(name))

    def look(self) -> None:
        """See now who is alive, and a second time soon after: somebody waits for a run of one who may not be."""
        if self._user is not None and self.is_up and self._beater is not None:
            self._beat()

    def leave(self) -> None:
        """Take nothing over any more."""
        self._leaving = True

    # -- what the link tells ---------------------------------------------------------------------

    def up(self) -> None:
        self._since = asyncio.get_running_loop().time()
        self._suspects.clear()
        self._stop()
        self._beat()
        if self._user is not None:
            self._user.came_back()

    def down(self, why: str) -> None:
        log.warning("the Redis at %s is away (%s): this instance stands alone until it is back", self.address, why)
        self._stop()
        if self._user is not None:
            self._user.went_away()

    def told(self, channel: str, data: bytes) -> None:
        if self._user is None:
            return
        if channel != self._mine:
            self._user.followed(channel.removeprefix(f"{self.prefix}:{{").removesuffix("}:log"), data.decode())
        elif data:
            what, *rest = msgspec.msgpack.decode(data)
            if what == "free":
                self._take(NOBODY)
            else:
                self._user.asked(what, rest[0], rest[1] if len(rest) > 1 else None)

    # -- life and death --------------------------------------------------------------------------

    def _beat(self) -> None:
        self._stop()
        loop = asyncio.get_running_loop()
        if loop.time() - self._beaten > self._lease / 2:  # it was asleep, as all others may have been with it
            self._since = loop.time()
        self._beaten = loop.time()
        self._beater = loop.call_later(BEAT, self._beat)
        self.do(("beat", round(1000 * self._lease)), self._looked)

    def _looked(self, result: Any) -> None:
        if result is AWAY:
            return
        fresh, self.others, silent = result
        settled = asyncio.get_running_loop().time() - self._since > self._lease  # or others may be coming back as well
        if fresh and settled and self._user is not None:
            self._user.check()
        before, self._suspects = self._suspects, {who for who, _ in silent}
        if not self._suspects <= before:  # a connection may be being made anew
            asyncio.get_running_loop().call_later(GRACE, self.look)
        for who, sure in silent:
            if who == NOBODY or (settled and (sure or who in before)):
                self._take(who)

    def _take(self, who: str) -> None:
        if not self._leaving:
            self.do(("take", who, MOST_TAKEN), lambda taken: self._took(who, taken))

    def _took(self, who: str, taken: Any) -> None:
        if not taken or self._user is None:
            return
        if who != NOBODY:
            log.warning("the instance %s is dead: %d of its runs go on here", who, len(taken))
        for run in taken:
            self._user.take_over(run)
        self._take(who)

    def _stop(self) -> None:
        if self._beater is not None:
            self._beater.cancel()
            self._beater = None

    # -- inside ----------------------------------------------------------------------------------

    def _log(self, name: str) -> str:
        return f"{self.prefix}:{{{name}}}:log"

    def _arguments(self, packed: bytes) -> tuple[bytes, ...]:
        limits = (1000 * LIFE, 1000 * self.retain, 1000 * SESSION, MOST_SAID)
        return self.prefix.encode(), self.me.encode(), packed, *(b"%d" % limit for limit in limits)


def _nothing(_: Any) -> None:
    pass
