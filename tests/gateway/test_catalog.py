"""Catalog: what a gateway tells of itself has the shape that OpenClaw's clients read, and no secret in it."""

from __future__ import annotations

import getpass
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.gateway import Gateway
from openclaw_nb.gateway.cards import Card
from openclaw_nb.gateway.catalog import EMPTY, models_told, row_of, split_model
from tests.spine import Counted, Raw, asynchronous, dialled, hello, let_in

TOLD = ("health", "status", "system-presence", "config.get", "models.list", "agents.list", "commands.list",
        "agent.identity.get", "sessions.list", "chat.history", *EMPTY)  # fmt: skip


async def told(raw: Raw, method: str) -> Any:
    reply = await raw.ask(method, **({"sessionKey": "main"} if method == "chat.history" else {}))
    assert reply["ok"], reply
    return reply.get("payload")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("offline", ("openclaw-nb", "offline")), ("offline:20", ("openclaw-nb", "offline:20")),
        ("openai-chat:gpt-5", ("openai-chat", "gpt-5")), ("openai-chat:", ("openclaw-nb", "openai-chat:")),
        ("ollama:llama3.2:7b", ("ollama", "llama3.2:7b")),
    ],
)  # fmt: skip
def test_a_model_by_provider_and_id(name: str, parts: tuple[str, str]) -> None:
    assert split_model(name) == parts


def test_models_and_sessions() -> None:
    first, second = models_told(["offline", "anthropic:claude"])["models"]
    assert (first["id"], first["provider"], first["tags"]) == ("offline", "openclaw-nb", ["default"])
    assert [level["id"] for level in second["thinkingLevels"]] == ["off", "low", "medium", "high"]
    card = Card("main", "s", updated=5, tokens=(1, 2), status="killed", shown={"verboseLevel": "on"})
    row = row_of(card, "offline", running=True)
    assert (row["totalTokens"], row["abortedLastRun"], row["hasActiveRun"], row["verboseLevel"]) == (
        3,
        True,
        True,
        "on",
    )
    assert "label" not in row


@asynchronous
async def test_nothing_of_it_is_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No token, key, path, or name of the machine or its user, whoever asks for what."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-told-0123456789")
    token_file = tmp_path / "tokens-of-somebody"
    async with Gateway(model=Counted("one"), token_file=token_file) as gateway, dialled(gateway) as raw:
        await raw.send(hello(gateway.token, scopes=["operator.admin"]))
        let = await raw.reply("hello")
        words = json.dumps([let, *[await told(raw, method) for method in TOLD]])
        said = [gateway.token, "sk-not-to-be", str(tmp_path), str(Path.home()), os.getcwd(), socket.gethostname()]
        for secret in (*said, "/home/", "/tmp/", "127.0.0.1"):
            assert secret not in words, secret
        if len(user := getpass.getuser()) > 4:
            assert user not in words


@asynchronous
async def test_what_hello_tells_is_what_the_schema_asks_for() -> None:
    async with Gateway(model=Counted("one")) as gateway, dialled(gateway) as raw:
        await raw.send(hello(gateway.token))
        payload = (await raw.reply("hello"))["payload"]
        assert payload["snapshot"].keys() >= {"presence", "health", "stateVersion", "uptimeMs"}
        assert payload["snapshot"]["health"]["ok"] is True
        assert set(TOLD) <= set(payload["features"]["methods"])
        assert payload["policy"].keys() >= {"maxPayload", "maxBufferedBytes", "tickIntervalMs"}
        presence = await told(raw, "system-presence")
        assert [entry["mode"] for entry in presence] == ["gateway", "backend"]
        assert presence[1]["scopes"] == ["operator.read", "operator.write"]


@asynchronous
async def test_all_of_it_needs_a_scope() -> None:
    async with Gateway(model=Counted("one")) as gateway, let_in(gateway, scopes=[]) as raw:
        for method in TOLD:
            assert (await raw.ask(method))["error"]["message"] == "missing scope: operator.read"
        assert (await raw.ask("no.such"))["error"]["message"] == "unknown method: no.such"
