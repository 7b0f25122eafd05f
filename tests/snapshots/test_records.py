"""Records: a row that says other than what was written is found out, and so is one that is gone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots import SnapshotStore

STATE = {"messages": [{"content": "a"}, {"content": "b"}], "small": 1, "large": "x" * 100}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "s.db"
    with SnapshotStore(path) as store:
        store.put({"messages": [{"content": "old"}]}, session="other")
        store.put(STATE, label="kept", session="main")
    return path


def tampered(path: Path, statement: str) -> SnapshotStore:
    with sqlite3.connect(path) as db:
        assert db.execute(statement).rowcount > 0
    db.close()
    return SnapshotStore(path)


@pytest.mark.parametrize(
    "change",
    [
        "messages SET body = CAST(replace(body, 'a', 'A') AS BLOB) WHERE n = 2",
        "messages SET body = CAST(replace(body, 'b', 'B') AS BLOB) WHERE n = 3",
        "messages SET body = 7 WHERE n = 2",
        "messages SET parent = 1 WHERE n = 3",
        "messages SET parent = NULL WHERE n = 3",
        "messages SET parent = 3 WHERE n = 3",
        "messages SET parent = 99 WHERE n = 3",
        "messages SET chain = zeroblob(16) WHERE n = 3",
        "messages SET n = 9 WHERE n = 3",
        "items SET body = CAST('\"y\"' AS BLOB)",
        "items SET body = 7",
        "items SET digest = zeroblob(16)",
        "snapshots SET tail = 2 WHERE seq = 2",
        "snapshots SET tail = NULL WHERE seq = 2",
        "snapshots SET length = 1 WHERE seq = 2",
        "snapshots SET length = -1 WHERE seq = 2",
        "snapshots SET length = NULL WHERE seq = 2",
        "snapshots SET label = CAST('lept' AS BLOB) WHERE seq = 2",
        "snapshots SET label = 7 WHERE seq = 2",
        "snapshots SET session = CAST('nain' AS BLOB) WHERE seq = 2",
        "snapshots SET parent = zeroblob(8) WHERE seq = 2",
        "snapshots SET created = created + 1 WHERE seq = 2",
        "snapshots SET others = CAST('{}' AS BLOB) WHERE seq = 2",
        "snapshots SET seq = 3 WHERE seq = 2",
    ],
)
def test_a_changed_row_is_found_out(path: Path, change: str) -> None:
    with SnapshotStore(path) as store:
        id = store.get().id
    with tampered(path, f"UPDATE {change}") as store:
        for call in (lambda: store.get(id), lambda: store.get(), lambda: store.head("main").state):  # type: ignore[union-attr]
            with pytest.raises(SnapshotError):
                call()
        with pytest.raises(SnapshotError, match=id):
            store.get(id)
        assert any(id in problem for problem in store.verify())
        assert len(store.list()) == 2
        assert store.head("other").state == {"messages": [{"content": "old"}]}  # type: ignore[union-attr]


def test_a_lost_snapshot_is_found_out(path: Path) -> None:
    with tampered(path, "DELETE FROM snapshots WHERE seq = 2") as store:
        with pytest.raises(SnapshotError):
            store.get()
        with pytest.raises(SnapshotError):
            store.head("main")
        assert store.verify() != []


def test_a_damaged_snapshot_hides_no_other(path: Path) -> None:
    with tampered(path, "UPDATE snapshots SET label = x'ff' WHERE seq = 2") as store:
        sound, damaged = store.list()
        assert sound.state == {"messages": [{"content": "old"}]}
        assert damaged.label == "(damaged)"
        with pytest.raises(SnapshotError, match=f"snapshot {damaged.id} is damaged"):
            _ = damaged.state
        with pytest.raises(SnapshotError, match=f"snapshot {damaged.id} is damaged"):
            store.prune(keep=1)


def test_what_another_connection_damages_is_found_out_although_it_was_read_before(path: Path) -> None:
    with SnapshotStore(path) as store:
        assert store.get().state == store.head("main").state == STATE  # type: ignore[union-attr]
        tampered(path, "UPDATE messages SET body = CAST(replace(body, 'a', 'A') AS BLOB) WHERE n = 2").close()
        for ask in (store.get, lambda: store.head("main"), lambda: store.append("main", []).state):
            with pytest.raises(SnapshotError, match="damaged"):
                ask()
