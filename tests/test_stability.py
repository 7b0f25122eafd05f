"""Stability: what of a client's work counts, its events once each, and how runs are sent while it is bad."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from statistics import median

import pytest

from openclaw_nb import health
from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import ModelError, RunError
from openclaw_nb.events import Status
from openclaw_nb.reasoning.levels import decide
from openclaw_nb.run import Run
from openclaw_nb.stability import degrade
from tests.faults.proxy import behind
from tests.foreign import foreign
from tests.spine import Counted, asynchronous, serving


@pytest.fixture(autouse=True)
def no_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Good runs count at once; how long is a question of `test_health`."""
    monkeypatch.setattr(health, "HOLD", 0.0)


async def as_asked(prompt: str) -> AsyncIterator[str]:
    """A model that says what it is asked, or fails, or is slow by so many seconds."""
    if prompt.startswith("slow "):
        await asyncio.sleep(float(prompt.removeprefix("slow ")))
    yield prompt
    if prompt == "fail":
        raise ValueError("no")
    if prompt == "long":
        await asyncio.sleep(60)


def heard(client: OpenClawClient) -> list[str]:
    events: list[str] = []
    client.on("degrade", lambda why: events.append(f"degrade: {why}"))
    client.on("recover", lambda: events.append("recover"))
    return events


def ask(client: OpenClawClient, prompt: str = "well", level: int = 2) -> Run:
    return client.send(prompt, **degrade(decide(level=level), client))


async def fail(client: OpenClawClient, times: int = health.ERRORS) -> None:
    for _ in range(times):
        with pytest.raises(ModelError):
            await ask(client, "fail")


@asynchronous
async def test_down_and_up_again() -> None:
    async with serving(as_asked, token_batch_size=1) as (_, client):
        events = heard(client)
        await fail(client)
        assert events == ["degrade: 3 errors in the last minute"]
        assert client.stability.why() == "3 errors in the last minute"
        for count in range(health.GOOD):
            run = ask(client)
            assert [delta async for delta in run] == ["well"]
            assert (run.level, run.level_reason) == (1, "unstable: 3 errors in the last minute")
            assert (await run).level == 1
            assert len(events) == (2 if count == health.GOOD - 1 else 1)
        assert events[1:] == ["recover"]
        assert [(run.level, run.level_reason) for run in (ask(client), ask(client))] == [(2, "calm again"), (2, "")]
        tagged = degrade(decide(level=4, max_level=2), client)
        assert tagged == {"level": 2, "level_reason": "limited to 2", "streaming": None}


@asynchronous
async def test_without_streaming_while_it_lasts() -> None:
    """By hand it is as it was: what was set stays set."""
    gate = asyncio.Event()
    async with serving(Counted("one ", "two", until=gate), token_batch_size=1) as (_, client):
        for _ in range(health.ERRORS):
            client.stability.cut()
        run = ask(client)
        await asyncio.sleep(0.05)
        assert run.text == ""
        gate.set()
        assert [delta async for delta in run] == ["one two"]
        assert client.streaming
        direct = client.send("by hand", level=1)
        assert await direct == "one two"
        assert (direct.level, direct.level_reason) == (1, "")


@asynchronous
async def test_slow_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LATE", 0.1)
    async with serving(as_asked) as (_, client):
        events = heard(client)
        usual = [(await ask(client)).first_token or 0.0 for _ in range(health.ENOUGH)]
        for _ in range(health.NEWEST):
            await ask(client, f"slow {max(0.15, (health.SLOW + 1) * median(usual)):.3f}")  # whatever one took at worst
        assert len(events) == 1
        assert events[0].startswith("degrade: first token ")
        assert events[0].endswith(" x slower than usual")


@asynchronous
async def test_cuts_count() -> None:
    async with behind(Counted("one ", until=asyncio.Event())) as (proxy, client):
        events, back = heard(client), asyncio.Event()
        client.on("reconnected", back.set)
        for _ in range(health.ERRORS):
            back.clear()
            proxy.cut()
            await back.wait()
        assert events == ["degrade: 3 errors in the last minute"]


@asynchronous
async def test_a_gateway_that_stops_counts_once() -> None:
    async with serving(as_asked, max_restore_attempts=0) as (gateway, client):
        runs = [client.send("long", session=f"{i}") for i in range(2 * health.ERRORS)]
        for run in runs:
            assert await anext(aiter(run)) == "long"
        await gateway.close()
        for run in runs:
            with pytest.raises(RunError, match="the gateway was stopped"):
                await run
        assert client.stability.why() == ""


@asynchronous
async def test_what_is_no_error() -> None:
    async with serving(as_asked) as (_, client):
        for _ in range(2 * health.ERRORS):
            stopped = client.send("long")
            assert await anext(aiter(stopped)) == "long"
            stopped.cancel()
            assert (await stopped).status is Status.STOPPED
            with pytest.raises(RunError, match="takes no other model"):
                await client.send("go", model="offline")
            with pytest.raises(RunError, match="has no agent"):
                await client.send("go", agent="nobody")
            with pytest.raises(RunError, match="is no image that is known"):
                await client.send("go", attachments=[{}])
        assert client.stability.why() == ""
    async with foreign() as (_, client):
        for _ in range(2 * health.ERRORS):
            with pytest.raises(RunError, match="a session has its model"):
                await client.send("go", model="m")
        assert client.stability.why() == ""


@asynchronous
async def test_time_limits_count() -> None:
    async with serving(as_asked) as (_, client):
        for _ in range(health.ERRORS):
            with pytest.raises(RunError, match="time limit"):
                await client.send("long", timeout=0.02)
        assert client.stability.why() == "3 errors in the last minute"


@asynchronous
async def test_turned_off() -> None:
    async with serving(as_asked, auto_degrade=False) as (_, client):
        events = heard(client)
        await fail(client)
        assert client.stability.why() == "3 errors in the last minute", "it is measured"
        run = ask(client)
        assert (run.level, run.level_reason) == (2, "")
        await run
        assert events == []


@asynchronous
async def test_a_gateway_that_was_never_there() -> None:
    client = OpenClawClient()
    for _ in range(health.ERRORS):
        client.open("agent://local", "ws://127.0.0.1:9", None)
        with pytest.raises(RunError, match="connection refused"):
            await client.send("go")
    assert client.stability.why() == "3 errors in the last minute"
    await client.close()
    assert client.health.why == "3 errors in the last minute"
