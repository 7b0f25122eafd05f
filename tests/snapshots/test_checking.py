"""Checking: a sentence for each thing that is not as it was written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.snapshots import SnapshotStore


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("UPDATE messages SET body = x'7b7d' WHERE n = 2", ["69 of the messages are damaged", *["snapshot "] * 69]),
        ("UPDATE items SET body = x'7b7d'", ["snapshot "]),
        ("DELETE FROM items", ["snapshot "]),
        ("UPDATE heads SET seq = 1 WHERE name = x''", ["the newest place is damaged"]),
        ("UPDATE heads SET seal = x'00' WHERE name = '#first'", ["the name 'first' is damaged"]),
        ("UPDATE snapshots SET created = 0 WHERE seq = 1", ["snapshot ", "snapshot "]),
    ],
)
def test_each_harm_is_told(tmp_path: Path, harm: str, says: list[str]) -> None:
    path = tmp_path / "s.db"
    with SnapshotStore(path) as store:
        for n in range(70):  # some of them in the indexes, the others not yet
            others: dict[str, Any] = {"big": "x" * 99} if n == 69 else {}
            store.append("main", [{"content": str(n)}], **others)
        store.name(store.list()[0].id, "first")
        assert store.verify() == []
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(harm.replace("'#first'", "CAST('#first' AS BLOB)")).rowcount > 0
    with SnapshotStore(path) as store:
        problems = store.verify()
        assert [problem[: len(words)] for problem, words in zip(problems, says, strict=False)] == says
        assert len(problems) >= len(says)


@pytest.mark.parametrize("row", [3, 70])
@pytest.mark.parametrize("table", ["messages", "snapshots"])
def test_an_index_that_lacks_a_row_or_has_one_too_many_is_told(tmp_path: Path, table: str, row: int) -> None:
    path = tmp_path / "s.db"
    with SnapshotStore(path) as store:
        for n in range(70):
            store.append("main", [{"content": str(n)}])
    index = {"messages": "messages_by_chain", "snapshots": "snapshots_by_digest"}[table]
    key = {"messages": "n", "snapshots": "seq"}[table]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (index,)).fetchone()
        other = sql.replace("fresh IS NULL", f"fresh IS NULL AND {key} <> 3" if row == 3 else "1")
        db.executescript(f"DROP INDEX {index}; {other}; PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, index))
    with SnapshotStore(path) as store:
        assert any("the file is damaged" in problem for problem in store.verify())
