"""The snapshot store: every state of every session, kept in one SQLite file."""

from .store import Snapshot, SnapshotDiff, SnapshotStore

__all__ = ["Snapshot", "SnapshotDiff", "SnapshotStore"]
