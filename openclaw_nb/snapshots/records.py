"""The rows of snapshots: a small manifest each, how it is written and found, and whether it can be trusted.

A message is kept once, as a row that points at the one before it (messages.py); a snapshot is a small manifest (its
last message, their number, the other keys by content hash); a session is a named pointer at a snapshot, and so is a
name given later (pointers.py). Each message row carries the BLAKE2 hash of the whole conversation up to it, each
manifest and each pointer one of itself, and every read checks them, so that a damaged file gives a SnapshotError and
never another state.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from itertools import chain
from typing import Any, NamedTuple

from ..errors import SnapshotError
from .messages import BLOCK, Log, links, read_bodies
from .plain import decode, encode

__all__ = [
    "COLUMNS", "FORMATS", "FRESH", "SETTLED", "Known", "Row", "add", "checked", "damaged", "digest_of", "find",
    "fresh", "is_item", "items", "labelled", "last", "manifests", "read", "sizes", "split", "tree",
]  # fmt: skip

_TABLES = (
    "CREATE TABLE messages(n INTEGER PRIMARY KEY, parent INTEGER, chain BLOB NOT NULL UNIQUE, body BLOB NOT NULL)",
    "CREATE TABLE items(digest BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE snapshots(seq INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, parent BLOB, label BLOB NOT NULL,
        session BLOB, created REAL NOT NULL, length INTEGER, others BLOB NOT NULL, tail INTEGER)""",
    "CREATE TABLE heads(name BLOB PRIMARY KEY, seq INTEGER REFERENCES snapshots, seal BLOB NOT NULL) WITHOUT ROWID",
)
_OF_SESSIONS = ("CREATE INDEX snapshots_of_session ON snapshots(session) WHERE session IS NOT NULL",)
_FRESH = (
    """CREATE TABLE later(n INTEGER PRIMARY KEY, parent INTEGER, chain BLOB NOT NULL, body BLOB NOT NULL,
        fresh INTEGER)""",
    "INSERT INTO later SELECT *, NULL FROM messages",
    "DROP TABLE messages",
    "ALTER TABLE later RENAME TO messages",
    "CREATE INDEX messages_by_chain ON messages(chain) WHERE fresh IS NULL",
    """CREATE TABLE later(seq INTEGER PRIMARY KEY, digest BLOB NOT NULL, parent BLOB, label BLOB NOT NULL,
        session BLOB, created REAL NOT NULL, length INTEGER, others BLOB NOT NULL, tail INTEGER, fresh INTEGER)""",
    "INSERT INTO later SELECT *, NULL FROM snapshots",
    "DROP TABLE snapshots",
    "ALTER TABLE later RENAME TO snapshots",
    "CREATE INDEX snapshots_by_digest ON snapshots(digest) WHERE fresh IS NULL",
    "CREATE INDEX snapshots_of_session ON snapshots(session) WHERE session IS NOT NULL AND fresh IS NULL",
)
FORMATS = (_TABLES, _OF_SESSIONS, _FRESH)
"""The statements that make each format of the file of the one before it."""

COLUMNS = "SELECT s.seq, s.digest, s.parent, s.label, s.session, s.created, s.length, s.others, s.tail, m.chain "
"""The fields of a Row, of the tables ``s`` and ``m``."""

_ROWS = COLUMNS + "FROM snapshots s LEFT JOIN messages m ON m.n = s.tail "
_LABELLED = _ROWS + "WHERE s.label = ? ORDER BY s.seq DESC"
SETTLED = "s.fresh IS NULL"
FRESH = f"s.seq > (SELECT max(seq) / {BLOCK} * {BLOCK} FROM snapshots) AND s.fresh IS NOT NULL"  # noqa: S608
"""Which rows of ``s`` are in its indexes, and which are found without them."""

_OF_SESSION = _ROWS + "WHERE s.session = ? AND {} ORDER BY s.seq DESC"
_WITH_ID = f"""{_ROWS} WHERE s.digest BETWEEN :low AND :high AND {SETTLED}
    UNION ALL {_ROWS} WHERE {FRESH} AND s.digest BETWEEN :low AND :high LIMIT 4"""
_DIGEST = "SELECT digest FROM snapshots WHERE seq = ?"
_NEW = "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)"
_SETTLE = "UPDATE snapshots SET fresh = NULL WHERE seq > ? AND fresh IS NOT NULL"


def digest_of(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


class Row(NamedTuple):
    """A manifest, with the hash of its conversation; in a damaged file any field may be of any type."""

    seq: int = 0
    digest: bytes = b""
    parent: bytes | None = None
    label: bytes = b""
    session: bytes | None = None
    created: float = 0.0
    length: int | None = None
    others: bytes = b"{}"
    tail: int | None = None
    chain: bytes | None = None

    @property
    def id(self) -> str:
        return self.digest[:8].hex() if isinstance(self.digest, bytes) else "?"

    def seal(self) -> bytes:
        """The digest this row must have; a repr tells even types apart."""
        return digest_of(repr((self.seq, *self[2:8], self.chain)).encode())

    def sound(self) -> bool:
        return self.seal() == self.digest


Known = dict[int | str, Row]
"""Manifests read or written last, by number and by id: sound ones, but they may be gone by now."""


def checked(row: Row) -> Row:
    if not row.sound():
        raise damaged(f"snapshot {row.id}")
    return row


def damaged(what: str) -> SnapshotError:
    return SnapshotError(f"{what} is damaged in the file and cannot be restored; verify() lists all that is")


# -- the other keys of a state ----------------------------------------------------------------------------


def split(others: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[bytes, bytes]]]:
    """What a manifest says of each key, and the items it needs: a value no longer than the name of an item stands
    there itself, in a list; any other is an item, and its name, the digest, stands there.
    """
    says: dict[str, Any] = {}
    needed = []
    for key, value in others.items():
        body = encode(value)
        digest = digest_of(body)
        says[key] = [value]
        if len(body) > len(digest.hex()):
            says[key] = digest.hex()
            needed.append((digest, body))
    return says, needed


def tree(row: Row) -> dict[str, Any]:
    """What `split` said of each key."""
    return dict(decode(row.others))


def items(row: Row) -> set[bytes]:
    """The names of the items that a sound row needs."""
    return {bytes.fromhex(name) for name in tree(row).values() if isinstance(name, str)}


def is_item(digest: bytes, body: object) -> bool:
    return isinstance(body, bytes) and digest_of(body) == digest


def _item(db: sqlite3.Connection, digest: bytes) -> bytes:
    """The item of that name, or nothing where it is lost or damaged."""
    found = db.execute("SELECT body FROM items WHERE digest = ?", (digest,)).fetchone()
    return found[0] if found and is_item(digest, found[0]) else b""


# -- writing and reading ----------------------------------------------------------------------------------


def add(db: sqlite3.Connection, row: Row, base: Row | None, needed: list[tuple[bytes, bytes]]) -> Row:
    """Write a manifest that grew from ``base``, with the items it needs."""
    if needed:
        db.executemany("INSERT OR IGNORE INTO items(digest, body) VALUES (?, ?)", needed)
    (seq,) = db.execute("SELECT coalesce(max(seq), 0) + 1 FROM snapshots").fetchone()
    row = row._replace(seq=seq, parent=base.digest[:8] if base else None)
    row = row._replace(digest=row.seal())
    db.execute(_NEW, row[:-1])
    if not seq % BLOCK:
        db.execute(_SETTLE, (seq - BLOCK,))
    return row


def read(db: sqlite3.Connection, row: Row, log: Log | None = None) -> tuple[Log, dict[str, bytes]]:
    """The messages and the other values of a snapshot, encoded and checked; ``log`` where its chain is known."""
    if log is None:
        bodies = read_bodies(db, row.tail, row.length or 0)
        log = Log(bodies, links(None, bodies))
    values = {}
    for key, value in tree(row).items():
        values[key] = encode(value[0]) if isinstance(value, list) else _item(db, bytes.fromhex(value))
    if (log.hashes[-1] if log.hashes else None, len(log.bodies)) != (row.chain, row.length or 0) or not all(
        values.values()
    ):
        raise damaged(f"snapshot {row.id}")
    return log, values


# -- finding ----------------------------------------------------------------------------------------------


def manifests(db: sqlite3.Connection) -> Iterator[Row]:
    """Oldest first and unchecked, so that a damaged one does not hide the others."""
    return map(Row._make, db.execute(_ROWS + "ORDER BY s.seq"))


def fresh(db: sqlite3.Connection) -> Iterator[Row]:
    """Those that are in no index yet, unchecked."""
    return map(Row._make, db.execute(f"{_ROWS} WHERE {FRESH}"))


def labelled(db: sqlite3.Connection, label: bytes) -> Iterator[Row]:
    """Those made with that label, newest first and unchecked."""
    return map(Row._make, db.execute(_LABELLED, (label,)))


def last(db: sqlite3.Connection, session: bytes) -> Row | None:
    """The manifest that was made last in a session, not by hand."""
    found = (db.execute(_OF_SESSION.format(where), (session,)) for where in (FRESH, SETTLED))
    rows = (checked(Row._make(row)) for row in chain.from_iterable(found))
    return next((row for row in rows if tree(row).get("kind") != ["named"]), None)


def find(db: sqlite3.Connection, id: str, known: Known | None = None) -> Row:
    """The manifest of the one snapshot whose id begins with ``id``. Raises SnapshotError with the nearest ids."""
    row = known.get(id) if known else None
    if row and db.execute(_DIGEST, (row.seq,)).fetchone() == (row.digest,):
        return row
    if not isinstance(id, str) or not re.fullmatch("[0-9a-f]{4,16}", id):
        raise SnapshotError(f"{id!r:.40} is no snapshot id: 16 digits 0-9a-f, or the first 4{_nearest(db, str(id))}")
    bounds = {"low": bytes.fromhex(id.ljust(32, "0")), "high": bytes.fromhex(id.ljust(32, "f"))}
    rows = [Row._make(row) for row in db.execute(_WITH_ID, bounds)]
    if len(rows) > 1:
        raise SnapshotError(f"{id} may be each of several snapshots: {', '.join(sorted(row.id for row in rows))}")
    if not rows:
        raise SnapshotError(f"there is no snapshot {id}{_nearest(db, id)}")
    return checked(rows[0])


def _nearest(db: sqlite3.Connection, id: str) -> str:
    from difflib import get_close_matches

    rows = db.execute("SELECT lower(hex(substr(digest, 1, 8))) FROM snapshots ORDER BY seq DESC LIMIT 500")
    near = get_close_matches(id[:16], [name.decode() for (name,) in rows], 3, cutoff=0)
    return f"; the nearest: {', '.join(near)}" if near else "; there is none yet"


def sizes(db: sqlite3.Connection) -> dict[int, int]:
    """The bytes of the messages that each snapshot was the first to have, by its number."""
    lengths = db.execute("SELECT n, coalesce(length(body), 0) FROM messages ORDER BY n").fetchall()
    found, at, newest = {}, 0, 0
    for seq, tail in db.execute("SELECT seq, tail FROM snapshots ORDER BY seq"):
        newest, start = max(newest, tail if isinstance(tail, int) else 0), at
        while at < len(lengths) and lengths[at][0] <= newest:
            at += 1
        found[seq] = sum(length for _, length in lengths[start:at])
    return found
