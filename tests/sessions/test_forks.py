"""Fork: what a run keeps of itself on its way, that none of it shows before its end, and that no disk holds it up."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.models.base import ToolCall
from openclaw_nb.sessions.forks import Fork, Task
from openclaw_nb.sessions.memory import Cut, Memory, cut_in
from openclaw_nb.snapshots import Snapshot, SnapshotStore
from tests.spine import asynchronous, soon

TASK = Task("r1", "question", "main", "main", 3, "some:model", 0.5)
INTERVAL = 0.02
FACTS = {"level": 3, "model": "some:model", "tokens": [2, 3]}


@pytest.fixture(params=[True, False], ids=["of a kernel", "of a gateway"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory]:
    with SnapshotStore(tmp_path / "s.db") as store:
        memory = Memory(store, fresh=request.param)
        yield memory
        memory.close()


def kept(memory: Memory) -> list[tuple[Any, list[str]]]:
    """Of each snapshot its kind, and what was said."""
    memory.submit(len, "all before this").result(60)
    return [
        (one.facts.get("kind"), [message["content"] for message in one.state["messages"]])
        for one in memory.store.list()
    ]


def newest(memory: Memory) -> Snapshot:
    memory.submit(len, "all before this").result(60)
    return memory.store.get()


def say(fork: Fork, *pieces: str) -> None:
    fork.answer.extend(pieces)
    fork.tokens += len(pieces)


@asynchronous
async def test_checkpoints_come_while_something_changes_and_the_session_stays(memory: Memory) -> None:
    base = memory.append("main", [{"role": "user", "content": "before"}], spent=0.25)
    fork = Fork(memory, TASK, base, INTERVAL)
    fork.begin()
    await asyncio.sleep(5 * INTERVAL)
    assert kept(memory)[1:] == [("checkpoint", ["before", "question"])]
    say(fork, "one ", "two ")
    await soon(lambda: len(kept(memory)) == 3)
    await asyncio.sleep(5 * INTERVAL)
    say(fork, "three.\n", "fo")
    await soon(lambda: len(kept(memory)) == 4)
    await asyncio.sleep(5 * INTERVAL)
    assert kept(memory)[2:] == [
        ("checkpoint", ["before", "question", "one two "]),
        ("checkpoint", ["before", "question", "one two ", "three.\n"]),
    ]
    cut = cut_in(newest(memory))
    assert cut == Cut("r1", "question", "main", newest(memory).id, "main", 3, "some:model", 0.5, "one two three.\n", 4)
    run = newest(memory).state["run"]
    assert (run["base"], run["at"], run["offset"], run["state"]) == (base.id, 1, 15, "running")
    assert memory.head("main") == base
    fork.end()
    say(fork, "more")
    await asyncio.sleep(3 * INTERVAL)
    assert len(kept(memory)) == 4


@asynchronous
async def test_its_end_is_one_pair_in_the_session(memory: Memory) -> None:
    base = memory.append("main", [{"role": "user", "content": "before"}], spent=0.25, vars={"x": 1})
    fork = Fork(memory, TASK, base, INTERVAL)
    fork.begin()
    for piece in ("one ", "two"):
        say(fork, piece)
        fork.step()
    fork.end()
    id = await fork.merge(FACTS | {"cost": 0.5}, 0.5)
    head = memory.head("main")
    assert head is not None
    assert (head.id, head.parent) == (id, base.id)
    answer = {"role": "assistant", "content": "one two", "run": "r1", "cost": 0.5, **FACTS}
    assert head.state == {
        "messages": [{"role": "user", "content": "before"}, {"role": "user", "content": "question"}, answer],
        "spent": 0.75, "vars": {"x": 1}, "kind": "turn", "level": 3, "budget": 0.5,
    }  # fmt: skip
    assert [kind for kind, _ in kept(memory)] == [None, "checkpoint", "step", "step", "turn"]
    assert memory.latest("main") == head
    assert memory.store.verify() == []


@asynchronous
async def test_a_short_run_leaves_its_turn_only(memory: Memory) -> None:
    fork = Fork(memory, TASK, None, 5.0)
    fork.begin()
    say(fork, "one")
    fork.end()
    await fork.merge(FACTS, None)
    assert kept(memory) == [("turn", ["question", "one"])]


@asynchronous
async def test_in_memory_a_run_begins_without_a_snapshot() -> None:
    with SnapshotStore() as store:
        memory = Memory(store, fresh=True)
        fork = Fork(memory, TASK, None, INTERVAL)
        fork.begin()
        assert store.list() == []  # nobody could come back to it
        say(fork, "one")
        await soon(lambda: len(store.list()) == 1)
        fork.end()


@asynchronous
async def test_without_an_interval_none_is_taken_on_the_way(memory: Memory) -> None:
    fork = Fork(memory, TASK, None, None)
    fork.begin()
    say(fork, "one")
    fork.step()
    await asyncio.sleep(2 * INTERVAL)
    assert kept(memory) == []
    fork.end()
    await fork.merge(FACTS, None)
    assert [kind for kind, _ in kept(memory)] == ["turn"]


@pytest.mark.parametrize("state", ["stopped", "failed"])
@asynchronous
async def test_a_run_without_an_answer_leaves_the_session(memory: Memory, state: str) -> None:
    base = memory.append("main", [{"role": "user", "content": "before"}])
    fork = Fork(memory, TASK, base, INTERVAL)
    fork.begin()
    fork.end()
    await fork.give_up(state)
    assert memory.head("main") == base
    cut = cut_in(newest(memory))
    assert cut is not None
    assert (cut.state, cut.text, cut.message) == (state, "", "question")


@asynchronous
async def test_a_run_that_had_nothing_to_say_is_not_gone_on_with(memory: Memory) -> None:
    base = memory.append("main", [{"role": "user", "content": "before"}])
    fork = Fork(memory, TASK, base, INTERVAL)
    fork.begin()
    fork.end()
    await fork.give_up("")
    assert memory.latest("main") == memory.head("main") == base


@pytest.mark.parametrize("state", ["stopped", "failed"])
@asynchronous
async def test_an_answer_that_was_cut_says_so(memory: Memory, state: str) -> None:
    base = memory.append("main", [{"role": "user", "content": "before"}])
    fork = Fork(memory, TASK, base, INTERVAL)
    fork.begin()
    say(fork, "on")
    fork.end()
    await fork.merge(FACTS | {state: True}, None)
    head = memory.head("main")
    assert head is not None
    assert head.state["messages"][-1][state] is True
    cut = cut_in(head)
    assert cut is not None
    assert (cut.state, cut.text, cut.tokens, head.state["run"]["base"]) == (state, "on", 1, base.id)
    following = Fork(memory, Task("r2", "next", "main", "main", 1, None), head, INTERVAL)
    say(following, "ok")
    await following.merge({}, None)
    assert memory.head("main").state["run"] is None  # type: ignore[union-attr]
    assert cut_in(memory.head("main")) is None  # type: ignore[arg-type]


@asynchronous
async def test_a_run_gone_on_with_keeps_what_was_there(memory: Memory) -> None:
    fork = Fork(memory, TASK, None, INTERVAL)
    say(fork, "what was there, ")
    fork.begin()
    say(fork, "and more ")
    await soon(lambda: len(kept(memory)) == 2)
    fork.end()
    assert kept(memory)[1][1] == ["question", "what was there, ", "and more "]
    assert cut_in(newest(memory)).text == "what was there, and more "  # type: ignore[union-attr]


@asynchronous
async def test_what_a_disk_refused_is_kept_with_the_next(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    fork = Fork(memory, TASK, None, None)
    fork._interval = 1e9  # by hand only
    fork.begin()
    lost = sqlite3.connect(memory.store.path)
    say(fork, "one ")
    fork.step()
    kept(memory)
    lost.execute("CREATE TRIGGER no BEFORE INSERT ON snapshots BEGIN SELECT RAISE(ABORT, 'the disk'); END")
    for piece in ("two ", "three "):
        say(fork, piece)
        fork.step()
    with pytest.raises(SnapshotError):
        await fork.keep_calls()
    lost.execute("DROP TRIGGER no")
    lost.close()
    say(fork, "four")
    fork.step()
    cut = cut_in(newest(memory))
    assert cut is not None
    assert cut.text == "one two three four"
    assert newest(memory).state["run"]["offset"] == len(cut.text)
    assert sum("was not kept on its way" in record.message for record in caplog.records) == 2
    fork.end()


@asynchronous
async def test_tool_calls_are_kept_before_they_are_made(memory: Memory) -> None:
    fork = Fork(memory, TASK, None, INTERVAL)
    fork.begin()
    say(fork, "let me look. ")
    (entry,) = fork.ledger.ask(0, len("let me look. "), [ToolCall("", "look", {"at": 1})])
    fork.ledger.begin(entry)
    await fork.keep_calls()
    cut = cut_in(newest(memory))
    assert cut is not None
    assert [(call["name"], call["state"]) for call in cut.calls] == [("look", "pending")]
    fork.end()
    again = Fork(memory, TASK, None, INTERVAL, cut)
    assert again.known == "let me look. "
    assert [entry.state for entry in again.ledger.entries] == ["done"]  # it is not made twice
    assert "whether it took effect is unknown" in again.ledger.entries[0].result


@asynchronous
async def test_secrets_are_not_kept(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-planted-0123456789abcdef")
    task = Task("r", "use sk-planted-0123456789abcdef", "main", "main", 1, None)
    fork = Fork(memory, task, None, INTERVAL)
    fork.begin()
    say(fork, "the key is sk-planted-0123456789abcdef")
    fork.step()
    fork.end()
    await fork.merge({}, None)
    memory.close()
    memory.store.close()
    for file in Path(memory.store.path).parent.iterdir():
        assert b"planted" not in file.read_bytes(), file


@asynchronous
async def test_a_session_kept_by_hand_meanwhile_grows_from_there(memory: Memory) -> None:
    base = memory.append("main", [{"role": "user", "content": "before"}])
    fork = Fork(memory, TASK, base, INTERVAL)
    fork.begin()
    say(fork, "one")
    named = memory.keep("main", "here", vars={"x": {"format": "json", "data": 1}})
    fork.end()
    await fork.merge(FACTS, None)
    head = memory.head("main")
    assert head is not None
    assert head.parent == named.id
    assert [message["content"] for message in head.state["messages"]] == ["before", "question", "one"]
    assert head.state["vars"] == {"x": {"format": "json", "data": 1}}


HARD = "a\0\ud83d\ude00€\u200d\u202e\ud800 😀 \udfff\n" * 3


@pytest.mark.parametrize("memory", [True], indirect=True)
@asynchronous
async def test_any_text_in_any_parts_comes_back(memory: Memory, figure: Callable[[str, str], None]) -> None:
    """Lone surrogates, NUL, joiners and marks of direction, cut at every character; on disk and read again."""
    for cut in range(len(HARD) + 1):
        task = Task(f"r{cut}", HARD, f"s{cut}", "main", 1, None)
        fork = Fork(memory, task, None, 1e9)
        fork.begin()
        for piece in (HARD[:cut], HARD[cut:]):
            say(fork, piece)
            fork.step()
        kept_so_far = cut_in(newest(memory))
        assert kept_so_far is not None
        assert (kept_so_far.message, kept_so_far.text) == (HARD, HARD)
        fork.end()
        await fork.merge({}, None)
        head = memory.head(f"s{cut}")
        assert head is not None
        assert [message["content"] for message in head.state["messages"]] == [HARD, HARD]
    memory.close()
    path = memory.store.path
    memory.store.close()
    with SnapshotStore(path) as again:
        assert all(one.state["messages"][-1]["content"] == HARD for one in again.sessions().values())
        assert again.verify() == []
    figure("reliability 12 (snapshots)", f"hard text cut at each of {len(HARD) + 1} places: equal in every checkpoint")
