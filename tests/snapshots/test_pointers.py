"""Pointers: one that is lost or moved is found out, whatever it is asked for."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots import SnapshotStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "s.db"
    with SnapshotStore(path) as store:
        store.put({"messages": [{"content": "old"}]}, session="other")
        store.put({"messages": [{"content": "a"}, {"content": "b"}]}, label="kept", session="main")
    return path


@pytest.mark.parametrize(
    ("change", "damaged", "sound"),
    [
        ("DELETE FROM heads WHERE name = x'406d61696e'", "main", "other"),
        ("UPDATE heads SET seq = 1 WHERE name = x'406d61696e'", "main", "other"),
        ("UPDATE heads SET seq = NULL WHERE name = x'406d61696e'", "main", "other"),
        ("UPDATE heads SET name = x'406e61696e' WHERE name = x'406d61696e'", "main", "other"),
        ("UPDATE heads SET name = x'40ff61696e' WHERE name = x'406d61696e'", "main", "other"),
        ("UPDATE heads SET name = 7 WHERE name = x'406d61696e'", "main", "other"),
        ("DELETE FROM heads WHERE name = x''", None, "main"),
        ("UPDATE heads SET seq = 1 WHERE name = x''", None, "main"),
        ("UPDATE heads SET seal = zeroblob(16) WHERE name = x''", None, "main"),
    ],
)
def test_a_lost_or_moved_head_is_found_out(path: Path, change: str, damaged: str | None, sound: str) -> None:
    with sqlite3.connect(path) as db:
        assert db.execute(change).rowcount == 1
    db.close()
    with SnapshotStore(path) as store:
        with pytest.raises(SnapshotError, match="damaged"):
            _ = store.get() if damaged is None else store.head(damaged)
        if damaged is not None:
            with pytest.raises(SnapshotError, match="damaged"):
                store.append(damaged, [{"content": "c"}])
            with pytest.raises(SnapshotError, match="damaged"):
                store.sessions()
        with pytest.raises(SnapshotError, match="damaged"):
            store.prune(keep=1)
        assert store.verify() != []
        assert store.head(sound) is not None
        assert len(store.list()) == 2
