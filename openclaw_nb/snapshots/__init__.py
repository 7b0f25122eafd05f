"""The snapshot store: every state of every session, kept in one SQLite file."""

from .snapshot import Snapshot, SnapshotDiff
from .store import SnapshotStore

__all__ = ["Snapshot", "SnapshotDiff", "SnapshotStore"]
