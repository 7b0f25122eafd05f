"""Links to real gateways that break: they replay nothing, and yet no character is lost, or it is said which are."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import RunError
from openclaw_nb.events import Status
from openclaw_nb.protocol.keys import session_key
from openclaw_nb.run import Run
from tests.conformance.gateways import RealGateway
from tests.conformance.model import ModelProcess, answer_to
from tests.conformance.users import Figure, session, user_of
from tests.conformance.wire import Wire
from tests.faults.kinds import CutAtByte, How
from tests.faults.proxy import FaultProxy, seamless
from tests.spine import asynchronous, soon

CUTS = 50
FOR_EVER = 3_600.0
LENGTHS = (60, 600, 6_000)
"""Tokens of an answer: the first that is not over yet when its link is cut here."""


@asynchronous
async def test_cut_fifty_times(real: RealGateway, model: ModelProcess, figure: Figure) -> None:
    chance, cuts, runs, name = random.Random(11), 0, 0, session("cut")
    async with FaultProxy(real.port) as proxy, user_of(real, proxy.url) as client:
        while cuts < CUTS:
            message = f"{name} run {runs}. [n=150] [ms=10]"
            run = client.send(message, session=name)
            fits = seamless(run)
            await soon(lambda run=run: run.text or run.done(), "the first delta")
            while not run.done():
                proxy.cut(chance.choice((How.RESET, How.CLOSE)))
                cuts += 1
                await asyncio.sleep(chance.uniform(0.05, 0.45))
                await soon(lambda run=run: client.connected or run.done(), "the way back")
            assert await run == answer_to(message), runs
            assert fits()
            runs += 1
    assert len(model.asked(name)) == runs, "nothing was asked twice"
    figure(
        f"cut and resynchronised at {real.version}", f"{cuts} cuts of {runs} answers, each identical to the last token"
    )


@asynchronous
async def test_cut_around_a_tool(real: RealGateway, figure: Figure) -> None:
    """Behind a tool's call gateways tell the newest part of the answer only."""
    async with FaultProxy(real.port) as proxy, user_of(real, proxy.url) as client:
        run = client.send("look [n=30] [ms=10] [exec=sleep 0.4; echo found]", session=session("cut-tool"))
        await soon(lambda: len(run.text.split()) > 5, "the beginning")
        proxy.cut()
        await soon(lambda: len(run.text.split()) == 30 or run.done(), "the end of the first part")
        await asyncio.sleep(0.2)
        proxy.cut()
        result = await run
    assert result.startswith(answer_to("[n=30]"))
    assert result.endswith("it said: found")
    figure(f"cut before and while a tool works at {real.version}", "both parts of the answer are whole")


async def left(
    proxy: FaultProxy, client: OpenClawClient, model: ModelProcess, name: str
) -> tuple[Run, str, Callable[[], bool]]:
    """A run whose model has said all since its link was cut, its message, and whether its deltas fit together.

    The client is one that does not come back by itself: its pauses are `FOR_EVER`.
    """
    for length in LENGTHS:
        message = f"{name} [n={length}] [ms=5]"
        run = client.send(message, session=name)
        fits = seamless(run)
        await soon(lambda run=run: run.text, "the first delta")  # type: ignore[misc]
        proxy.faults.append(CutAtByte(0, kind=None))  # the first attempt, which is made at once
        proxy.cut()
        await soon(lambda words=message: model.asked(words)[-1].closed, "the model's end")  # type: ignore[misc]
        await soon(lambda: not proxy.faults, "the first attempt")
        if not run.done():
            return run, message, fits
        await client.reconnect()
    raise AssertionError("each run was over before its link was cut")


@asynchronous
async def test_ended_meanwhile(real: RealGateway, model: ModelProcess, figure: Figure) -> None:
    async with FaultProxy(real.port) as proxy, user_of(real, proxy.url, reconnect_delay=FOR_EVER) as client:
        run, message, fits = await left(proxy, client, model, session("away"))
        await client.reconnect()
        result = await run
    assert result == answer_to(message)
    assert fits()
    assert result.status is Status.DONE
    figure(f"ended while the link was away at {real.version}", "the whole text, from its history")


@asynchronous
async def test_a_gap_that_cannot_be_closed(real: RealGateway, model: ModelProcess, figure: Figure) -> None:
    """Where the session was emptied meanwhile nobody knows the rest any more: that is said, and what came is kept."""
    name = session("gap")
    async with FaultProxy(real.port) as proxy, user_of(real, proxy.url, reconnect_delay=FOR_EVER) as client:
        run, message, _ = await left(proxy, client, model, name)
        async with Wire(real.url, real.token) as wire:
            await wire.let_in(scopes=["operator.read", "operator.write", "operator.admin"])
            for _ in range(200):  # until it has written down what it was answered
                told = await wire.call("chat.history", {"sessionKey": session_key("main", name)})
                if answer_to(message) in json.dumps(told["payload"].get("messages")):
                    break
                await asyncio.sleep(0.05)
            reset = await wire.call("sessions.reset", {"key": session_key("main", name)})
            assert reset["ok"], reset
        await client.reconnect()
        with pytest.raises(RunError) as lost:
            await asyncio.wait_for(run, 240)
    assert lost.value.partial is not None
    assert answer_to(message).startswith(lost.value.partial.text)
    figure(f"a gap that cannot be closed at {real.version}", str(lost.value))
