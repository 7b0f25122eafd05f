"""Chains: conversations with a hash at each message, remembered so that a longer one costs only what is new."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .plain import Path, encode, plain, same
from .records import link

__all__ = ["Chain", "Chains", "Logs"]

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
        if _equal(self.values[:count], messages[:count]):
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


class Logs:
    """The encoded messages of the conversations read last, by hash: what was checked once is not read again.

    Where another connection changed the file, which may be damage, all is read again. For one thread at a time.
    """

    def __init__(self) -> None:
        self._recent: dict[bytes | None, list[bytes]] = {}
        self._version = 0

    def take(self, db: sqlite3.Connection, chain: bytes | None) -> list[bytes] | None:
        """The messages up to that hash, and no memory of them any more; None where they are not known."""
        (version,) = db.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._recent, self._version = {}, version
        return self._recent.pop(chain, None)

    def keep(self, chain: bytes | None, bodies: list[bytes]) -> None:
        self._recent[chain] = bodies
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
