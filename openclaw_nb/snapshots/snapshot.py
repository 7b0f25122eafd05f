"""Snapshot, one kept state, and SnapshotDiff, what two of them share and where they part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..errors import SnapshotError
from .plain import decode

__all__ = ["Kept", "Snapshot", "SnapshotDiff"]

Kept = tuple[list[bytes] | None, dict[str, bytes]]
"""A state, encoded: its messages, None for no such key, and the values of the other keys."""


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot:
    """One kept state. ``id`` is 16 hex digits; ``parent`` the id of the snapshot it grew from, which may be pruned
    by now, or None; ``created`` Unix seconds; ``session`` the session it was made in, or None; ``length`` how many
    messages are in it.
    """

    id: str
    parent: str | None
    label: str
    created: float
    session: str | None
    length: int = field(compare=False)
    _others: bytes = field(compare=False)
    _measure: Callable[[], int] = field(compare=False)
    _load: Callable[[], Kept] = field(compare=False)

    @property
    def state(self) -> dict[str, Any]:
        """The state, as new plain data each time. Raises SnapshotError where it is pruned or damaged."""
        try:
            messages, others = self._load()
            state = {key: decode(value) for key, value in others.items()}
            if messages is not None:
                state["messages"] = [decode(body) for body in messages]
        except (ValueError, RecursionError) as error:  # a forged file may have sound hashes
            raise SnapshotError(f"snapshot {self.id} was not written by a snapshot store") from error
        return state

    @property
    def facts(self) -> dict[str, Any]:
        """The short values of the state, those of at most 32 bytes as JSON, at hand without reading it."""
        return {key: value[0] for key, value in decode(self._others).items() if isinstance(value, list)}

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the state other than ``messages``."""
        return frozenset(decode(self._others))

    @property
    def size(self) -> int:
        """Bytes of the messages that no snapshot before it had."""
        return self._measure()

    def __repr__(self) -> str:
        label = f" {self.label!r}" if self.label else ""
        session = f" of session {self.session!r}" if self.session is not None else ""
        return (
            f"<Snapshot {self.id}{label}{session}, {datetime.fromtimestamp(self.created, UTC):%Y-%m-%d %H:%M:%S} UTC>"
        )


@dataclass(frozen=True, slots=True, repr=False)
class SnapshotDiff:
    """What two states share and where they part: messages, oldest first, and the names of other keys, sorted."""

    common: list[Any]
    only_a: list[Any]
    only_b: list[Any]
    changed: list[str]

    def __repr__(self) -> str:
        counts = f"{len(self.common)} messages common, {len(self.only_a)} only in a, {len(self.only_b)} only in b"
        return f"<SnapshotDiff {counts}, changed: {', '.join(map(repr, self.changed)) or 'nothing else'}>"
