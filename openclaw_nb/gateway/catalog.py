"""What a gateway tells of itself in OpenClaw's words: models, agents, sessions, health, status, and no secret."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ..models.catalog import PROVIDERS
from ..version import __version__
from .cards import Card

__all__ = [
    "EMPTY",
    "THINKING",
    "agents_told",
    "config_told",
    "defaults_told",
    "health_told",
    "models_told",
    "row_of",
    "split_model",
    "status_told",
]

THINKING = ("off", "low", "medium", "high")
"""The words for levels 1 to 4."""

DEFAULT_THINKING = "low"

EMPTY: dict[str, Any] = {
    "channels.status": {"channels": {}, "channelOrder": [], "channelLabels": {}, "channelAccounts": {}},
    "cron.list": {"jobs": []},
    "exec.approval.list": [],
    "last-heartbeat": None,
    "node.list": {"nodes": []},
    "plugin.approval.list": [],
    "question.list": {"questions": []},
    "taskSuggestions.list": {"suggestions": []},
}
"""Methods of what there is none of here, with the answer that says so."""

_LEVELS = {
    "thinkingLevels": [{"id": word, "label": word} for word in THINKING],
    "thinkingOptions": list(THINKING),
    "thinkingDefault": DEFAULT_THINKING,
}


def split_model(name: str) -> tuple[str, str]:
    """(provider, id) of a model's name as OpenClaw writes them apart."""
    provider, _, id = name.partition(":")
    return (provider, id) if id and provider in PROVIDERS else ("openclaw-nb", name)


def models_told(names: Sequence[str]) -> dict[str, Any]:
    """The payload of `models.list`; the first is the default."""
    models = []
    for name in names:
        provider, id = split_model(name)
        levels = {key: _LEVELS[key] for key in ("thinkingLevels", "thinkingDefault")}
        models.append({"id": id, "name": name, "provider": provider, "reasoning": True, **levels, "available": True})
    models[0]["tags"] = ["default"]
    return {"models": models}


def agents_told(ids: Sequence[str], model: str) -> dict[str, Any]:
    """The payload of `agents.list`."""
    primary = "/".join(split_model(model))
    agents = [{"id": id, "name": id, "model": {"primary": primary}, **_LEVELS} for id in ids]
    return {"defaultId": "main", "mainKey": "main", "scope": "per-sender", "agents": agents}


def defaults_told(model: str) -> dict[str, Any]:
    """What sessions have that were given nothing else."""
    provider, id = split_model(model)
    return {"modelProvider": provider, "model": id, "contextTokens": None, **_LEVELS}


def row_of(card: Card, model: str, *, running: bool = False) -> dict[str, Any]:
    """A session as `sessions.list` tells it; ``model`` is the gateway's own."""
    provider, id = split_model(card.model or model)
    read, written = card.tokens
    row = {
        "key": card.key, "kind": "direct", "classification": "direct", "chatType": "direct", "agentId": card.agent,
        "isMain": card.session == "main", "sessionId": card.id, "createdAt": card.created,
        "updatedAt": card.updated or None, "archived": False, "pinned": False, "unread": False, "systemSent": True,
        "abortedLastRun": card.status == "killed", **_LEVELS, "modelProvider": provider, "model": id,
        "inputTokens": read, "outputTokens": written, "totalTokens": read + written, "totalTokensFresh": True,
        "estimatedCostUsd": card.cost, "contextTokens": None, "hasActiveRun": running, **card.shown,
    }  # fmt: skip
    more = {"label": card.label, "thinkingLevel": card.thinking, "status": card.status, "lastRunId": card.run}
    return row | {key: value for key, value in more.items() if value}


def health_told(cards: Sequence[Card], ids: Sequence[str], runs: int) -> dict[str, Any]:
    """The payload of `health`; ``runs`` is how many are known here, at work or ended."""
    now = int(time.time() * 1000)
    return {
        "ok": True, "ts": now, "durationMs": 0, "runs": runs, "channels": {}, "channelOrder": [], "channelLabels": {},
        "heartbeatSeconds": 0, "defaultAgentId": "main", "sessions": _sessions(cards, now),
        "agents": [
            {"agentId": id, "isDefault": id == "main", "heartbeat": _NO_HEARTBEAT,
             "sessions": _sessions([card for card in cards if card.agent == id], now)}
            for id in ids
        ],
    }  # fmt: skip


def status_told(cards: Sequence[Card], ids: Sequence[str], model: str) -> dict[str, Any]:
    """The payload of `status`."""
    now = int(time.time() * 1000)
    recent = [_recent(card, model, now) for card in cards[:RECENT]]
    by_agent = [
        {"agentId": id, "path": "", "count": sum(card.agent == id for card in cards),
         "recent": [row for row in recent if row["agentId"] == id]}
        for id in ids
    ]  # fmt: skip
    return {
        "runtimeVersion": __version__, "channelSummary": [], "queuedSystemEvents": [],
        "heartbeat": {"defaultAgentId": "main", "agents": [{"agentId": id, **_NO_HEARTBEAT} for id in ids]},
        "sessions": {
            "paths": [], "count": len(cards), "recent": recent, "byAgent": by_agent,
            "defaults": {"model": split_model(model)[1], "contextTokens": None},
        },
    }  # fmt: skip


def config_told(model: str, ids: Sequence[str], *, tls: bool) -> dict[str, Any]:
    """The payload of `config.get`: what a file would say that made this gateway, without paths, tokens and keys."""
    config = {
        "gateway": {"mode": "local", "bind": "loopback", "auth": {"mode": "token"}, "tls": {"enabled": tls}},
        "agents": {
            "defaults": {"model": {"primary": "/".join(split_model(model))}, "thinkingDefault": DEFAULT_THINKING},
            "list": [{"id": id, "default": id == "main"} for id in ids],
        },
    }
    return {
        "path": "", "exists": True, "valid": True, "parsed": config, "resolved": config, "config": config,
        "issues": [], "warnings": [], "legacyIssues": [],
    }  # fmt: skip


RECENT = 5
"""Sessions that health and status name."""

_NO_HEARTBEAT = {"enabled": False, "every": "disabled", "everyMs": None}


def _sessions(cards: Sequence[Card], now: int) -> dict[str, Any]:
    recent = [{"key": card.key, "updatedAt": card.updated, "age": now - card.updated} for card in cards[:RECENT]]
    return {"path": "", "count": len(cards), "recent": recent}


def _recent(card: Card, model: str, now: int) -> dict[str, Any]:
    row = row_of(card, model)
    keys = (
        "agentId", "key", "kind", "sessionId", "updatedAt", "abortedLastRun", "inputTokens", "outputTokens",
        "totalTokens", "totalTokensFresh", "model", "contextTokens",
    )  # fmt: skip
    flags = [f"think:{card.thinking}"] if card.thinking else []
    return {key: row[key] for key in keys} | {"age": now - card.updated, "percentUsed": None, "flags": flags}
