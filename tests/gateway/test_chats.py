"""Chats: messages as OpenClaw's own clients send them, the two answers of `agent`, waiting, stopping, history."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import Turn
from openclaw_nb.errors import ModelError
from openclaw_nb.gateway import Gateway
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta
from tests.spine import Counted, Raw, asynchronous, let_in, soon

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""One pixel."""


class Echo:
    """A Model that answers with what it was asked for."""

    name = "echo"

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        images = len(request.messages[-1].get("images", ()))
        yield TextDelta(f"{request.level} {len(request.messages)} {images} {request.prompt}")


async def send(raw: Raw, key: str = "k", session: str = "main", message: str = "go", **more: Any) -> Any:
    return await raw.ask("chat.send", key, sessionKey=session, message=message, idempotencyKey=key, **more)


def text_of(payload: dict[str, Any]) -> str:
    return str(payload["message"]["content"][0]["text"])


@asynchronous
async def test_every_client_of_somebody_else_hears_of_every_run() -> None:
    gate = asyncio.Event()
    async with (
        Gateway(model=Counted("one ", "two", until=gate)) as gateway,
        let_in(gateway) as asker,
        let_in(gateway, caps=(), scopes=["operator.write"]) as other,
        let_in(gateway, scopes=[]) as blind,
        OpenClawClient(token=gateway.token) as ours,
    ):
        await ours.connect(gateway.url)
        await send(asker, session="agent:main:s")
        await other.event("chat", runId="k", state="delta")
        async with let_in(gateway) as late:
            run = ours.send("from the notebook", session="other")
            gate.set()
            assert text_of(await late.event("chat", runId="k", state="final")) == "one two"
            assert text_of(await other.event("chat", runId=run.id, state="final")) == "one two"
        assert await run == "one two"
        await blind.send({"type": "req", "id": "1", "method": "health", "params": {}})
        refusal = await blind.read()
        assert refusal["error"]["details"] == {
            "code": "MISSING_SCOPE", "missingScope": "operator.read", "requiredScopes": ["operator.read"],
        }  # fmt: skip
        assert not ours.flights


@asynchronous
async def test_agent_answers_twice() -> None:
    async with Gateway(model=Counted("one ", "two")) as gateway, let_in(gateway, scopes=["operator.write"]) as raw:
        params = {"message": "go", "sessionKey": "agent:main:s", "idempotencyKey": "k", "deliver": False, "timeout": 60}
        accepted = await raw.ask("agent", "1", **params)
        assert accepted["payload"].pop("acceptedAt") > 1_700_000_000_000
        assert accepted["payload"] == {
            "runId": "k", "sessionKey": "agent:main:s", "agentId": "main", "status": "accepted",
        }  # fmt: skip
        second = (await raw.reply("1"))["payload"]
        assert (second["status"], second["summary"]) == ("ok", "completed")
        assert second["result"]["payloads"] == [{"text": "one two", "mediaUrl": None}]
        assert second["result"]["meta"]["aborted"] is False
        assert second["result"]["meta"]["durationMs"] >= 0
        waited = (await raw.ask("agent.wait", runId="k"))["payload"]
        assert (waited["status"], waited["stopReason"]) == ("ok", "stop")
        assert waited["endedAt"] >= waited["startedAt"]
        await raw.ask("agent", "2", **params)
        assert (await raw.reply("2"))["payload"]["result"] == second["result"]


@asynchronous
async def test_agent_says_why_it_failed() -> None:
    async def fails(turn: Turn) -> AsyncIterator[ModelEvent]:
        raise ModelError("no model today")
        yield TextDelta("")

    async with Gateway(handler=fails) as gateway, let_in(gateway) as raw:
        await raw.ask("agent", "1", message="go", idempotencyKey="k", agentId="helper")
        second = await raw.reply("1")
        assert not second["ok"]
        assert second["error"] == {"code": "UNAVAILABLE", "message": "no model today"}
        assert second["payload"] == {"runId": "k", "status": "error", "summary": "no model today"}
        waited = (await raw.ask("agent.wait", runId="k"))["payload"]
        assert (waited["status"], waited["error"]) == ("error", "no model today")
        assert gateway._runs.find("k").log.session_key == "agent:helper:main"  # type: ignore[union-attr]


@asynchronous
async def test_waiting_ends_in_time_and_with_the_client() -> None:
    async with Gateway(model=Counted("one", until=asyncio.Event())) as gateway:
        async with let_in(gateway) as raw:
            assert (await raw.ask("agent.wait", runId="nope"))["payload"] == {"runId": "nope", "status": "timeout"}
            await raw.ask("agent", "1", message="go", idempotencyKey="k")
            assert (await raw.ask("agent", "2", message="go", idempotencyKey="k"))["payload"]["status"] == "in_flight"
            waited = await raw.ask("agent.wait", runId="k", timeoutMs=20)
            assert waited["payload"] == {"runId": "k", "status": "timeout"}
            (connection,) = gateway._connections
            await soon(lambda: len(connection._later) == 1)
        await soon(lambda: not connection._later)
        assert gateway._runs.at_work()


@asynchronous
async def test_a_client_can_wait_for_so_much_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openclaw_nb.gateway.connection.LONGEST_LATER", 2)
    async with Gateway(model=Counted("one", until=asyncio.Event())) as gateway, let_in(gateway) as raw:
        await send(raw)
        for id in ("1", "2"):
            await raw.send({"type": "req", "id": id, "method": "agent.wait", "params": {"runId": "k"}})
        refusal = await raw.ask("agent.wait", "3", runId="k")
        assert refusal["error"]["message"] == "2 requests wait for their answers already"
        assert (await raw.ask("health"))["ok"]


@asynchronous
async def test_a_time_limit() -> None:
    async with Gateway(model=Counted("one", until=asyncio.Event())) as gateway, let_in(gateway) as raw:
        for limit in (50, 1_000, 30_000):  # the shortest in which it has said something here
            await send(raw, f"{limit}", session=f"s{limit}", timeoutMs=limit)
            ended = await raw.event("chat", runId=f"{limit}", state="aborted")
            assert ended["stopReason"] == "timeout"
            run = gateway._runs.find(f"{limit}")
            assert run is not None
            if run.log.text.length:
                break
        assert text_of(ended) == "one"
        await soon(lambda: run._timer is None)


@asynchronous
async def test_the_same_key_for_another_message_is_a_conflict() -> None:
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway) as raw:
        await send(raw)
        refusal = await send(raw, message="another")
        assert refusal["error"]["code"] == "INVALID_REQUEST"
        assert refusal["error"]["details"] == {"reason": "chat-request-conflict"}


@pytest.mark.parametrize("message", ["", "  \n "])
@asynchronous
async def test_an_empty_message_is_none(message: str) -> None:
    async with Gateway(model=Echo()) as gateway, let_in(gateway) as raw:
        assert (await send(raw, message=message))["error"]["message"] == "message or attachment required"
        picture = {"mimeType": "image/png", "content": base64.b64encode(PNG).decode()}
        assert (await send(raw, message=message, attachments=[picture]))["ok"]
        assert text_of(await raw.event("chat", state="final")).startswith("2 1 1")


@asynchronous
async def test_a_session_keeps_its_level() -> None:
    async with Gateway(model=Echo()) as gateway, let_in(gateway) as raw:
        assert (await raw.ask("sessions.patch", key="main", thinkingLevel="off"))["ok"]
        await send(raw, "a")
        assert text_of(await raw.event("chat", state="final")) == "1 1 0 go"
        await send(raw, "b", thinking="low")
        assert text_of(await raw.event("chat", state="final")) == "2 3 0 go"


@asynchronous
async def test_a_key_of_an_old_client_comes_back_as_it_was_sent() -> None:
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway, low=3, high=3) as raw:
        await send(raw, session="acp:5")
        assert (await raw.event("chat", state="final"))["sessionKey"] == "acp:5"
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway) as raw:
        await send(raw, session="acp:5")
        assert (await raw.event("chat", state="final"))["sessionKey"] == "agent:main:acp:5"


@asynchronous
async def test_messages_to_a_busy_session_wait_for_their_turn() -> None:
    gate = asyncio.Event()
    async with Gateway(model=Counted("one ", until=gate)) as gateway, let_in(gateway) as raw:
        await send(raw, "a")
        await raw.event("chat", runId="a", state="delta")
        assert (await send(raw, "b", message="next"))["payload"]["status"] == "started"
        gate.set()
        assert text_of(await raw.event("chat", runId="a", state="final")) == "one "
        assert text_of(await raw.event("chat", runId="b", state="final")) == "one "
        history = (await raw.ask("chat.history", sessionKey="main"))["payload"]
        assert [text_of({"message": m}) for m in history["messages"]] == ["go", "one ", "next", "one "]


@asynchronous
async def test_history_tells_what_is_at_work() -> None:
    gate = asyncio.Event()
    async with Gateway(model=Counted("one ", until=gate)) as gateway, let_in(gateway) as raw:
        await send(raw)
        await raw.event("chat", state="delta")
        history = (await raw.ask("chat.history", sessionKey="main", limit=5))["payload"]
        assert history["inFlightRun"] == {"runId": "k", "text": "one "}
        assert history["sessionInfo"]["hasActiveRun"] is True
        gate.set()
        await raw.event("chat", state="final")
        history = (await raw.ask("chat.history", sessionKey="main", limit=1))["payload"]
        assert "inFlightRun" not in history
        assert (history["hasMore"], history["totalMessages"], len(history["messages"])) == (True, 2, 1)


@asynchronous
async def test_keys_that_no_client_sends_are_refused_by_name() -> None:
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway) as raw:
        refusal = await send(raw, nonsense=1)
        assert refusal["error"]["message"] == "invalid chat.send params: at root: unexpected property 'nonsense'"
        assert (await send(raw, deliver=False, sessionId="x", fastMode=True))["ok"]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"session": "agent:nobody:s"}, "this gateway has no agent 'nobody'"),
        ({"session": "s" * 513}, "sessionKey must NOT have more than 512 characters"),
        ({"thinking": "very"}, "thinking 'very' is not one of"),
    ],
)
@asynchronous
async def test_what_cannot_be_is_refused_before_it_begins(facts: dict[str, Any], words: str) -> None:
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway) as raw:
        refusal = (await send(raw, **facts))["error"]
        assert refusal["code"] == "INVALID_REQUEST"
        assert refusal["message"].startswith(words)
        assert not len(gateway._runs)
