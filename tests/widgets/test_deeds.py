"""What a page may ask for: what is done, what is said of it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore
from openclaw_nb.widgets.deeds import LINE, SIDE, TEXT, Deeds
from openclaw_nb.widgets.places import StorePlaces

from .pooled import Pooled


def said(question: str, answer: str, **facts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer, **facts}]


@pytest.fixture
def store() -> Iterator[SnapshotStore]:
    with SnapshotStore() as store:
        yield store


@pytest.fixture
def deeds(store: SnapshotStore) -> Deeds:
    return Deeds(store, StorePlaces(store), None)


def test_restoring_moves_the_session_of_the_snapshot(store: SnapshotStore, deeds: Deeds) -> None:
    first, second = store.append("a", [1]), store.append("a", [2])
    answer = deeds.do({"kind": "restore", "id": first.id})
    assert answer == {"words": f"session a stands at {first.id[:8]} now", "tone": "ok"}
    assert store.head("a") == first
    Deeds(store, StorePlaces(store), "b").do({"kind": "restore", "id": second.id})
    assert store.sessions() == {"a": first, "b": second}


def test_a_run_that_was_cut_is_told_of_and_not_gone_on_with() -> None:
    with SnapshotStore() as store:
        memory = Memory(store)
        base = store.append("main", said("q", "a"))
        run = {"id": "r", "agent": "main", "message": "go on", "level": 2, "model": None, "budget": None, "at": 2,
               "base": base.id, "tokens": 3, "offset": 4, "calls": [], "state": "running"}  # fmt: skip
        parts = said("go on", "half", run="r", part=1)
        cut = store.append("main", parts, parent=base.id, merge=False, kind="checkpoint", run=run)
        answer = Deeds(store, memory, None).do({"kind": "restore", "id": cut.id})
        assert answer is not None
        assert answer["tone"] == "warn"
        assert f"%openclaw restore {cut.id[:8]} goes on with it" in answer["words"]
        assert store.head("main") == base


def test_a_pools_run_stands_for_its_session_at_its_end() -> None:
    with SnapshotStore() as store:
        memory = Memory(store)
        memory.append("main", said("q", "a"))
        pool = Pooled(memory, "coder", "tester", task="implement\nfeature X")
        deeds, id = Deeds(store, memory, None), pool.began.id
        assert deeds.do({"kind": "show", "id": id}) == {
            "id": id, "said": [("task", "implement feature X"), ("agents", "coder, tester")],
        }  # fmt: skip
        unended = deeds.do({"kind": "restore", "id": id})
        assert unended is not None
        assert unended["tone"] == "warn"
        assert f"%openclaw restore {id[:8]} goes on with it if it was cut" in unended["words"]
        later = memory.append("main", said("meanwhile", "c"), kind="turn")
        plainly = deeds.do({"kind": "restore", "id": later.id})
        assert plainly == {"words": f"session main stands at {later.id[:8]} now", "tone": "ok"}
        deeds.do({"kind": "restore", "id": id})
        coder = pool.answers("coder")
        end = pool.ends(0.5, tester="stopped by you")
        following = memory.append("main", said("next", "b"), kind="turn")
        assert deeds.do({"kind": "restore", "id": id}) == {
            "words": f"session main stands at {id[:8]} now",
            "tone": "ok",
        }
        assert memory.head("main") == end
        deeds.do({"kind": "branch", "id": id, "name": "idea"})
        assert memory.head("idea") == end
        shown = deeds.do({"kind": "show", "id": id})
        assert shown is not None
        assert shown["said"][1] == ("agents", "done: coder · stopped by you: tester")
        compared = deeds.do({"kind": "compare", "a": following.id, "b": coder.id})
        assert compared is not None
        assert (compared["common"], compared["changed"]) == (2, [])


def test_branching(store: SnapshotStore, deeds: Deeds) -> None:
    first = store.append("main", [1])
    answer = deeds.do({"kind": "branch", "id": first.id, "name": " try\n2 "})
    assert answer is not None
    assert answer["words"].startswith(f"session try 2 begins at {first.id[:8]}")
    assert store.head("try 2") == first
    with pytest.raises(SnapshotError, match="needs a name"):
        deeds.do({"kind": "branch", "id": first.id, "name": " \x00 "})
    with pytest.raises(SnapshotError, match="has begun already"):
        deeds.do({"kind": "branch", "id": first.id, "name": "main"})


def test_naming(store: SnapshotStore, deeds: Deeds) -> None:
    first = store.append("main", [1])
    answer = deeds.do({"kind": "name", "id": first.id, "name": "here\x1b[2J " + "x" * 200})
    assert answer is not None
    name = store.list()[0].label
    assert name == "here [2J " + "x" * 70 + "…"
    assert answer["words"] == f"{first.id[:8]} is named {name} now"
    deeds.do({"kind": "name", "id": first.id, "name": ""})
    assert store.list()[0].label == ""


def test_a_snapshot_is_shown_by_what_it_adds(store: SnapshotStore, deeds: Deeds) -> None:
    store.append("main", said("one", "two"))
    second = store.append("main", [*said("three\nlines", "x" * 1000), {"role": "tool", "content": "4"}])
    assert deeds.do({"kind": "show", "id": second.id}) == {
        "id": second.id, "said": [("you", "three lines"), ("tool", "4")],
    }  # fmt: skip
    third = store.append("main", said("five", "six " * 200))
    shown = deeds.do({"kind": "show", "id": third.id})
    assert shown is not None
    assert [len(text) for _, text in shown["said"]] == [4, LINE]
    assert deeds.do({"kind": "show", "id": store.put({"x": 1}).id}) is not None
    store.prune(keep=2)
    assert deeds.do({"kind": "show", "id": third.id}) is not None  # the one before it is gone


def test_comparing_says_both_sides_bounded(store: SnapshotStore, deeds: Deeds) -> None:
    base = store.append("main", said("q", "a"), label="base")
    one = store.append("main", said("left", "<b>l</b>" * TEXT, cost=0.01, level=3))
    store.point("try", base.id)
    other = store.append("try", said("right", "r") * SIDE)
    answer = deeds.do({"kind": "compare", "a": one.id, "b": other.id})
    assert answer is not None
    left, right = answer["sides"]
    assert answer["common"] == 2
    assert "$0.01" in left["figures"]
    assert "level 3" in left["figures"]
    assert left["said"][0] == ("you", "left")
    assert len(left["said"][1][1]) == TEXT + 1
    assert len(right["said"]) == SIDE + 1
    assert right["said"][-1] == ("", f"and {SIDE} messages more")
    assert left["name"] == one.id[:8]
    json.dumps(answer).encode()


@pytest.mark.parametrize(
    "asked",
    [
        {}, {"kind": "restore"}, {"kind": "restore", "id": 7}, {"kind": "restore", "id": None},
        {"kind": "prune", "id": "abcd"}, {"kind": "branch", "id": "abcd"}, {"kind": {}, "id": "abcd"},
        {"kind": "branch", "id": "abcd", "name": ["x"]}, {"kind": "compare", "a": "abcd"},
        {"kind": "name", "id": "abcd", "name": {}}, {"kind": "show", "id": b"abcd"},
    ],
)  # fmt: skip
def test_what_is_no_request_is_none(store: SnapshotStore, deeds: Deeds, asked: dict[str, Any]) -> None:
    head = store.append("main", [1])
    assert deeds.do(asked) is None
    assert store.sessions() == {"main": head}


@pytest.mark.parametrize("id", ["", "x", "0" * 16, "'; DROP TABLE snapshots; --", "\ud800", "a" * 10_000])
@pytest.mark.parametrize("kind", ["restore", "show", "branch", "name", "compare"])
def test_an_id_that_is_none_is_refused_in_a_sentence(store: SnapshotStore, deeds: Deeds, kind: str, id: str) -> None:
    head = store.append("main", [1])
    with pytest.raises(SnapshotError) as refused:
        deeds.do({"kind": kind, "id": id, "name": "new", "a": head.id, "b": id})
    assert len(str(refused.value)) < 300
    assert store.sessions() == {"main": head}
