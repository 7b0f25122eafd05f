"""The rows of a snapshot file: how they are written and found, and whether they can be trusted.

A message is kept once, as a row that points at the one before it; a snapshot is a small manifest (its last message,
their number, the other keys by content hash); a session is a named pointer at a snapshot. Each message row carries
the BLAKE2 hash of the whole conversation up to it, each manifest and each pointer one of itself, and every read
checks them, so that a damaged file gives a SnapshotError and never another state.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from ..errors import SnapshotError
from .plain import decode, encode

__all__ = [
    "FORMATS", "Row", "add", "add_messages", "find", "head", "known", "link", "manifests", "point", "problems", "read",
    "remove", "sessions", "split", "tree",
]  # fmt: skip

_TABLES = (
    "CREATE TABLE messages(n INTEGER PRIMARY KEY, parent INTEGER, chain BLOB NOT NULL UNIQUE, body BLOB NOT NULL)",
    "CREATE TABLE items(digest BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE snapshots(seq INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, parent BLOB, label BLOB NOT NULL,
        session BLOB, created REAL NOT NULL, length INTEGER, others BLOB NOT NULL, tail INTEGER)""",
    "CREATE TABLE heads(name BLOB PRIMARY KEY, seq INTEGER REFERENCES snapshots, seal BLOB NOT NULL) WITHOUT ROWID",
)
FORMATS = (_TABLES, ("CREATE INDEX snapshots_of_session ON snapshots(session) WHERE session IS NOT NULL",))
"""What each format of the file added to the one before it, to the letter: SQLite keeps the statements as they are."""

_COLUMNS = "SELECT s.seq, s.digest, s.parent, s.label, s.session, s.created, s.length, s.others, s.tail, m.chain "
_ROWS = _COLUMNS + "FROM snapshots s LEFT JOIN messages m ON m.n = s.tail "
_HEADS = _COLUMNS + ", h.seal FROM heads h LEFT JOIN snapshots s USING (seq) LEFT JOIN messages m ON m.n = s.tail "
_ANY = "SELECT 1 FROM snapshots LIMIT 1"
_ANY_OF = "SELECT 1 FROM snapshots WHERE session = ? LIMIT 1"
_MESSAGE = "SELECT n FROM messages WHERE chain = ?"
_NEW_MESSAGE = "INSERT INTO messages(parent, chain, body) VALUES (?, ?, ?) ON CONFLICT(chain) DO NOTHING"
_POINT = """INSERT INTO heads(name, seq, seal) VALUES (?, ?, ?)
    ON CONFLICT(name) DO UPDATE SET seq = excluded.seq, seal = excluded.seal"""
_LOG = """WITH RECURSIVE log(parent, body) AS (SELECT parent, body FROM messages WHERE n = ? UNION ALL
    SELECT m.parent, m.body FROM log JOIN messages m ON m.n = log.parent) SELECT body FROM log LIMIT ?"""
_SWEEP = """WITH RECURSIVE live(n) AS (SELECT tail FROM snapshots WHERE tail IS NOT NULL UNION
    SELECT m.parent FROM live JOIN messages m USING (n) WHERE m.parent IS NOT NULL)
    DELETE FROM messages WHERE n NOT IN live"""


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


def link(chain: bytes | None, body: object) -> bytes:
    """The hash of the conversation that ``body`` ends; in a damaged file a body may be no bytes at all."""
    return blake2b((chain or bytes(16)) + body, digest_size=16).digest() if isinstance(body, bytes) else b""


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
        return _digest(repr((self.seq, *self[2:8], self.chain)).encode())

    def sound(self) -> bool:
        return self.seal() == self.digest


def split(others: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[bytes, bytes]]]:
    """What a manifest says of each key, and the items it needs: a value no longer than the name of an item stands
    there itself, in a list; any other is an item, and its name, the digest, stands there.
    """
    says: dict[str, Any] = {}
    needed = []
    for key, value in others.items():
        body = encode(value)
        digest = _digest(body)
        says[key] = [value]
        if len(body) > len(digest.hex()):
            says[key] = digest.hex()
            needed.append((digest, body))
    return says, needed


def tree(row: Row) -> dict[str, Any]:
    """What `split` said of each key."""
    return dict(decode(row.others))


# -- writing -------------------------------------------------------------------------------------------


def known(db: sqlite3.Connection, hashes: list[bytes]) -> tuple[int, int | None]:
    """How many messages of a conversation are there already, and the row of the last of them."""
    for there in range(len(hashes), 0, -1):
        if found := db.execute(_MESSAGE, (hashes[there - 1],)).fetchone():
            return there, found[0]
    return 0, None


def add_messages(db: sqlite3.Connection, bodies: list[bytes], hashes: list[bytes], tail: int | None) -> int | None:
    """Write messages after the one in row ``tail``, but none that is there; gives the row of the last one."""
    for body, chain in zip(bodies, hashes, strict=True):
        row = db.execute(_NEW_MESSAGE, (tail, chain, body))
        tail = row.lastrowid if row.rowcount else db.execute(_MESSAGE, (chain,)).fetchone()[0]
    return tail


def add(db: sqlite3.Connection, row: Row, base: Row | None, needed: list[tuple[bytes, bytes]]) -> Row:
    """Write a manifest that grew from ``base``, with the items it needs; its session, if any, then stands at it."""
    db.executemany("INSERT OR IGNORE INTO items(digest, body) VALUES (?, ?)", needed)
    (seq,) = db.execute("SELECT coalesce(max(seq), 0) + 1 FROM snapshots").fetchone()
    row = row._replace(seq=seq, parent=base.digest[:8] if base else None)
    row = row._replace(digest=row.seal())
    db.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row[:-1])
    for session in {None, row.session}:
        point(db, session, row)
    return row


def point(db: sqlite3.Connection, session: bytes | None, row: Row | None) -> None:
    """Let a session stand at ``row``, or anew; None is what stands at the newest snapshot of all."""
    name = _pointer(session)
    pointer = (name, row.seq if row else None, _digest(name + (row.digest if row else b"")))
    db.execute(_POINT, pointer)


def _pointer(session: bytes | None) -> bytes:
    return b"" if session is None else b"@" + session


def remove(db: sqlite3.Connection, keep: int, before: float) -> int:
    """Remove what is not among the newest ``keep``, was made before that time, and is no head; gives how many."""
    rows = [_checked(row) for row in manifests(db)]
    heads = filter(None, (head(db, session) for session in (None, *sessions(db))))
    spared = {row.seq for row in (*rows[max(len(rows) - keep, 0) :], *heads)}
    gone = [(row.seq,) for row in rows if row.seq not in spared and row.created < before]
    db.executemany("DELETE FROM snapshots WHERE seq = ?", gone)
    db.execute(_SWEEP)
    used = {digest for row in manifests(db) for digest in _items(row)}
    loose = [row for row in db.execute("SELECT digest FROM items") if row[0] not in used]
    db.executemany("DELETE FROM items WHERE digest = ?", loose)
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    for _ in range(free):
        db.execute("PRAGMA incremental_vacuum")  # takes a step for each page, of which execute() does one
    return len(gone)


# -- finding -------------------------------------------------------------------------------------------


def manifests(db: sqlite3.Connection) -> Iterator[Row]:
    """Oldest first and unchecked, so that a damaged one does not hide the others."""
    return map(Row._make, db.execute(_ROWS + "ORDER BY s.seq"))


def find(db: sqlite3.Connection, id: str) -> Row:
    """The manifest of the one snapshot whose id begins with ``id``. Raises SnapshotError with the nearest ids."""
    if not isinstance(id, str) or not re.fullmatch("[0-9a-f]{4,16}", id):
        raise SnapshotError(f"{id!r:.40} is no snapshot id: 16 digits 0-9a-f, or the first 4{_nearest(db, str(id))}")
    bounds = bytes.fromhex(id.ljust(32, "0")), bytes.fromhex(id.ljust(32, "f"))
    rows = [Row._make(row) for row in db.execute(_ROWS + "WHERE s.digest BETWEEN ? AND ? LIMIT 4", bounds)]
    if len(rows) > 1:
        raise SnapshotError(f"{id} may be each of several snapshots: {', '.join(row.id for row in rows)}")
    if not rows:
        raise SnapshotError(f"there is no snapshot {id}{_nearest(db, id)}")
    return _checked(rows[0])


def _nearest(db: sqlite3.Connection, id: str) -> str:
    from difflib import get_close_matches

    rows = db.execute("SELECT lower(hex(substr(digest, 1, 8))) FROM snapshots ORDER BY seq DESC LIMIT 500")
    near = get_close_matches(id[:16], [name.decode() for (name,) in rows], 3, cutoff=0)
    return f"; the nearest: {', '.join(near)}" if near else "; there is none yet"


def _checked(row: Row) -> Row:
    if not row.sound():
        raise _damaged(f"snapshot {row.id}")
    return row


def _damaged(what: str) -> SnapshotError:
    return SnapshotError(f"{what} is damaged in the file and cannot be restored; verify() lists all that is")


def head(db: sqlite3.Connection, session: bytes | None) -> Row | None:
    """The manifest a session stands at. Its pointer is there from its first snapshot on, so a lost one is noticed."""
    name = _pointer(session)
    pointer = db.execute(_HEADS + "WHERE h.name = ?", (name,)).fetchone()
    if pointer is None:
        if not (db.execute(_ANY) if session is None else db.execute(_ANY_OF, (session,))).fetchone():
            return None
    else:
        row = None if pointer[0] is None else _checked(Row._make(pointer[:-1]))
        if pointer[-1] == _digest(name + (row.digest if row else b"")):
            return row
    place = "newest place" if session is None else f"place of session {session.decode(errors='backslashreplace')!r}"
    raise _damaged(f"the {place}")


def sessions(db: sqlite3.Connection) -> list[bytes]:
    """The sessions that have or had a snapshot, by name."""
    pointers = {bytes(name[1:]) for (name,) in db.execute("SELECT CAST(name AS BLOB) FROM heads") if name}
    return sorted(pointers.union(s for (s,) in db.execute("SELECT DISTINCT session FROM snapshots") if s is not None))


def read(db: sqlite3.Connection, row: Row, bodies: list[bytes] | None = None) -> tuple[list[bytes], dict[str, bytes]]:
    """The messages and the other values of a snapshot, encoded and checked; ``bodies`` where its chain is known."""
    chain = row.chain
    if bodies is None:
        bodies = [body for (body,) in db.execute(_LOG, (row.tail, row.length or 0))][::-1]
        chain = None
        for body in bodies:
            chain = link(chain, body)
    values = {}
    for key, value in tree(row).items():
        values[key] = encode(value[0]) if isinstance(value, list) else _item(db, bytes.fromhex(value))
    if (chain, len(bodies)) != (row.chain, row.length or 0) or not all(values.values()):
        raise _damaged(f"snapshot {row.id}")
    return bodies, values


def _item(db: sqlite3.Connection, digest: bytes) -> bytes:
    """The item of that name, or nothing where it is lost or damaged."""
    found = db.execute("SELECT body FROM items WHERE digest = ?", (digest,)).fetchone()
    return found[0] if found and _is_item(digest, found[0]) else b""


def _is_item(digest: bytes, body: object) -> bool:
    return isinstance(body, bytes) and _digest(body) == digest


def _items(row: Row) -> set[bytes]:
    """The names of the items that a sound row needs."""
    return {bytes.fromhex(name) for name in tree(row).values() if isinstance(name, str)}


# -- checking ------------------------------------------------------------------------------------------


def problems(db: sqlite3.Connection) -> Iterator[str]:
    """A sentence for each thing in the file that is not as it was written."""
    for (words,) in db.execute("PRAGMA integrity_check(20)"):
        if words != b"ok":
            yield f"the file is damaged: {words.decode(errors='replace').splitlines()[-1]}"
    broken = _broken_messages(db)
    if broken:
        yield f"{len(broken)} of the messages are damaged or follow one that is"
    kept = {digest for digest, body in db.execute("SELECT digest, body FROM items") if _is_item(digest, body)}
    for row in manifests(db):
        if not row.sound() or row.tail in broken or not kept.issuperset(_items(row)):
            yield str(_damaged(f"snapshot {row.id}"))
    for session in (None, *sessions(db)):
        try:
            head(db, session)
        except SnapshotError as error:
            yield str(error)


def _broken_messages(db: sqlite3.Connection) -> set[int]:
    chains: dict[int | None, bytes | None] = {None: None}
    broken = set()
    for n, parent, chain, body in db.execute("SELECT n, parent, chain, body FROM messages ORDER BY n"):
        if parent not in chains or parent in broken or link(chains[parent], body) != chain:
            broken.add(n)
        chains[n] = chain
    return broken
