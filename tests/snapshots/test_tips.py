"""Tips: a store in memory knows where its sessions stand without reading, and never another state than it has."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots import SnapshotStore, tips


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": text.upper()}]


def read_anew(store: SnapshotStore, session: str) -> Any:
    """The head as the database has it."""
    place = store.places().get(session)
    return None if place is None else store.get(place).state


@pytest.fixture
def store() -> SnapshotStore:
    return SnapshotStore()


def test_a_head_is_known_without_reading(store: SnapshotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        store.append("main", said(f"question {n}"), kind="turn")
    read = read_anew(store, "main")
    monkeypatch.setattr(store._database, "transaction", None)
    head = store.head("main")
    assert head is not None
    assert head.state == read
    assert len(head.state["messages"]) == head.length == 6


def test_a_head_stays_as_it_was_while_its_session_grows(store: SnapshotStore) -> None:
    store.append("main", said("a"))
    head = store.head("main")
    store.append("main", said("b"))
    assert head is not None
    assert head.state == {"messages": said("a")}


def test_a_session_that_is_moved_grows_from_there(store: SnapshotStore) -> None:
    first = store.append("main", said("a"))
    store.append("main", said("b"))
    store.append("main", said("c"), parent=first.id)
    assert store.head("main").state == {"messages": [*said("a"), *said("c")]} == read_anew(store, "main")  # type: ignore[union-attr]
    store.append("main", said("d"))
    assert store.head("main").state == {"messages": [*said("a"), *said("c"), *said("d")]}  # type: ignore[union-attr]


def test_a_fork_from_a_tip_is_no_part_of_its_session(store: SnapshotStore) -> None:
    for n in range(3):
        head = store.append("main", said(f"question {n}"))
        fork = store.append("main", said(f"aside {n}"), parent=head.id, merge=False)
        assert fork.state["messages"][-2:] == said(f"aside {n}")
    assert store.head("main").state == read_anew(store, "main")  # type: ignore[union-attr]
    assert store.verify() == []


def test_values_that_are_kept_apart_are_read(store: SnapshotStore) -> None:
    store.append("main", said("a"), vars={"long": "x" * 100})
    assert store.head("main").state["vars"] == {"long": "x" * 100}  # type: ignore[union-attr]


def test_a_failed_turn_leaves_the_tip_as_it_was(store: SnapshotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = store.append("main", said("a")).state

    def broken(*_: object, **__: object) -> None:
        raise ValueError

    with monkeypatch.context() as patched:
        patched.setattr("openclaw_nb.snapshots.store.pointers.stand", broken)
        with pytest.raises(SnapshotError):
            store.append("main", said("b"))
    assert store.head("main").state == before == read_anew(store, "main")  # type: ignore[union-attr]
    store.append("main", said("c"))
    assert store.head("main").state == read_anew(store, "main") == {"messages": [*said("a"), *said("c")]}  # type: ignore[union-attr]


def test_more_sessions_than_tips(store: SnapshotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tips, "MOST_TIPS", 5)
    for n in range(40):
        store.append(f"s{n % 8}", said(str(n)))
    assert len(store._tips._tips) <= 5
    for n in range(8):
        assert store.head(f"s{n}").state == read_anew(store, f"s{n}")  # type: ignore[union-attr]


def test_a_file_that_others_write_has_none(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "a.db") as ours, SnapshotStore(tmp_path / "a.db") as theirs:
        for n in range(3):
            ours.append("main", said("a"))
            theirs.append("main", said("b"))
            assert ours.head("main").length == 4 * (n + 1)  # type: ignore[union-attr]
            ours.append("main", said("c"))
            ours.append("main", said("c"), parent=ours.head("main").parent)  # type: ignore[union-attr]
            theirs.point("main", theirs.head("main").parent)  # type: ignore[union-attr]
            assert ours.head("main").length == 4 * (n + 1)  # type: ignore[union-attr]


def test_whatever_is_done_heads_are_those_of_the_database(store: SnapshotStore) -> None:
    rng = random.Random(8)
    ids: list[str] = []
    sessions = ("a", "b", "c")

    def some() -> str | None:
        return rng.choice(ids) if ids else None

    deeds: list[Callable[[str], object]] = [
        lambda s: ids.append(store.append(s, said(str(len(ids)))).id),
        lambda s: ids.append(store.append(s, said("same"), kind="turn").id),
        lambda s: ids.append(store.append(s, said("fork"), parent=some(), merge=False).id),
        lambda s: ids.append(store.append(s, said("moved"), parent=some() or "").id),
        lambda s: ids.append(store.append(s, (), label=rng.choice(["", "x", "y"])).id),
        lambda s: ids.append(store.put({"messages": said("put"), "n": 1}, session=s).id),
        lambda s: store.point(s, some()),
        lambda s: store.name(ids[-1], rng.choice(["", "x", "z"])) if ids else None,
    ]
    for _ in range(400):
        rng.choice(deeds)(rng.choice(sessions))
        for session in sessions:
            head, place = store.head(session), store.places().get(session)
            assert (head and head.id) == place
            if head is not None and place is not None:
                there = store.get(place)
                assert (head.state, head.label, head.length) == (there.state, there.label, there.length)
    store.prune(keep=3)
    assert all(store.head(s).state == read_anew(store, s) for s in sessions if store.head(s))  # type: ignore[union-attr]
    assert store.verify() == []
