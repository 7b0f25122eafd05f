"""Runs with tools that are taken up again: from a state on disk, after a failure, after a stop; no call is repeated."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from openclaw_nb.engine import AgentSpec, Engine, Turn
from openclaw_nb.errors import ModelError, RunError, SnapshotError
from openclaw_nb.ledger import UNFINISHED, UNKNOWN
from openclaw_nb.sessions.memory import Memory, cut_in
from openclaw_nb.snapshots import SnapshotStore
from openclaw_nb.tools import Toolbox
from tests.banking import Bank, Rounds, Script, engine_with, kept, play, say, steps, text, turn, use
from tests.spine import asynchronous

# -- taken up again ------------------------------------------------------------------------------


async def die(store: SnapshotStore, at: str, bank: Bank, model: Rounds) -> Memory:
    """A process that is killed at the snapshot in which the calls stand as ``at`` says; a memory of the next one."""
    engine = engine_with(model, bank.pay, store=store)
    with suppress(SnapshotError):
        await play(engine, turn())
    engine.memory.close()
    states = {",".join(call.get("state", "asked") for call in s.state["run"]["calls"]): s.id
              for s in store.list() if s.state.get("run")}  # fmt: skip
    cut = store.get(states[at])
    store.point("main", None)
    after = Memory(store, fresh=True)
    assert (found := cut_in(cut)) is not None
    after.restore("main", cut)
    assert found.calls
    return after


@pytest.mark.parametrize(
    ("at", "results", "paid"),
    [
        ("pending,asked", [UNKNOWN, "paid b"], ["b"]),
        ("done,pending", ["paid a", UNKNOWN], []),
        ("done,done", ["paid a", "paid b"], []),
    ],
)
@asynchronous
async def test_taken_up_again_no_call_is_repeated(tmp_path: Path, at: str, results: list[str], paid: list[str]) -> None:
    scripts: list[Script] = [[say("See: "), use("pay", to="a"), use("pay", to="b")], [say("all "), say("done")]]
    with SnapshotStore(tmp_path / "s.db") as store:
        memory = await die(store, at, Bank(), Rounds(*scripts))
        bank, model = Bank(), Rounds(scripts[1])
        engine = Engine(memory, model)
        engine.register(AgentSpec("banker", tools=Toolbox([bank.pay])))
        events = await play(engine, turn(partial="See: ", partial_tokens=1))
        assert bank.paid == paid
        assert [content for role, content in model.told() if role == "tool"] == results
        assert text(events) == "all done", "what was there already is not asked for again"
        assert [text for _, text, done in steps(events) if done] == results
        assert [message["content"] for message in kept(engine)] == ["q", "See: ", *results, "all done"]
        memory.close()


@pytest.mark.parametrize(("partial", "rest"), [("", "See: all done"), ("Se", "e: all done"), ("See: al", "l done")])
@asynchronous
async def test_whatever_the_client_has_of_it(tmp_path: Path, partial: str, rest: str) -> None:
    scripts: list[Script] = [[say("See: "), use("pay", to="a")], [say("all done")]]
    with SnapshotStore(tmp_path / "s.db") as store:
        memory = await die(store, "done", Bank(), Rounds(*scripts))
        model = Rounds(scripts[1])
        engine = Engine(memory, model)
        engine.register(AgentSpec("banker", tools=Toolbox([Bank().pay])))
        assert text(await play(engine, turn(partial=partial))) == rest
        assert [message["content"] for message in kept(engine)] == ["q", "See: ", "paid a", "all done"]
        memory.close()


@asynchronous
async def test_a_client_that_has_another_text_is_told() -> None:
    bank, store = Bank(), SnapshotStore()
    memory = await die(store, "done", bank, Rounds([say("See: "), use("pay", to="a")], [say("done")]))
    engine = Engine(memory, Rounds([say("never")]))
    engine.register(AgentSpec("banker", tools=Toolbox([bank.pay])))
    with pytest.raises(RunError, match="what was kept of it differs") as refused:
        await play(engine, turn(partial="Sea"))
    assert refused.value.code == "RUN_LOST"
    assert bank.paid == ["a"]


@asynchronous
async def test_without_the_tools_it_goes_on_from_their_results(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "s.db") as store:
        memory = await die(store, "done", Bank(), Rounds([use("pay", to="a")], [say("done")]))
        model = Rounds([say("done")])
        engine = Engine(memory, model)
        engine.register(AgentSpec("banker"))
        assert text(await play(engine, turn(retry=True))) == "done"
        assert model.told() == [("user", "q"), ("assistant", "\n\n[pay(to='a') gave: paid a]\n\n")]
        memory.close()


@asynchronous
async def test_a_failed_run_that_is_retried_keeps_its_calls() -> None:
    bank = Bank()
    model = Rounds([say("See: "), use("pay", to="a")], [ValueError("no")], [say("done")])
    engine = engine_with(model, bank.pay)
    with pytest.raises(ModelError):
        await play(engine, turn())
    assert text(await play(engine, turn(partial="See: ", retry=True))) == "done"
    assert bank.paid == ["a"]
    assert [message["content"] for message in kept(engine)] == ["q", "See: ", "paid a", "done"]


@asynchronous
async def test_a_stopped_run_that_is_gone_on_with_does_not_repeat_its_call() -> None:
    bank = Bank()
    bank.gate = threading.Event()
    engine = engine_with(Rounds([say("x "), use("pay", to="a"), use("pay", to="b")], [say("done")]), bank.pay)
    task = asyncio.create_task(play(engine, turn()))
    await asyncio.to_thread(bank.begun.wait, 60)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    bank.gate.set()
    await play(engine, turn(partial="x ", retry=True))
    assert bank.paid == ["a", "b"]
    assert [message["content"] for message in kept(engine)] == ["q", "x ", UNFINISHED, "paid b", "done"]


@asynchronous
async def test_two_agents_with_tools_do_not_share_calls() -> None:
    one, other = Bank(), Bank()
    engine = engine_with(Rounds([use("pay", to="a")], [say("x")], [use("pay", to="b")], [say("y")]), one.pay)
    engine.register(AgentSpec("other", tools=Toolbox([other.pay])))
    await play(engine, turn())
    await play(engine, Turn("k2", "q", "other"))
    assert (one.paid, other.paid) == (["a"], ["b"])


@asynchronous
async def test_an_agent_that_an_earlier_kernel_made_twice_is_the_one_made_here() -> None:
    """A cell that makes an agent and was run twice gives its second the name banker-2, and a cut run says so."""
    bank = Bank()
    engine = engine_with(Rounds([use("pay", to="a")], [say("done")]), bank.pay)
    assert text(await play(engine, Turn("k", "q", "banker-2"))) == "done"
    for stranger in ("teller", "banker-", "banker-x", "banke-2"):
        with pytest.raises(ModelError, match=f"has no agent '{stranger}'; one with tools") as refused:
            await play(engine, Turn("k2", "q", stranger))
        assert refused.value.code == "NO_AGENT"
    assert bank.paid == ["a"]
