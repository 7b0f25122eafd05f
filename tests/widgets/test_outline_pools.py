"""Outlines with runs of a pool: one entry each, a line for each agent, and what a session says next goes on from it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import Snapshot, SnapshotStore
from openclaw_nb.widgets.outline import HOLD, Outline

from .pooled import Pooled

SAID = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.fixture
def memory() -> Iterator[Memory]:
    with SnapshotStore() as store:
        memory = Memory(store)
        memory.append("main", SAID, kind="turn", spent=0.25)
        yield memory


def outlined(memory: Memory) -> Outline:
    return Outline(memory.store.list())


def lines(outline: Outline) -> dict[str, list[str]]:
    """The entries on each branch, as "session kind", by the agent's name or the branch's number."""
    found: dict[str, list[str]] = {}
    for entry in outline.entries:
        branch = outline.branches[entry.branch]
        found.setdefault(branch.agent or str(entry.branch), []).append(f"{entry.session} {entry.kind}")
    return found


def test_a_pools_run_is_one_entry_from_which_its_agents_branch(memory: Memory) -> None:
    pool = Pooled(memory, "coder", "tester")
    pool.on_the_way("coder")
    pool.on_the_way("tester")
    pool.answers("tester", cost=0.5)
    pool.answers("coder", cost=0.25)
    pool.ends(0.75)
    memory.append("main", SAID, kind="turn", spent=1.25)
    outline = outlined(memory)
    assert len(memory.store.list()) == len(outline) + 1
    assert lines(outline) == {
        "0": ["main turn", "main pool", "main turn"],
        "coder": ["main/coder checkpoint", "main/coder turn"],
        "tester": ["main/tester checkpoint", "main/tester turn"],
    }
    assert [(branch.agent, branch.source) for branch in outline.branches] == [("", -1), ("coder", 1), ("tester", 1)]
    assert [entry.parent for entry in outline.entries] == [-1, 0, 1, 1, 1, 1, 1]
    assert [entry.cost for entry in outline.entries] == [0.25, 0.75, 0, 0, 0.5, 0.25, 0.25]
    assert outline.entries[1].spent == 1.0
    assert list(outline.unended()) == []


def test_the_session_stands_at_the_entry_and_its_agents_need_no_second_name(memory: Memory) -> None:
    pool = Pooled(memory, "coder", "tester")
    assert outlined(memory).heads(memory.sessions()) == {"main": 1}
    pool.answers("coder")
    pool.ends()
    outline = outlined(memory)
    assert outline.heads(memory.sessions()) == {"main": 1}
    assert outline.heads(memory.sessions(), "main/coder") == {"main": 1, "main/coder": 2}
    memory.append("main/coder", SAID, kind="turn")
    memory.point("main/tester", memory.store.list()[0].id)
    outline = outlined(memory)
    assert outline.heads(memory.sessions()) == {"main": 1, "main/tester": 0}
    assert lines(outline)["coder"] == ["main/coder turn", "main/coder turn"]
    memory.point("main/coder", outline.entries[2].id)
    assert outline.heads(memory.sessions()) == {"main": 1, "main/coder": 2, "main/tester": 0}


def test_what_has_no_end_is_said_of_it_and_of_the_agents_that_have_none(memory: Memory) -> None:
    pool = Pooled(memory, "coder", "tester", "reviewer")
    for name in ("coder", "tester"):
        pool.on_the_way(name)
    pool.answers("coder")
    assert [outlined(memory).entries[column].session for column in outlined(memory).unended()] == [
        "main/tester", "main",
    ]  # fmt: skip
    pool.answers("tester")
    assert list(outlined(memory).unended()) == [1]
    pool.ends()
    assert list(outlined(memory).unended()) == []


def test_a_run_that_was_taken_up_again_goes_on_in_its_line(memory: Memory) -> None:
    pool = Pooled(memory, "coder", "tester")
    first = pool.on_the_way("coder")
    pool.on_the_way("coder", parent=first)
    pool.on_the_way("tester")
    again = pool.on_the_way("coder")  # in another kernel
    pool.on_the_way("coder", parent=again)
    pool.answers("coder")
    outline = outlined(memory)
    assert len(lines(outline)["coder"]) == 5
    assert len(outline.branches) == 3
    memory.point("main/coder", pool.began.id)
    pool.answers("coder", "something else")  # a fork of it is another line
    assert [branch.agent for branch in outlined(memory).branches] == ["", "coder", "tester", "coder"]


def test_what_was_said_in_the_meantime_is_before_what_is_said_next(memory: Memory) -> None:
    pool = Pooled(memory, "coder")
    pool.answers("coder", cost=0.5)
    memory.append("main", SAID, kind="turn", spent=0.5)
    pool.ends(0.5)
    memory.append("main", SAID, kind="turn", spent=1.25)
    outline = outlined(memory)
    assert lines(outline)["0"] == ["main turn", "main pool", "main turn", "main turn"]
    assert [entry.parent for entry in outline.entries] == [-1, 0, 1, 1, 3]
    assert [entry.cost for entry in outline.entries] == [0.25, 0.5, 0.5, 0.25, 0.25]
    assert outline.heads(memory.sessions()) == {"main": 4}


def test_what_an_agent_is_asked_from_there_later_costs_what_it_costs(memory: Memory) -> None:
    pool = Pooled(memory, "coder")
    pool.answers("coder", cost=0.5)
    pool.ends(0.5)
    memory.point("main/coder", pool.began.id)
    pool.answers("coder", cost=0.125)
    assert outlined(memory).entries[-1].cost == 0.125


def test_the_line_of_one_that_is_long_silent_is_kept_for_it(memory: Memory) -> None:
    pool = Pooled(memory, "coder", "tester")
    pool.on_the_way("coder")
    last = pool.on_the_way("tester")
    for _ in range(HOLD + 2):
        last = pool.on_the_way("tester", parent=last)
    pool.answers("tester")
    memory.point("beside", memory.store.list()[0].id)
    memory.append("beside", SAID, kind="turn")  # takes a lane that is free
    pool.answers("coder")
    assert lines(outlined(memory))["coder"] == ["main/coder checkpoint", "main/coder turn"]


def test_two_at_once_in_one_session(memory: Memory) -> None:
    one = Pooled(memory, "coder", run="one")
    two = Pooled(memory, "coder", run="two")
    assert two.sessions() == ["main/coder-2"]
    one.answers("coder", cost=0.25)
    one.ends(0.25, coder="stopped by you")
    assert [outlined(memory).entries[column].id for column in outlined(memory).unended()] == [two.began.id]
    two.answers("coder", cost=0.5)
    two.ends(0.5)
    outline = outlined(memory)
    assert [entry.kind for entry in outline.entries] == ["turn", "pool", "pool", "turn", "turn"]
    assert [entry.cost for entry in outline.entries] == [0.25, 0.25, 0.5, 0.25, 0.5]
    assert [branch.agent for branch in outline.branches] == ["", "coder", "coder"]
    assert [entry.pool.ended for entry in outline.entries if entry.pool] == [
        {"coder": "stopped by you"}, {"coder": "done"},
    ]  # fmt: skip
    assert outline.heads(memory.sessions()) == {"main": 2}


def test_an_end_without_its_beginning_is_an_entry(memory: Memory) -> None:
    pool = Pooled(memory, "coder")
    pool.answers("coder")
    pool.ends()
    every = memory.store.list()
    outline = Outline(one for one in every if one.id != pool.began.id)
    assert [entry.kind for entry in outline.entries] == ["turn", "turn", "pool end"]
    assert list(outline.unended()) == []


def test_a_page_is_told_of_it_and_then_how_it_ended(memory: Memory) -> None:
    pool = Pooled(memory, "coder", "tester")
    outline = outlined(memory)
    assert outline.columns()["pools"] == {"1": ["coder, tester", "parallel, 2 agents", 0]}
    outline.add(pool.answers("coder"))
    assert outline.columns(2)["pools"] == {}
    assert outline.columns(2)["branches"] == [[1, 1, 1, 2, "coder"]]
    assert outline.ended() == set()
    assert outline.add(pool.ends(0.5, tester="the model failed")) is None
    assert outline.ended() == {1}
    assert outline.ended() == set()
    assert outline.pools({1}) == {
        "1": ["coder, tester", "parallel, 1 of 2 done, the model failed: tester", 500_000],
    }  # fmt: skip


def test_a_name_is_the_entrys_own(memory: Memory) -> None:
    pool = Pooled(memory, "coder")
    end = pool.ends()
    outline = outlined(memory)
    memory.store.name(pool.began.id, "here")
    assert outline.relabel(memory.store.list()) == [1]
    memory.store.name(end.id, "there")
    assert outline.relabel(memory.store.list()) == []


def test_a_run_that_takes_its_first_snapshot_back_is_noticed(memory: Memory) -> None:
    pool = Pooled(memory, "coder", "tester")
    pool.on_the_way("coder")
    outline = outlined(memory)
    turn = outline.add(pool.answers("coder"))
    assert turn is not None
    assert outline.beside(turn)


def test_others_that_have_one_snapshot_take_none_back(memory: Memory) -> None:
    pool = Pooled(memory, "coder", "tester")
    pool.on_the_way("coder", parent=pool.on_the_way("coder"))
    pool.on_the_way("tester")
    outline = outlined(memory)
    over = outline.add(pool.answers("coder"))
    assert over is not None
    assert not outline.beside(over)


def test_what_was_said_is_never_taken_for_an_end(memory: Memory) -> None:
    Pooled(memory, "coder").ends()
    memory.append("main", SAID)  # which inherits all values of the state before, its kind too
    assert [entry.length for entry in outlined(memory).entries] == [2, 2, 4]


def test_a_state_may_be_anybodys(memory: Memory) -> None:
    for kept in (7, {}, {"id": "x"}, {"id": "x", "task": "", "mode": "", "members": [{"name": 7}]}, None):
        memory.append("main", (), kind="pool", pool=kept)
        memory.append("main", (), kind="pool end", pool=kept)
    assert [entry.pool for entry in outlined(memory).entries] == [None] * 11


@given(st.integers(0, 2**32), st.integers(1, 20))
def test_lines_of_agents_never_cross(seed: int, count: int) -> None:
    choose = random.Random(seed)
    with SnapshotStore() as store:
        memory = Memory(store)
        waiting = [f"a{n}" for n in range(count)]
        pool = Pooled(memory, *waiting)
        at_work: dict[str, Snapshot] = {}
        while waiting or at_work:
            deed, name = choose.choice("wcte"), choose.choice([*at_work, ""])
            if deed == "t":
                memory.append("main", SAID, kind="turn")
            elif deed == "w" and waiting:
                first = waiting.pop(0)
                at_work[first] = pool.on_the_way(first)
            elif deed == "c" and name:
                at_work[name] = pool.on_the_way(name, parent=at_work[name])
            elif deed == "e" and name:
                pool.answers(name)
                del at_work[name]
        pool.ends()
        outline = outlined(memory)
    assert sorted(branch.agent for branch in outline.branches if branch.agent) == sorted(f"a{n}" for n in range(count))
    taken: dict[tuple[int, int], int] = {}
    for number, branch in enumerate(outline.branches):
        for column in range(branch.begins + (branch.begins != branch.first), branch.last + 1):
            assert taken.setdefault((branch.lane, column), number) == number


def test_of_many_the_first_are_named(memory: Memory) -> None:
    pool = Pooled(memory, *(f"agent {n}" for n in range(20)))
    outline = outlined(memory)
    assert outline.columns()["pools"]["1"][0] == "agent 0, agent 1, agent 2 and 17 more"
    for n in range(20):
        outline.add(pool.answers(f"agent {n}"))
    assert outline.lanes == 21
