"""Chains: conversations with a hash at each message, remembered so that a longer one costs only what is new."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .messages import Log, link
from .plain import Path, encode, plain, same
from .records import Known, Row

__all__ = ["Chain", "Chains", "Recent"]

_RECENT = 8  # conversations remembered, each by references to the strings in it


@dataclass(slots=True)
class Chain:
    """Messages, copied, with the hash of the conversation up to each; ``odd`` are those that hold more than text."""

    values: list[Any] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    odd: list[int] = field(default_factory=list)

    def extend(self, messages: list[Any], path: Path, base: bytes | None = None) -> None:
        """Add messages; the first one of all follows ``base``. Raises SnapshotError for what cannot be kept."""
        values = [plain(message, (path, index)) for index, message in enumerate(messages, len(self.values))]
        hash = self.hashes[-1] if self.hashes else base
        for value in values:
            hash = link(hash, encode(value))
            if not _text_only(value):
                self.odd.append(len(self.values))
            self.values.append(value)
            self.hashes.append(hash)

    def until(self, count: int) -> Chain:
        return Chain(self.values[:count], self.hashes[:count], [index for index in self.odd if index < count])

    def common(self, messages: list[Any]) -> int:
        """How many messages, from the first, are the same here and there."""
        count = min(len(self.values), len(messages))
        strict: Iterable[int] = range(count)
        if _equal(self.values if count == len(self.values) else self.values[:count], messages[:count]):
            strict = (index for index in self.odd if index < count)  # 1 == 1.0 == True, but only a text equals a text
        return next((index for index in strict if not same(self.values[index], messages[index])), count)


def _text_only(value: Any) -> bool:
    if type(value) is dict:
        return all(map(_text_only, value.values()))
    return all(map(_text_only, value)) if type(value) is list else type(value) is str


def _equal(ours: list[Any], theirs: list[Any]) -> bool:
    try:
        return ours == theirs
    except Exception:  # of an array, say, which cannot be kept anyway
        return False


class Chains:
    """The conversations seen last. What has changed since, even deep inside a message, is noticed and hashed again."""

    def __init__(self) -> None:
        self._recent: tuple[Chain, ...] = ()

    def of(self, messages: list[Any]) -> Chain:
        """The chain of all messages, hashed from the first one on that no recent conversation has there."""
        known, same = self._nearest(messages)
        chain = known.until(same)  # a copy: threads share what is remembered, and an interrupt may come anywhere
        chain.extend(messages[same:], ("state", "messages"))
        if chain.values:
            others = (other for other in self._recent if other is not known or same < len(known.values))
            self._recent = (*others, chain)[-_RECENT:]
        return chain

    def _nearest(self, messages: list[Any]) -> tuple[Chain, int]:
        best = Chain(), 0
        for known in reversed(self._recent):
            count = known.common(messages)
            if count > best[1]:
                best = known, count
            if count == len(known.values):
                break
        return best


class Recent:
    """What was read or written last: manifests, and by hash the encoded messages of conversations. What was checked
    once is not read again.

    Where another connection changed the file, which may be damage, all is read again; a store in memory is one's own
    (``alone``). For one thread at a time.
    """

    def __init__(self, *, alone: bool = False) -> None:
        self._alone = alone
        self._logs: list[Log] = []
        self._rows: Known = {}
        self._version = 0

    def rows(self, db: sqlite3.Connection) -> Known:
        """The manifests. Asked for first in a transaction, as this is where all is forgotten if it must be."""
        if self._alone:
            return self._rows
        (version,) = db.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._logs, self._rows, self._version = [], {}, version
        return self._rows

    def add(self, row: Row) -> None:
        if len(self._rows) >= 4 * _RECENT:
            self._rows.clear()
        self._rows[row.seq] = self._rows[row.id] = row

    def take(self, chain: bytes | None, length: int) -> Log | None:
        """The messages up to that hash, for the caller alone: a longer conversation stays remembered, and this one,
        where it ends there, is not any more. None where they are not known.
        """
        index = self._place(chain, length)
        if index is None:
            return None
        log = self._logs[index]
        return self._logs.pop(index) if len(log.hashes) == length else log.until(length)

    def keep(self, log: Log) -> None:
        if log.hashes and self._place(log.hashes[-1], len(log.hashes)) is None:
            self._logs = [*self._logs, log][-_RECENT:]

    def _place(self, chain: bytes | None, length: int) -> int | None:
        """Where a conversation is remembered that begins so."""
        known = (index for index, log in enumerate(self._logs) if length and log.hashes[length - 1 : length] == [chain])
        return next(known, None)
