"""The tool loop in an engine: what a model is asked, what is shown and kept, and what is never repeated."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from openclaw_nb.answers.toolloop import MOST_CALLS, MOST_ROUNDS
from openclaw_nb.engine import Turn
from openclaw_nb.errors import ModelError, SnapshotError
from openclaw_nb.events import Usage
from openclaw_nb.ledger import NOT_MADE, UNFINISHED
from openclaw_nb.models.base import Message, ModelEvent, ModelRequest, StepDelta, TextDelta, ThinkingDelta
from openclaw_nb.snapshots import SnapshotStore
from openclaw_nb.tools import RESULT_LIMIT
from tests.banking import Bank, Rounds, Script, engine_with, kept, play, say, steps, text, turn, use
from tests.spine import asynchronous

# -- a turn --------------------------------------------------------------------------------------


@asynchronous
async def test_a_turn_with_tools() -> None:
    bank = Bank()
    model = Rounds(
        [say("First "), use("pay", to="a"), Usage(5, 2)], [ThinkingDelta("hm"), say("then done."), Usage(9, 3)]
    )
    engine = engine_with(model, bank.pay)
    asked = turn()
    events = await play(engine, asked)
    assert bank.paid == ["a"]
    assert text(events) == "First then done."
    assert steps(events) == [("pay(to='a')", "", False), ("pay(to='a')", "paid a", True)]
    assert asked.outcome.usage == Usage(14, 5), "of both requests"
    assert [definition.name for definition in model.asked[0].tools] == ["pay"]
    call = {"key": "k-0-0", "name": "pay", "arguments": {"to": "a"}}
    exchange: list[Message] = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "First ", "calls": [call]},  # type: ignore[list-item]
        {"role": "tool", "content": "paid a", "key": "k-0-0", "name": "pay"},
    ]
    assert list(model.asked[1].messages) == exchange
    assert kept(engine) == [
        {"role": "user", "content": "q"},
        {**exchange[1], "run": "k"},
        {**exchange[2], "run": "k"},
        {"role": "assistant", "content": "then done.", "run": "k"},
    ]
    assert await play(engine, turn()) == [TextDelta("First then done.")], "asked for again, it is remembered"
    assert len(model.asked) == 2


@asynchronous
async def test_several_calls_at_once_and_several_rounds() -> None:
    bank = Bank()
    model = Rounds([use("pay", to="a"), use("pay", to="b")], [use("pay", to="c"), use("nobody")], [say("done")])
    engine = engine_with(model, bank.pay)
    events = await play(engine, turn())
    assert bank.paid == ["a", "b", "c"]
    assert [step[1] for step in steps(events) if step[2]] == [
        "paid a", "paid b", "paid c", "there is no tool 'nobody'; the tools are: pay",
    ]  # fmt: skip
    assert [message.get("key") for message in kept(engine)] == [
        None, None, "k-0-0", "k-0-1", None, "k-1-0", "k-1-1", None,
    ]  # fmt: skip


@asynchronous
async def test_a_failing_tool_does_not_end_the_run() -> None:
    def broken(x: int) -> int:
        return x // 0

    model = Rounds([use("broken", x=1), use("broken", x="one")], [say("I could not.")])
    assert text(await play(engine_with(model, broken), turn())) == "I could not."
    assert [content for role, content in model.told() if role == "tool"] == [
        "broken failed: ZeroDivisionError: integer division or modulo by zero",
        "broken was not called: x: Input should be a valid integer, unable to parse string as an integer",
    ]


@asynchronous
async def test_rounds_are_bounded(figure: Callable[[str, str], None]) -> None:
    bank = Bank()
    engine = engine_with(Rounds([say("x"), use("pay", to="a")]), bank.pay)
    with pytest.raises(ModelError, match="asked for tools more than 16 times in one turn") as refused:
        await play(engine, turn())
    assert refused.value.code == "TOOL_ROUNDS"
    assert len(bank.paid) == MOST_ROUNDS == 16
    assert kept(engine)[-1] == {"role": "assistant", "content": "x", "run": "k", "failed": True}
    figure("issue 4 tools", f"a model that asks for tools without end is stopped after {len(bank.paid)} rounds")


@asynchronous
async def test_calls_at_once_are_bounded() -> None:
    bank = Bank()
    model = Rounds([use("pay", to=str(n)) for n in range(MOST_CALLS + 5)], [say("done")])
    engine = engine_with(model, bank.pay)
    await play(engine, turn())
    assert len(bank.paid) == MOST_CALLS
    told = [content for role, content in model.told() if role == "tool"]
    assert len(told) == MOST_CALLS + 5
    assert told[-5:] == ["This call was not made: a model can ask for 32 at once."] * 5


@asynchronous
async def test_the_next_turn_is_told_of_the_exchange() -> None:
    bank = Bank()
    model = Rounds([use("pay", to="a")], [say("done")], [say("again")])
    engine = engine_with(model, bank.pay)
    await play(engine, turn())
    await play(engine, turn("k2", "more"))
    assert [role for role, _ in model.told()] == ["user", "assistant", "tool", "assistant", "user"]
    await play(engine, Turn("k3", "and you?"))
    assert model.asked[-1].tools == ()
    assert model.told()[:2] == [("user", "q"), ("assistant", "\n\n[pay(to='a') gave: paid a]\n\ndone")]
    assert [role for role, _ in model.told()] == ["user", "assistant", "user", "assistant", "user"]


@asynchronous
async def test_an_agent_without_tools_takes_the_short_way() -> None:
    model = Rounds([say("plain")])
    engine = engine_with(model)
    statements: list[str] = []
    with engine.memory.store._database.transaction("the statements") as db:
        db.set_trace_callback(statements.append)
    assert await play(engine, turn()) == [TextDelta("plain")]
    assert [words for words in statements if words.startswith("BEGIN")] == ["BEGIN", "BEGIN IMMEDIATE"]


# -- what is kept on the way ---------------------------------------------------------------------


def records(store: SnapshotStore) -> list[list[str]]:
    """The states of the calls in each snapshot that was taken on the way, oldest first."""
    states = [snapshot.state for snapshot in store.list()]
    runs = [state["run"] for state in states if state.get("run")]
    return [[call.get("state", "asked") for call in run["calls"]] for run in runs if run["calls"]]


@asynchronous
async def test_a_call_is_on_disk_before_it_begins(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def look(n: int) -> int:
        with SnapshotStore(tmp_path / "s.db") as other:
            seen.append(records(other)[-1])
        return n

    with SnapshotStore(tmp_path / "s.db") as store:
        engine = engine_with(Rounds([use("look", n=1), use("look", n=2)], [say("done")]), look, store=store)
        await play(engine, turn())
        assert seen == [["pending", "asked"], ["done", "pending"]]
        assert records(store) == [["pending", "asked"], ["done", "pending"], ["done", "done"]]
        engine.memory.close()


@asynchronous
async def test_without_snapshots_on_the_way_calls_are_kept_all_the_same() -> None:
    engine = engine_with(Rounds([use("pay", to="a")], [say("done")]), Bank().pay, snapshot=False)
    await play(engine, turn())
    assert records(engine.memory.store) == [["pending"], ["done"]]


@asynchronous
async def test_each_result_is_kept_once_however_many_states_have_it(
    tmp_path: Path, figure: Callable[[str, str], None]
) -> None:
    def page(number: int) -> str:
        return os.urandom(RESULT_LIMIT // 2 - 1).hex()

    rounds: list[Script] = [[use("page", number=number)] for number in range(MOST_ROUNDS - 1)]
    with SnapshotStore(tmp_path / "s.db") as store:
        engine = engine_with(Rounds(*rounds, [say("done")]), page, store=store)
        await play(engine, turn())
        taken = len(store.list())
        engine.memory.close()
    raw, size = len(rounds) * RESULT_LIMIT, (tmp_path / "s.db").stat().st_size
    assert size < 4 * raw  # once on the way and once in the session
    figure("issue 4 tools", f"{raw / 1000:.0f} kB of results in {taken} snapshots take {size / 1000:.0f} kB")


@asynchronous
async def test_a_session_put_in_the_middle_of_a_run_is_told_in_words() -> None:
    bank = Bank()
    model = Rounds([say("x "), use("pay", to="a"), use("pay", to="b")], [say("done")])
    engine = engine_with(model, bank.pay)
    await play(engine, turn())
    half = [s for s in engine.memory.store.list() if s.state.get("run") and s.state["messages"][-1]["role"] == "tool"]
    engine.memory.point("main", half[0].id)
    await play(engine, turn("k2", "and now?"))
    assert model.told() == [("user", "q"), ("assistant", "x \n\n[pay gave: paid a]\n\n"), ("user", "and now?")]


@asynchronous
async def test_what_cannot_be_written_down_is_not_done(tmp_path: Path) -> None:
    bank = Bank()
    store = SnapshotStore(tmp_path / "s.db")

    class Closes(Rounds):
        async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
            async for event in super().stream(request):
                yield event
            store.close()

    engine = engine_with(Closes([say("x"), use("pay", to="a")]), bank.pay, store=store)
    with pytest.raises(SnapshotError):
        await play(engine, turn())
    assert bank.paid == []
    engine.memory.close()


# -- cancelled -----------------------------------------------------------------------------------


@asynchronous
async def test_stopped_in_a_call() -> None:
    bank = Bank()
    bank.gate = threading.Event()
    engine = engine_with(Rounds([say("x "), use("pay", to="a"), use("pay", to="b")], [say("never")]), bank.pay)
    task = asyncio.create_task(play(engine, turn()))
    await asyncio.to_thread(bank.begun.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    bank.gate.set()
    assert [message["content"] for message in kept(engine)] == ["q", "x ", UNFINISHED, NOT_MADE, ""]
    assert kept(engine)[-1]["stopped"] is True
    for thread in threading.enumerate():
        if thread.name == "openclaw tool pay":
            await asyncio.to_thread(thread.join, 60)
    assert bank.paid == ["a"]
    assert [message["content"] for message in kept(engine)][2] == UNFINISHED, "what its thread gave later is dropped"


@asynchronous
async def test_stopped_while_a_call_is_written_down_it_is_not_made(tmp_path: Path) -> None:
    bank, disk = Bank(), threading.Event()
    with SnapshotStore(tmp_path / "s.db") as store:
        engine = engine_with(Rounds([say("x "), use("pay", to="a")]), bank.pay, store=store)
        events = engine.turn(turn())
        async for event in events:
            if isinstance(event, StepDelta):
                break
        engine.memory.submit(disk.wait, 60)
        task = asyncio.create_task(anext(events))
        await asyncio.sleep(0.01)
        task.cancel()
        asyncio.get_running_loop().call_later(0.01, disk.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bank.paid == []
        assert [message["content"] for message in kept(engine)] == ["q", "x ", NOT_MADE, ""]
        engine.memory.close()


@asynchronous
async def test_stopped_after_a_call() -> None:
    bank = Bank()
    engine = engine_with(Rounds([use("pay", to="a")], [say("half"), say("rest")]), bank.pay)
    events = engine.turn(turn())
    async for event in events:
        if event == TextDelta("half"):
            break
    await events.aclose()
    assert [message["content"] for message in kept(engine)] == ["q", "", "paid a", "half"]


@asynchronous
async def test_stopped_in_a_call_before_any_text_the_call_is_known() -> None:
    bank = Bank()
    bank.gate = threading.Event()
    engine = engine_with(Rounds([use("pay", to="a")]), bank.pay)
    task = asyncio.create_task(play(engine, turn()))
    await asyncio.to_thread(bank.begun.wait, 60)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    bank.gate.set()
    assert [message["content"] for message in kept(engine)] == ["q", "", UNFINISHED, ""]
