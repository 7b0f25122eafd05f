"""The rows of pointers: where each session stands, the newest snapshot of all, and the names given later."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial

from ..errors import SnapshotError
from .records import COLUMNS, FRESH, SETTLED, Known, Row, checked, damaged, digest_of, fresh, labelled

__all__ = ["broken_pointers", "find_named", "head", "name", "names", "point", "sessions", "stand"]

_HEADS = COLUMNS + ", h.seal FROM heads h LEFT JOIN snapshots s USING (seq) LEFT JOIN messages m ON m.n = s.tail "
_NAMES = "SELECT name, seq, seal, digest FROM heads JOIN snapshots USING (seq) WHERE name > x'23' AND name < x'24'"
_ANY = "SELECT 1 FROM snapshots LIMIT 1"
_ANY_OF = f"""SELECT 1 FROM snapshots s WHERE s.session = :session AND {SETTLED}
    UNION ALL SELECT 1 FROM snapshots s WHERE {FRESH} AND s.session = :session LIMIT 1"""  # noqa: S608
_POINTER = "SELECT seq, seal FROM heads WHERE name = ?"
_POINT = "INSERT INTO heads(name, seq, seal) VALUES (?, ?, ?)"
_POINT_BOTH = _POINT + ", (?, ?, ?)"
_ANEW = " ON CONFLICT(name) DO UPDATE SET seq = excluded.seq, seal = excluded.seal"

_NEWEST, _SESSION, _NAME = b"", b"@", b"#"


def _pointer(session: bytes | None) -> bytes:
    return _NEWEST if session is None else _SESSION + session


def _place(name: bytes) -> str:
    kind = "name" if name[:1] == _NAME else "place of session"
    return f"the {kind} {name[1:].decode(errors='backslashreplace')!r}" if name else "the newest place"


# -- moving them ------------------------------------------------------------------------------------------


def stand(db: sqlite3.Connection, row: Row, *, merge: bool) -> None:
    """Let all stand at a manifest that was written: as the newest, its label, and its session.

    Without ``merge`` the session stays where it is, if that is nowhere yet.
    """
    if row.label:  # from now on it is this one's
        db.execute("DELETE FROM heads WHERE name = ?", (_NAME + row.label,))
    newest = _standing(_NEWEST, row)
    if row.session is None:
        db.execute(_POINT + _ANEW, newest)
    elif merge:
        db.execute(_POINT_BOTH + _ANEW, newest + _standing(_SESSION + row.session, row))
    else:
        db.execute(_POINT + _ANEW, newest)
        db.execute(_POINT + " ON CONFLICT(name) DO NOTHING", _standing(_SESSION + row.session, None))


def point(db: sqlite3.Connection, session: bytes, row: Row | None) -> None:
    """Let a session stand at ``row``, or anew."""
    db.execute(_POINT + _ANEW, _standing(_SESSION + session, row))


def name(db: sqlite3.Connection, row: Row, label: bytes) -> None:
    """Let a name stand at ``row`` and at no other snapshot; an empty one takes the row's name away."""
    db.execute("DELETE FROM heads WHERE seq = ? AND substr(name, 1, 1) = x'23'", (row.seq,))
    if label:
        db.execute(_POINT + _ANEW, _standing(_NAME + label, row))


def _standing(name: bytes, row: Row | None) -> tuple[bytes, int | None, bytes]:
    return (name, row.seq, digest_of(name + row.digest)) if row else (name, None, digest_of(name))


# -- following them ---------------------------------------------------------------------------------------


def head(
    db: sqlite3.Connection,
    session: bytes | None,
    known: Known | None = None,
    *,
    begun: bool = False,
    alone: bool = False,
) -> Row | None:
    """The manifest a session stands at, None for the newest of all. Its pointer is there from its first snapshot on,
    so a lost one is noticed.

    ``begun`` says that it has one, as its name was found in the file, ``alone`` that nobody else can have lost it.
    """
    name = _pointer(session)
    if (pointer := db.execute(_POINTER, (name,)).fetchone()) is not None:
        seq, seal = pointer
        row = known.get(seq) if known else None
        return row if row and digest_of(name + row.digest) == seal else _at(db, name)
    if alone:
        return None
    found = begun or (db.execute(_ANY) if session is None else db.execute(_ANY_OF, {"session": session})).fetchone()
    # What says its session only once, as no index has it yet, might have been of this one.
    if found or not all(row.sound() for row in fresh(db)):
        raise damaged(_place(name))
    return None


def _at(db: sqlite3.Connection, name: bytes) -> Row | None:
    """What a pointer stands at, or None where it stands nowhere or is not there."""
    pointer = db.execute(_HEADS + "WHERE h.name = ?", (name,)).fetchone()
    if pointer is None:
        return None
    row = None if pointer[0] is None else checked(Row._make(pointer[:-1]))
    if pointer[-1] != digest_of(name + (row.digest if row else b"")):
        raise damaged(_place(name))
    return row


def sessions(db: sqlite3.Connection) -> list[bytes]:
    """The sessions that have or had a snapshot, by name."""
    heads = db.execute("SELECT CAST(name AS BLOB) FROM heads")
    pointers = {bytes(name[1:]) for (name,) in heads if name[:1] == _SESSION}
    return sorted(pointers.union(s for (s,) in db.execute("SELECT DISTINCT session FROM snapshots") if s is not None))


def find_named(db: sqlite3.Connection, label: bytes) -> Row | None:
    """The manifest that a name stands at, or else the newest one that was made with that label."""
    if (row := _at(db, _NAME + label)) is not None:
        return row
    given = names(db)
    rows = labelled(db, label) if label else iter(())
    if (found := next((row for row in rows if row.seq not in given), None)) is None:
        return None
    # The name may have been given to another one since, and that be lost.
    if db.execute("PRAGMA integrity_check(heads)").fetchone() != (b"ok",):
        raise damaged(_place(_NAME + label))
    for error in broken_pointers(db):
        raise error
    return checked(found)


def names(db: sqlite3.Connection) -> dict[int, bytes]:
    """The names that were given later, by the number of the snapshot each stands at."""
    rows = db.execute(_NAMES)
    return {seq: bytes(name[1:]) for name, seq, seal, digest in rows if seal == digest_of(name + digest)}


def broken_pointers(db: sqlite3.Connection) -> Iterator[SnapshotError]:
    """What is wrong with the places of sessions, and with names."""
    looks: list[Callable[[], object]] = [partial(head, db, session) for session in (None, *sessions(db))]
    looks += [partial(_at, db, name) for (name,) in db.execute("SELECT name FROM heads") if name[:1] != _SESSION]
    for look in looks:
        try:
            look()
        except SnapshotError as error:
            yield error
