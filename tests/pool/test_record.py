"""What snapshots know of a pool's run: its entry, its end, and what agents said merged into the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec import to_builtins

from openclaw_nb.errors import ConfigError
from openclaw_nb.pool.record import enter, merge_recorded, record_in
from openclaw_nb.sessions.memory import Memory, cut_in
from openclaw_nb.snapshots import SnapshotStore
from tests.widgets.pooled import Pooled

SAID = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.fixture
def memory() -> Iterator[Memory]:
    with SnapshotStore() as store:
        memory = Memory(store, fresh=True)
        memory.append("main", SAID, kind="turn", spent=0.25)
        yield memory


def said(memory: Memory, session: str = "main") -> list[tuple[str, str]]:
    head = memory.head(session)
    return [(one["role"], one["content"]) for one in head.state["messages"]] if head else []


def test_its_agents_branch_from_its_entry_which_says_nothing(memory: Memory) -> None:
    pool = Pooled(memory, "coder", "tester")
    assert said(memory) == said(memory, "main/coder") == [("user", "q"), ("assistant", "a")]
    assert {name: head.id for name, head in memory.sessions().items()} == dict.fromkeys(
        ("main", "main/coder", "main/tester"), pool.began.id
    )
    kept = record_in(pool.began.state)
    assert kept is not None
    assert (kept.at, kept.ended, kept.task) == (2, None, "implement feature X")
    assert Pooled(memory, "coder", run="again").sessions() == ["main/coder-2"]
    memory.point("main/tester-2", None)
    assert Pooled(memory, "tester", run="third").sessions() == ["main/tester-2"]  # it has nothing yet


def test_its_end_says_how_and_what_it_cost(memory: Memory) -> None:
    pool = Pooled(memory, "coder")
    end = pool.ends(0.5, coder="stopped by you")
    assert (end.facts["kind"], end.facts["spent"], end.parent) == ("pool end", 0.75, pool.began.id)
    kept = record_in(end.state)
    assert kept is not None
    assert kept.ended == {"coder": "stopped by you"}
    assert Pooled(memory, "coder", run="free").ends().facts["spent"] == 0.75
    assert record_in({"pool": {"id": 7}}) is None
    assert record_in({}) is None


def test_a_run_that_was_cut_before_it_is_left(memory: Memory) -> None:
    run = {
        "id": "r", "agent": "main", "message": "x", "level": 2, "model": None, "budget": None, "at": 2, "base": None,
        "tokens": 1, "offset": 4, "calls": [], "state": "failed",
    }  # fmt: skip
    memory.append("main", SAID, kind="turn", run=run)
    assert cut_in(Pooled(memory, "coder").began) is None


def test_what_one_said_is_merged_once(memory: Memory) -> None:
    pool = Pooled(memory, "coder", "tester")
    pool.answers("coder", "done it")
    pool.ends()
    merged = merge_recorded(memory, "main", pool.record, "coder")
    assert said(memory)[2:] == [("user", "implement feature X"), ("assistant", "done it")]
    assert merged.facts["kind"] == "turn"
    assert merge_recorded(memory, "main", pool.record, "coder").id == merged.id
    assert len(said(memory)) == 4
    with pytest.raises(ConfigError, match="tester has said nothing that could be merged"):
        merge_recorded(memory, "main", pool.record, "tester")
    with pytest.raises(ConfigError, match="no agent of it is called 'nobody'; there are coder, tester"):
        merge_recorded(memory, "main", pool.record, "nobody")


def test_a_name_that_is_no_text_for_a_terminal_is_told_as_one(memory: Memory) -> None:
    pool = Pooled(memory, "red\x1b[31m")
    for name in ("nobody", "red\x1b[31m"):
        with pytest.raises(ConfigError, match="red") as refused:
            merge_recorded(memory, "main", pool.record, name)
        assert "\x1b" not in str(refused.value)


def test_what_is_kept_elsewhere_is_said_so(memory: Memory) -> None:
    pool = Pooled(memory, "coder", "tester")
    pool.record.members[1].away = True
    with pytest.raises(ConfigError, match="what tester said is kept by its gateway elsewhere"):
        merge_recorded(memory, "main", pool.record, "tester")


def test_all_answers_are_one_exchange(memory: Memory) -> None:
    pool = Pooled(memory, "coder", "tester")
    with pytest.raises(ConfigError, match="none of the agents has said anything"):
        merge_recorded(memory, "main", pool.record, None)
    pool.answers("coder", "done it")
    pool.answers("tester", "it works")
    pool.ends()
    merged = merge_recorded(memory, "main", pool.record, None)
    assert said(memory)[2:] == [
        ("user", "implement feature X"), ("assistant", "## coder\n\ndone it\n\n## tester\n\nit works"),
    ]  # fmt: skip
    assert merge_recorded(memory, "main", pool.record, None).id == merged.id


def test_a_later_kernel_merges_what_is_in_the_file_but_never_another_runs_words(memory: Memory) -> None:
    pool = Pooled(memory, "coder", "tester")
    pool.answers("coder", "done it")
    end = pool.ends()
    later = Memory(memory.store, fresh=True)
    later.restore("main", end)
    record = record_in(end.state)
    assert record is not None
    merge_recorded(later, "main", record, "coder")
    assert said(later)[2:] == [("user", "implement feature X"), ("assistant", "done it")]
    again = Memory(memory.store, fresh=True)
    again.restore("main", end)
    Pooled(again, "coder", run="another").answers("coder", "something else")  # in the session of that name
    again.restore("main", end)
    with pytest.raises(ConfigError, match="coder has said nothing"):
        merge_recorded(again, "main", record, "coder")


def test_a_record_is_small_where_nothing_was_chosen(memory: Memory) -> None:
    pool = Pooled(memory, "coder")
    assert to_builtins(pool.record) == {
        "id": "p", "task": "implement feature X", "mode": "parallel", "at": 2,
        "members": [{"name": "coder", "agent": "coder", "session": "main/coder", "run": "p-0"}],
    }  # fmt: skip
    empty = Pooled(memory, "coder", session="new", run="q")
    assert (empty.record.at, enter(memory, "other", empty.record).length) == (0, 0)
