"""What is said elsewhere is taken in once, in order, and what was cut is replaced by what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.gateway.shared_sessions import SharedSessions
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.sharing import records
from openclaw_nb.snapshots import SnapshotStore
from tests.conversations import answered, asked
from tests.spine import asynchronous


def pair(run: str, text: str, **facts: Any) -> str:
    messages = [asked(f"say {run}"), answered(text) | {"run": run} | facts]
    return records.write({"run": run, "messages": messages, "others": {"kind": "turn", "level": 2}})


def said(memory: Memory, session: str = "s") -> list[str]:
    head = memory.head(session)
    return [message["content"] for message in head.state["messages"]] if head else []


async def take_in(sessions: SharedSessions, *entries: str, anew: bool = False, at: str = "x/1") -> None:
    work = sessions.take_in("s", [at, anew, *entries])
    assert work is not None
    await work


@pytest.fixture(params=["memory", "file"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with SnapshotStore(":memory:" if request.param == "memory" else tmp_path / "store.db") as store:
        memory = Memory(store)
        yield memory
        memory.close()


@asynchronous
async def _nothing_new(sessions: SharedSessions) -> None:
    assert sessions.take_in("s", []) is None


def test_taken_in_once_and_in_order(memory: Memory) -> None:
    sessions = SharedSessions(memory)

    @asynchronous
    async def play() -> None:
        await take_in(sessions, pair("a", "one"), pair("b", "two"), at="x/3")
        await take_in(sessions, pair("a", "one"), pair("b", "two"), pair("c", "three"), at="x/4")

    _nothing_new(sessions)
    play()
    assert said(memory) == ["say a", "one", "say b", "two", "say c", "three"]
    assert sessions.seen("s") == "x/4"


def test_what_was_cut_is_replaced(memory: Memory) -> None:
    sessions = SharedSessions(memory)

    @asynchronous
    async def play() -> None:
        await take_in(sessions, pair("a", "on", stopped=True))
        await take_in(sessions, pair("a", "on", stopped=True))
        assert said(memory) == ["say a", "on"]
        await take_in(sessions, pair("a", "one"))
        await take_in(sessions, pair("a", "on", stopped=True))

    play()
    assert said(memory)[-2:] == ["say a", "one"]


def test_begun_anew(memory: Memory) -> None:
    sessions = SharedSessions(memory)

    @asynchronous
    async def play() -> None:
        await take_in(sessions, anew=True)
        await take_in(sessions, pair("a", "one"))
        await take_in(sessions, pair("b", "two"), anew=True)

    play()
    assert said(memory) == ["say b", "two"]


def test_what_cannot_be_read_is_left(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    sessions = SharedSessions(memory)

    @asynchronous
    async def play() -> None:
        await take_in(sessions, "{}", "no JSON", pair("a", "one"))

    play()
    assert said(memory) == ["say a", "one"]
    assert "was not taken in" in caplog.text


def test_what_a_run_adds_is_told(memory: Memory) -> None:
    sessions = SharedSessions(memory)
    memory.append("s", [asked("q"), answered("nobody asked") | {"run": "other"}])
    sessions.expect("a")
    assert sessions.said("a") == ("", "")
    memory.append("s", [asked("q"), answered("one") | {"run": "a"}], kind="turn")
    for _ in range(2):
        session, text = sessions.said("a")
        entry = records.read(text)
        assert (session, entry["run"], entry["others"]) == ("s", "a", {"kind": "turn"})
        assert [message["content"] for message in entry["messages"]] == ["q", "one"]
    sessions.forget("a")
    assert sessions.said("a") == sessions.said("other") == ("", "")


def test_what_stood_in_a_file_before(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "store.db") as store:
        memory = Memory(store)
        memory.append("s", [asked("q"), answered("one")])
        sessions = SharedSessions(memory)
        assert [m["content"] for m in records.read(sessions.first("s"))["messages"]] == ["q", "one"]
        assert sessions.first("nothing was said here") == ""
        sessions.saw("s", "x/1")
        assert sessions.first("s") == ""
    assert SharedSessions(Memory(SnapshotStore())).first("s") == ""


def test_taken_back(memory: Memory) -> None:
    sessions = SharedSessions(memory)
    first = memory.append("s", [asked("q"), answered("one")])
    second = memory.append("s", [asked("q"), answered("two")])
    sessions.withdraw("s", first.id)
    assert said(memory)[-1] == "two"
    sessions.withdraw("s", second.id)
    assert said(memory) == ["q", "one"]
