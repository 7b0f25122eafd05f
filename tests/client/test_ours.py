"""Ours: runs at a gateway of this package go on at the exact character, and a stop reaches their model."""

from __future__ import annotations

import asyncio

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import RunError
from openclaw_nb.events import State, Status
from openclaw_nb.gateway import Gateway, runs
from openclaw_nb.run import Run
from tests.faults.proxy import CutAfter, FaultProxy, behind
from tests.spine import Counted, asynchronous, let_in, serving, soon, taken


@asynchronous
async def test_a_stop_reaches_the_model() -> None:
    """Ended here alone, it would go on there and cost money."""
    model = Counted("one ", until=asyncio.Event())
    async with serving(model) as (gateway, client):
        run = client.send("go")
        await soon(lambda: run.text)
        run.cancel()
        assert (await run).status is Status.STOPPED
        await soon(lambda: model.closed == 1)
        assert [message["content"] for message in gateway.engine.messages("main")] == ["go", "one "]
        assert not client._linked().first.runs._unstopped


@asynchronous
async def test_a_cut_costs_nothing_and_asks_nobody_twice() -> None:
    gate = asyncio.Event()
    async with behind(model := Counted("one ", "two", until=gate), token_batch_size=1) as (proxy, client):
        run = client.send("go")
        await soon(lambda: run.text == "one two")
        statuses: list[Status] = []
        run.subscribe(lambda event: statuses.append(event.status) if isinstance(event, State) else None)
        proxy.cut()
        await soon(lambda: statuses == [Status.RECONNECTING, Status.STREAMING])
        gate.set()
        assert await run == "one two"
    assert model.calls == 1


@asynchronous
async def test_what_is_refused_ends_here() -> None:
    async with serving(model := Counted("one")) as (_, client):
        with pytest.raises(RunError, match="has no agent"):
            await client.send("go", agent="nobody")
        assert len(client.flights) == 0
    assert model.calls == 0


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
        await soon(lambda: run.text == "one two " if streaming else taken(client))
        proxy.faults.append(CutAfter(0, "connect.challenge"))
        client.reconnect_delay = 3_600.0  # until it is told to
        proxy.cut()
        if stopped:
            await other.ask("chat.abort", sessionKey="main")
        gate.set()
        await soon(lambda: not len(gateway._runs) and not proxy.faults, "the first attempt, and the end")
        await client.reconnect()
        result = await run
        assert result == "one two "
        assert result.status is (Status.STOPPED if stopped else Status.DONE)
        assert gaps == ([] if streaming else [run]), "where all of it is here nothing was missed"
    assert model.calls == 1
