"""Names, forks, places and limits of a SnapshotStore, and what it says of a snapshot without reading it."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots import Snapshot, SnapshotStore, database


def said(*contents: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content} for content in contents]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SnapshotStore]:
    with SnapshotStore(tmp_path / "s.db") as store:
        yield store


# -- names -----------------------------------------------------------------------------------------


def test_a_name_stands_at_one_snapshot(store: SnapshotStore) -> None:
    a, b = (store.append("main", said(content)) for content in "ab")
    assert store.name(a.id[:6], "best").label == "best"
    assert store.find("best") == store.get(a.id)
    store.name(b.id, "best")
    assert store.find("best") == store.get(b.id)
    assert [one.label for one in store.list()] == ["", "best"]
    store.name(b.id, "better")
    with pytest.raises(SnapshotError, match="'best' is no snapshot id"):
        store.find("best")
    assert store.sessions()["main"].label == store.head("main").label == store.get().label == "better"  # type: ignore[union-attr]
    assert store.name(b.id, "").label == ""
    assert [one.label for one in store.list()] == ["", ""]
    assert store.verify() == []


def test_a_label_is_a_name_until_another_has_it(store: SnapshotStore) -> None:
    one = store.put({"n": 1}, label="x")
    assert store.find("x") == one
    two = store.put({"n": 2}, label="x")
    assert store.find("x") == two
    other = store.put({"n": 3})
    store.name(other.id, "x")
    assert store.find("x").id == other.id
    assert [each.label for each in store.list()] == ["", "", "x"]
    last = store.append("main", [], label="x")
    assert store.find("x").id == last.id
    assert store.get(other.id).label == ""


def test_what_was_named_over_is_found_by_its_new_name_only(store: SnapshotStore) -> None:
    one = store.put({}, label="x")
    store.name(one.id, "y")
    assert store.find("y").id == one.id
    with pytest.raises(SnapshotError, match="'x' is no snapshot id"):
        store.find("x")
    store.name(one.id, "")
    assert store.find("x").label == "x"


def test_find_takes_a_name_before_an_id(store: SnapshotStore) -> None:
    one, other = store.put({"n": 1}), store.put({"n": 2})
    assert store.find(one.id[:8]) == one
    store.name(other.id, one.id[:8])
    assert store.find(one.id[:8]).id == other.id
    for wrong in ("", "nowhere", "\ud800", "x" * 5000):
        with pytest.raises(SnapshotError):
            store.find(wrong)
    with pytest.raises(SnapshotError, match="only str"):
        store.find(None)  # type: ignore[arg-type]
    with pytest.raises(SnapshotError, match="only str"):
        store.name(one.id, 1)  # type: ignore[arg-type]
    with pytest.raises(SnapshotError, match="there is no snapshot"):
        store.name("0" * 16, "x")


LABEL = st.sampled_from(["", "x", "y", "ünï", "\ud800", "#x", "@main", "abcd"])


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), LABEL, st.integers(0, 5)), max_size=12))
def test_any_naming_equals_a_dict(steps: list[tuple[bool, str, int]]) -> None:
    """``given`` are names by snapshot; labels count where their snapshot was not named over and none has that name."""
    ids: list[str] = []
    labels: dict[str, str] = {}
    given: dict[str, str] = {}
    with SnapshotStore() as store:
        for keeps, label, which in steps:
            if keeps or not ids:
                ids.append(store.put({"n": len(ids)}, label=label, session="main").id)
                labels[ids[-1]] = label
                given = {id: name for id, name in given.items() if not label or name != label}
            else:
                id = ids[which % len(ids)]
                store.name(id, label)
                given = {other: name for other, name in given.items() if other != id and name != label}
                given |= {id: label} if label else {}
        shown = {id: given.get(id, "" if labels[id] in given.values() else labels[id]) for id in ids}
        assert {one.id: one.label for one in store.list()} == shown
        for label in {*labels.values(), *given.values()} - {""}:
            wanted = [id for id in ids if shown[id] == label]
            if wanted:
                assert store.find(label).id == wanted[-1]
            else:
                with pytest.raises(SnapshotError):
                    store.find(label)
        assert store.verify() == []


def test_a_damaged_name_is_no_other_one(tmp_path: Path) -> None:
    """Each byte of a name's row: never another snapshot, and verify() says so."""
    for column, value in (("seq", 1), ("name", b"#z"), ("name", b"@z"), ("name", b"!z"), ("seal", bytes(16))):
        path = tmp_path / f"{column}{value!r:.4}.db".replace("'", "")
        with SnapshotStore(path) as store:
            store.put({"n": 1}, label="x", session="main")
            other = store.put({"n": 2}, session="main")
            store.name(other.id, "x")
        with sqlite3.connect(path) as db:
            db.execute(f"UPDATE heads SET {column} = ? WHERE name = ?", (value, b"#x"))
        db.close()
        with SnapshotStore(path) as store:
            with pytest.raises(SnapshotError, match="is damaged in the file"):
                store.find("x")
            assert len(store.verify()) == 1, (column, value)
            assert [one.state["n"] for one in store.list()] == [1, 2]
            assert {one.label for one in store.list()} <= {"", "x"}
            with pytest.raises(SnapshotError):
                store.find("z")


def test_what_is_damaged_hides_no_other(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "s.db") as store:
        for n in range(3):
            store.append("main", said(str(n)))
    with sqlite3.connect(tmp_path / "s.db") as db:
        db.execute("UPDATE snapshots SET tail = x'00ff' WHERE seq = 2")
    db.close()
    with SnapshotStore(tmp_path / "s.db") as store:
        assert [one.label for one in store.list()] == ["", "(damaged)", ""]
        assert store.list()[2].state == {"messages": said("0", "1", "2")}


# -- forks -----------------------------------------------------------------------------------------


def test_a_fork_says_its_session_and_does_not_move_it(store: SnapshotStore) -> None:
    head = store.append("main", said("a"))
    fork = store.append("main", said("b"), merge=False, kind="checkpoint")
    assert (fork.parent, fork.session, fork.state["messages"]) == (head.id, "main", said("a", "b"))
    again = store.append("main", said("c"), parent=fork.id, merge=False)
    assert (again.parent, again.length, again.facts) == (fork.id, 3, {"kind": "checkpoint"})
    assert store.head("main") == head
    assert store.get() == again
    put = store.put({"n": 1}, session="main", merge=False)
    assert (put.parent, store.head("main")) == (head.id, head)
    assert store.append("main", said("d")).parent == head.id
    assert store.verify() == []


def test_a_fork_of_a_session_that_has_not_begun(store: SnapshotStore) -> None:
    fork = store.append("new", said("a"), parent="", merge=False)
    assert (fork.parent, store.head("new"), store.sessions()) == (None, None, {})
    assert store.places() == {"new": None}
    assert store.last("new") == fork
    first = store.append("new", said("b"))
    assert (first.parent, first.length) == (None, 1)
    assert store.places() == {"new": first.id}
    assert store.verify() == []


def test_a_parent_may_be_any_snapshot_or_none(store: SnapshotStore) -> None:
    one = store.append("main", said("a"), level=3)
    store.append("main", said("b"))
    beside = store.append("main", said("c"), parent=one.id)
    assert beside.state == {"messages": said("a", "c"), "level": 3}
    assert store.head("main") == beside
    anew = store.append("main", said("d"), parent="")
    assert (anew.state, anew.parent) == ({"messages": said("d")}, None)
    with pytest.raises(SnapshotError, match="there is no snapshot"):
        store.append("main", [], parent="f" * 16)
    assert store.head("main") == anew


def test_last_passes_over_what_was_kept_by_hand(store: SnapshotStore) -> None:
    assert store.last("main") is None
    turn = store.append("main", said("a"), kind="turn")
    store.append("other", said("b"))
    store.append("main", [], kind="named", label="here")
    assert store.last("main") == turn
    checkpoint = store.append("main", said("c"), merge=False, kind="checkpoint")
    assert store.last("main") == checkpoint


# -- what is known without a state ------------------------------------------------------------------


def test_length_size_facts_and_keys(store: SnapshotStore) -> None:
    bodies = [len(f'{{"role":"user","content":"{content}"}}'.encode()) for content in ("a", "größe", "c")]
    long = {"df": "x" * 100}
    one = store.append("main", said("a"), kind="turn", level=2, spent=0.5, vars=long)
    two = store.append("main", said("größe", "c"), level=3)
    beside = store.put({"messages": said("a", "größe"), "vars": {}}, parent=one.id)
    none = store.put({"n": None})
    for each in (one, store.get(one.id), store.list()[0]):
        assert (each.length, each.size) == (1, bodies[0])
        assert each.facts == {"kind": "turn", "level": 2, "spent": 0.5}
        assert each.keys == {"kind", "level", "spent", "vars"}
    assert (two.length, two.size, two.facts["level"]) == (3, bodies[1] + bodies[2], 3)
    assert (beside.length, beside.size, beside.facts) == (2, 0, {"vars": {}})
    assert (none.length, none.size, none.facts) == (0, 0, {"n": None})
    assert [each.size for each in store.list()] == [one.size, two.size, 0, 0]


# -- listeners -------------------------------------------------------------------------------------


def test_listeners(store: SnapshotStore, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[tuple[str, str, str]] = []

    def listen(snapshot: Snapshot) -> None:
        assert store.get(snapshot.id) == snapshot  # it is kept by now, and the store is free
        heard.append((snapshot.id, snapshot.label, threading.current_thread().name))

    def fail(snapshot: Snapshot) -> None:
        raise RuntimeError("of somebody else")

    store.subscribe(fail)
    forget = store.subscribe(listen)
    one = store.append("main", said("a"))
    thread = threading.Thread(target=lambda: store.put({}, label="x", merge=False), name="writer")
    thread.start()
    thread.join()
    store.name(one.id, "first")
    with pytest.raises(SnapshotError):
        store.put({"x": object()})
    forget()
    forget()
    store.append("main", said("b"))
    here = threading.current_thread().name
    assert heard == [(one.id, "", here), (store.list()[1].id, "x", "writer"), (one.id, "first", here)]
    assert sum("a listener of" in record.message for record in caplog.records) == 4
    assert all(record.levelno == logging.ERROR for record in caplog.records)


# -- limits ----------------------------------------------------------------------------------------


def filled(store: SnapshotStore, count: int = 40) -> list[Snapshot]:
    """Every fourth is a turn, the others checkpoints of it; each says something large of its own."""
    for n in range(count):
        state = {"messages": said(f"{n} " + "x" * 20_000), "kind": "checkpoint" if n % 4 else "turn"}
        store.put(state, session="main", merge=n % 4 == 0)
    return store.list()


def file_size(store: SnapshotStore) -> int:
    with store._database.transaction("the size") as db:
        (pages,), (page,) = (db.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
    return int(pages * page)


def test_a_file_that_is_too_big_loses_checkpoints_first(store: SnapshotStore) -> None:
    kept = filled(store)
    whole = file_size(store)
    assert store.prune(max_bytes=whole) == 0
    gone = store.prune(max_bytes=whole / 2)
    assert gone > 0
    assert file_size(store) <= whole / 2
    left = store.list()
    lost = {one.id for one in kept} - {one.id for one in left}
    assert len(lost) == gone
    checkpoints = [one.id for one in kept if one.facts["kind"] == "checkpoint" and one != kept[-1]]
    assert lost == set(checkpoints[:gone])
    assert store.verify() == []


def test_limits_of_bytes_spare_heads_and_names(store: SnapshotStore) -> None:
    kept = filled(store)
    store.name(kept[5].id, "mine")
    labelled = store.put({"messages": said("y" * 30_000)}, label="by hand")
    newest = store.put({"messages": said("newest")})
    assert store.prune(max_bytes=0, spare_named=True) == len(kept) - 2
    head = store.head("main")
    assert head is not None
    assert {one.id for one in store.list()} == {kept[5].id, labelled.id, newest.id, head.id}
    assert store.find("mine").state["messages"][0]["content"].startswith("5 x")
    assert store.prune(max_bytes=0) == 2
    with pytest.raises(SnapshotError, match="no snapshot id"):
        store.find("mine")
    assert store.verify() == []


def test_limits_of_age_and_bytes_together(store: SnapshotStore) -> None:
    kept = filled(store, 12)
    assert store.prune(older_than=3600, max_bytes=1e9) == 0
    assert store.prune(keep=100, max_bytes=file_size(store) * 3 / 4) > 0
    time.sleep(0.002)
    assert store.prune(older_than=0.001, max_bytes=1e9, spare_named=True) > 0
    assert {one.id for one in store.list()} == {kept[8].id, kept[11].id}
    for wrong in ({"max_bytes": -1}, {"keep": -1}, {"older_than": -0.5}):
        with pytest.raises(SnapshotError, match="0 or more"):
            store.prune(**wrong)  # type: ignore[arg-type]


def test_in_memory(store: SnapshotStore) -> None:
    assert not store.in_memory
    with SnapshotStore() as other:
        assert other.in_memory
        assert other.path == ":memory:"


# -- other processes -------------------------------------------------------------------------------


def test_the_work_of_another_process_is_seen(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "s.db") as one, SnapshotStore(tmp_path / "s.db") as other:
        first = one.append("main", said("a"))
        fork = other.append("main", said("b"), merge=False)
        other.name(first.id, "start")
        assert one.find("start").id == first.id
        assert one.last("main") == fork
        assert one.head("main").label == "start"  # type: ignore[union-attr]
        heard: list[Any] = []
        forget: Callable[[], None] = one.subscribe(heard.append)
        other.append("main", said("c"))
        forget()
        assert heard == []  # of its own process only


def test_who_reads_does_not_wait_for_another_process_that_writes(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_WAIT", 60.0)  # the writer gives up no sooner
    first = store.append("main", said("a"))
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer = threading.Thread(target=lambda: store.append("main", said("b")))
    writer.start()
    time.sleep(0.05)
    assert store.head("main") == store.get(first.id) == store.list()[0] == first
    assert writer.is_alive()
    other.execute("ROLLBACK")
    other.close()
    writer.join()
    assert store.head("main").length == 2  # type: ignore[union-attr]
