"""Memory: where sessions stand, in one process and in the next one, and what was cut in them."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openclaw_nb.errors import SnapshotError
from openclaw_nb.sessions.memory import Memory, cut_in
from openclaw_nb.snapshots import Snapshot, SnapshotStore
from tests.spine import asynchronous, soon


def pair(n: object, **facts: Any) -> list[dict[str, Any]]:
    answer = {"role": "assistant", "content": f"answer {n}", "run": f"run {n}", **facts}
    return [{"role": "user", "content": f"question {n}"}, answer]


def run_of(n: object, base: Snapshot | None, state: str = "running", **facts: Any) -> dict[str, Any]:
    return {
        "id": f"run {n}", "message": f"question {n}", "agent": "main", "level": 2, "model": None, "budget": None,
        "at": base.length if base else 0, "base": base.id if base else None, "tokens": 1, "offset": 3, "calls": [],
        "state": state,
    } | facts  # fmt: skip


def cut_off(memory: Memory, n: object, state: str = "running", session: str = "main", text: str = "answ") -> Snapshot:
    """What a run leaves that was cut in mid-answer."""
    base = memory.base(session, f"run {n}")
    said: list[dict[str, Any]] = [{"role": "user", "content": f"question {n}"}]
    for part, piece in enumerate(text):
        said.append({"role": "assistant", "content": piece, "run": f"run {n}", "part": part})
    return memory.fork(session, base.id if base else None, said, kind="checkpoint", run=run_of(n, base, state))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


@pytest.fixture
def store(path: Path) -> Iterator[SnapshotStore]:
    with SnapshotStore(path) as store:
        yield store


def said(memory: Memory, session: str = "main") -> list[str]:
    head = memory.head(session)
    return [message["content"] for message in head.state["messages"]] if head else []


# -- sessions of this kernel and of the ones before --------------------------------------------------


def test_sessions_begin_anew_in_each_kernel_and_come_back(store: SnapshotStore) -> None:
    first = Memory(store, fresh=True)
    first.append("main", pair(1))
    kept = first.append("main", pair(2))
    first.append("other", pair("o"))
    second = Memory(store, fresh=True)
    assert second.head("main") is None
    assert second.sessions() == {}
    assert second.latest("main") == kept
    assert {name: one.id for name, one in second.earlier().items()} == {
        name: one.id for name, one in first.sessions().items()
    }
    second.append("main", pair("new"))
    assert said(second) == ["question new", "answer new"]
    assert second.latest("main") == second.head("main")
    assert second.earlier()["main"] == kept
    assert second.restore("main", kept) is None
    assert said(second) == ["question 1", "answer 1", "question 2", "answer 2"]
    assert said(first) == said(second)  # another kernel's sessions are its own


def test_a_kernel_beside_another_one_moves_only_its_own(path: Path) -> None:
    with SnapshotStore(path) as one, SnapshotStore(path) as other:
        a, b = Memory(one, fresh=True), Memory(other, fresh=True)
        for n in range(3):
            a.append("main", pair(f"a{n}"))
            b.append("main", pair(f"b{n}"))
        assert said(a) == [text for n in range(3) for text in (f"question a{n}", f"answer a{n}")]
        assert said(b) == [text for n in range(3) for text in (f"question b{n}", f"answer b{n}")]
        assert one.verify() == []


def test_sessions_of_a_gateway_are_those_of_the_file(path: Path) -> None:
    with SnapshotStore(path) as one, SnapshotStore(path) as other:
        a, b = Memory(one), Memory(other)
        a.append("main", pair(1))
        b.append("main", pair(2))
        assert said(a) == said(b) == ["question 1", "answer 1", "question 2", "answer 2"]
        assert a.sessions() == b.sessions()
        assert a.earlier() == {"main": a.head("main")}


def test_a_damaged_file_lets_a_kernel_begin(store: SnapshotStore, path: Path) -> None:
    memory = Memory(store, fresh=True)
    memory.append("main", pair(1))
    memory.append("other", pair("o"))
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE snapshots SET others = x'7b7d20' WHERE seq = 1")
    db.close()
    with SnapshotStore(path) as again:
        memory = Memory(again, fresh=True)
        with pytest.raises(SnapshotError, match="damaged"):
            memory.latest("main")
        assert memory.base("main", "run 2") is None
        memory.append("main", pair(2))
        assert said(memory) == ["question 2", "answer 2"]
        assert memory.restore("other", memory.latest("other")) is None
        assert said(memory, "other") == ["question o", "answer o"]


def test_nothing_is_read_before_it_is_asked_for(store: SnapshotStore) -> None:
    Memory(store, fresh=True).append("main", pair("x" * 100_000))
    statements: list[str] = []
    with store._database.transaction("the statements") as db:
        db.set_trace_callback(statements.append)
    Memory(store, fresh=True)
    assert statements == ["COMMIT"]  # of the line above


# -- restoring ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_a_run_cut_by_a_kill_is_the_latest(store: SnapshotStore, turns: int) -> None:
    first = Memory(store, fresh=True)
    for n in range(turns):
        first.append("main", pair(n))
    cut_off(first, "cut")
    second = Memory(store, fresh=True)
    latest = second.latest("main")
    assert latest is not None
    cut = second.restore("main", latest)
    assert cut is not None
    assert (cut.run_id, cut.message, cut.session, cut.text, cut.state) == (
        "run cut", "question cut", "main", "answ", "running",
    )  # fmt: skip
    assert (cut.snapshot, cut.agent, cut.level, cut.model, cut.tokens) == (latest.id, "main", 2, None, 1)
    assert said(second) == [text for n in range(turns) for text in (f"question {n}", f"answer {n}")]


def test_kept_by_hand_in_the_middle_of_a_run_that_is_cut(store: SnapshotStore) -> None:
    first = Memory(store, fresh=True)
    first.append("main", pair(1))
    cut_off(first, 2)
    kept = first.keep("main", "before it", vars={"x": {"format": "json", "data": 1}})
    assert (kept.label, kept.facts["kind"], kept.length) == ("before it", "named", 2)
    second = Memory(store, fresh=True)
    latest = second.latest("main")
    assert latest is not None
    assert cut_in(latest) is not None
    assert second.find("before it") == kept
    assert second.restore("main", kept) is None
    assert second.latest("main") == latest  # what was said there is where the run goes on from


def test_an_answer_after_the_cut_one_is_the_latest(store: SnapshotStore) -> None:
    memory = Memory(store, fresh=True)
    cut_off(memory, 1)
    memory.append("main", pair(2))
    latest = Memory(store, fresh=True).latest("main")
    assert latest == memory.head("main")
    assert cut_in(latest) is None  # type: ignore[arg-type]


def test_what_the_user_stopped_is_gone_on_with_only_if_said(store: SnapshotStore) -> None:
    memory = Memory(store, fresh=True)
    memory.append("main", pair(1))
    stopped = memory.append("main", pair(2, stopped=True), run=run_of(2, memory.head("main"), "stopped"))
    assert memory.latest("main") == stopped
    assert memory.restore("main", stopped) is None
    assert said(memory) == ["question 1", "answer 1", "question 2", "answer 2"]
    cut = memory.restore("main", stopped, stopped=True)
    assert cut is not None
    assert cut.text == "answer 2"
    assert said(memory) == ["question 1", "answer 1"]
    nothing = cut_off(memory, 3, "stopped", text="")
    assert memory.restore("main", nothing) is None
    assert said(memory) == ["question 1", "answer 1"]


def test_a_failed_run_goes_on_from_before_its_question(store: SnapshotStore) -> None:
    memory = Memory(store, fresh=True)
    memory.append("main", pair(1))
    failed = memory.append("main", pair(2, failed=True), run=run_of(2, memory.head("main"), "failed"))
    cut = memory.restore("main", memory.find(None))
    assert cut is not None
    assert (cut.state, cut.text, cut.snapshot) == ("failed", "answer 2", failed.id)
    assert said(memory) == ["question 1", "answer 1"]


def test_a_run_that_came_to_its_end_after_a_snapshot_is_not_asked_again(store: SnapshotStore) -> None:
    memory = Memory(store, fresh=True)
    memory.append("main", pair(1))
    checkpoint = cut_off(memory, 2)
    memory.append("main", pair(2), kind="turn", run=None)
    assert memory.restore("main", checkpoint) is None
    assert said(memory) == ["question 1", "answer 1", "question 2", *"answ"]


def test_where_the_base_was_pruned_what_it_had_is_taken_from_the_cut(store: SnapshotStore) -> None:
    first = Memory(store, fresh=True)
    base = first.append("main", pair(1), spent=0.5)
    cut_off(first, 2)
    store.point("main", None)
    store.prune(keep=1)
    with pytest.raises(SnapshotError):
        store.get(base.id)
    second = Memory(store, fresh=True)
    cut = second.restore("main", store.get())
    assert cut is not None
    assert said(second) == ["question 1", "answer 1"]
    head = second.head("main")
    assert head is not None
    assert (head.state["spent"], head.state["run"]) == (0.5, None)


def test_a_session_with_a_run_at_work_stays() -> None:
    memory = Memory(SnapshotStore(), fresh=True)
    kept = memory.append("main", pair(1))

    async def play() -> None:
        async with memory.lanes.turn("main"):
            with pytest.raises(SnapshotError, match="a run is at work in session 'main'; stop it first"):
                memory.restore("main", kept)
            assert memory.restore("other", kept) is None

    asyncio.run(play())
    assert memory.restore("main", None) is None
    assert said(memory) == []
    assert said(memory, "other") == ["question 1", "answer 1"]


def test_branches(store: SnapshotStore) -> None:
    memory = Memory(store, fresh=True)
    one = memory.append("main", pair(1))
    memory.append("main", pair(2))
    store.name(one.id, "start")
    assert memory.branch("aside", "start") == memory.branch("aside", one.id[:8]) == memory.head("aside")
    memory.append("aside", pair("a"))
    assert memory.branch("third", "aside").length == 4
    with pytest.raises(SnapshotError, match="session 'aside' has begun already; give the branch a new name"):
        memory.branch("aside", "main")
    with pytest.raises(SnapshotError, match="no snapshot id"):
        memory.branch("fourth", "nowhere")
    assert memory.head("fourth") is None
    assert said(memory) == ["question 1", "answer 1", "question 2", "answer 2"]


def test_find(store: SnapshotStore) -> None:
    memory = Memory(store, fresh=True)
    with pytest.raises(
        SnapshotError, match="session 'main' has no snapshot yet, and none is left of an earlier kernel"
    ):
        memory.find(None)
    kept = memory.keep("main", "empty")
    assert memory.find("empty") == memory.find(kept.id[:6]) == memory.find(None) == kept
    assert kept.length == 0


def test_a_run_taken_up_again_begins_before_its_question(store: SnapshotStore) -> None:
    memory = Memory(store, fresh=True)
    first = memory.append("main", pair(1))
    memory.append("main", pair(2, failed=True), run=run_of(2, first, "failed"))
    assert memory.base("main", "run 3") == memory.head("main")
    assert memory.base("main", "run 2") == memory.head("main") == first


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["turn", "cut", "keep", "restore", "back", "kernel"]), max_size=10))
def test_any_life_of_a_session_equals_a_list(steps: list[str]) -> None:
    """``talk`` is what the session says; ``hangs`` the run that was cut last, and after which words."""
    talk: list[str] = []
    earlier: list[str] = []
    hangs: tuple[str, list[str]] | None = None
    with SnapshotStore() as store:
        memory = Memory(store, fresh=True)
        for n, step in enumerate(steps):
            if step == "turn":
                memory.append("main", pair(n), kind="turn")
                talk, hangs = [*talk, f"question {n}", f"answer {n}"], None
            elif step == "cut":
                cut_off(memory, n)
                hangs = f"run {n}", talk
            elif step == "keep":
                memory.keep("main", f"k{n}")
            elif step == "back":
                memory.restore("main", None)
                talk = []
            elif step == "kernel":
                earlier, talk = talk if memory._heads else earlier, []
                memory = Memory(store, fresh=True)
            elif (latest := memory.latest("main")) is not None:
                talk = talk if memory._heads else earlier
                cut = memory.restore("main", latest)
                assert (cut.run_id if cut else "") == (hangs[0] if hangs and hangs[1] == talk else "")
            if memory._heads:
                assert said(memory) == talk
        assert store.verify() == []


# -- side by side ------------------------------------------------------------------------------------


def test_threads_that_let_one_session_grow_lose_nothing(store: SnapshotStore) -> None:
    memory = Memory(store, fresh=True)

    def work(name: str) -> None:
        for n in range(25):
            memory.append("main", pair(f"{name}{n}")) if name != "k" else memory.keep("main", f"k{n}")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abk"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said(memory)[1::2]) == sorted(f"answer {name}{n}" for name in "ab" for n in range(25))


PROCESS = """
import sys
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore, database
database._WAIT = 60.0  # seconds that the other may stand still with the file in its hands
with SnapshotStore(sys.argv[1]) as store:
    shared, own = Memory(store), Memory(store, fresh=True)
    for n in range(40):
        said = [{"role": "user", "content": f"{sys.argv[2]} {n}"}]
        shared.append("shared", said)
        own.append("main", said)
        own.fork("main", own.head("main").id, said, kind="checkpoint")
    print([message["content"] for message in own.head("main").state["messages"]])
"""


def test_two_processes_on_one_file(path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(path)]
    both = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in "ab"]
    for name, process in zip("ab", both, strict=True):
        assert process.communicate(timeout=120)[0] == f"{[f'{name} {n}' for n in range(40)]}\n"
    with SnapshotStore(path) as store:
        shared = said(Memory(store), "shared")
        for name in "ab":
            assert [text for text in shared if text.startswith(name)] == [f"{name} {n}" for n in range(40)]
        assert store.verify() == []


@asynchronous
async def test_who_waits_may_be_stopped_twice_and_the_work_is_done(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "s.db") as store:
        memory = Memory(store, fresh=True)
        let_go = threading.Event()
        memory.submit(let_go.wait, 60)
        waiting = asyncio.create_task(memory.do(memory.append, "main", pair(1)))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        let_go.set()
        await soon(lambda: memory.head("main") is not None)
        assert said(memory) == ["question 1", "answer 1"]
        memory.close()


@pytest.mark.parametrize("in_memory", [True, False])
def test_work_is_done_in_order(path: Path, in_memory: bool) -> None:
    with SnapshotStore(":memory:" if in_memory else path) as store:
        memory = Memory(store)
        done: list[int] = []
        waiting = [memory.submit(done.append, n) for n in range(20)]
        failed = memory.submit(store.get, "nothing")
        assert isinstance(failed.exception(60), SnapshotError)
        assert done == list(range(20))
        assert [one.result(60) for one in waiting] == [None] * 20
        memory.close()
        memory.close()
