"""Messages: read in one sweep, or one by one, and the same either way."""

from __future__ import annotations

import pytest

from openclaw_nb.snapshots import SnapshotStore


@pytest.mark.parametrize("between", [0, 1, 9])
def test_a_conversation_is_found_however_many_others_lie_between(between: int) -> None:
    with SnapshotStore() as store:
        store.append("other", ["first"])
        for n in range(5):
            kept = store.append("main", [n, str(n)])
            for m in range(between):
                store.append("other", [n * m])
        store.append("other", ["last"])
        assert store.head("main") == kept
        assert kept.state == {"messages": [0, "0", 1, "1", 2, "2", 3, "3", 4, "4"]}
        assert store.verify() == []
