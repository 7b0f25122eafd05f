"""A level changed while a run is in flight: on every way there, in each direction, and where it cannot be had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import ConfigError
from openclaw_nb.events import Level, RunEvent, State, Status
from openclaw_nb.gateway import Gateway
from openclaw_nb.models.base import ModelEvent, ModelRequest
from tests.faults.proxy import behind
from tests.foreign import foreign
from tests.spine import asynchronous, let_in, serving, soon
from tests.staged import Staged, kinds

STEPS = {3: ["plan", "answer", "check"], 4: ["plan", *["answer"] * 3, *["check"] * 3, "join", "check"]}


class Held(Staged):
    """Holds every request up until the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        async for event in super().stream(request):
            yield event
            await self.gate.wait()


def depth(gateway: Gateway, run_id: str) -> int:
    run = gateway._runs.find(run_id)
    return run.turn.depth if run else 0


@pytest.mark.parametrize("after", [1, 2, 3, 4])
@pytest.mark.parametrize("before", [1, 2, 3, 4])
@asynchronous
async def test_from_each_level_to_each(before: int, after: int) -> None:
    """In the middle of the first step. One that has begun to answer at once has no further step."""
    model = Held()
    async with serving(model) as (gateway, client):
        told: list[Any] = []
        run = client.send("q", level=before, level_reason="by hand")
        run.subscribe(told.append)
        await soon(lambda: model.asked)
        run.set_level(after)
        await soon(lambda: depth(gateway, run.id) == after)
        model.gate.set()
        result = await run
        first, rest = kinds(model)[:1], sorted(kinds(model)[1:])
        if before <= 2:
            assert kinds(model) == [""]
        elif after <= 2:
            assert kinds(model) == ["plan", "answer"]
        else:
            assert (first, rest) == (["plan"], sorted(STEPS[after][1:]))
        assert model.asked[0].level == before
        assert all(request.level == after for request in model.asked[1:])
        assert result.level == after
        assert run.level_reason == ("by hand" if before == after else "changed by you")
        assert [event.level for event in told if isinstance(event, Level)] == ([] if before == after else [after])


@asynchronous
async def test_before_it_is_accepted() -> None:
    model = Held()
    async with serving(model) as (gateway, client):
        run = client.send("q", level=4)
        run.set_level(3)  # in the same turn of the loop: the request is written already, and not answered
        run.set_level("deep")
        await soon(lambda: depth(gateway, run.id) == 3)
        model.gate.set()
        assert (await run).level == 3
        assert kinds(model) == STEPS[3]


@asynchronous
async def test_before_there_is_a_link() -> None:
    model = Staged()
    async with Gateway(model=model) as gateway, OpenClawClient() as client:
        client.open("agent://local", gateway.url, gateway.token)
        run = client.send("q", level=4)
        run.set_level(1)
        assert (await run).level == 1
        assert [request.level for request in model.asked] == [1]


@asynchronous
async def test_while_it_waits_for_another() -> None:
    model = Held()
    async with serving(model) as (gateway, client):
        first, second = client.send("one", level=1), client.send("two", level=4)
        await soon(lambda: depth(gateway, second.id) == 4)
        second.set_level(3)
        await soon(lambda: depth(gateway, second.id) == 3)
        assert len(model.asked) == 1, "it has not begun"
        model.gate.set()
        await first
        assert (await second).level == 3
        assert kinds(model)[1:] == STEPS[3]


@asynchronous
async def test_while_the_link_is_down() -> None:
    model = Held()
    async with behind(model) as (proxy, client):
        run = client.send("q", level=4)
        await soon(lambda: run.steps)
        statuses: list[Status] = []

        def cut_off(event: RunEvent) -> None:
            if isinstance(event, State) and event.status is Status.RECONNECTING:
                run.set_level(3)
            elif isinstance(event, Level):
                statuses.append(run.status)

        run.subscribe(cut_off)
        proxy.cut()
        await soon(lambda: run.level == 3 and run.status is not Status.RECONNECTING)
        assert statuses == [Status.RECONNECTING], "it was said to nobody then"
        await client.request("health")  # what was sent before it has arrived
        model.gate.set()
        assert (await run).level == 3
        assert kinds(model) == STEPS[3]


@asynchronous
async def test_asked_twice_the_later_wish_counts() -> None:
    """The answer to the first request was lost, and the level changed before the second."""
    model = Held()
    async with Gateway(model=model) as gateway, let_in(gateway) as raw:
        for thinking, level in (("high", 4), ("medium", 3)):
            await raw.ask("chat.send", thinking, sessionKey="main", message="q", idempotencyKey="k", thinking=thinking)
            assert depth(gateway, "k") == level
        model.gate.set()
        await raw.event("chat", state="final")
        assert kinds(model) == STEPS[3]


@asynchronous
async def test_from_any_thread() -> None:
    model = Held()
    async with serving(model) as (gateway, client):
        run = client.send("q", level=4)
        await soon(lambda: model.asked)
        await asyncio.to_thread(run.set_level, "1 fast")
        await soon(lambda: depth(gateway, run.id) == 1)
        model.gate.set()
        assert (await run).level == 1


@asynchronous
async def test_what_is_no_change() -> None:
    async with serving(Staged()) as (_, client):
        run = client.send("q", level=1)
        with pytest.raises(ConfigError, match="takes a level from 1 to 4, not auto"):
            run.set_level("auto")
        with pytest.raises(ConfigError, match="level 5 is not one of"):
            run.set_level(5)
        assert (await run).level == 1
        run.set_level(4)  # it is over
        assert run.level == 1


@asynchronous
async def test_at_a_gateway_of_somebody_else_s() -> None:
    async with foreign() as (gateway, client):
        run = client.send("q", level=3)
        await soon(lambda: gateway.runs)
        with pytest.raises(ConfigError, match="cannot change the level of a run that is at work") as refused:
            run.set_level(1)
        assert "\n" not in str(refused.value)
        assert run.level == 3
        await gateway.say(run.id, "done", "final")
        assert (await run).level == 3
        assert "run.level" not in gateway.methods()


@asynchronous
async def test_what_a_gateway_refuses() -> None:
    async with Gateway(model=Held()) as gateway, let_in(gateway) as raw:
        await raw.ask("chat.send", sessionKey="main", message="q", idempotencyKey="k", thinking="medium")
        for params, words in (
            ({"runId": "k", "thinking": "deeper"}, "is not one of off"),
            ({"runId": "k"}, "invalid run.level params"),
            ({"runId": "nobody", "thinking": "low"}, "run nobody is not known here"),
        ):
            reply = await raw.ask("run.level", **params)
            assert not reply["ok"]
            assert words in reply["error"]["message"]
        assert depth(gateway, "k") == 3
    async with Gateway(model=Held()) as gateway, let_in(gateway, scopes=["operator.read"]) as raw:
        assert "missing scope" in (await raw.ask("run.level", runId="k", thinking="low"))["error"]["message"]
