"""Places, where sessions stand and how they are moved: a runtime's memory, or a snapshot store by itself."""

from __future__ import annotations

from typing import Protocol

from ..errors import SnapshotError
from ..runtime import Runtime
from ..sessions.memory import Cut
from ..snapshots import Snapshot, SnapshotStore

__all__ = ["Places", "StorePlaces", "find_places"]


class Places(Protocol):
    """What a timeline needs of a memory. Each raises SnapshotError with one sentence."""

    def sessions(self) -> dict[str, Snapshot]:
        """The sessions by name, each with the snapshot it stands at."""

    def restore(self, session: str, snapshot: Snapshot) -> Cut | None:
        """Put a session there; where a run was cut in it, before its question, and give what to go on with."""

    def branch(self, session: str, which: str) -> Snapshot:
        """Begin a new session at a snapshot."""


class StorePlaces:
    """The sessions of a store that no runtime has."""

    def __init__(self, store: SnapshotStore) -> None:
        self._store = store

    def sessions(self) -> dict[str, Snapshot]:
        return self._store.sessions()

    def restore(self, session: str, snapshot: Snapshot) -> None:
        self._store.point(session, snapshot.id)

    def branch(self, session: str, which: str) -> Snapshot:
        if self._store.head(session) is not None:
            raise SnapshotError(f"session {session!r} has begun already; give the branch a new name")
        self._store.point(session, which)
        return self._store.get(which)


def find_places(store: SnapshotStore | None) -> tuple[SnapshotStore, Places]:
    """A store, by default the one of this process's runtime, and who moves its sessions."""
    if store is None:
        runtime = Runtime.shared()
        return runtime.store, runtime.memory
    running = Runtime.running()
    return store, running.memory if running and running.store is store else StorePlaces(store)
