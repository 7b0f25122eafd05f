"""ServerSession, one connection at the gateway as a state machine: messages go in, instructions come out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..door import Locked
from .devices import find_flaw
from .frames import (
    CAPABILITIES,
    MAX_FRAME,
    MAX_HELLO,
    PROTOCOLS,
    TICK,
    BadFrame,
    ConnectClient,
    ConnectParams,
    Event,
    Request,
    Response,
    decode_request,
    encode,
    read_params,
)

__all__ = ["GRANTED", "MAX_BUFFERED", "Call", "Close", "Instruction", "Send", "ServerSession"]

GRANTED = ("operator.admin", "operator.approvals", "operator.read", "operator.write")
"""What the gateway's token can open, to who asks for it; a client that asks for more gets these."""

TRUSTED = {("cli", "cli"), ("cli", "probe"), ("gateway-client", "backend")}
"""Ids and modes of clients that need no device to get what they ask for, as at a real gateway on loopback."""

MAX_BUFFERED = 52_428_800
"""Bytes that a client may leave unread, as a real gateway announces it; here it is told less often instead."""

EVENTS = (
    "connect.challenge", "agent", "chat", "presence", "session.message", "sessions.changed", "shutdown", "tick",
)  # fmt: skip


def _nothing() -> dict[str, Any]:
    return {}


class Send(msgspec.Struct, frozen=True):
    """Send these bytes."""

    data: bytes


class Close(msgspec.Struct, frozen=True):
    """Close the connection, after what was sent before."""

    code: int
    reason: str


class Call(msgspec.Struct, frozen=True):
    """Carry out this request of an authenticated client and answer it."""

    request: Request


Instruction = Send | Close | Call


class ServerSession:
    """One connection at the gateway: challenge, connect, then calls; it numbers the events it sends.

    ``authorize`` says whether a token is valid, or raises Locked; ``snapshot`` is what a client that is let in learns.
    """

    def __init__(
        self, *, conn_id: str, nonce: str, version: str, methods: Sequence[str],
        authorize: Callable[[str | None], bool], snapshot: Callable[[], dict[str, Any]] = _nothing,
    ) -> None:  # fmt: skip
        self.conn_id = conn_id
        self.protocol: int | None = None
        self.caps: frozenset[str] = frozenset()
        self.scopes: tuple[str, ...] = ()
        self.client = ConnectClient("")
        """What the client says of itself, once it is let in."""
        self.device = ""
        """The id of the device whose key it has proven to have."""
        self.tools = False
        """Whether it wants to be told of tool calls."""
        self.limit = MAX_HELLO
        """Bytes of the largest message taken now."""
        self._nonce = nonce
        self._version = version
        self._methods = list(methods)
        self._authorize = authorize
        self._snapshot = snapshot
        self._challenged = 0
        self._seq = 0

    @property
    def authenticated(self) -> bool:
        return self.protocol is not None

    @property
    def ours(self) -> bool:
        """Whether the client is one of ours, which takes deltas with offsets."""
        return "nb.offset" in self.caps

    def may(self, scope: str) -> bool:
        """Whether what was granted covers ``scope``: admin is everything, and who may write may read."""
        granted = self.scopes
        return (
            scope in granted
            or "operator.admin" in granted
            or (scope == "operator.read" and "operator.write" in granted)
        )

    def challenge(self, now: float) -> bytes:
        """The first frame of every connection; ``now`` in Unix seconds."""
        self._challenged = int(now * 1000)
        return encode(Event("connect.challenge", {"nonce": self._nonce, "ts": self._challenged}))

    def event(self, name: str, payload: Any) -> bytes:
        self._seq += 1
        return encode(Event(name, payload, self._seq))

    def receive(self, raw: bytes) -> list[Instruction]:
        """What to do about one text message."""
        if len(raw) > self.limit:
            return [Close(1009, f"message above {self.limit} bytes")]
        try:
            request = decode_request(raw)
            if self.authenticated:
                return [Call(request)]
            return self._connect(request)
        except BadFrame as error:
            refusal = Send(_refusal(error.id, error.code, str(error)))
            return [refusal] if self.authenticated else [refusal, Close(1008, "invalid request frame")]

    def _connect(self, request: Request) -> list[Instruction]:
        if request.method != "connect":
            return self._refuse(request, "the first request must be connect")
        params = read_params(request, ConnectParams)
        common = [version for version in PROTOCOLS if params.min_protocol <= version <= params.max_protocol]
        if not common:
            details: dict[str, Any] = {
                "code": "PROTOCOL_MISMATCH", "clientMinProtocol": params.min_protocol,
                "clientMaxProtocol": params.max_protocol, "expectedProtocol": PROTOCOLS[-1],
            }  # fmt: skip
            return self._refuse(request, "protocol mismatch", details, close=1002)
        if params.role != "operator":
            return self._refuse(request, f"role {params.role!r} is not served here")
        if (refusal := self._refusal_of(params)) is not None:
            return self._refuse(request, *refusal)
        self.protocol, self.limit = common[-1], MAX_FRAME
        self.caps = frozenset(params.caps) & frozenset(CAPABILITIES)
        self.tools = "tool-events" in params.caps
        self.client = params.client
        if self.device or (params.client.id, params.client.mode) in TRUSTED:
            self.scopes = tuple(scope for scope in GRANTED if scope in params.scopes)
        return [Send(encode(Response(request.id, True, self._hello())))]

    def _refusal_of(self, params: ConnectParams) -> tuple[str, dict[str, Any]] | None:
        """Why this client is not let in, as (sentence, details), or None: its token first, then its device."""
        token = params.auth.token if params.auth else None
        try:
            if not self._authorize(token):
                why = "mismatch" if token else "missing"
                details = {"code": f"AUTH_TOKEN_{why.upper()}", "authReason": f"token_{why}"}
                return f"unauthorized: gateway token {why} (provide gateway auth token)", details
        except Locked as lock:
            return str(lock), {"code": lock.code, "retryAfterMs": math.ceil(lock.retry_after * 1000)}
        if params.device is None:
            return None
        flaw = find_flaw(
            params.device, params.client, role=params.role, scopes=params.scopes, token=token, nonce=self._nonce,
            now=self._challenged,
        )  # fmt: skip
        if flaw is not None:
            return flaw.message, {"code": flaw.code, "reason": flaw.reason}
        self.device = str(params.device["id"])
        return None

    def _hello(self) -> dict[str, Any]:
        return {
            "type": "hello-ok",
            "protocol": self.protocol,
            "server": {"version": self._version, "connId": self.conn_id},
            "features": {
                "methods": self._methods,
                "events": list(EVENTS),
                "capabilities": sorted(self.caps),
            },
            "snapshot": {} if self.ours else self._snapshot(),
            "auth": {"method": "token", "role": "operator", "scopes": list(self.scopes)},
            "policy": {
                "maxPayload": MAX_FRAME, "maxBufferedBytes": MAX_BUFFERED, "tickIntervalMs": int(TICK * 1000),
            },
        }  # fmt: skip

    def _refuse(
        self, request: Request, message: str, details: dict[str, Any] | None = None, close: int = 1008
    ) -> list[Instruction]:
        return [Send(_refusal(request.id, "INVALID_REQUEST", message, details)), Close(close, message[:100])]


def _refusal(id: str, code: str, message: str, details: dict[str, Any] | None = None) -> bytes:
    error: dict[str, Any] = {"code": code, "message": message}
    if details:
        error["details"] = details
    return encode(Response(id, False, error=error))
