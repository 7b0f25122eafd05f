"""Checking: whether everything in a snapshot file is as it was written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from .messages import broken
from .pointers import broken_pointers
from .records import damaged, is_item, items, manifests

__all__ = ["problems"]


def problems(db: sqlite3.Connection) -> Iterator[str]:
    """A sentence for each thing in the file that is not as it was written."""
    for (words,) in db.execute("PRAGMA integrity_check(20)"):
        if words != b"ok":
            yield f"the file is damaged: {words.decode(errors='replace').splitlines()[-1]}"
    if bad := broken(db):
        yield f"{len(bad)} of the messages are damaged or follow one that is"
    kept = {digest for digest, body in db.execute("SELECT digest, body FROM items") if is_item(digest, body)}
    for row in manifests(db):
        if not row.sound() or row.tail in bad or not kept.issuperset(items(row)):
            yield str(damaged(f"snapshot {row.id}"))
    yield from map(str, broken_pointers(db))
