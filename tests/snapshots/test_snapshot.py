"""Snapshot and SnapshotDiff: what they say of a state, and when they read it."""

from __future__ import annotations

import dataclasses

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots import Snapshot, SnapshotDiff, SnapshotStore


def unread() -> tuple[None, dict[str, bytes]]:
    raise AssertionError("it was read")


def snapshot(others: bytes = b"{}", **fields: object) -> Snapshot:
    plain = Snapshot("0123456789abcdef", None, "", 0.0, None, 0, others, lambda: 0, unread)
    return dataclasses.replace(plain, **fields)  # type: ignore[arg-type]


def test_short_values_are_known_without_reading_the_state() -> None:
    one = snapshot(b'{"kind":["turn"],"level":[3],"none":[null],"list":[[1,2]],"vars":"00ff"}')
    assert one.facts == {"kind": "turn", "level": 3, "none": None, "list": [1, 2]}
    assert one.keys == {"kind", "level", "none", "list", "vars"}
    one.facts.clear()
    assert one.facts["level"] == 3
    with pytest.raises(AssertionError, match="it was read"):
        _ = one.state


def test_a_value_of_up_to_32_bytes_is_short() -> None:
    with SnapshotStore() as store:
        kept = store.put({"just": "x" * 30, "more": "x" * 31, "é": "é" * 15})
        assert kept.facts == {"just": "x" * 30, "é": "é" * 15}
        assert kept.state["more"] == "x" * 31


@pytest.mark.parametrize("body", [b"[" * 100_000, b"{'a': 1}", b"\xff", b"1]} {", b"NaNa"])
def test_what_no_store_wrote(body: bytes) -> None:
    forged = snapshot(_load=lambda: ([body], {}))
    with pytest.raises(SnapshotError, match="snapshot 0123456789abcdef was not written by a snapshot store"):
        _ = forged.state


def test_how_they_are_shown() -> None:
    assert repr(snapshot()) == "<Snapshot 0123456789abcdef, 1970-01-01 00:00:00 UTC>"
    shown = repr(snapshot(label="a\x1b[2J", session="s"))
    assert shown == "<Snapshot 0123456789abcdef 'a\\x1b[2J' of session 's', 1970-01-01 00:00:00 UTC>"
    diff = SnapshotDiff([1], [2, 3], [], ["level"])
    assert repr(diff) == "<SnapshotDiff 1 messages common, 2 only in a, 0 only in b, changed: 'level'>"
    assert repr(SnapshotDiff([], [], [], [])).endswith("changed: nothing else>")


def test_equal_is_what_has_the_same_id_and_place() -> None:
    with SnapshotStore() as store:
        kept = store.put({"messages": [{"content": "a"}]}, label="x", session="main")
        assert kept == store.get() == store.list()[0]
        assert len({kept, store.get()}) == 1
        assert kept != store.put({"messages": [{"content": "a"}]}, label="x", session="main")


def test_the_size_that_is_known_when_it_is_kept_is_that_of_the_list() -> None:
    with SnapshotStore() as store:
        said = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "h" * 100}]
        store.append("main", said[:1])
        store.point("main", None)
        kept = [store.put({"messages": said}), store.append("main", said), store.append("main", [{"content": "new"}])]
        assert [snapshot.size for snapshot in kept] == [snapshot.size for snapshot in store.list()[1:]]
        assert [snapshot.size > 0 for snapshot in kept] == [True, False, True]


def test_a_peek_reads_the_state_when_it_is_asked_for() -> None:
    store = SnapshotStore()
    kept = store.name(store.put({"messages": ["hello"]}).id, "first")
    peeked = store.peek(kept.id)
    assert (peeked.id, peeked.label, peeked.state) == (kept.id, "first", {"messages": ["hello"]})
    store.close()
    with pytest.raises(SnapshotError, match="closed"):
        peeked.state  # noqa: B018 - it is the reading that fails
