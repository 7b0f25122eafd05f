"""Link: batches in order, sources asked late, listening, and AWAY for all that waits when Redis goes."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from openclaw_nb.sharing.address import Address
from openclaw_nb.sharing.link import AWAY, Link, Op
from tests.cluster.conftest import redis_server  # noqa: F401 - a fixture
from tests.cluster.daemons import Daemon
from tests.sharing.together import address
from tests.spine import asynchronous, on_both_loops, soon


class User:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def up(self) -> None:
        self.events.append("up")

    def down(self, why: str) -> None:
        self.events.append("down")

    def told(self, channel: str, data: bytes) -> None:
        self.events.append((channel, data))


@asynccontextmanager
async def linked(redis: Daemon, prefix: str) -> AsyncIterator[tuple[Link, User]]:
    user = User()
    limits = (b"10000", b"5000", b"5000", b"4")
    link = Link(Address(address(redis)), user, lambda packed: (prefix.encode(), b"me", packed, *limits))
    await link.start(f"{prefix}:to:me")
    try:
        yield link, user
    finally:
        await link.close()


def claim(name: str) -> Op:
    return "claim", name, "f", "p", "{}", "", "", False, False, ""


@on_both_loops
async def test_each_gets_its_own_result(redis: Daemon) -> None:
    async with linked(redis, f"link-{secrets.token_hex(4)}") as (link, _):
        results = await asyncio.gather(*(link.ask(claim(f"k{n % 300}")) for n in range(600)))
        assert [result[0] for result in results] == ["new"] * 300 + ["known"] * 300


class Pieces:
    """A source that has something more by the time it is asked."""

    def __init__(self, taken: list[Any]) -> None:
        self.pieces: list[str] = []
        self.taken = taken

    def take(self) -> Iterable[tuple[Op, Callable[[Any], None]]]:
        pieces, self.pieces = self.pieces, []
        yield ("write", "k", 1, "".join(pieces)), self.taken.append


@asynchronous
async def test_a_source_is_asked_once_for_a_turn_of_the_loop(redis: Daemon) -> None:
    async with linked(redis, "link-sources") as (link, _):
        await link.ask(claim("k"))
        taken: list[Any] = []
        source = Pieces(taken)
        for piece in "abc":
            source.pieces.append(piece)
            link.due(source)
        await soon(lambda: taken)
        assert (taken, (await link.ask(("find", "k")))[3]) == ([None], ["abc"])


@asynchronous
async def test_listening(redis: Daemon) -> None:
    async with linked(redis, "link-ears") as (link, user):
        await link.ask(claim("k"))
        link.listen("link-ears:{k}:log")
        await soon(lambda: ("link-ears:{k}:log", b"") in user.events, "listening")
        await link.ask(("write", "k", 1, "one"))
        await soon(lambda: ("link-ears:{k}:log", b"one") in user.events, "being told")
        link.leave("link-ears:{k}:log")
        link.listen("link-ears:{other}:log")
        await soon(lambda: ("link-ears:{other}:log", b"") in user.events, "listening to another")
        await link.ask(("write", "k", 1, "two"))
        assert ("link-ears:{k}:log", b"two") not in user.events
        assert user.events[:2] == ["up", ("link-ears:to:me", b"")]


@asynchronous
async def test_away_and_back(redis_server: Callable[..., Daemon]) -> None:  # noqa: F811
    redis = redis_server()
    async with linked(redis, "link-away") as (link, user):
        redis.kill()
        results = await asyncio.gather(*(link.ask(claim(f"k{n}")) for n in range(50)))
        assert set(results) == {AWAY}
        assert await link.ask(claim("k")) is AWAY
        assert (link.is_up, user.events[-1]) == (False, "down")
        redis.start()
        await soon(lambda: link.is_up)
        assert (await link.ask(claim("k")))[0] == "new"
        assert user.events.count("up") == 2


@asynchronous
async def test_one_that_does_not_answer(redis_server: Callable[..., Daemon], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("openclaw_nb.sharing.link.LOOK", 0.02)
    monkeypatch.setattr("openclaw_nb.sharing.link.PATIENCE", 4)
    redis = redis_server()
    async with linked(redis, "link-asleep") as (link, _):
        redis.signal(signal.SIGSTOP)
        async with asyncio.timeout(30):
            assert await link.ask(claim("k")) is AWAY
        redis.signal(signal.SIGCONT)
        await soon(lambda: link.is_up)


@asynchronous
async def test_whoever_fails_to_take_a_result_harms_nobody(redis: Daemon, caplog: pytest.LogCaptureFixture) -> None:
    async with linked(redis, "link-harm") as (link, _):
        link.do(claim("k"), lambda result: 1 / 0)
        assert (await link.ask(claim("k2")))[0] == "new"
    assert "what Redis said was not taken" in caplog.text


@asynchronous
async def test_closed_with_something_to_be_written(redis: Daemon) -> None:
    async with linked(redis, "link-closed") as (link, _):
        asked = asyncio.ensure_future(link.ask(claim("k")))
        await asyncio.sleep(0)
        await link.close()
        assert await asked in (AWAY, ["new", 1, True, []])
        assert repr(AWAY) == "AWAY"
