"""SnapshotStore: what each name does, what it says when it cannot, and what it leaves behind."""

from __future__ import annotations

import dataclasses
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots import Snapshot, SnapshotStore
from openclaw_nb.snapshots.messages import BLOCK


def said(*contents: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content} for content in contents]}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SnapshotStore]:
    with SnapshotStore(tmp_path / "s.db") as store:
        yield store


def test_a_snapshot_says_what_it_is(store: SnapshotStore) -> None:
    before = time.time()
    first = store.put(said("a"), label="start", session="main")
    second = store.put(said("a", "b"), parent=first.id)
    assert len(first.id) == 16
    assert int(first.id, 16) >= 0
    assert (first.parent, first.label, first.session) == (None, "start", "main")
    assert (second.parent, second.label, second.session) == (first.id, "", None)
    assert before <= first.created <= second.created <= time.time()
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.label = "x"  # type: ignore[misc]
    assert repr(first).startswith(f"<Snapshot {first.id} 'start' of session 'main', 20")
    assert repr(second).startswith(f"<Snapshot {second.id}, 20")
    assert store.get(first.id) == first != second


def test_a_state_is_new_each_time(store: SnapshotStore) -> None:
    given = {"vars": {"x": [1]}} | said("a")
    snapshot = store.put(given)
    given["vars"]["x"].append(2)
    for one in (snapshot, store.get(), *store.list()):
        state = one.state
        state["messages"][0]["content"] = "changed"
        state["vars"].clear()
        assert one.state == store.get().state == {"vars": {"x": [1]}} | said("a")


@pytest.mark.parametrize(
    "state", [{}, {"messages": []}, {"vars": None}, MappingProxyType(said("a")), {"messages": ["text", 1, None]}]
)
def test_small_states(store: SnapshotStore, state: Any) -> None:
    assert store.get(store.put(state).id).state == dict(state)


def test_a_session_is_a_branch(store: SnapshotStore) -> None:
    assert store.head("main") is None
    one = store.put(said("a"), session="main")
    two = store.append("main", [{"role": "assistant", "content": "b", "stopped": True}])
    assert two.parent == one.id
    assert store.head("main") == two
    store.point("other", one.id)
    three = store.append("other", [{"role": "assistant", "content": "c"}])
    assert (three.parent, three.session) == (one.id, "other")
    assert store.sessions() == {"main": two, "other": three}
    assert store.head("main").state["messages"][-1] == {"role": "assistant", "content": "b", "stopped": True}  # type: ignore[union-attr]
    store.point("main", one.id[:6])
    assert store.head("main") == one
    store.point("main", None)
    assert store.head("main") is None
    assert store.append("main", []).parent is None
    assert store.append("new", said("x")["messages"]).state == said("x")


def test_append_keeps_the_other_keys_of_the_head(store: SnapshotStore) -> None:
    store.put(said("a") | {"model": "offline", "vars": {"long": "x" * 100}}, session="main")
    state = store.append("main", [{"content": "b"}], label="turn", model="tape", level=2).state
    assert state == {"messages": [*said("a")["messages"], {"content": "b"}], "model": "tape", "level": 2,
                     "vars": {"long": "x" * 100}}  # fmt: skip
    assert store.get().label == "turn"


def test_a_repeated_branch_is_stored_once(store: SnapshotStore) -> None:
    one = store.append("main", said("a")["messages"])
    two = store.append("main", said("b", "c")["messages"])
    store.point("main", one.id)
    again = store.append("main", said("b", "c", "d")["messages"])
    assert again.state == said("a", "b", "c", "d")
    assert two.state == said("a", "b", "c")
    with store._database.transaction("the messages") as db:
        assert db.execute("SELECT count(*) FROM messages").fetchone() == (4,)
    assert store.verify() == []


def steps(store: SnapshotStore, work: Callable[[], object]) -> int:
    """How many steps SQLite's machine takes for some work."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    with store._database.transaction("the steps") as db:
        db.set_progress_handler(count, 1)
    work()
    with store._database.transaction("the steps") as db:
        db.set_progress_handler(None, 0)
    return taken


def test_a_turn_costs_the_same_in_a_large_store_and_in_a_long_session(store: SnapshotStore) -> None:
    def turn(session: str) -> None:
        head = store.head(session)
        assert (head is None) == (session != "main")
        store.append(session, said(f"question in {session}", "answer")["messages"])

    def costs(name: str) -> tuple[int, int]:
        """Of as many turns as are entered into the indexes at once, in new sessions and in a long one."""
        new = sum(steps(store, partial(turn, f"{name} {n}")) for n in range(BLOCK))
        return new, sum(steps(store, partial(turn, "main")) for _ in range(BLOCK))

    store.append("main", said("a")["messages"])
    costs("first")
    small, short = costs("second")
    for n in range(300):
        store.append(f"session {n}", said("a")["messages"])
        turn("main")
    large, long = costs("third")
    assert large < 1.2 * small
    assert long < 1.2 * short
    assert len(store.head("main").state["messages"]) == 1 + 6 * BLOCK + 600  # type: ignore[union-attr]
    assert store.verify() == []


def test_get_takes_the_beginning_of_an_id(store: SnapshotStore) -> None:
    ids = [store.put({"n": n}).id for n in range(3)]
    assert store.get().id == ids[-1]
    assert [store.get(id[:length]).id for id in ids for length in (8, 15, 16)] == [i for i in ids for _ in range(3)]
    for wrong in ("0" * 16, ids[0][:3], "nothing", "", ids[0] + "0", "_" * 5000):
        with pytest.raises(SnapshotError) as caught:
            store.get(wrong)
        assert all(id in str(caught.value) for id in ids)
        assert len(str(caught.value)) < 300
    with pytest.raises(SnapshotError, match="no snapshot id"):
        store.put({}, parent=store.get())  # type: ignore[arg-type]


def test_an_ambiguous_id_names_what_it_may_be(store: SnapshotStore) -> None:
    seen: dict[str, str] = {}
    while (id := store.put({}).id)[:4] not in seen:
        seen[id[:4]] = id
    with pytest.raises(SnapshotError, match="several") as caught:
        store.get(id[:4])
    assert id in str(caught.value)
    assert seen[id[:4]] in str(caught.value)


def test_an_empty_store_says_so(store: SnapshotStore) -> None:
    for id, words in [(None, "there is no snapshot yet"), ("abcdef", "there is no snapshot abcdef; there is none yet")]:
        with pytest.raises(SnapshotError, match=words):
            store.get(id)
    assert store.list() == []
    assert store.sessions() == {}
    assert store.prune(keep=0) == 0


def test_diff(store: SnapshotStore) -> None:
    a = store.put(said("a", "b") | {"model": "x", "same": 1, "gone": "g" * 100})
    b = store.put(said("a", "c", "d") | {"model": "y", "same": 1, "new": None})
    diff = store.diff(a, b.id)
    assert diff.common == said("a")["messages"]
    assert diff.only_a == said("b")["messages"]
    assert diff.only_b == said("c", "d")["messages"]
    assert diff.changed == ["gone", "model", "new"]
    assert repr(diff) == "<SnapshotDiff 1 messages common, 1 only in a, 2 only in b, changed: 'gone', 'model', 'new'>"
    assert store.diff(a, a).only_a == store.diff(a, a).only_b == store.diff(a, a).changed == []


def test_prune_spares_heads_and_what_they_need(store: SnapshotStore) -> None:
    trunk = [store.put(said(*"abcdef"[:n]) | {"big": "x" * 9000 + str(n)}, session="main") for n in range(1, 7)]
    store.point("other", trunk[1].id)
    store.point("gone", None)
    assert store.prune() == 0
    assert store.prune(older_than=3600) == 0
    assert store.prune(keep=2, older_than=3600) == 0
    assert store.prune(keep=2) == 3
    assert store.list() == [trunk[1], trunk[4], trunk[5]]
    assert store.get(trunk[5].id).state["messages"] == said(*"abcdef")["messages"]
    assert store.prune(keep=0, older_than=0) == 1
    assert store.list() == [trunk[1], trunk[5]]
    assert trunk[5].parent == trunk[4].id
    with pytest.raises(SnapshotError, match=f"there is no snapshot {trunk[4].id}"):
        _ = trunk[4].state
    assert store.verify() == []
    for limits in ({"keep": -1}, {"older_than": -0.5}):
        with pytest.raises(SnapshotError, match="0 or more"):
            store.prune(**limits)  # type: ignore[arg-type]


def test_prune_gives_the_space_back(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "s.db") as store:
        for n in range(50):
            store.put(said("x" * 10_000 + str(n)))
    full = (tmp_path / "s.db").stat().st_size
    with SnapshotStore(tmp_path / "s.db") as store:
        store.prune(keep=1)
    assert (tmp_path / "s.db").stat().st_size < full / 5


def test_a_pruned_message_can_come_again(store: SnapshotStore) -> None:
    messages = said("a", "b", "c")["messages"]
    store.put({"messages": messages})
    store.put({})
    store.prune(keep=1)
    assert store.get(store.put({"messages": messages}).id).state == {"messages": messages}
    assert store.verify() == []


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.put({"vars": [set()]}), "state.vars[0]: a set cannot be kept"),
        (lambda s: s.put({"messages": [{"content": b""}]}), "state.messages[0].content: a bytes cannot be kept"),
        (lambda s: s.put({"messages": ({},)}), "state.messages: a tuple cannot be kept"),
        (lambda s: s.put([]), "state: a list cannot be kept"),
        (lambda s: s.put({}, label=3), "label: a int cannot be kept"),
        (lambda s: s.put({}, session=3), "session: a int cannot be kept"),
        (lambda s: s.append("main", [{"content": float("nan")}]), "messages[0].content: nan cannot be kept"),
        (lambda s: s.append("main", [], note={1}), "state.note: a set cannot be kept"),
        (lambda s: s.put({}, parent="0123456789abcdef"), "there is no snapshot 0123456789abcdef"),
        (lambda s: s.point("main", "0123456789abcdef"), "there is no snapshot 0123456789abcdef"),
    ],
)
def test_what_is_refused_leaves_the_store_as_it_was(store: SnapshotStore, call: Any, words: str) -> None:
    store.put(said("a"), session="main")
    before = store.list(), store.sessions()
    with pytest.raises(SnapshotError) as caught:
        call(store)
    assert words in str(caught.value)
    assert (store.list(), store.sessions()) == before
    assert store.verify() == []


def test_what_was_got_outlives_the_store(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "s.db") as store:
        kept = store.put(said("a"))
        got = store.get()
        assert repr(store) == f"<SnapshotStore {store.path}>"
    store.close()
    assert got.state == said("a")
    assert repr(store).endswith("s.db (closed)>")
    calls = [lambda: kept.state, store.get, store.list, lambda: store.put({}), lambda: store.append("s", []),
             lambda: store.head("s"), store.sessions, lambda: store.prune(keep=1), lambda: store.point("s", None),
             lambda: store.diff(kept, kept)]  # fmt: skip
    for call in calls:
        with pytest.raises(SnapshotError, match="the store is closed"):
            call()
    assert store.verify() == ["the check stopped: the store is closed"]


def test_many_threads(store: SnapshotStore) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for n in range(20):
                store.append("shared", [{"content": f"{name} {n}"}])
                mine = store.put(said(*(f"{name} {i}" for i in range(n + 1))), session=name)
                assert mine.state == store.get(mine.id).state
                assert len(mine.state["messages"]) == n + 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    shared = [message["content"] for message in store.sessions()["shared"].state["messages"]]
    assert len(shared) == 120
    for n in range(6):
        assert [text for text in shared if text.startswith(f"t{n} ")] == [f"t{n} {i}" for i in range(20)]
    assert store.verify() == []


def test_two_stores_on_one_file(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with SnapshotStore(path) as one, SnapshotStore(str(path)) as other:
        first = one.append("main", said("a")["messages"])
        assert other.get() == first
        other.prune(keep=1)
        other.append("main", said("b")["messages"])
        assert one.append("main", said("c")["messages"]).state == said("a", "b", "c")


def test_nothing_but_the_owner_can_read_it(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        with SnapshotStore(tmp_path / "new" / "s.db") as store:
            store.put(said("a"))
            files = list((tmp_path / "new").iterdir())
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files}
    finally:
        os.umask(umask)
    assert modes == {"s.db": 0o600, "s.db-wal": 0o600, "s.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_is_found_under_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with SnapshotStore("~/s.db"):
        assert (tmp_path / "s.db").exists()


def test_memory_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SnapshotStore() as one, SnapshotStore() as other:
        one.put(said("a"))
        assert other.list() == []
        assert repr(one) == "<SnapshotStore :memory:>"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_child_may_not_use_what_the_parent_opened(store: SnapshotStore) -> None:
    kept: Snapshot = store.put(said("a"), session="main")
    child = os.fork()
    if child == 0:
        refused = 0
        try:
            for call in (lambda: store.put({}), store.get, store.list, lambda: kept.state):
                try:
                    call()
                except SnapshotError as error:
                    refused += "opened before a fork" in str(error)
            store.close()
            with SnapshotStore(store.path) as own:
                own.append("main", said("b")["messages"])
        finally:
            os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
    assert store.append("main", said("c")["messages"]).state == said("a", "b", "c")
    assert store.verify() == []
