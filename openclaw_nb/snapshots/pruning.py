"""Pruning: which snapshots go, and with them the messages and items that no other one needs.

It is done in pieces, each a short transaction, so that no writer waits long; killed in between, it leaves messages
that nobody needs, which go the next time.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from itertools import accumulate

from .database import Database
from .pointers import head, names, sessions
from .records import Row, checked, items, manifests, tree

__all__ = ["remove", "retract"]

_ABOUT = "the pruning stopped"
_PIECE = 1000  # rows or pages, of some 20 ms
_ENTRY = 64  # bytes that a row takes beside its body, in the indexes too

_DEAD = """WITH RECURSIVE live(n) AS (SELECT tail FROM snapshots WHERE tail IS NOT NULL UNION
    SELECT m.parent FROM live JOIN messages m USING (n) WHERE m.parent IS NOT NULL)
    SELECT n FROM messages WHERE n NOT IN live"""
_STANDING = "SELECT seq FROM heads WHERE seq IS NOT NULL AND (? OR NOT (name > x'23' AND name < x'24'))"
_SIZES = "SELECT n, parent, length(body) FROM messages ORDER BY n DESC"
_PART = "FROM messages WHERE n BETWEEN ? AND ?"
_AGAIN = "INSERT INTO messages VALUES (?, ?, ?, ?, ?)"


def remove(database: Database, keep: int, before: float, max_bytes: float, spare_named: bool) -> int:
    """Remove what is no head, and too old or, oldest and checkpoints first, too much; gives how many."""
    with database.transaction(_ABOUT) as db:
        rows = [checked(row) for row in manifests(db)]
        spared = {row.seq for row in filter(None, (head(db, session) for session in (None, *sessions(db))))}
        if spare_named:
            spared.update(names(db), (row.seq for row in rows if row.label))
    free = [row for row in rows if row.seq not in spared]
    newest = {row.seq for row in rows[max(len(rows) - keep, 0) :]}
    gone = [row for row in free if row.seq not in newest and row.created < before]
    removed = _delete(database, gone, spare_named)
    free = sorted({*free}.difference(gone), key=lambda row: (tree(row).get("kind") != ["checkpoint"], row.seq))
    while free:
        with database.transaction(_ABOUT) as db:
            excess = _used_bytes(db) - max_bytes
            if excess <= 0:
                break
            freed = _freed(db, free)
        enough = next((count for count, bytes in enumerate(accumulate(freed), 1) if bytes >= excess), len(free))
        removed += _delete(database, free[:enough], spare_named)
        free = free[enough:]
    return removed


def retract(db: sqlite3.Connection, row: Row) -> None:
    """Remove a manifest of which others have the messages, unless something stands at it."""
    if not db.execute("SELECT 1 FROM heads WHERE seq = ?", (row.seq,)).fetchone():
        db.execute("DELETE FROM snapshots WHERE seq = ?", (row.seq,))


def _used_bytes(db: sqlite3.Connection) -> int:
    return math.prod(db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))


def _freed(db: sqlite3.Connection, order: Sequence[Row]) -> list[int]:
    """The bytes that each frees that goes, when those before it are gone."""
    turns = {row.seq: turn for turn, row in enumerate(order)}
    freed = [_ENTRY * 3 + len(row.others) for row in order]
    last: dict[int | bytes | None, int] = {}  # when the last one goes that needs a message or an item
    for row in manifests(db):
        for needed in (row.tail, *items(row)):
            last[needed] = max(last.get(needed, 0), turns.get(row.seq, len(order)))
    freed.append(0)  # by those that stay
    for n, parent, size in db.execute(_SIZES):
        if (turn := last.get(n)) is not None:
            freed[turn] += size + _ENTRY
            last[parent] = max(last.get(parent, 0), turn)
    for digest, size in db.execute("SELECT digest, length(body) FROM items"):
        freed[last.get(digest, -1)] += size + _ENTRY
    return freed[:-1]


def _delete(database: Database, rows: list[Row], spare_named: bool) -> int:
    """Remove manifests, and then the messages and items that no other one needs."""
    removed = 0
    for start in range(0, len(rows), _PIECE):
        with database.transaction(_ABOUT, write=True) as db:
            standing = {seq for (seq,) in db.execute(_STANDING, (spare_named,))}  # by now
            gone = [(row.seq,) for row in rows[start : start + _PIECE] if row.seq not in standing]
            db.executemany("DELETE FROM heads WHERE seq = ?", gone)
            db.executemany("DELETE FROM snapshots WHERE seq = ?", gone)
            removed += len(gone)
    if removed:
        with database.transaction(_ABOUT, write=True) as db:
            dead: list[tuple[int]] = db.execute(_DEAD).fetchall()
            db.executemany("DELETE FROM messages WHERE n = ?", dead)
            used = {digest for row in manifests(db) for digest in items(row)}
            loose = [row for row in db.execute("SELECT digest FROM items") if row[0] not in used]
            db.executemany("DELETE FROM items WHERE digest = ?", loose)
        _close_ranks(database, sorted({n // _PIECE * _PIECE for (n,) in dead}))
    return removed


def _close_ranks(database: Database, starts: list[int]) -> None:
    """Give back what the messages left that are gone from these pieces. SQLite frees a page only when it is empty, so
    what stays of a piece is taken out and put back, side by side.
    """
    for start in starts:
        piece = start, start + _PIECE - 1
        with database.transaction(_ABOUT, write=True) as db:
            rows = db.execute(f"SELECT n, parent, chain, body, fresh {_PART} ORDER BY n", piece).fetchall()
            db.execute(f"DELETE {_PART}", piece)
            db.executemany(_AGAIN, rows)
    with database.transaction(_ABOUT) as db:
        (free,) = db.execute("PRAGMA freelist_count").fetchone()
    for start in range(0, free, _PIECE):
        with database.transaction(_ABOUT, write=True) as db:
            for _ in range(min(free - start, _PIECE)):
                db.execute("PRAGMA incremental_vacuum")  # takes a step for each page, of which execute() does one
