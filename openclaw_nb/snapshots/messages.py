"""The rows of messages: each is kept once, points at the one before it, and carries the hash of all up to it."""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from itertools import accumulate, islice
from typing import NamedTuple

__all__ = ["BLOCK", "Log", "add_messages", "broken", "known", "link", "links", "read_bodies"]

BLOCK = 64
"""The last rows of a table, up to so many, are fresh: in none of its indexes, each of which would be one more page to
write at every commit. When the number of the last one passes a multiple of this, all are entered at once.
"""

_NEWEST = "SELECT max(n) FROM messages"
_MESSAGE = f"""SELECT n FROM messages WHERE chain = :chain AND fresh IS NULL UNION ALL SELECT n FROM messages
    WHERE n > (SELECT max(n) / {BLOCK} * {BLOCK} FROM messages) AND fresh IS NOT NULL AND chain = :chain"""  # noqa: S608
_NEW_MESSAGE = "INSERT INTO messages(parent, chain, body, fresh) VALUES (?, ?, ?, 1)"
_SETTLE = "UPDATE messages SET fresh = NULL WHERE n > ? AND fresh IS NOT NULL"
_BEGINNING = "SELECT max(n) FROM messages WHERE n <= ? AND parent IS NOT n - 1"
_ROW_BY_ROW = "SELECT body FROM messages WHERE n BETWEEN ? AND ? ORDER BY n"
_DOWNWARDS = "SELECT n, parent, body FROM messages WHERE n <= ? ORDER BY n DESC LIMIT ?"
_LOG = """WITH RECURSIVE log(parent, body) AS (SELECT parent, body FROM messages WHERE n = ? UNION ALL
    SELECT m.parent, m.body FROM log JOIN messages m ON m.n = log.parent) SELECT body FROM log LIMIT ?"""

_NOTHING = bytes(16)
_NEW = blake2b(digest_size=16)  # a copy is there a third sooner than a new one


def link(chain: bytes | None, body: object) -> bytes:
    """The hash of the conversation that ``body`` ends; in a damaged file a body may be no bytes at all."""
    if type(body) is not bytes:
        return b""
    hash = _NEW.copy()
    hash.update((chain or _NOTHING) + body)
    return hash.digest()


def links(chain: bytes | None, bodies: list[bytes]) -> list[bytes]:
    """The hash at each of the messages that follow the conversation ``chain``."""
    return list(islice(accumulate(bodies, link, initial=chain or b""), 1, None))


class Log(NamedTuple):
    """The encoded messages of a conversation, oldest first, and its hash up to each of them."""

    bodies: list[bytes]
    hashes: list[bytes]

    def until(self, length: int) -> Log:
        return Log(self.bodies[:length], self.hashes[:length])


def known(db: sqlite3.Connection, hashes: list[bytes], tail: int | None) -> tuple[int, int | None]:
    """How many of the messages that follow the one in row ``tail`` are there already, and the row of the last."""
    if db.execute(_NEWEST).fetchone()[0] == tail:
        return 0, tail
    there, unknown = 0, len(hashes) + 1  # where one is, all before it are
    while there + 1 < unknown:
        middle = (there + unknown) // 2
        if found := db.execute(_MESSAGE, {"chain": hashes[middle - 1]}).fetchone():
            there, tail = middle, found[0]
        else:
            unknown = middle
    return there, tail


def add_messages(db: sqlite3.Connection, bodies: list[bytes], hashes: list[bytes], tail: int | None) -> int | None:
    """Write messages, none of which is there, after the one in row ``tail``; gives the row of the last one."""
    for body, chain in zip(bodies, hashes, strict=True):
        tail = db.execute(_NEW_MESSAGE, (tail, chain, body)).lastrowid
    if bodies and tail is not None and (before := (tail - len(bodies)) // BLOCK) < tail // BLOCK:
        db.execute(_SETTLE, (before * BLOCK,))
    return tail


def read_bodies(db: sqlite3.Connection, tail: int | None, length: int) -> list[bytes]:
    """The messages up to the row ``tail``, oldest first, not checked.

    Those of a conversation mostly lie side by side, or nearly so, and one sweep over them takes half the time of a
    join for each one's parent; that is for those that lie behind many others.
    """
    if tail is None:
        return []
    if db.execute(_BEGINNING, (tail,)).fetchone()[0] == tail - length + 1:
        return [body for (body,) in db.execute(_ROW_BY_ROW, (tail - length + 1, tail))]
    bodies: list[bytes] = []
    for n, parent, body in db.execute(_DOWNWARDS, (tail, 2 * length)):
        if n == tail:
            bodies.append(body)
            tail = parent
            if tail is None:
                break
    bodies.extend(body for (body,) in db.execute(_LOG, (tail, max(length - len(bodies), 0))))
    return bodies[::-1]


def broken(db: sqlite3.Connection) -> set[int]:
    """The rows whose hash is not that of what is there, or that follow one of those."""
    chains: dict[int | None, bytes | None] = {None: None}
    found = set()
    for n, parent, chain, body in db.execute("SELECT n, parent, chain, body FROM messages ORDER BY n"):
        if parent not in chains or parent in found or link(chains[parent], body) != chain:
            found.add(n)
        chains[n] = chain
    return found
