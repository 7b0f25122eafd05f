"""Where sessions stand: in a store by itself, or in a runtime's memory."""

from __future__ import annotations

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.runtime import Runtime
from openclaw_nb.snapshots import SnapshotStore
from openclaw_nb.widgets.places import StorePlaces, find_places


def test_a_store_by_itself() -> None:
    with SnapshotStore() as store:
        first, second = store.append("main", ["a"]), store.append("main", ["b"])
        found, places = find_places(store)
        assert found is store
        assert isinstance(places, StorePlaces)
        places.restore("main", first)
        assert places.sessions() == {"main": first}
        assert places.branch("try", second.id) == second
        assert store.sessions() == {"main": first, "try": second}
        with pytest.raises(SnapshotError, match="session 'try' has begun already"):
            places.branch("try", first.id)
        with pytest.raises(SnapshotError, match="there is no snapshot"):
            places.branch("new", "0" * 16)


def test_a_runtimes_store_is_moved_by_its_memory() -> None:
    runtime = Runtime.shared()
    try:
        for store in (None, runtime.store):
            assert find_places(store) == (runtime.store, runtime.memory)
        with SnapshotStore() as other:
            assert isinstance(find_places(other)[1], StorePlaces)
    finally:
        runtime.close()
