"""InFlight at a gateway of somebody else's: runs go on, or their loss is said; nothing is sent that it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from openclaw_nb import runs
from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import Turn
from openclaw_nb.errors import ConfigError, RunError
from openclaw_nb.events import Delta, RunEvent, State, Status
from openclaw_nb.gateway import Gateway
from openclaw_nb.models.base import ModelEvent, TextDelta
from openclaw_nb.run import Run
from tests.faults.proxy import CutAfter, FaultProxy, behind
from tests.foreign import foreign
from tests.spine import Counted, asynchronous, let_in, serving, soon


@pytest.mark.parametrize("protocol", [3, 4])
@asynchronous
async def test_a_run(protocol: int) -> None:
    async with foreign(protocol) as (gateway, client):
        run = client.send("go", level=3)
        await soon(lambda: gateway.runs)
        assert gateway.asked[-1] == ("chat.send", {
            "sessionKey": "agent:main:main", "message": "go", "idempotencyKey": run.id, "thinking": "medium",
        })  # fmt: skip
        await gateway.say(run.id, "tok0")
        await gateway.say(run.id, "tok0 tok1")
        await gateway.say("another", "nothing of ours")
        await soon(lambda: run.text == "tok0 tok1")
        await gateway.say(run.id, "tok0 tok1 tok2", "final")
        assert await run == "tok0 tok1 tok2"


@asynchronous
async def test_cut_and_still_going() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: gateway.runs)
        await gateway.say(run.id, "tok0")
        await soon(lambda: run.text)
        client._linked().again()
        await soon(lambda: gateway.methods().count("chat.send") == 2 and run.status is Status.STREAMING)
        await gateway.say(run.id, "tok0 tok1 tok2", "final")
        assert await run == "tok0 tok1 tok2"
        assert "run.resume" not in gateway.methods()


@asynchronous
async def test_cut_and_over_when_we_are_back() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: gateway.runs)
        await gateway.say(run.id, "tok0")
        await soon(lambda: run.text)
        gateway.runs[run.id] = "ok"
        gateway.messages = [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "text", "text": "tok0 tok1"}]},
        ]
        client._linked().again()
        assert await run == "tok0 tok1"


@pytest.mark.parametrize(
    "history", [[], [{"role": "user", "content": "go"}], [{"role": "assistant", "content": "else"}]]
)
@asynchronous
async def test_a_gap_that_cannot_be_closed_is_said(history: list[dict[str, object]]) -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: gateway.runs)
        await gateway.say(run.id, "tok0")
        await soon(lambda: run.text)
        gateway.runs[run.id], gateway.messages = "ok", history
        client._linked().again()
        with pytest.raises(RunError, match="ended while the link was down") as failure:
            await run
        assert (failure.value.code, failure.value.partial) == ("RUN_LOST", "tok0")


@asynchronous
async def test_stopped() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: gateway.runs)
        await gateway.say(run.id, "tok0")
        await soon(lambda: run.text)
        run.cancel()
        await soon(lambda: "chat.abort" in gateway.methods())
        assert gateway.asked[-1][1] == {"sessionKey": "agent:main:main", "runId": run.id}
        await gateway.say(run.id, "tok0", "aborted")
        assert (await run).status is Status.STOPPED
        assert not client._runs._unstopped


@asynchronous
async def test_a_model_by_name_is_not_asked_for_where_none_is_taken() -> None:
    async with foreign() as (gateway, client):
        with pytest.raises(RunError, match="chooses the model itself") as failure:
            await client.send("go", model="m")
        assert failure.value.code == "NO_MODEL"
        assert "chat.send" not in gateway.methods()


@asynchronous
async def test_without_streaming_it_comes_in_one_piece_here_too() -> None:
    async with foreign() as (gateway, client):
        client.streaming = False
        run = client.send("go")
        await soon(lambda: gateway.runs)
        await gateway.say(run.id, "tok0")
        await gateway.say(run.id, "tok0 tok1")
        await asyncio.sleep(0.01)
        assert run.text == ""
        await gateway.say(run.id, "tok0 tok1", "final")
        assert [delta async for delta in run] == ["tok0 tok1"]


@asynchronous
async def test_a_gateway_that_refuses() -> None:
    async with foreign() as (gateway, client):
        gateway.answer = lambda method, params: gateway.refusal("not today")  # type: ignore[method-assign]
        with pytest.raises(RunError, match="not today") as failure:
            await client.send("go")
        assert failure.value.code == "INVALID_REQUEST"


# -- at a gateway of ours --------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("stopped", [False, True])
@asynchronous
async def test_away_for_longer_than_it_is_replayed(
    monkeypatch: pytest.MonkeyPatch, streaming: bool, stopped: bool
) -> None:
    monkeypatch.setattr(runs, "RETAIN", 0.0)
    gate, gaps = asyncio.Event(), list[Run]()
    model = Counted("one ", "two ", until=gate)
    async with (
        Gateway(model) as gateway,
        let_in(gateway) as other,
        FaultProxy(gateway.port) as proxy,
        OpenClawClient(token=gateway.token, streaming=streaming, token_batch_size=1) as client,
    ):
        await client.connect(proxy.url)
        client.on("gap", gaps.append)
        run = client.send("go")
        await soon(lambda: run.text == "one two " if streaming else model.calls)
        proxy.faults.append(CutAfter(0, "connect.challenge"))
        client.reconnect_delay = 0.3
        proxy.cut()
        if stopped:
            await other.ask("chat.abort", sessionKey="main")
        gate.set()
        await soon(lambda: not len(gateway._runs))
        result = await run
        assert result == "one two "
        assert result.status is (Status.STOPPED if stopped else Status.DONE)
        assert gaps == ([] if streaming else [run]), "where all of it is here nothing was missed"
    assert model.calls == 1


# -- one after the other, or beside ----------------------------------------------------------------


@asynchronous
async def test_a_run_says_whom_it_waits_for() -> None:
    gates = {name: asyncio.Event() for name in "abcd"}

    async def model(prompt: str) -> AsyncIterator[str]:
        yield prompt
        await gates[prompt].wait()

    async with serving(model, token_batch_size=1) as (_, client):
        a, b, c = (client.send(name, session="s") for name in "abc")
        d = client.send("d", session="other")
        await soon(lambda: a.text and d.text and c.words)
        words = "waiting for the run before it in session s"
        assert [(run.status, run.words) for run in (a, b, c)] == [
            (Status.STREAMING, ""), (Status.WAITING, words), (Status.WAITING, words),
        ]  # fmt: skip
        c.cancel()
        assert (await c).status is Status.STOPPED
        assert b.words == words, "it waits still"
        told: list[RunEvent] = []
        b.subscribe(told.append)
        gates["a"].set()
        await a
        await soon(lambda: b.text)
        assert told[0] == State(Status.WAITING)
        assert b.words == ""
        gates["b"].set()
        gates["d"].set()
        assert (await b, await d) == ("b", "d")
    assert client.health._usual.keys() == {("main", "", 2)}
    assert sum(map(len, client.health._usual.values())) == 2, "that b waited for a says nothing about its model"


@asynchronous
async def test_beside_the_others() -> None:
    """It goes back into its session if that still says what it said, and is a branch of it otherwise."""
    gate = asyncio.Event()

    async def model(prompt: str) -> AsyncIterator[str]:
        yield prompt
        if prompt == "long":
            await gate.wait()

    async with serving(model) as (gateway, client):

        def said(session: str) -> list[str]:
            return [message["content"] for message in gateway.engine.messages(session)[::2]]

        await client.send("first")
        long = client.send("long", busy="branch")
        await soon(lambda: long.text)
        beside = client.send("beside", busy="branch")
        assert ((await beside).session, said("main")) == ("main", ["first", "beside"])
        await client.send("next")  # which does not wait for the long one
        assert said("main") == ["first", "beside", "next"]
        third = client.send("long", busy="branch")
        await soon(lambda: third.text)
        third.cancel()
        assert ((await third).status, third.session) == (Status.STOPPED, "main")
        gate.set()
        assert ((await long).session, long.session, long.branch_of) == ("main-2", "main-2", "main")
        assert said("main-2") == ["first", "long"]
        assert said("main") == ["first", "beside", "next", "long"]


@asynchronous
async def test_a_branch_after_a_cut() -> None:
    gate = asyncio.Event()
    async with behind(Counted("one ", "two", until=gate), token_batch_size=1) as (proxy, client):
        runs = [client.send("go", busy="branch") for _ in range(3)]
        await soon(lambda: all(run.text == "one two" for run in runs))
        proxy.faults.append(CutAfter(0, "connect.challenge"))
        proxy.cut()
        gate.set()
        assert [str(await run) for run in runs] == ["one two"] * 3
        assert {run.session for run in runs} == {"main", "main-2", "main-3"}


@asynchronous
async def test_what_goes_on_the_wire() -> None:
    turns: list[Turn] = []

    async def handler(turn: Turn) -> AsyncGenerator[ModelEvent, None]:
        turns.append(turn)
        yield TextDelta("done")

    async with Gateway(handler=handler) as gateway, OpenClawClient(token=gateway.token) as client:
        await client.connect(gateway.url)
        await client.send("plain")
        await client.send("all", session="new", base="main", budget=0.5, busy="branch")
        assert [(turn.base, turn.budget, turn.retry) for turn in turns] == [(None, None, False), ("main", 0.5, False)]


@pytest.mark.parametrize("wish", [{"busy": "branch"}, {"base": "main"}, {"isolated": True}])
@asynchronous
async def test_branches_elsewhere(wish: dict[str, Any]) -> None:
    """A gateway that keeps its sessions itself is not sent what it would refuse, and no wish is passed over."""
    async with foreign() as (gateway, client):
        with pytest.raises(ConfigError, match=f"keeps its sessions itself; leave {next(iter(wish))} out"):
            client.send("go", **wish)
        with pytest.raises(ConfigError, match="does not say what its model costs, so no budget can be kept there"):
            client.send("go", budget=0.5)
        run = client.send("go")
        await soon(lambda: gateway.runs)
        assert gateway.asked[-1][1].keys() == {"sessionKey", "message", "idempotencyKey", "thinking"}
        await gateway.say(run.id, "done", "final")
        await run
        early = OpenClawClient(token="t")
        early.open("agent://local", client._url, "t")
        with pytest.raises(RunError, match="keeps its sessions itself") as failure:
            await early.send("go", **wish)
        assert failure.value.code == "CONFIG"
        await early.close()


@pytest.mark.parametrize("options", [{"busy": "later"}, {"base": object()}])
@asynchronous
async def test_wishes_that_are_none(options: dict[str, Any]) -> None:
    async with serving(Counted("one")) as (_, client):
        with pytest.raises(ConfigError):
            client.send("go", **options)


# -- a run that was cut ----------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [True, False])
@asynchronous
async def test_going_on_with_a_part(streaming: bool) -> None:
    async with serving(model := Counted("one ", "two ", "three"), streaming=streaming) as (_, client):
        run = client.send("go", idempotency_key="cut", partial=("one tw", 2))
        assert run.text == ("one tw" if streaming else ""), "what is here is shown at once"
        deltas: list[RunEvent] = []
        run.subscribe(deltas.append)
        assert await run == "one two three"
        assert deltas[0] == (Delta(6, "o ", 3) if streaming else Delta(0, "one two three", 4))
        assert await client.send("go", idempotency_key="cut") == "one two three"
        assert not client.health._usual, "neither says how long its model took"
    assert model.calls == 1


@asynchronous
async def test_a_part_that_is_empty() -> None:
    async with serving(Counted("one")) as (_, client):
        assert await client.send("go", idempotency_key="cut", partial=("", 0)) == "one"


@asynchronous
async def test_a_run_that_was_stopped_goes_on() -> None:
    model = Counted("one ", "two ", until=(gate := asyncio.Event()))
    async with serving(model) as (gateway, client):
        run = client.send("go")
        await soon(lambda: run.text == "one two ")
        run.cancel()
        await run
        gate.set()
        assert await client.send("go", idempotency_key=run.id, partial=("one two ", 2)) == "one two "
        assert [message["content"] for message in gateway.engine.messages("main")] == ["go", "one two "]
    assert model.calls == 2


@asynchronous
async def test_a_part_elsewhere() -> None:
    """It might be said again there, or something else: nobody could tell, so nobody is asked."""
    async with foreign() as (gateway, client):
        with pytest.raises(RunError, match="cannot go on with a part of an answer; ask it anew") as failure:
            await client.send("go", idempotency_key="cut", partial=("one ", 1))
        assert failure.value.partial == "one "
        assert "chat.send" not in gateway.methods()
