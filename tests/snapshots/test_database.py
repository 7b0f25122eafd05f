"""Database: opens only what is its own, and says each failure of SQLite in a sentence."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots import database as database_module
from openclaw_nb.snapshots.database import Database

SCHEMA = ("CREATE TABLE notes(n INTEGER PRIMARY KEY, body BLOB)",)
INDEX = ("CREATE INDEX longest ON notes(length(body))",)


def opened(path: Path | str, *later: tuple[str, ...]) -> Database:
    return Database(path, (SCHEMA, *later))


def add(database: Database, size: int = 10) -> None:
    with database.transaction("the note was not kept", write=True) as db:
        db.execute("INSERT INTO notes(body) VALUES (randomblob(?))", (size,))


def count(database: Database) -> int:
    with database.transaction("the notes") as db:
        return int(db.execute("SELECT count(*) FROM notes").fetchone()[0])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = opened(tmp_path / "d.db")
    yield database
    database.close()


def test_is_set_up_for_many_writers(database: Database) -> None:
    names = ["journal_mode", "synchronous", "foreign_keys", "trusted_schema", "user_version"]
    with database.transaction("the settings") as db:
        settings = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    assert settings == [b"wal", 1, 1, 0, 1]


def test_a_failed_transaction_is_undone(database: Database) -> None:
    add(database)

    def interrupted() -> None:
        with database.transaction("the notes", write=True) as db:
            db.execute("DELETE FROM notes")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert count(database) == 1
    add(database)
    assert count(database) == 2


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "d.db", *[()] * 6).close()
    with pytest.raises(SnapshotError, match=r"has format 7, .* reads formats up to 1; update it"):
        opened(tmp_path / "d.db")


def test_an_older_format_is_brought_up_to_date(database: Database) -> None:
    add(database)
    newer = opened(database.path, INDEX, ())
    assert count(newer) == 1
    with newer.transaction("the format") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
        assert db.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall() == [(b"longest",)]
    add(database)  # who has it open already goes on
    assert count(newer) == 2
    newer.close()


@pytest.mark.parametrize(("script", "number"), [("CREATE TABLE other(x)", 1), ("", -1), (INDEX[0], 1), ("", 2)])
def test_what_is_of_no_older_format_is_left_alone(tmp_path: Path, script: str, number: int) -> None:
    with sqlite3.connect(tmp_path / "d.db") as other:
        other.executescript(f"{SCHEMA[0]}; {script}; PRAGMA user_version = {number}")
    other.close()
    before = (tmp_path / "d.db").read_bytes()
    with pytest.raises(SnapshotError, match="is no snapshot store, or its schema is damaged"):
        opened(tmp_path / "d.db", INDEX)
    assert (tmp_path / "d.db").read_bytes() == before


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE other(x)",
        "CREATE TABLE notes(n)",
        f"{SCHEMA[0]}; CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END; PRAGMA user_version = 1",
        f"{SCHEMA[0]}; CREATE VIEW v AS SELECT 1; PRAGMA user_version = 1",
        SCHEMA[0],
    ],
)
def test_another_database_is_refused_and_left_alone(tmp_path: Path, script: str) -> None:
    with sqlite3.connect(tmp_path / "d.db") as other:
        other.executescript(script)
    other.close()
    before = (tmp_path / "d.db").read_bytes()
    with pytest.raises(SnapshotError, match="is no snapshot store, or its schema is damaged"):
        opened(tmp_path / "d.db")
    assert (tmp_path / "d.db").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["d.db"]


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("notes " * 1000)
    for path, words in [
        (tmp_path / "text", "the file is no snapshot store"),
        (tmp_path, "the file cannot be opened"),
        (tmp_path / "text" / "d.db", "cannot be opened"),
        (f"{tmp_path}/\0", "cannot be opened"),
    ]:
        with pytest.raises(SnapshotError, match=words):
            opened(path)


def test_an_empty_file_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "d.db").touch(mode=0o644)
    opened(tmp_path / "d.db").close()
    assert stat.S_IMODE((tmp_path / "d.db").stat().st_mode) == 0o600


def test_a_link_to_nowhere_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "d.db")
    opened(tmp_path / "link").close()
    assert stat.S_IMODE((tmp_path / "d.db").stat().st_mode) == 0o600


def test_a_full_disk(database: Database) -> None:
    add(database)
    with database.transaction("the limit") as db:
        db.execute("PRAGMA max_page_count = 8")
    with pytest.raises(
        SnapshotError, match=r"^the note was not kept: the disk is full; what was there before is intact$"
    ):
        add(database, 100_000)
    assert count(database) == 1


def test_a_file_that_can_only_be_read(database: Database) -> None:
    with database.transaction("the limit") as db:
        db.execute("PRAGMA query_only = ON")
    with pytest.raises(SnapshotError, match=r"^the note was not kept: the file can only be read$"):
        add(database)
    assert count(database) == 0


def test_a_locked_file(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_WAIT", 0.05)
    other = opened(database.path)
    with database.transaction("the notes", write=True):
        with pytest.raises(
            SnapshotError, match=r"^the note was not kept: another process keeps the file locked; try again$"
        ):
            add(other)
        assert count(other) == 0
    add(other)
    assert count(database) == 1
    other.close()


def test_a_damaged_page(tmp_path: Path) -> None:
    database = opened(tmp_path / "d.db")
    for _ in range(100):
        add(database, 1000)
    database.close()
    data = (tmp_path / "d.db").read_bytes()
    (tmp_path / "d.db").write_bytes(data[:16384] + bytes(len(data) - 16384))
    database = opened(tmp_path / "d.db")
    with pytest.raises(SnapshotError, match="the notes: the file is damaged"):
        count(database)
    database.close()


@pytest.mark.parametrize("old", [False, True])
def test_created_or_brought_up_to_date_by_many_at_once(
    tmp_path: Path, old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_WAIT", 60.0)  # one that stands still makes no other give up

    def create(path: Path) -> None:
        together.wait()
        databases.append(opened(path, INDEX))

    databases: list[Database] = []
    for n in range(10):
        if old:
            opened(tmp_path / f"{n}.db").close()
        together = threading.Barrier(4)
        threads = [threading.Thread(target=create, args=(tmp_path / f"{n}.db",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for database in databases:
        add(database)
        database.close()
    assert len(databases) == 40
