"""The agents and models that a gateway elsewhere has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..client import OpenClawClient
from ..errors import ConfigError, nearest
from .reading import amount, mapping, members, text

__all__ = ["RemoteAgent", "RemoteModel", "check_agents", "list_agents", "list_models"]


@dataclass(frozen=True, slots=True)
class RemoteAgent:
    """One agent; ``default`` is the one that is asked where none is named. What is not told is ""."""

    id: str
    name: str = ""
    model: str = ""
    default: bool = False


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """One model. ``id`` is "provider/model"; ``window`` are tokens of context.

    ``thinking`` are the levels that it offers in the gateway's words, None where the gateway does not tell them;
    ``reasoning`` and ``available`` are None where that is not told.
    """

    id: str
    name: str = ""
    window: int | None = None
    reasoning: bool | None = None
    thinking: tuple[str, ...] | None = None
    available: bool | None = None
    default: bool = False


async def list_agents(client: OpenClawClient) -> tuple[RemoteAgent, ...]:
    """All agents, in the gateway's order."""
    told = mapping(await client.request("agents.list", {}))
    default = text(told.get("defaultId"))
    return tuple(
        RemoteAgent(
            id,
            text(one.get("name")) or text(mapping(one.get("identity")).get("name")),
            text(mapping(one.get("model")).get("primary")) or text(one.get("model")),
            id == default,
        )
        for one in members(told.get("agents"))
        if (id := text(one.get("id")))
    )


async def check_agents(client: OpenClawClient, *names: str) -> None:
    """ConfigError for a name that no agent there has: a gateway of protocol 3 answers in its name all the same."""
    known = {agent.id: agent for agent in await list_agents(client)}
    for name in names:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise ConfigError(
                f"the gateway at {client.uri} has no agent {name!r}; there are {there}{nearest(name, known)}"
            )


async def list_models(client: OpenClawClient) -> tuple[RemoteModel, ...]:
    """The models that can be chosen there, in the gateway's order."""
    told = mapping(await client.request("models.list", {}))
    return tuple(_model(one) for one in members(told.get("models")) if text(one.get("id")))


def _model(told: Mapping[str, Any]) -> RemoteModel:
    id, provider = text(told.get("id")), text(told.get("provider"))
    levels, tags, window = told.get("thinkingLevels"), told.get("tags"), amount(told.get("contextWindow"))
    return RemoteModel(
        id=f"{provider}/{id}" if provider else id,
        name=text(told.get("name")),
        window=None if window is None else int(window),
        reasoning=_flag(told.get("reasoning")),
        thinking=tuple(text(one.get("id")) for one in members(levels)) if isinstance(levels, list) else None,
        available=_flag(told.get("available")),
        default="default" in tags if isinstance(tags, list) else False,
    )


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
