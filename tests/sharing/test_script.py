"""The script in a real Redis: who may write, whose turn it is, who is taken over, and what a place in a session is."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
import pytest

from openclaw_nb.sharing.script import NOBODY, SCRIPT
from tests.cluster.daemons import Daemon
from tests.sharing.together import address


class Direct:
    """Operations one by one, as instances of any name; all of them are alive unless they are put away."""

    def __init__(self, redis: Daemon) -> None:
        import redis as library

        self.prefix = f"script-{secrets.token_hex(4)}"
        self.client = library.Redis.from_url(address(redis))

    def __call__(self, who: str, *op: Any) -> Any:
        arguments = (self.prefix, who, msgspec.msgpack.encode([op]), 10_000, 5_000, 5_000, 4)
        results = msgspec.msgpack.decode(self.client.eval(SCRIPT, 0, *arguments))
        return results[0][1] if results else None

    def claim(self, who: str, run: str, *, full: str = "f", retry: bool = False, session: str = "s") -> Any:
        return self(who, "claim", run, full, "p", "{}", session, "", retry, bool(session), "")

    def finish(self, who: str, run: str, epoch: int = 1, state: str = "final", pair: str = "", seen: str = "") -> Any:
        return self(who, "finish", run, epoch, "{}", state, "s", True, pair, "s" if pair else "", seen)


@pytest.fixture
def direct(redis: Daemon) -> Any:
    direct = Direct(redis)
    yield direct
    direct.client.close()


def test_claimed_once(direct: Direct) -> None:
    assert direct.claim("a", "k") == ["new", 1, True, []]
    assert direct.claim("b", "k") == ["known"]
    assert direct.claim("b", "k", full="other") == ["conflict"]
    assert direct.claim("b", "k", retry=True) == ["known"], "it is at work"
    direct.finish("a", "k", state="error")
    assert direct.claim("b", "k") == ["known"]
    assert direct.claim("b", "k", full="other", retry=True) == ["new", 2, True, []]
    direct.finish("b", "k", 2)
    assert direct.claim("a", "k", full="other", retry=True) == ["known"], "it ended well"


def test_who_may_write(direct: Direct) -> None:
    direct.claim("a", "k")
    assert direct("a", "write", "k", 1, "one") is None
    assert direct("b", "write", "k", 1, "two") == "taken"
    assert direct("a", "write", "k", 2, "three") == "taken"
    assert direct("a", "write", "nobody's", 1, "four") == "gone"
    assert direct.finish("b", "k") == "taken"
    assert direct("a", "find", "k")[3] == ["one"]


def test_the_dead_are_taken_over_once(direct: Direct) -> None:
    for n in range(5):
        direct.claim("a", f"k{n}", session=f"s{n}")
    direct("a", "write", "k0", 1, "one")
    direct("b", "beat", 1_000)
    taken = [*direct("b", "take", "a", 3), *direct("c", "take", "a", 3)]
    assert sorted(run[0] for run in taken) == [f"k{n}" for n in range(5)]
    assert {run[1] for run in taken} == {2}
    assert direct("b", "take", "a", 3) == direct("c", "take", "a", 3) == []
    assert direct("a", "write", "k0", 1, "from the grave") == "taken"
    assert next(run[6] for run in taken if run[0] == "k0") == ["one"]


def test_the_living_are_not(direct: Direct) -> None:
    direct.claim("a", "k")
    direct("a", "beat", 60_000)
    listener = direct.client.pubsub()
    listener.subscribe(f"{direct.prefix}:to:a")
    assert listener.get_message(timeout=30) is not None
    assert direct("b", "beat", 60_000) == [True, 1, []]
    assert direct("b", "take", "a", 3) == []
    listener.close()
    while direct("b", "beat", 60_000)[2] != [["a", False]]:
        pass
    direct("a", "beat", -1)
    assert direct("b", "beat", 60_000)[2] == [["a", True]]
    assert [run[0] for run in direct("b", "take", "a", 3)] == ["k"]


def test_freed_and_taken(direct: Direct) -> None:
    direct.claim("a", "k")
    direct("b", "free", "k", 1)
    assert direct("b", "take", NOBODY, 3) == [], "only its owner can"
    direct("a", "free", "k", 1)
    assert direct("b", "beat", 60_000)[2] == [[NOBODY, True]]
    assert [run[:2] for run in direct("b", "take", NOBODY, 3)] == [["k", 2]]


def test_what_was_asked_meanwhile_is_known_to_the_next(direct: Direct) -> None:
    direct.claim("a", "k")
    for what, value in (("abort", "rpc"), ("level", 4), ("due", 5_000), ("due", 9_000)):
        assert direct("b", "ask", "k", what, value) is None
    ((_, _, _, abort, level, left, _, full, part),) = direct("b", "take", "a", 3)
    assert (abort, level, full, part) == ("rpc", 4, "f", "p")
    assert 0 < left <= 5_000, "the first limit stands"
    direct.finish("b", "k", 2)
    assert direct("a", "ask", "k", "abort", "rpc") == direct("a", "ask", "nobody's", "abort", "rpc") == "over"


def test_one_after_the_other(direct: Direct) -> None:
    assert [direct.claim(who, f"k{n}")[2] for n, who in enumerate("aba")] == [True, False, False]
    assert direct("a", "at_work", "s") == ["k0", "k1", "k2"]
    assert direct("b", "session", "s", "", "k1") == [[], False]
    direct.finish("b", "k1")
    assert direct("a", "session", "s", "", "k2") == [[], False]
    direct.finish("a", "k0")
    assert direct("a", "session", "s", "", "k2") == [[], True]
    direct("a", "forget", "k2")
    assert direct.claim("b", "k3")[2] is True, "what nobody knows any more holds nobody up"


def test_places_in_a_session(direct: Direct) -> None:
    direct.claim("a", "k0")
    at = direct.finish("a", "k0", pair="one")
    assert at[0] == "at"
    direct.claim("a", "k1")
    assert direct.finish("a", "k1", pair="two") is None, "there is something between"
    heard, _ = direct("b", "session", "s", "", "")
    assert heard[1:] == [False, "one", "two"]
    assert direct("b", "session", "s", heard[0], "")[0] == []
    assert direct("a", "session", "s", at[1], "")[0][1:] == [False, "two"]
    for n in range(6):
        direct("a", "say", "s", f"more {n}")
    trimmed = direct("b", "session", "s", heard[0], "")[0]
    assert trimmed[2:] == [f"more {n}" for n in range(6)][-len(trimmed[2:]) :]
    direct("a", "anew", "s")
    assert direct("b", "session", "s", trimmed[0], "")[0][1:] == [True]
    direct("a", "begin", "s", "not first")
    assert len(direct("b", "session", "s", "", "")[0]) == 2


def test_restored_where_it_was_lost(direct: Direct) -> None:
    assert direct("a", "restore", "k", 3, "f", "p", "{}", "s", True) is None
    assert direct("a", "write", "k", 3, "all of it") is None
    assert direct("b", "restore", "k", 3, "f", "p", "{}", "s", True) == "taken"
    assert direct("a", "restore", "k", 3, "f", "p", "{}", "s", True) is None
    assert direct("b", "find", "k") == ["{}", "f", "p", ["all of it"]]
    assert direct("a", "restore", "k", 1, "f", "p", "{}", "s", True) is None, "a claim without an answer"
    assert direct("a", "write", "k", 1, "more") is None


def test_a_short_log_is_packed_when_it_ends(direct: Direct) -> None:
    for run, entries in (("short", 3), ("long", 20)):
        direct.claim("a", run, session="")
        for n in range(entries):
            direct("a", "write", run, 1, f"{n}")
        direct("a", "finish", run, 1, "end", "final", "", False, "", "", "")
        assert direct("b", "find", run)[3] == [*(f"{n}" for n in range(entries)), "end"]
        assert direct.client.exists(f"{direct.prefix}:{{{run}}}:log") == (run == "long")
        assert 0 < direct.client.pttl(f"{direct.prefix}:{{{run}}}:run") <= 5_000
