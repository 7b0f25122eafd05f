"""Audience: who is there is told to those who may know, of many who come and go at once."""

from __future__ import annotations

import asyncio

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.gateway import Gateway, audience
from tests.spine import Counted, asynchronous, let_in, soon


@asynchronous
async def test_who_comes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "SETTLE", 0.05)
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway) as raw:
        tui = {"id": "cli", "mode": "cli", "displayName": "openclaw-tui", "version": "1", "platform": "linux"}
        async with let_in(gateway, client=tui), let_in(gateway, client=tui):
            while len(entries := (await raw.event("presence"))["presence"]) < 4:
                pass
            assert entries[2].items() >= {"host": "openclaw-tui", "mode": "cli", "version": "1"}.items()
        while len((await raw.event("presence"))["presence"]) > 2:
            pass


@asynchronous
async def test_ours_are_counted_and_not_told() -> None:
    async with Gateway(model=Counted("one")) as gateway, OpenClawClient(token=gateway.token) as client:
        await client.connect(gateway.url)
        assert len(gateway._audience.presence()) == 2
        assert not gateway._audience._others
        assert gateway._audience._teller is None
        assert await client.send("go") == "one"
        await client.close()
        await soon(lambda: len(gateway._audience.presence()) == 1)


@asynchronous
async def test_nothing_is_told_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "SETTLE", 3_600)
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway) as raw:
        await raw.ask("health")
        assert gateway._audience._teller is not None
        await gateway.close()
        assert gateway._audience._teller is None
        await asyncio.sleep(0)


@asynchronous
async def test_who_comes_late_is_told_of_what_is_at_work() -> None:
    gate = asyncio.Event()
    async with Gateway(model=Counted("one ", "two", until=gate)) as gateway, let_in(gateway) as first:
        await first.ask("chat.send", sessionKey="s", message="go", idempotencyKey="k")
        await first.event("chat", runId="k", state="delta")
        async with let_in(gateway) as late:
            gate.set()
            assert (await late.event("chat", runId="k", state="final"))["message"]["content"][0]["text"] == "one two"
