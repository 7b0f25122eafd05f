"""Outlines: columns by time, branches in lanes that nothing else crosses, and what a page is told of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.snapshots import Snapshot, SnapshotStore
from openclaw_nb.widgets.outline import FAR, HOLD, NONE, Outline


@pytest.fixture
def store() -> Iterator[SnapshotStore]:
    with SnapshotStore() as store:
        yield store


def snapshot(number: int, parent: int | None, kind: str = "turn", length: int = 0) -> Snapshot:
    others = json.dumps({"kind": [kind]}).encode()
    origin = None if parent is None else f"{parent:016x}"
    return Snapshot(f"{number:016x}", origin, "", float(number), "s", length, others, lambda: 0, lambda: "{}")


def grown(parents: list[int | None]) -> Outline:
    return Outline(snapshot(number, parent) for number, parent in enumerate(parents))


def lanes(outline: Outline) -> list[int]:
    return [outline.branches[entry.branch].lane for entry in outline.entries]


def test_an_entry_is_a_snapshot_in_short(store: SnapshotStore) -> None:
    first = store.append("main", ["a"], label="start\n  here", kind="turn", level=3, spent=0.5)
    store.append("main", ["b", "c"], spent=0.75)
    outline = Outline(store.list())
    entry, second = outline.entries
    assert (entry.id, entry.parent, entry.label, entry.session) == (first.id, NONE, "start here", "main")
    assert (entry.created, entry.kind, entry.length, entry.size, entry.level) == (first.created, "turn", 1, 3, 3)
    assert (second.parent, outline.added(1), second.cost) == (0, 2, 0.25)
    assert outline.column(first.id) == 0
    assert outline.column("?") is None


@pytest.mark.parametrize("state", [{"level": "x", "kind": 7, "spent": [1]}, {"level": True, "spent": None}, {}])
def test_a_state_may_be_anybodys(store: SnapshotStore, state: dict[str, object]) -> None:
    store.put(state)
    (entry,) = Outline(store.list()).entries
    assert (entry.level, entry.kind, entry.spent, entry.length, entry.session) == (0, "", 0.0, 0, "")


def test_branches_keep_to_their_lanes() -> None:
    outline = grown([None, 0, 1, 1, 2, 3, 0])
    assert lanes(outline) == [0, 0, 0, 1, 0, 1, 2]
    assert [(b.lane, b.source, b.first, b.last) for b in outline.branches] == [
        (0, NONE, 0, 4),
        (1, 1, 3, 5),
        (2, 0, 6, 6),
    ]


def test_a_lane_is_used_again_when_its_branch_is_long_over() -> None:
    line = list(range(2, HOLD + 6))
    outline = grown([None, 0, 0, *line, len(line) + 2])
    assert lanes(outline)[:3] == [0, 0, 1]
    assert outline.lanes == 2
    again = grown([None, 0, 0, *line, line[-1]])  # a fork of the last but one
    assert again.branches[-1].lane == 0
    assert again.lanes == 2


def test_a_line_from_far_away_is_not_drawn_whole() -> None:
    far = [None, *range(FAR + 3), 0]
    outline = grown(far)
    branch = outline.branches[-1]
    assert (branch.source, branch.begins) == (0, branch.first)
    near = grown([None, 0, 1, 0])
    assert near.branches[-1].begins == 0


@given(st.integers(0, 2**32), st.integers(2, 300))
def test_no_two_branches_share_a_lane_at_a_time(seed: int, size: int) -> None:
    choose = random.Random(seed)
    parents = [None] + [choose.choice([n - 1, choose.randrange(n), None]) for n in range(1, size)]
    outline = grown(parents)
    taken: dict[tuple[int, int], int] = {}
    for number, branch in enumerate(outline.branches):
        begins = branch.begins + (branch.begins != branch.first)  # the source itself is in a lane of its own
        for column in range(begins, branch.last + 1):
            assert taken.setdefault((branch.lane, column), number) == number
    for column, entry in enumerate(outline.entries):
        assert entry.parent == (NONE if parents[column] is None else parents[column])


@given(st.integers(0, 2**32), st.integers(1, 120), st.integers(0, 120))
def test_what_follows_changes_nothing_before_it(seed: int, size: int, seen: int) -> None:
    choose = random.Random(seed)
    parents = [None] + [choose.choice([n - 1, choose.randrange(n)]) for n in range(1, size)]
    before, after = grown(parents[:seen]), grown(parents)
    assert lanes(after)[: len(before)] == lanes(before)
    assert [entry.branch for entry in after.entries[: len(before)]] == [entry.branch for entry in before.entries]


def test_a_pruned_parent_begins_a_branch(store: SnapshotStore) -> None:
    for number in range(4):
        store.append("main", [number])
    store.prune(keep=2)
    outline = Outline(store.list())
    assert [entry.parent for entry in outline.entries] == [NONE, 0]
    assert outline.added(0) == 3


def test_a_run_has_no_end_until_a_turn_grew_from_where_it_began() -> None:
    kinds = ["turn", "checkpoint", "checkpoint", "turn", "checkpoint"]
    parents = [None, 0, 1, 0, 3]
    snapshots = [snapshot(n, parent, kind) for n, (parent, kind) in enumerate(zip(parents, kinds, strict=True))]
    assert list(Outline(snapshots[:3]).unended()) == [2]
    assert list(Outline(snapshots[:4]).unended()) == []
    assert list(Outline(snapshots).unended()) == [4]


def test_a_run_on_its_way_is_beside_its_session_and_leaves_its_lane_when_it_ends() -> None:
    kinds = ["turn", "checkpoint", "step", "turn", "checkpoint", "turn"]
    parents = [None, 0, 1, 0, 3, 3]
    outline = Outline(snapshot(n, parent, kind) for n, (parent, kind) in enumerate(zip(parents, kinds, strict=True)))
    assert lanes(outline) == [0, 1, 1, 0, 1, 0]
    assert [outline.beside(column) for column in range(6)] == [False, False, False, False, False, True]
    assert outline.may_go(snapshot(6, 5, "step"))
    assert not outline.may_go(snapshot(6, 4, "step"))
    assert not outline.may_go(snapshot(6, 5, "turn"))
    ids = {entry.id for entry in outline.entries}
    assert not outline.gone(ids | {"more"})
    assert outline.gone(ids - {outline.entries[4].id})


def test_labels_are_those_of_now(store: SnapshotStore) -> None:
    first, second = store.append("main", [1]), store.append("main", [2])
    store.name(first.id, "here")
    outline = Outline(store.list())
    store.name(second.id, "here")
    assert outline.relabel(store.list()) == [0, 1]
    assert [entry.label for entry in outline.entries] == ["", "here"]
    assert outline.relabel(store.list()) == []
    assert outline.add(store.get(second.id)) is None


def test_a_thinned_outline_says_what_it_leaves_out() -> None:
    outline = grown([None, 0, 1, 2, 1, 3])
    thin, left_out = outline.thinned([5, 0, 4])
    assert [entry.id for entry in thin.entries] == [outline.entries[column].id for column in (0, 4, 5)]
    assert [entry.parent for entry in thin.entries] == [NONE, 0, 0]
    assert left_out == [0, 1, 3]


def test_columns_say_all_and_only_the_new() -> None:
    outline = grown([None, 0, 0])
    told = outline.columns()
    assert told["ids"].split() == [entry.id for entry in outline.entries]
    assert told["parents"] == [0, 1, 2]
    assert told["branches"] == [[0, 0, NONE, 0, ""], [1, 1, 0, 2, ""]]
    assert told["created"] == [0, 1000, 1000]
    assert [told["words"][n] for n in told["kinds"]] == ["turn"] * 3
    new = outline.columns(2)
    assert (new["at"], new["ids"], new["branches"]) == (2, outline.entries[2].id, [[1, 1, 0, 2, ""]])
    assert outline.columns(3)["ids"] == ""


def test_ten_thousand_travel_in_one_small_message(figure: Callable[[str, str], None]) -> None:
    choose = random.Random(1)
    outline = grown([None] + [n - 1 if choose.random() < 0.97 else choose.randrange(n) for n in range(1, 10_000)])
    size = len(json.dumps(outline.columns()))
    figure("a timeline of 10,000 snapshots", f"{size / 1e6:.2f} MB to a page, {outline.lanes} lanes")
    assert size < 700_000
