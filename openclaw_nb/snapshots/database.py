"""Database: one private SQLite file in WAL mode, for many threads and processes, whose failures are sentences."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from itertools import chain

from ..errors import SnapshotError

__all__ = ["Database"]

_WAIT = 5.0  # seconds for the lock of another process
_LOG_PAGES = 128  # of the write-ahead log, 1 MB: more would make a small store many times its size while it is open
_WORDS = {
    sqlite3.SQLITE_FULL: "the disk is full; what was there before is intact",
    sqlite3.SQLITE_IOERR: "the disk refuses; what was there before is intact",
    sqlite3.SQLITE_BUSY: "another process keeps the file locked; try again",
    sqlite3.SQLITE_READONLY: "the file can only be read",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is no snapshot store, or its beginning is damaged",
}
_FAILURES = (sqlite3.Error, OverflowError, TypeError, ValueError, RecursionError)


class Database:
    """The SQLite file ``path`` (``:memory:`` for none) with exactly the objects that all of ``formats`` make.

    Each format is the statements that make it of the one before; how many there are is the file's number, kept in
    ``user_version``, and a file of fewer is brought up to date. A new file gets mode 0600, a new directory 0700.
    After a fork the child may not use it. Every failure is a SnapshotError.
    """

    def __init__(self, path: str | os.PathLike[str], formats: Sequence[tuple[str, ...]]) -> None:
        self.path = os.fspath(path)
        self._formats = formats
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._hurried = False
        self._connection: sqlite3.Connection | None = None
        try:
            if path != ":memory:":
                self.path = _private_file(self.path)
            self._connection = sqlite3.connect(self.path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
            self._connection.text_factory = bytes  # what a damaged file gives as text need not be UTF-8
            self._prepare(self._connection)
        except sqlite3.Error as error:
            self.close()
            raise _in_words(f"the snapshot store {self.path}", error) from error
        except (OSError, ValueError) as error:
            raise SnapshotError(f"the snapshot store {self.path!r} cannot be opened: {error}") from error
        except BaseException:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        return self._connection is None

    @contextmanager
    def transaction(self, about: str, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection, to this thread alone, in one transaction; ``about`` begins the sentence if it fails."""
        if os.getpid() != self._pid:  # before the lock: a thread that the fork left behind may hold it
            raise SnapshotError(f"{about}: the store was opened before a fork; open it again in this process")
        end = time.monotonic() + _WAIT
        try:
            while True:
                with self._lock:
                    connection = self._connection
                    if connection is None:
                        raise SnapshotError(f"{about}: the store is closed")
                    try:
                        if self._begin(connection, write, end):
                            yield connection
                            connection.execute("COMMIT")
                            return
                    finally:
                        if connection.in_transaction:
                            with suppress(sqlite3.Error):
                                connection.execute("ROLLBACK")
                time.sleep(0.002)  # without our own lock: who only reads need not wait for another process
        except _FAILURES as error:
            raise _in_words(about, error) from error

    def _begin(self, connection: sqlite3.Connection, write: bool, end: float) -> bool:
        """Begin a transaction. False: another process writes, so try again (until ``end``, when it fails)."""
        if write != self._hurried and self.path != ":memory:":  # mostly several of one kind follow each other
            connection.execute(f"PRAGMA busy_timeout = {0 if write else int(_WAIT * 1000)}")
            self._hurried = write
        try:
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        except sqlite3.OperationalError as error:
            if not write or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            return False
        return True

    def close(self) -> None:
        """Close the file; a second time, and in a child after a fork, this does nothing."""
        if os.getpid() != self._pid:
            return
        with self._lock, suppress(sqlite3.Error):
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def __del__(self) -> None:  # a store in memory ends with its last user, and Python 3.13 would warn of it
        if hasattr(self, "_connection"):
            self.close()

    def _look(self) -> tuple[int, set[str]]:
        with self.transaction(f"the snapshot store {self.path}") as connection:  # both at one moment
            return _schema(connection)

    def _is_of_format(self, number: int, objects: set[str]) -> bool:
        return objects == _objects(tuple(chain.from_iterable(self._formats[:number])))

    def _prepare(self, connection: sqlite3.Connection) -> None:
        newest = len(self._formats)
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        found = self._look()
        if found[0] > newest:
            raise SnapshotError(
                f"the snapshot store {self.path} has format {found[0]}, and this version of openclaw_nb reads formats"
                f" up to {newest}; update it"
            )
        if found == (0, set()):
            connection.execute("PRAGMA page_size = 8192")  # fewer gaps between messages of half a kilobyte
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # like the size, only before the first table
            _write_ahead(connection)
        if found[0] in range(newest) and self._is_of_format(*found):
            with self.transaction(f"the snapshot store {self.path} was not brought up to date", write=True):
                number, objects = _schema(connection)  # another process may have been faster
                if self._is_of_format(number, objects):
                    for statement in (*chain.from_iterable(self._formats[number:]), f"PRAGMA user_version = {newest}"):
                        connection.execute(statement)
            found = self._look()
        if found[0] != newest or not self._is_of_format(*found):
            raise SnapshotError(f"{self.path} is no snapshot store, or its schema is damaged")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_PAGES * 8192}")  # and so again after a large write


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to WAL. Of several that create one file at once SQLite refuses some without waiting for the lock."""
    end = time.monotonic() + _WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.005)


@cache
def _objects(statements: tuple[str, ...]) -> set[str]:
    """What is in a file that was made by these, as SQLite puts it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.text_factory = bytes
        for statement in statements:
            connection.execute(statement)
        return _schema(connection)[1]


def _schema(connection: sqlite3.Connection) -> tuple[int, set[str]]:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE name NOT GLOB 'sqlite_*'")
    return version, {sql.decode(errors="replace") for (sql,) in rows if sql}


def _private_file(path: str) -> str:
    """Make ``path`` where it is not there; its real path."""
    path = os.path.realpath(os.path.expanduser(path))
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    # Never open a file that is there: closing it again would drop the locks SQLite holds on it in this process.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if os.stat(path).st_size == 0:
        os.chmod(path, 0o600)
    return path


def _in_words(about: str, error: BaseException) -> SnapshotError:
    if isinstance(error, sqlite3.Error | OverflowError):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return SnapshotError(f"{about}: {_WORDS.get(code, error)}")
    return SnapshotError(f"{about}: the file holds what no snapshot store writes")  # on decoding that
