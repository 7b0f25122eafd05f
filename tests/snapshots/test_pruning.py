"""Pruning: no more goes than must, the file is as small as was said, and no writer waits for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.snapshots import SnapshotStore


def said(what: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": what.ljust(400, ".")}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """200 turns, each with a fork of three checkpoints, which goes on in each from the one before."""
    path = tmp_path / "s.db"
    with SnapshotStore(path) as store:
        for n in range(200):
            tip = store.append("main", said(f"{n}"), kind="turn").id
            for part in range(3):
                fork = store.append("main", said(f"{n} {part}"), parent=tip, merge=False, kind="checkpoint")
                tip = fork.id
    return path


def size(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        pages, page = (db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
    return int(pages * page)


def test_a_third_of_the_bytes_is_a_third_of_the_snapshots(path: Path, note: Callable[[str], None]) -> None:
    whole = size(path)
    with SnapshotStore(path) as store:
        kept = {one.id: one.state for one in store.list()}
        gone = store.prune(max_bytes=whole * 2 / 3)
        assert size(path) <= whole * 2 / 3
        left = store.list()
        assert {one.id: one.state for one in left}.items() <= kept.items()
        assert sum(one.facts["kind"] == "turn" for one in left) == 200
        assert store.verify() == []
    note(f"a third of a file's bytes pruned: {gone} of 800 snapshots of much the same size")
    assert 800 / 4 < gone < 800 / 2


def test_what_goes_counts_only_if_nothing_else_needs_it(path: Path) -> None:
    """The checkpoints of a conversation share its turns, and those stay."""
    with SnapshotStore(path) as store:
        assert store.prune(max_bytes=size(path) - 1) < 40
        assert store.verify() == []


def test_others_write_in_between(path: Path) -> None:
    """Another connection, that would not wait, gets in while the pieces are worked on."""
    wrote: list[int] = []
    with SnapshotStore(path) as store, closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("PRAGMA busy_timeout = 0")

        def write(statement: str) -> None:
            if statement.startswith(("BEGIN", "DELETE")):
                try:
                    other.execute("UPDATE heads SET seq = seq WHERE name = x''")
                    wrote.append(1)
                except sqlite3.OperationalError:
                    wrote.append(0)

        with store._database.transaction("the statements") as db:
            db.set_trace_callback(write)
        assert store.prune(keep=10) > 0
        with store._database.transaction("the statements") as db:
            db.set_trace_callback(None)
        assert 0 in wrote, "nobody can within one"
        assert sum(wrote) >= 4
        assert store.verify() == []


def test_what_a_session_was_put_at_meanwhile_stays(path: Path) -> None:
    with SnapshotStore(path) as store, SnapshotStore(path) as other:
        old, named = store.list()[1:3]
        begun: list[str] = []

        def point(statement: str) -> None:
            begun.append(statement)
            if statement.startswith("COMMIT") and not done:
                done.append(True)  # first, as it commits as well
                after.append(move)
            elif statement.startswith("BEGIN") and after:
                after.pop()()

        def move() -> None:
            other.point("old", old.id)
            other.name(named.id, "mine")

        done: list[bool] = []
        after: list[Callable[[], object]] = []
        with store._database.transaction("the statements") as db:
            db.set_trace_callback(point)
            done.append(True)  # this one
        done.clear()
        store.prune(keep=0, spare_named=True)
        with store._database.transaction("the statements") as db:
            db.set_trace_callback(None)
        assert other.head("old") == old
        assert other.find("mine").id == named.id
        assert len(other.list()) == 4
        assert store.verify() == []


def test_what_a_kill_left_goes_the_next_time(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM snapshots WHERE seq < 700 AND seq NOT IN (SELECT seq FROM heads)")
    whole = size(path)
    with SnapshotStore(path) as store:
        assert store.verify() == []
        assert store.prune(keep=50) > 0
        assert size(path) < whole / 2
        assert store.verify() == []
