"""The sessions of a gateway elsewhere: which there are, and to fork one, begin it anew, or give it another model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..client import OpenClawClient
from ..errors import ConfigError, RequestError, nearest
from ..protocol.keys import read_session_key
from .catalog import list_models
from .reading import amount, mapping, members, seconds, text

__all__ = ["ADMIN", "RemoteSession", "SessionList", "fork", "list_sessions", "look", "reset", "same", "set_model"]

ADMIN = "operator.admin"
"""The scope that resetting a session needs on every version, and on protocol 3 changing one as well."""

_NO_MODEL = "model not allowed"
"""How both versions begin to refuse a model that they do not have."""

MOST = 1_000
"""Sessions that a gateway is asked for which does not say how many there are."""


@dataclass(frozen=True, slots=True)
class RemoteSession:
    """One session as its gateway tells it.

    ``tokens`` is how much of the model's context it fills, ``window`` how much there is; ``cost`` in USD; ``updated``
    in seconds since the epoch. What the gateway does not tell is "" or None.
    """

    key: str
    title: str = ""
    model: str = ""
    tokens: int | None = None
    window: int | None = None
    cost: float | None = None
    updated: float | None = None
    at_work: bool | None = None
    thinking: tuple[str, ...] = ()

    @property
    def agent(self) -> str:
        return read_session_key(self.key)[0]

    @property
    def name(self) -> str:
        """What stands behind the agent in its key."""
        return read_session_key(self.key)[1]


@dataclass(frozen=True, slots=True)
class SessionList:
    """Sessions, newest first, and how many there are in all."""

    sessions: tuple[RemoteSession, ...]
    total: int


async def list_sessions(client: OpenClawClient, limit: int = 20) -> SessionList:
    """The ``limit`` newest sessions."""
    hello = await client.hello()
    told = mapping(await client.request("sessions.list", {"limit": limit if hello.protocol > 3 else MOST}))
    found = sorted(_sessions(told), key=lambda one: one.updated or 0.0, reverse=True)
    total = amount(told.get("totalCount"))
    return SessionList(tuple(found[:limit]), max(len(found), int(total or 0)))


async def look(client: OpenClawClient, key: str) -> RemoteSession | None:
    """The session of this key; None where there is none."""
    hello = await client.hello()
    if hello.protocol > 3:
        told = mapping(await client.request("sessions.describe", {"key": key}))
        return _session(mapping(told.get("session")))
    told = mapping(await client.request("sessions.list", {"limit": MOST}))
    return next((one for one in _sessions(told) if same(one.key, key)), None)


def same(a: str, b: str) -> bool:
    """Whether two keys are of one session: real gateways write them in lower case, however they are asked for."""
    return a.lower() == b.lower()


async def fork(client: OpenClawClient, key: str, new: str) -> str:
    """Begin the session ``new`` with what was said in the session ``key``; the new one's key.

    ConfigError where there is nothing to fork or ``new`` is there already, which its gateway would write over, and at a
    gateway of protocol 3, which knows no fork.
    """
    if (hello := await client.hello()).protocol < 4:
        raise ConfigError(
            f"the gateway at {client.uri} speaks protocol {hello.protocol}, which cannot fork a session; "
            "%%openclaw --session NAME begins an empty one"
        )
    if await look(client, key) is None:
        raise ConfigError(f"there is no session {key} to fork; it begins with its first message")
    if await look(client, new) is not None:
        raise ConfigError(f"there is a session {new} already; name another one")
    wish = {"key": new, "agentId": read_session_key(new)[0], "parentSessionKey": key, "fork": True}
    return text(mapping(await client.request("sessions.create", wish)).get("key")) or new


async def reset(client: OpenClawClient, key: str) -> None:
    """Begin a session anew: its key stays, what was said in it goes into the gateway's archive.

    It needs the scope ADMIN. ConfigError where there is no such session, which its gateway would make.
    """
    if await look(client, key) is None:
        raise ConfigError(f"there is no session {key} to begin anew; it begins with its first message")
    await client.request("sessions.reset", {"key": key, "reason": "reset"})


async def set_model(client: OpenClawClient, key: str, model: str | None) -> str:
    """Have a session take another model from its next message on, None the agent's own; which it is then.

    At protocol 3 it needs the scope ADMIN. RequestError with the models that there are for one that is none of them.
    """
    try:
        told = mapping(await client.request("sessions.patch", {"key": key, "model": model}))
    except RequestError as refused:
        if model is None or not str(refused).startswith(_NO_MODEL):
            raise
        known = [one.id for one in await list_models(client)]
        there = ", ".join(known) or "none"
        raise RequestError(f"{refused}; there are {there}{nearest(model, known)}", code=refused.code) from None
    return _model(mapping(told.get("resolved"))) or model or ""


def _sessions(told: Mapping[str, Any]) -> list[RemoteSession]:
    return [one for one in map(_session, members(told.get("sessions"))) if one is not None]


def _session(told: Mapping[str, Any]) -> RemoteSession | None:
    if not (key := text(told.get("key"))):
        return None
    tokens, window = amount(told.get("totalTokens")), amount(told.get("contextTokens"))
    at_work = told.get("hasActiveRun")
    return RemoteSession(
        key=key,
        title=text(told.get("displayName")) or text(told.get("label")),
        model=_model(told),
        tokens=None if tokens is None else int(tokens),
        window=None if window is None else int(window),
        cost=amount(told.get("estimatedCostUsd")),
        updated=seconds(told.get("updatedAt")),
        at_work=at_work if isinstance(at_work, bool) else None,
        thinking=tuple(text(level.get("id")) for level in members(told.get("thinkingLevels"))),
    )


def _model(told: Mapping[str, Any]) -> str:
    """ "provider/model", as a gateway takes it again."""
    model, provider = text(told.get("model")), text(told.get("modelProvider"))
    return f"{provider}/{model}" if model and provider else model
