"""InFlight at a gateway of ours: runs wait for one another or work beside, go on after a cut, and miss nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import Turn
from openclaw_nb.errors import ConfigError
from openclaw_nb.events import Delta, RunEvent, State, Status
from openclaw_nb.gateway import Gateway
from openclaw_nb.models.base import ModelEvent, TextDelta
from tests.faults.proxy import CutAfter, behind
from tests.spine import Counted, asynchronous, serving, soon

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
