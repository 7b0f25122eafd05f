"""The snapshot store as a whole: equal to a naive model for any history, exact for any text, small on disk."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from openclaw_nb.snapshots import SnapshotStore

# Two surrogates in a row are two characters, not the one that JSON's escapes would make of them.
HARD = st.text(alphabet='a\x00"\\\ud83d\ude00\u200d\u202e\u2028\u0301😀\U0010ffff\ud800', max_size=8)
TEXT = HARD | st.text(st.characters(), max_size=8)
NUMBER = st.booleans() | st.integers(-1, 1) | st.sampled_from([-1.0, -0.0, 0.0, 1.0]) | st.integers() | st.floats(
    allow_nan=False, allow_infinity=False
)  # fmt: skip
VALUE = st.recursive(
    st.none() | NUMBER | TEXT | st.text("ab", min_size=40, max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.lists(st.dictionaries(st.sampled_from(["role", "content"]), VALUE), max_size=3)
OTHERS = st.dictionaries(st.sampled_from(["model", "level", "größe"]), VALUE, max_size=2)
SESSION = st.sampled_from(["main", "", "@", "b\ud800"])


def exact(value: Any) -> Any:
    """What equals only what has the same types and characters; the keys of a dict in any order."""
    if type(value) is dict:
        return frozenset((key, exact(item)) for key, item in value.items())
    return tuple(map(exact, value)) if type(value) is list else (type(value), repr(value))


@dataclass
class Model:
    """The naive store: every state whole."""

    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    parents: dict[str, str | None] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)

    def add(self, id: str, parent: str | None, session: str | None, state: dict[str, Any]) -> None:
        self.states[id] = copy.deepcopy(state)
        self.parents[id] = parent
        if session is not None:
            self.heads[session] = id

    def prune(self, keep: int) -> int:
        ids = list(self.states)
        gone = set(ids) - {*ids[-max(keep, 1) :], *self.heads.values()}
        for id in gone:
            del self.states[id]
        return len(gone)


def _put(store: SnapshotStore, model: Model, draw: Callable[..., Any]) -> None:
    parent = draw(st.sampled_from([None, *model.states]))
    session = draw(st.none() | SESSION)
    state = model.states[parent] | draw(OTHERS) if parent else draw(OTHERS)
    log = state.pop("messages", [])
    if log or draw(st.booleans()):
        state["messages"] = log[: draw(st.integers(0, len(log)))] + draw(MESSAGES)
    id = store.put(state, parent=parent, session=session).id
    model.add(id, parent or (None if session is None else model.heads.get(session)), session, state)


def _append(store: SnapshotStore, model: Model, draw: Callable[..., Any]) -> None:
    session, fresh, others = draw(SESSION), draw(MESSAGES), draw(OTHERS)
    head = model.heads.get(session)
    state = model.states[head] if head else {}
    id = store.append(session, fresh, **others).id
    model.add(id, head, session, state | others | {"messages": state.get("messages", []) + fresh})


def _point(store: SnapshotStore, model: Model, draw: Callable[..., Any]) -> None:
    session, id = draw(SESSION), draw(st.sampled_from([None, *model.states]))
    store.point(session, id)
    model.heads.pop(session, None)
    if id is not None:
        model.heads[session] = id


def _mutate(store: SnapshotStore, model: Model, draw: Callable[..., Any]) -> None:
    """What was given to the store, or came out of it, changes; what is kept does not."""
    for snapshot in store.list():
        state = snapshot.state
        for message in state.get("messages", []):
            message["content"] = draw(NUMBER)
        if draw(st.booleans()):
            model.add(store.put(state).id, None, None, state)
            for message in state.get("messages", []):
                message.clear()


def _prune(store: SnapshotStore, model: Model, draw: Callable[..., Any]) -> None:
    keep = draw(st.integers(0, 4))
    assert store.prune(keep=keep) == model.prune(keep)


def _check(store: SnapshotStore, model: Model) -> None:
    kept = store.list()
    assert [(s.id, s.parent) for s in kept] == [(id, model.parents[id]) for id in model.states]
    for snapshot in kept:
        wanted = exact(model.states[snapshot.id])
        assert exact(snapshot.state) == exact(store.get(snapshot.id).state) == wanted
    assert {name: head.id for name, head in store.sessions().items()} == model.heads
    if kept:
        assert store.get().id == kept[-1].id
    assert store.verify() == []


@settings(max_examples=60)
@given(st.data())
def test_any_history_equals_a_naive_store(data: st.DataObject) -> None:
    model = Model()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "s.db")
        with SnapshotStore(path) as store:
            for _ in range(data.draw(st.integers(1, 8))):
                step = data.draw(st.sampled_from([_put, _put, _append, _append, _point, _mutate, _prune]))
                step(store, model, data.draw)
            _check(store, model)
        with SnapshotStore(path) as store:
            _check(store, model)


@given(st.lists(VALUE, max_size=4), TEXT, TEXT)
def test_text_and_numbers_survive_exactly(values: list[Any], label: str, session: str) -> None:
    with SnapshotStore() as store:
        state = {"messages": values, "vars": values, label: session, "messages ": {label: values}}
        snapshot = store.put(state, label=label, session=session)
        assert exact(store.get(snapshot.id).state) == exact(state)
        assert (snapshot.label, snapshot.session) == (label, session)
        assert store.list() == [snapshot] == list(store.sessions().values())


def test_two_thousand_snapshots_cost_one_and_a_half_conversations(tmp_path: Path, note: Callable[[str], None]) -> None:
    messages: list[dict[str, str]] = []
    with SnapshotStore(tmp_path / "s.db") as store:
        for n in range(2000):
            messages.append({"role": "assistant" if n % 2 else "user", "content": f"{n} ".ljust(458, ".")})
            store.put({"messages": messages, "model": "offline"}, session="main")
    raw = sum(len(json.dumps(message)) for message in messages)
    stored = sum(file.stat().st_size for file in tmp_path.iterdir())
    note(f"2,000 snapshots of a conversation that grows by {raw // 2000} B: {stored / raw:.2f} times its size on disk")
    assert stored <= 1.5 * raw
    with SnapshotStore(tmp_path / "s.db") as store:
        assert store.get().state["messages"] == messages
        middle = store.list()[999]
        assert middle.state["messages"] == messages[:1000]
        store.put({"messages": [*messages[:1000], {"role": "user", "content": "another way"}]}, parent=middle.id)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) - stored < 20_000
