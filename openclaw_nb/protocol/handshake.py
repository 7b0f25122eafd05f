"""The handshake, as a client sees it: by what it asks to be let in, what it is told then, and why it is not let in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from reprlib import Repr
from typing import Any, Protocol

from ..errors import AuthError, ConnectionLost, OpenClawError, ProtocolError, RequestError, one_line
from .frames import PROTOCOLS, TICK

__all__ = ["LARGEST", "PAIRING", "Hello", "Proof", "duration", "read_hello", "read_refusal"]

LARGEST = 2**53
"""Numbers of a gateway are taken below this, where a float is still exact."""

LONGEST_TICK = 3600.0
"""Seconds between ticks, however long a gateway says."""

LONGEST_LOCK = 60.0
"""Seconds a gateway's lock is waited for at most before the next attempt."""

SLACK = 5_000.0
"""Milliseconds by which a gateway's clock and ours may differ before it counts as restarted."""

PAIRING = "PAIRING_REQUIRED"
"""The code of a refusal that ends once the gateway's owner approves this computer."""

_TOKEN = re.compile(r"[!-~]{1,4096}")
_REQUEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")

_OURS = "nb."
"""What the names of capabilities begin with that only this package's own gateways have."""

_short = Repr()


@dataclass(frozen=True, slots=True)
class Hello:
    """The gateway let us in.

    ``version`` is its own, "" where it tells none, and ``methods`` are those that it has. ``scopes`` are what we may do
    there, None where it does not say; ``policy`` are its limits. ``boot`` names this life of it, "" if nothing does,
    and ``uptime`` is how long that lasts, in milliseconds. ``default_agent`` is who is asked where
    nobody is named. ``device_token`` is a secret for this device, or "".
    """

    protocol: int
    capabilities: frozenset[str]
    tick: float
    version: str = ""
    methods: frozenset[str] = field(default=frozenset(), repr=False)
    scopes: frozenset[str] | None = None
    policy: Mapping[str, Any] = field(default_factory=dict, repr=False)
    boot: str = ""
    uptime: float = 0.0
    default_agent: str = "main"
    device_token: str = field(default="", repr=False)

    @property
    def is_ours(self) -> bool:
        """Whether it is a gateway of this package."""
        return any(capability.startswith(_OURS) for capability in self.capabilities)

    def is_another_life(self, before: Hello, elapsed: float) -> bool:
        """Whether the gateway was restarted since an earlier hello, so many milliseconds before this one."""
        return before.boot != self.boot or self.uptime < before.uptime + elapsed - SLACK


class Proof(Protocol):
    """By what a client is let in."""

    @property
    def secrets(self) -> Sequence[str]:
        """What must never be shown, whoever says it."""

    def challenged(self, challenge: Mapping[str, Any]) -> None:
        """What the gateway says before it is told anything, by which its kind may be known."""

    def answer(self, nonce: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """``auth`` and ``device`` of the connect params, where there are any; ``request`` are its other params."""

    def let_in(self, hello: Hello) -> None:
        """The gateway takes it; AuthError where another proof would open more."""


def read_hello(payload: Any) -> Hello:
    """The payload of hello-ok; ProtocolError where it cannot be read, or another version was chosen than was offered.

    Only protocol and capabilities decide anything; the others are taken as far as they can be read.
    """
    try:
        features, policy = payload.get("features", {}), payload.get("policy", {})
        capabilities = frozenset(map(str, features.get("capabilities", ())))
        protocol, tick = payload["protocol"], duration(policy.get("tickIntervalMs"))
    except (AttributeError, KeyError, TypeError):
        raise ProtocolError("the gateway's hello-ok cannot be read") from None
    if type(protocol) is not int or protocol not in PROTOCOLS:
        raise ProtocolError(f"the gateway chose protocol {_short.repr(protocol)}, which was not offered")
    auth, server, snapshot = (_table(payload.get(name)) for name in ("auth", "server", "snapshot"))
    scopes, token = auth.get("scopes"), auth.get("deviceToken")
    return Hello(
        protocol, capabilities, TICK if tick is None else min(max(tick / 1000, 1.0), LONGEST_TICK),
        version=one_line(server.get("version", ""), 40), methods=frozenset(_words(features.get("methods"))),
        scopes=frozenset(_words(scopes)) if isinstance(scopes, list) else None,
        policy=_table(policy), boot=str(server.get("bootId", "")),
        uptime=duration(snapshot.get("uptimeMs")) or 0.0,
        default_agent=str(_table(snapshot.get("sessionDefaults")).get("defaultAgentId") or "main"),
        device_token=token if isinstance(token, str) and _TOKEN.fullmatch(token) else "",
    )  # fmt: skip


def read_refusal(error: Mapping[str, Any], refused: RequestError) -> OpenClawError:
    """What it means that connect was ``refused`` with this error: whether it passes, and what the gateway wants."""
    details = _table(error.get("details"))
    reason = details.get("code")
    if refused.code == "UNAVAILABLE":
        return _starting(error)
    if reason == "AUTH_RATE_LIMITED":
        return _locked(error, details)
    if reason == "PROTOCOL_MISMATCH" or "expectedProtocol" in details:
        return ProtocolError(f"the gateway speaks another protocol version ({PROTOCOLS[0]} to {PROTOCOLS[-1]} here)")
    sentence = _ask_owner(details) if reason == PAIRING else f"the gateway does not let us in: {refused}"
    why = AuthError(sentence, code=one_line(reason or refused.code))
    why.details = {name: one_line(word) for name, word in details.items() if isinstance(word, str)}
    return why


def _ask_owner(details: Mapping[str, Any]) -> str:
    """Who has to do what so that this computer is let in; what a gateway puts into a command is looked at first."""
    request = details.get("requestId")
    known = details.get("reason", "not-paired") == "not-paired"
    asks = "has to let this computer in" if known else "has to allow this computer what it asks for now"
    run = "openclaw devices list, and openclaw devices approve REQUEST-ID"
    if isinstance(request, str) and _REQUEST.fullmatch(request):
        run = f"openclaw devices approve {request}"
    return f"the owner of the gateway {asks}, by running there: {run}"


def _starting(error: Mapping[str, Any]) -> ConnectionLost:
    """2026.9.6 listens before it can be used."""
    starting = ConnectionLost("the gateway is starting")
    milliseconds = duration(error.get("retryAfterMs")) or 1000.0
    starting.is_starting, starting.retry_after = True, min(max(milliseconds / 1000, 0.1), LONGEST_LOCK)
    return starting


def _locked(error: Mapping[str, Any], details: Mapping[str, Any]) -> ConnectionLost:
    """Somebody at this address guessed tokens, perhaps not us: it opens again by itself."""
    locked = ConnectionLost("too many wrong tokens were tried at this gateway; it lets nobody in for a while")
    milliseconds = duration(details.get("retryAfterMs")) or duration(error.get("retryAfterMs")) or 0.0
    locked.retry_after = min(milliseconds / 1000, LONGEST_LOCK)
    return locked


def duration(value: Any) -> float | None:
    """A gateway's word for how long, in its own unit, or None where it is none."""
    return float(value) if type(value) in (int, float) and 0 <= value < LARGEST else None


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _words(value: Any) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
