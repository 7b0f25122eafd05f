"""Sharing: signs of life, who is dead and who only looks so, what is told to whom, and goodbyes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.sharing import Sharing
from tests.cluster.daemons import Daemon, free_port
from tests.sharing.together import address
from tests.spine import asynchronous, soon

LEASE = 60.0
"""Seconds, in which nobody is taken for dead because the machine lets Redis or this process wait."""


class User:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.back = self.away = self.checks = 0
        self.entries: list[tuple[str, str]] = []
        self.questions: list[tuple[str, str, Any]] = []
        self.taken: list[Any] = []

    def came_back(self) -> None:
        self.back += 1

    def went_away(self) -> None:
        self.away += 1

    def followed(self, name: str, entry: str) -> None:
        self.entries.append((name, entry))

    def asked(self, what: str, name: str, value: Any) -> None:
        self.questions.append((what, name, value))

    def take_over(self, run: list[Any]) -> None:
        self.taken.append(run)

    def check(self) -> None:
        self.checks += 1


def claim(name: str, session: str = "") -> tuple[Any, ...]:
    return "claim", name, "f", "p", "{}", session, "", False, bool(session), ""


@asynccontextmanager
async def sharing(
    redis: Daemon, prefix: str, count: int = 2, lease: float = LEASE
) -> AsyncIterator[list[tuple[Sharing, User]]]:
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            one, user = Sharing(address(redis), prefix=prefix, lease=lease), User()
            await one.start(user)
            stack.push_async_callback(one.close)
            made.append((one, user))
        yield made


def settle(made: Iterable[tuple[Sharing, User]]) -> None:
    """As if all were there for longer than the lease: before that nobody is judged."""
    for one, _ in made:
        one._since -= LEASE


async def die(one: Sharing) -> None:
    """As a process does that is killed: its connections are gone, and it says nothing."""
    one._stop()
    one._link.is_up = False
    await one._link.close()


@asynchronous
async def test_they_know_of_each_other(redis: Daemon) -> None:
    async with sharing(redis, "sharing-know", 3) as made:
        await soon(lambda: all(one.others == 2 for one, _ in made))
        await made[0][0].close()
        await soon(lambda: all(one.others == 1 for one, _ in made[1:]))
        assert [user.taken for _, user in made] == [[], [], []]


@asynchronous
async def test_the_runs_of_the_dead_are_taken_over(redis: Daemon) -> None:
    async with sharing(redis, "sharing-dead", 3) as made:
        (first, _), (second, one), (third, other) = made
        settle(made)
        for n in range(70):
            await first.ask(claim(f"k{n}"))
        await die(first)
        await soon(lambda: len(one.taken) + len(other.taken) == 70)
        assert sorted(run[0] for run in one.taken + other.taken) == sorted(f"k{n}" for n in range(70))
        await soon(lambda: (second.others, third.others) == (1, 1))


@asynchronous
async def test_who_makes_its_connection_anew_is_not_dead(redis: Daemon) -> None:
    async with sharing(redis, "sharing-anew") as made:
        (first, known), (second, other) = made
        settle(made)
        await first.ask(claim("k"))
        first._link._lost(ConnectionError("cut"))
        second._beat()
        second._stop()  # one look while the connection is away, the next when it is there: however long that takes
        await soon(lambda: known.back == 2)
        second._beat()
        await asyncio.sleep(0.3)
        assert (other.taken, known.away) == ([], 1)


@asynchronous
async def test_who_slept_is_told_so(redis: Daemon) -> None:
    async with sharing(redis, "sharing-slept", lease=0.4) as ((first, slept), (_second, other)):
        await asyncio.sleep(0.5)  # before that nobody is judged
        await first.ask(claim("k"))
        first._stop()
        await soon(lambda: other.taken)
        first._beat()
        await soon(lambda: slept.checks or first.others == 1)
        assert await first.ask(("write", "k", 1, "from the grave")) == "taken"


@asynchronous
async def test_what_is_asked_and_told(redis: Daemon) -> None:
    async with sharing(redis, "sharing-told") as ((first, owner), (second, other)):
        await first.ask(claim("k", "s"))
        await second.ask(claim("k2", "s"))
        second.follow("k")
        await soon(lambda: ("k", "") in other.entries)
        first.do(("write", "k", 1, "one"))
        await soon(lambda: ("k", "one") in other.entries)
        second.do(("ask", "k", "abort", "rpc"))
        second.do(("ask", "k", "level", 4))
        await soon(lambda: owner.questions == [("abort", "k", "rpc"), ("level", "k", 4)])
        await first.ask(("finish", "k", 1, "end", "final", "s", True, "", "", ""))
        await soon(lambda: other.questions == [("turn", "k2", None)])
        second.unfollow("k")


@asynchronous
async def test_handed_over(redis: Daemon) -> None:
    async with sharing(redis, "sharing-over") as ((first, leaving), (_second, other)):
        await soon(lambda: first.others == 1)
        await first.ask(claim("k"))
        first.leave()
        first.do(("free", "k", 1))
        await first.ask(("call_all",))
        await soon(lambda: [run[0] for run in other.taken] == ["k"])
        assert leaving.taken == []


def test_what_cannot_be() -> None:
    for prefix in ("", "a b", "{a}", "é", "a*"):
        with pytest.raises(ConfigError, match="prefix"):
            Sharing("redis://127.0.0.1:6379/0", prefix=prefix)
    none = Sharing(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(ConfigError):
        asyncio.run(none.start(User()))
    assert (none.is_up, "down" in repr(none)) == (False, True)


@asynchronous
async def test_one_serves_one(redis: Daemon) -> None:
    async with sharing(redis, "sharing-one", 1) as ((one, _),):
        with pytest.raises(ConfigError, match="one gateway"):
            await one.start(User())


@asynchronous
async def test_who_is_new_judges_nobody_yet(redis: Daemon) -> None:
    """After a Redis was away all leases have ended, and all who had one are coming back."""
    async with sharing(redis, "sharing-new", 1) as ((first, _),):
        await first.ask(claim("k"))
        first._stop()
        await first.ask(("beat", -1))  # its lease has ended
        async with sharing(redis, "sharing-new", 1) as ((second, other),):
            await soon(lambda: first.me in second._suspects)
            await second.ask(("find", "k"))  # behind whatever it does about that
            assert other.taken == []
            first._beat()
            await soon(lambda: second.others == 1)
            await second.ask(("find", "k"))
            assert other.taken == []
