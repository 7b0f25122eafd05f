"""Sessions: listed, described, set, listened to, begun anew and forked, as OpenClaw's own clients do it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openclaw_nb.gateway import Gateway
from openclaw_nb.snapshots import SnapshotStore
from tests.spine import Counted, Raw, asynchronous, let_in

ADMIN = ["operator.admin"]


async def say(raw: Raw, session: str, message: str = "go") -> None:
    await raw.ask("chat.send", sessionKey=session, message=message, idempotencyKey=f"{session} {message}")
    await raw.event("chat", state="final")


async def payload(raw: Raw, method: str, **params: Any) -> Any:
    reply = await raw.ask(method, **params)
    assert reply["ok"], reply
    return reply["payload"]


@asynchronous
async def test_the_list() -> None:
    store = SnapshotStore()
    async with Gateway(model=Counted("one"), store=store) as gateway, let_in(gateway) as raw:
        assert (await payload(raw, "sessions.list"))["sessions"] == []
        for name in ("first", "second", "third"):
            await say(raw, name, f"what is\n{name}")
        listed = await payload(raw, "sessions.list", limit=2, includeDerivedTitles=True, includeLastMessage=True)
        assert (listed["count"], listed["totalCount"], listed["hasMore"], listed["nextOffset"]) == (2, 3, True, 2)
        newest = listed["sessions"][0]
        assert (newest["key"], newest["derivedTitle"], newest["lastMessagePreview"]) == (
            "agent:main:third", "what is third", "one",
        )  # fmt: skip
        assert (newest["status"], newest["hasActiveRun"], newest["totalTokensFresh"]) == ("done", False, True)
        rest = await payload(raw, "sessions.list", offset=2)
        assert [row["key"] for row in rest["sessions"]] == ["agent:main:first"]
        found = await payload(raw, "sessions.list", search="SECOND", agentId="main", activeMinutes=5)
        assert [row["key"] for row in found["sessions"]] == ["agent:main:second"]
        assert not (await payload(raw, "sessions.list", agentId="helper"))["sessions"]
        assert not (await payload(raw, "sessions.list", label="x"))["sessions"]
    async with Gateway(model=Counted("one"), store=store) as gateway, let_in(gateway) as raw:
        assert (await payload(raw, "sessions.list"))["totalCount"] == 3
        row = (await payload(raw, "sessions.describe", key="agent:main:first"))["session"]
        assert row["updatedAt"] > 1_700_000_000_000
        assert (await payload(raw, "sessions.describe", key="unknown")) == {"session": None}


@asynchronous
async def test_settings_are_kept_and_taken_back() -> None:
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway) as raw:
        patched = await payload(raw, "sessions.patch", key="s", thinkingLevel="high", label="L", verboseLevel="full")
        assert (patched["key"], patched["entry"]["thinkingLevel"]) == ("agent:main:s", "high")
        history = await payload(raw, "chat.history", sessionKey="s")
        assert (history["thinkingLevel"], history["verboseLevel"]) == ("high", "full")
        assert (await payload(raw, "sessions.resolve", label="L"))["key"] == "agent:main:s"
        await payload(raw, "sessions.patch", key="s", thinkingLevel=None, verboseLevel=None)
        row = (await payload(raw, "sessions.describe", key="s"))["session"]
        assert "thinkingLevel" not in row
        assert "verboseLevel" not in row
        assert row["label"] == "L"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"thinkingLevel": "very"}, "invalid thinkingLevel (use off|low|medium|high)"),
        ({"model": "openai-chat:gpt"}, "this gateway serves function; it takes no other model"),
        ({"execSecurity": "full"}, "invalid sessions.patch params: at root: unexpected property 'execSecurity'"),
    ],
)
@asynchronous
async def test_settings_that_cannot_be(facts: dict[str, Any], words: str) -> None:
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway) as raw:
        refusal = await raw.ask("sessions.patch", key="s", **facts)
        assert words.partition(" serves ")[0] in refusal["error"]["message"]


@asynchronous
async def test_the_gateways_own_model_can_be_named() -> None:
    async with Gateway(model="offline") as gateway, let_in(gateway) as raw:
        (model,) = (await payload(raw, "models.list"))["models"]
        for name in ("offline", f"{model['provider']}/{model['id']}", None):
            assert (await payload(raw, "sessions.patch", key="s", model=name))["resolved"] == {
                "modelProvider": model["provider"], "model": model["id"],
            }  # fmt: skip


@asynchronous
async def test_a_session_begins_anew() -> None:
    gate = asyncio.Event()
    async with Gateway(model=Counted("one", until=gate)) as gateway, let_in(gateway, scopes=ADMIN) as raw:
        await payload(raw, "sessions.patch", key="s", thinkingLevel="off")
        first = (await payload(raw, "sessions.describe", key="s"))["session"]["sessionId"]
        await raw.ask("chat.send", sessionKey="s", message="go", idempotencyKey="k")
        await raw.event("chat", state="delta")
        assert (await payload(raw, "sessions.reset", key="s", reason="new"))["entry"]["sessionId"] != first
        history = await payload(raw, "chat.history", sessionKey="s")
        assert history["messages"] == []
        assert history["thinkingLevel"] == "off"
        assert not gateway._runs.at_work()
        gate.set()
        await say(raw, "s")
        assert (await payload(raw, "sessions.delete", key="s"))["deleted"] is True
        assert (await payload(raw, "sessions.delete", key="s"))["deleted"] is False
        assert not (await payload(raw, "sessions.list"))["sessions"]


@asynchronous
async def test_who_may_not_begin_it_anew() -> None:
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway) as raw:
        for method in ("sessions.reset", "sessions.delete"):
            assert (await raw.ask(method, key="s"))["error"]["message"] == "missing scope: operator.admin"


@asynchronous
async def test_new_sessions_and_forks() -> None:
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway) as raw:
        await say(raw, "parent", "question")
        made = await payload(raw, "sessions.create", parentSessionKey="agent:main:parent", fork=True, label="copy")
        assert (made["runStarted"], made["entry"]["label"]) == (False, "copy")
        said = (await payload(raw, "chat.history", sessionKey=made["key"]))["messages"]
        assert [message["content"][0]["text"] for message in said] == ["question", "one"]
        made = await payload(raw, "sessions.create", key="agent:main:n", message="hi", thinkingLevel="low")
        assert made["runStarted"] is True
        await raw.event("chat", runId=made["runId"], state="final")
        refusal = await raw.ask("sessions.create", parentSessionKey="unknown", fork=True)
        assert refusal["error"]["code"] == "INVALID_REQUEST"
        previews = (await payload(raw, "sessions.preview", keys=["n", "nothing"], maxChars=20))["previews"]
        assert previews[0]["items"] == [{"role": "user", "text": "hi"}, {"role": "assistant", "text": "one"}]
        assert previews[1] == {"key": "nothing", "status": "empty", "items": []}


@asynchronous
async def test_send_and_abort_by_session() -> None:
    async with Gateway(model=Counted("one", until=asyncio.Event())) as gateway, let_in(gateway) as raw:
        for stop in ({"key": "s"}, {"key": "s", "runId": None}, {}):
            sent = await payload(raw, "sessions.send", key="s", message="go")
            await raw.event("chat", runId=sent["runId"], state="delta")
            facts = {k: sent["runId"] if v is None else v for k, v in stop.items()} or {"runId": sent["runId"]}
            assert (await payload(raw, "sessions.abort", **facts)) == {
                "ok": True, "abortedRunId": sent["runId"], "status": "aborted",
            }  # fmt: skip
            await raw.event("chat", runId=sent["runId"], state="aborted")
        assert (await payload(raw, "sessions.abort", key="s"))["status"] == "no-active-run"
        assert (await raw.ask("sessions.abort"))["error"]["message"] == "key is required"
        assert (await raw.ask("sessions.send", key="s", message=" "))["error"]["code"] == "INVALID_REQUEST"


@asynchronous
async def test_who_listens_hears_what_is_said() -> None:
    async with (
        Gateway(model=Counted("one")) as gateway,
        let_in(gateway) as sender,
        let_in(gateway) as all_ears,
        let_in(gateway) as one_ear,
    ):
        assert (await payload(all_ears, "sessions.subscribe")) == {"subscribed": True}
        heard = await payload(one_ear, "sessions.messages.subscribe", key="s")
        assert heard == {"subscribed": True, "key": "agent:main:s"}
        await say(sender, "other")
        await say(sender, "s", "hello")
        for raw, session in ((all_ears, "other"), (all_ears, "s"), (one_ear, "s")):
            asked = await raw.event("session.message")
            assert (asked["sessionKey"], asked["message"]["role"]) == (f"agent:main:{session}", "user")
            answered = await raw.event("session.message")
            assert answered["message"]["content"] == [{"type": "text", "text": "one"}]
            changed = await raw.event("sessions.changed", phase="end")
            assert changed["session"]["status"] == "done"
        await payload(one_ear, "sessions.messages.unsubscribe", key="s")
        await payload(all_ears, "sessions.unsubscribe")
        assert not gateway._audience.listening


@asynchronous
async def test_a_client_listens_to_so_many_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openclaw_nb.gateway.sessions.MOST_HEARD", 2)
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway) as raw:
        for name in "ab":
            await payload(raw, "sessions.messages.subscribe", key=name)
        refusal = await raw.ask("sessions.messages.subscribe", key="c")
        assert refusal["error"]["message"] == "a client can listen to 2 sessions; sessions.subscribe is for all"
