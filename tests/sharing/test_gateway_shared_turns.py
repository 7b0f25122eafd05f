"""Turns: a word that is lost holds nobody up, and the place of a run goes with it to whoever takes it over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openclaw_nb.sharing import Sharing
from tests.cluster.daemons import Daemon
from tests.sharing.together import instances, loud, send, whole
from tests.spine import Counted, asynchronous, soon


@asynchronous
async def test_a_word_that_is_lost(redis: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openclaw_nb.gateway.shared_turns.LOOK", 0.05)
    told = Sharing.told
    monkeypatch.setattr(Sharing, "told", lambda self, channel, data: b"turn" in data or told(self, channel, data))
    gate = asyncio.Event()
    model = Counted("one ", until=gate)
    async with instances(redis, model, model) as gateways, loud(*gateways) as (one, other):
        await send(one, "k0")
        await send(other, "k1")
        gate.set()
        assert await whole(other, "k1") == "one "
    assert model.calls == 2


@asynchronous
async def test_its_place_goes_with_it(redis: Daemon) -> None:
    order: list[str] = []
    gate = asyncio.Event()

    async def model(prompt: str) -> Any:
        order.append(prompt)
        await gate.wait()
        yield prompt

    async with instances(redis, model, model) as (first, second), loud(first, second) as (one, other):
        await soon(lambda: first._sharing.others == 1)  # type: ignore[union-attr]
        for n, raw in enumerate((other, one, other)):
            await send(raw, f"k{n}", f"{n}")
        await soon(lambda: order == ["0"])
        await first.hand_over()
        gate.set()
        assert await whole(other, "k2") == "2"
    assert order == ["0", "1", "2"]


@asynchronous
async def test_those_beside_wait_for_nobody(redis: Daemon) -> None:
    gate = asyncio.Event()
    model = Counted("one ", until=gate)
    async with instances(redis, model, model) as gateways, loud(*gateways) as (one, other):
        await send(one, "k0")
        await send(other, "k1", busy="branch")
        await soon(lambda: model.calls == 2)
        gate.set()
        assert await whole(other, "k1") == "one "
