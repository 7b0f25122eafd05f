"""What is kept of pools' runs: in words, and which have no end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.pool.kept import after, agents, cut_in_session, figures, kept_in, last_ended, outcomes, settled, whole
from openclaw_nb.pool.record import Member, Record
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore
from tests.widgets.pooled import Pooled

SAID = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.fixture
def memory() -> Iterator[Memory]:
    with SnapshotStore() as store:
        memory = Memory(store)
        memory.append("main", SAID, kind="turn")
        yield memory


def record(count: int, **facts: object) -> Record:
    members = [Member(f"a{n}", f"a{n}", f"main/a{n}", f"p-{n}") for n in range(count)]
    return Record("p", "do it", "parallel", members, **facts)  # type: ignore[arg-type]


def test_agents_are_named_and_of_many_the_first() -> None:
    assert agents(record(4)) == "a0, a1, a2, a3"
    assert agents(record(20)) == "a0, a1, a2 and 17 more"
    hostile = record(1)
    hostile.members[0].name = "<b>\x1b[2J\n" + "x" * 500
    assert "\x1b" not in agents(hostile)
    assert len(agents(hostile)) <= 60


def test_figures_say_how_it_worked_and_who_did_not_come_to_an_end() -> None:
    assert figures(record(1)) == "parallel, 1 agent"
    ended = {"a0": "done", "a1": "stopped by you", "a2": "done", "a3": "stopped by you"}
    over = record(4, ended=ended, tokens=1204, seconds=12.08)
    assert figures(over) == "parallel, 2 of 4 done, stopped by you: a1, a3, 1,204 tokens, 12.1 s"
    assert figures(over, live=False).endswith("1,204 tokens")
    assert outcomes(over) == ["done: a0, a2", "stopped by you: a1, a3"]
    assert outcomes(record(1)) == ["not ended: a0"]
    assert settled(record(4), over).ended == ended
    late = {"a0": "a0 was given up: late", "a1": "a1 was given up: late"}
    assert outcomes(record(2, ended=late)) == ["was given up: late: a0, a1"]


def test_only_its_own_two_snapshots_tell_of_it(memory: Memory) -> None:
    pool = Pooled(memory, "coder")
    turn = pool.answers("coder")
    end = pool.ends()
    later = memory.append("main", SAID, kind="turn")
    assert [kept_in(one) is not None for one in (pool.began, turn, end, later)] == [True, False, True, False]
    begun, ended = kept_in(pool.began), kept_in(end)
    assert begun is not None
    assert ended is not None
    assert (begun.ended, ended.ended) == (None, {"coder": "done"})
    assert whole(memory.store, pool.began, begun).ended == {"coder": "done"}
    assert memory.append("main", (), kind="pool", pool=7) is not None
    assert kept_in(memory.store.get()) is None


def test_a_session_stands_behind_it_where_nothing_was_said_in_between(memory: Memory) -> None:
    pool = Pooled(memory, "coder")
    assert after(memory.store, pool.began) == pool.began
    end = pool.ends()
    assert after(memory.store, pool.began) == end
    other = Pooled(memory, "coder", run="other")
    memory.append("main", SAID, kind="turn")
    other.ends()
    assert after(memory.store, other.began) == other.began


def test_which_were_cut_of_those_that_a_session_has_behind_it(memory: Memory) -> None:
    assert cut_in_session(memory.store, "main", memory.find(None)) == []
    one = Pooled(memory, "coder", run="one")
    two = Pooled(memory, "coder", run="two")
    turn = memory.append("main", SAID, kind="turn")
    assert [record.id for _, record in cut_in_session(memory.store, "main", turn)] == ["two", "one"]
    assert cut_in_session(memory.store, "main/coder", one.began) == []
    assert [entry.id for entry, _ in cut_in_session(memory.store, "main", one.began)] == [one.began.id]
    two.ends()
    at = memory.find(None)
    assert [record.id for _, record in cut_in_session(memory.store, "main", at)] == ["one"]
    memory.point("main", memory.store.list()[0].id)
    assert cut_in_session(memory.store, "main", memory.find(memory.store.list()[0].id)) == []


def test_the_last_that_ended(memory: Memory) -> None:
    with pytest.raises(ConfigError, match="no pool's run has ended in session 'main'"):
        last_ended(memory.store, "main", memory.head("main"))
    with pytest.raises(ConfigError, match="no pool's run"):
        last_ended(memory.store, "main", None)
    pool = Pooled(memory, "coder")
    with pytest.raises(ConfigError, match="'implement feature X' has not ended"):
        last_ended(memory.store, "main", memory.head("main"))
    pool.ends()
    memory.append("main", SAID, kind="turn")
    assert last_ended(memory.store, "main", memory.head("main")).id == "p"
    with pytest.raises(ConfigError, match="no pool's run"):
        last_ended(memory.store, "main/coder", memory.head("main/coder"))
