"""Desk: slash commands as people type them, and what sessions are set to by them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from openclaw_nb.client import OpenClawClient
from openclaw_nb.gateway import Gateway
from tests.spine import Counted, Raw, asynchronous, let_in


async def type_in(raw: Raw, line: str, key: str) -> str:
    """What a command shows; commands are told from answers by a mark."""
    reply = await raw.ask("chat.send", sessionKey="s", message=line, idempotencyKey=key)
    assert reply["payload"] == {"runId": key, "status": "started"}
    shown = await raw.event("chat", runId=key, state="final")
    assert shown["message"]["command"] is True
    return str(shown["message"]["content"][0]["text"])


@asynchronous
async def test_commands() -> None:
    gate = asyncio.Event()
    async with Gateway(model=Counted("one", until=gate)) as gateway, let_in(gateway) as raw:
        assert "/status" in await type_in(raw, "/help", "1")
        assert await type_in(raw, "/think high", "2") == "thinking set to high"
        assert await type_in(raw, "/think very", "3") == "invalid thinkingLevel (use off|low|medium|high)"
        assert await type_in(raw, "/thinking", "4") == "thinking is high"
        assert await type_in(raw, "/think off", "4b") == "thinking set to off"
        assert await type_in(raw, "/stop", "5") == "nothing is at work in this session"
        await raw.ask("chat.send", sessionKey="s", message="go", idempotencyKey="run")
        await raw.event("chat", runId="run", state="delta")
        assert "At work: 1" in await type_in(raw, "/status", "6")
        assert await type_in(raw, "/stop", "7") == "stopped"
        assert await type_in(raw, "/new", "8") == "session agent:main:s begins anew"
        assert (await raw.ask("chat.history", sessionKey="s"))["payload"]["messages"] == []
        assert "model is " in await type_in(raw, "/model", "9")
        gate.set()
        await raw.ask("chat.send", sessionKey="s", message="/new and then?", idempotencyKey="first")
        assert (await raw.event("chat", runId="first", state="final"))["message"]["content"][0]["text"] == "one"
        (asked, _) = (await raw.ask("chat.history", sessionKey="s"))["payload"]["messages"]
        assert asked["content"][0]["text"] == "and then?"


@asynchronous
async def test_other_messages_with_a_slash_go_to_the_model() -> None:
    async def echo(prompt: str) -> AsyncIterator[str]:
        yield prompt

    async with (
        Gateway(model=echo) as gateway,
        let_in(gateway) as raw,
        OpenClawClient(token=gateway.token) as ours,
    ):
        for key, line, more in (("1", "/usr/bin/help", {}), ("2", "/help", {"suppressCommandInterpretation": True})):
            await raw.ask("chat.send", sessionKey="s", message=line, idempotencyKey=key, **more)
            shown = await raw.event("chat", runId=key, state="final")
            assert shown["message"]["content"][0]["text"] == line
        await ours.connect(gateway.url)
        assert await ours.send("/status") == "/status"
