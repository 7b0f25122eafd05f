"""Files that older versions made: brought up to date with all that is in them, or left as they are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import blake2b
from pathlib import Path

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots import SnapshotStore
from openclaw_nb.snapshots.records import FORMATS

# As the first two formats had them, to the letter; what was in such a file is below, without its hashes.
FIRST = """
CREATE TABLE messages(n INTEGER PRIMARY KEY, parent INTEGER, chain BLOB NOT NULL UNIQUE, body BLOB NOT NULL);
CREATE TABLE items(digest BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE snapshots(seq INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, parent BLOB, label BLOB NOT NULL,
        session BLOB, created REAL NOT NULL, length INTEGER, others BLOB NOT NULL, tail INTEGER);
CREATE TABLE heads(name BLOB PRIMARY KEY, seq INTEGER REFERENCES snapshots, seal BLOB NOT NULL) WITHOUT ROWID;
"""
SECOND = "CREATE INDEX snapshots_of_session ON snapshots(session) WHERE session IS NOT NULL;"
SAID = [b'{"role":"user","content":"a"}', b'{"role":"assistant","content":"b","cost":7e-07}', b'{"content":"other"}']
LONG = b'{"name":{"format":"json","data":"%s"}}' % (b"x" * 90)


def digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


def old_file(path: Path, number: int) -> list[str]:
    """A session "main" of two turns, and a branch of the first one that was labelled; gives the ids."""
    first = digest(bytes(16) + SAID[0])
    chains = [first, digest(first + SAID[1]), digest(first + SAID[2])]
    others = b'{"kind":["turn"],"vars":"%s"}' % digest(LONG).hex().encode()
    ids: list[bytes] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"{FIRST}{SECOND if number > 1 else ''} PRAGMA user_version = {number}; BEGIN;")
        db.executemany(
            "INSERT INTO messages VALUES (?, ?, ?, ?)", zip((1, 2, 3), (None, 1, 1), chains, SAID, strict=True)
        )
        db.execute("INSERT INTO items VALUES (?, ?)", (digest(LONG), LONG))
        for seq, (parent, label, session) in enumerate(
            [(None, b"", b"main"), (0, b"", b"main"), (0, b"b", b"side")], 1
        ):
            row = (seq, None if parent is None else ids[parent][:8], label, session, 1.5 + seq, 1 + (seq > 1), others)
            ids.append(digest(repr((*row, chains[seq - 1])).encode()))
            db.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (seq, ids[-1], *row[1:], seq))
        for name, seq in ((b"", 3), (b"@main", 2), (b"@side", 3), (b"#named", 1)):
            db.execute("INSERT INTO heads VALUES (?, ?, ?)", (name, seq, digest(name + ids[seq - 1])))
        db.execute("COMMIT")
    return [id[:8].hex() for id in ids]


@pytest.fixture(params=[1, 2])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[str]]:
    path = tmp_path / "old.db"
    return path, old_file(path, request.param)


def test_all_that_was_in_it_is_there(old: tuple[Path, list[str]]) -> None:
    path, ids = old
    a, b = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "cost": 7e-07}
    others = {"kind": "turn", "vars": {"name": {"format": "json", "data": "x" * 90}}}
    for _ in range(2):  # brought up to date, and as it is then
        with SnapshotStore(path) as store:
            assert store.verify() == []
            assert [one.id for one in store.list()][:3] == ids
            assert store.get(ids[1]).state == {"messages": [a, b]} | others
            assert store.find("b").state == {"messages": [a, {"content": "other"}]} | others
            assert store.find("named").id == store.list()[0].id == ids[0]
            assert store.places() == {"main": ids[1], "side": ids[2]}
    with SnapshotStore(path) as store:
        more = store.append("main", [{"content": "c"}])
        assert (more.parent, more.state["messages"]) == (ids[1], [a, b, {"content": "c"}])
        assert store.last("side") == store.get(ids[2])
        assert store.append("main", [{"content": "c"}], parent=ids[1], merge=False).size == 0
        assert store.prune(keep=0) == 2
        assert store.verify() == []


def test_what_was_damaged_in_it_still_is(old: tuple[Path, list[str]]) -> None:
    path, ids = old
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE messages SET body = x'7b7d' WHERE n = 2")
        db.execute("DELETE FROM heads WHERE name = x'4073696465'")
    with SnapshotStore(path) as store:
        with pytest.raises(SnapshotError, match="damaged"):
            store.get(ids[1])
        with pytest.raises(SnapshotError, match="the place of session 'side' is damaged"):
            store.head("side")
        assert len(store.get(ids[2]).state["messages"]) == 2
        assert store.head("nobody") is None
        assert len(store.verify()) == 3


def test_the_older_formats_are_what_they_were() -> None:
    """To the letter: SQLite keeps the statements in the file, and a file of other statements is refused."""
    assert list(FORMATS[0]) == [statement.strip() for statement in FIRST.split(";")[:-1]]
    assert FORMATS[1] == (SECOND.strip(";"),)


def test_a_new_file_is_as_one_brought_up_to_date(tmp_path: Path) -> None:
    schemas = []
    old_file(tmp_path / "old.db", 1)
    for name in ("old", "new"):
        SnapshotStore(tmp_path / f"{name}.db").close()
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as db:
            schemas.append(sorted(db.execute("SELECT type, name, sql FROM sqlite_master")))
            assert db.execute("PRAGMA user_version").fetchone() == (len(FORMATS),)
    assert schemas[0] == schemas[1]
