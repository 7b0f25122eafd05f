"""Draining: who is told what and when, what is still taken, and that no text is lost over it."""

from __future__ import annotations

import asyncio
import time

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.gateway import Gateway, draining
from openclaw_nb.protocol.frames import TICK
from tests.cluster.daemons import free_port
from tests.spine import LIMIT, Counted, asynchronous, let_in, on_both_loops, soon
from tests.strangers import end_of

MOVED = {"reason": "gateway restarting", "restartExpectedMs": 1500}


def go_on(drain: asyncio.Task[None]) -> None:
    """What it sleeps for is over now, and not when a clock says so."""
    drain._fut_waiter.set_result(None)  # type: ignore[attr-defined]


@on_both_loops
async def test_runs_at_work_end_and_idle_clients_leave_at_once() -> None:
    gate, pieces = asyncio.Event(), [f"w{i} " for i in range(50)]
    gateway = Gateway(model=Counted(*pieces, until=gate))
    await gateway.start()
    async with (
        let_in(gateway, caps=["nb.offset"]) as idle,
        let_in(gateway) as busy,
        OpenClawClient(token=gateway.token) as client,
    ):
        await client.connect(gateway.url)
        run = client.send("go")
        await busy.ask("chat.send", sessionKey="b", message="go", idempotencyKey="b")
        await soon(lambda: len(gateway._runs.at_work()) == 2)
        drain = asyncio.create_task(gateway.drain(30))
        assert (await idle.event("shutdown")).items() >= MOVED.items()
        assert await end_of(idle) == (1012, "service restart")
        with pytest.raises(OSError, match=r"Connect call failed|refused"):
            await asyncio.open_connection("127.0.0.1", gateway.port)
        refused = await busy.ask("chat.send", id="n", sessionKey="c", message="go", idempotencyKey="n")
        assert refused["error"]["code"] == "GATEWAY_STOPPED"
        again = await busy.ask("chat.send", id="a", sessionKey="b", message="go", idempotencyKey="b")
        assert again["payload"]["status"] == "in_flight", "what is at work here is known here"
        assert not drain.done()
        gate.set()
        assert await run == "".join(pieces)
        ended = await busy.event("chat", runId="b", state="final")
        assert ended["message"]["content"][0]["text"] == "".join(pieces)
        assert await end_of(busy) == (1012, "service restart")
        await drain
    assert not gateway._connections


@asynchronous
async def test_what_does_not_end_in_time_is_stopped_and_kept() -> None:
    gateway = Gateway(model=Counted("one ", "two", until=asyncio.Event()))
    await gateway.start()
    async with let_in(gateway) as raw:
        await raw.ask("chat.send", sessionKey="s", message="go", idempotencyKey="k")
        await raw.event("chat", runId="k", state="delta")
        began = time.monotonic()
        await gateway.drain(0.2)
        assert time.monotonic() - began > 0.2
        assert (await raw.event("shutdown"))["reason"] == "gateway restarting"
        ended = await raw.event("chat", runId="k", state="error")
        assert ended["errorMessage"] == "the gateway was stopped; what came is kept"
        assert (await end_of(raw))[0] == 1012


@asynchronous
async def test_all_is_served_in_the_grace_before() -> None:
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway) as early:
        drain = asyncio.create_task(gateway.drain(LIMIT, grace=3_600))
        await asyncio.sleep(0)
        async with let_in(gateway) as late:
            for raw in (early, late):
                reply = await raw.ask("chat.send", sessionKey="s", message="go", idempotencyKey=f"k{id(raw)}")
                assert reply["payload"]["status"] == "started"
            go_on(drain)
            await drain
            assert (await end_of(late))[0] == 1012


@asynchronous
async def test_closed_while_it_drains() -> None:
    gateway = Gateway(model=Counted("one", until=asyncio.Event()), port=free_port())
    for grace in (0.0, 5.0):
        await gateway.start()
        async with let_in(gateway) as raw:
            await raw.ask("chat.send", sessionKey="s", message="go", idempotencyKey="k")
            drain = asyncio.create_task(gateway.drain(30, grace))
            await asyncio.sleep(0.05)
            await gateway.drain(30)  # a second time is nothing
            drain.cancel()
            await gateway.close()
            assert (await end_of(raw))[0] == 1012
        with pytest.raises(asyncio.CancelledError):
            await drain
        assert gateway._standing().status == "closing"
    await gateway.drain(30)


@asynchronous
async def test_many_leave_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "ABREAST", 2)
    monkeypatch.setattr(draining, "LOOK", 3_600)
    async with Gateway() as gateway, let_in(gateway) as a, let_in(gateway) as b, let_in(gateway) as c:
        drain = asyncio.create_task(gateway.drain(TICK))
        ends = [asyncio.create_task(end_of(raw)) for raw in (a, b, c)]
        await soon(lambda: sum(end.done() for end in ends) >= 2)
        await asyncio.sleep(0.1)
        assert sum(end.done() for end in ends) == 2
        monkeypatch.setattr(draining, "LOOK", 0.01)
        go_on(drain)
        await asyncio.wait(ends)
        await drain
