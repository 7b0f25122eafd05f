"""Chains: what was hashed is not hashed again, and what has changed is."""

from __future__ import annotations

from typing import Any

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots import chains
from openclaw_nb.snapshots.chains import Chain, Chains, Recent
from openclaw_nb.snapshots.messages import Log


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The values hashed so far."""
    seen: list[Any] = []
    encode = chains.encode

    def counting(value: Any) -> bytes:
        seen.append(value)
        return encode(value)

    monkeypatch.setattr(chains, "encode", counting)
    return seen


def fresh(messages: list[Any]) -> Chain:
    chain = Chain()
    chain.extend(messages, "messages")
    return chain


def test_a_longer_conversation_costs_its_new_messages(hashed: list[Any]) -> None:
    memory, messages = Chains(), []
    for n in range(200):
        messages.append({"role": "user", "content": str(n), "usage": {"tokens": n}})
        chain = memory.of(messages)
    assert len(hashed) == 200
    assert chain == fresh(messages)


def test_sessions_in_turn_do_not_push_each_other_out(hashed: list[Any]) -> None:
    memory = Chains()
    sessions: list[list[Any]] = [[{"content": f"session {s}"}] for s in range(8)]
    for n in range(20):
        for messages in sessions:
            messages.append({"content": str(n)})
            memory.of(messages)
    assert len(hashed) == 8 * 21


def test_a_branch_costs_its_own_messages(hashed: list[Any]) -> None:
    memory = Chains()
    trunk = [{"content": str(n)} for n in range(50)]
    memory.of(trunk)
    branch = memory.of([*trunk[:30], {"content": "other"}])
    assert memory.of(trunk) == fresh(trunk)
    assert branch == fresh([*trunk[:30], {"content": "other"}])
    assert len(hashed) == 51 + 50 + 31


@pytest.mark.parametrize("change", [True, 1.0, "1", None, [1], {"n": 1}])
def test_a_change_inside_an_old_message_is_noticed(change: Any) -> None:
    memory = Chains()
    messages: list[Any] = [{"content": "a", "deep": [{"n": 1}]}, {"content": "b"}, {"content": "c"}]
    first = memory.of(messages)
    messages[0]["deep"][0]["n"] = change
    assert memory.of(messages) == fresh(messages) != first
    messages[0]["deep"][0]["n"] = 1
    assert memory.of(messages) == first


def test_what_cannot_be_kept_changes_nothing() -> None:
    memory = Chains()
    first = memory.of([{"content": "a"}])
    with pytest.raises(SnapshotError, match=r"state\.messages\[1\]\.content: a set cannot be kept"):
        memory.of([{"content": "a"}, {"content": set()}])
    assert memory.of([{"content": "a"}]) == first


def test_what_compares_like_an_array_is_refused() -> None:
    class Array:
        def __eq__(self, other: object) -> bool:
            raise ValueError("the truth value of an array is ambiguous")

        __hash__ = None  # type: ignore[assignment]

    memory = Chains()
    memory.of([{"content": "a"}])
    with pytest.raises(SnapshotError, match="an Array cannot be kept"):
        memory.of([{"content": Array()}])


def test_the_conversations_read_last_are_known() -> None:
    logs = Recent()
    assert logs.take(None, 0) is None
    for n in range(9):
        logs.keep(Log([b"%d" % n, b"end"], [bytes([n]), bytes([n, n])]))
    assert logs.take(b"\0\0", 2) is None, "the oldest of nine"
    assert logs.take(b"\1\1", 2) == ([b"1", b"end"], [b"\1", b"\1\1"])
    assert logs.take(b"\1\1", 2) is None, "who takes one may change it"
    for _ in range(2):
        assert logs.take(b"\2", 1) == ([b"2"], [b"\2"]), "a beginning is a copy"
    logs.keep(Log([b"3"], [b"\3"]))
    assert logs.take(b"\4\4", 2), "what is known as a beginning forgets nobody"
