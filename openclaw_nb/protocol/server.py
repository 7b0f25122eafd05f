"""ServerSession, one connection at the gateway as a state machine: messages go in, instructions come out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..door import Locked
from .frames import (
    CAPABILITIES,
    MAX_FRAME,
    MAX_HELLO,
    PROTOCOLS,
    SCOPES,
    TICK,
    BadFrame,
    ConnectParams,
    Event,
    Request,
    Response,
    decode_request,
    encode,
    read_params,
)

__all__ = ["Call", "Close", "Instruction", "Send", "ServerSession"]


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

    ``authorize`` says whether a token is valid, or raises Locked.
    """

    def __init__(
        self, *, conn_id: str, nonce: str, version: str, methods: Sequence[str], authorize: Callable[[str | None], bool]
    ) -> None:
        self.conn_id = conn_id
        self.protocol: int | None = None
        self.caps: frozenset[str] = frozenset()
        self.scopes: tuple[str, ...] = ()
        self.limit = MAX_HELLO
        """Bytes of the largest message taken now."""
        self._nonce = nonce
        self._version = version
        self._methods = list(methods)
        self._authorize = authorize
        self._seq = 0

    @property
    def authenticated(self) -> bool:
        return self.protocol is not None

    def challenge(self, now: float) -> bytes:
        """The first frame of every connection; ``now`` in Unix seconds."""
        return encode(Event("connect.challenge", {"nonce": self._nonce, "ts": int(now * 1000)}))

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
            return self._refuse(request, "INVALID_REQUEST", "the first request must be connect")
        params = read_params(request, ConnectParams)
        common = [version for version in PROTOCOLS if params.min_protocol <= version <= params.max_protocol]
        if not common:
            details = {"code": "PROTOCOL_MISMATCH", "expectedProtocol": PROTOCOLS[-1]}
            return self._refuse(request, "INVALID_REQUEST", "protocol mismatch", details, close=1002)
        try:
            if not self._authorize(params.auth.token if params.auth else None):
                details = {"code": "AUTH_TOKEN_MISMATCH"}
                sentence = "unauthorized: gateway token mismatch (provide gateway auth token)"
                return self._refuse(request, "INVALID_REQUEST", sentence, details)
        except Locked as lock:
            details = {"code": lock.code, "retryAfterMs": math.ceil(lock.retry_after * 1000)}
            return self._refuse(request, "INVALID_REQUEST", str(lock), details)
        if params.role != "operator":
            return self._refuse(request, "INVALID_REQUEST", f"role {params.role!r} is not served here")
        self.protocol, self.limit = common[-1], MAX_FRAME
        self.caps = frozenset(params.caps) & frozenset(CAPABILITIES)
        self.scopes = tuple(scope for scope in SCOPES if scope in params.scopes)
        return [Send(encode(Response(request.id, True, self._hello())))]

    def _hello(self) -> dict[str, Any]:
        return {
            "type": "hello-ok",
            "protocol": self.protocol,
            "server": {"version": self._version, "connId": self.conn_id},
            "features": {
                "methods": self._methods,
                "events": ["connect.challenge", "agent", "chat", "tick", "shutdown"],
                "capabilities": sorted(self.caps),
            },
            "snapshot": {},
            "auth": {"method": "token", "role": "operator", "scopes": list(self.scopes)},
            "policy": {"maxPayload": MAX_FRAME, "tickIntervalMs": int(TICK * 1000)},
        }

    def _refuse(
        self, request: Request, code: str, message: str, details: dict[str, Any] | None = None, close: int = 1008
    ) -> list[Instruction]:
        return [Send(_refusal(request.id, code, message, details)), Close(close, message[:100])]


def _refusal(id: str, code: str, message: str, details: dict[str, Any] | None = None) -> bytes:
    error: dict[str, Any] = {"code": code, "message": message}
    if details:
        error["details"] = details
    return encode(Response(id, False, error=error))
