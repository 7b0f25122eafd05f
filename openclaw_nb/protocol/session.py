"""ClientSession, one client as a state machine: frames go in, frames to send and what happened come out.

It lives across the client's reconnects, so it knows how much of every run is here and asks for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from reprlib import Repr
from typing import Any

from ..errors import AuthError, ConnectionLost, OpenClawError, ProtocolError, RequestError, one_line
from .frames import (
    CAPABILITIES,
    PROTOCOLS,
    SCOPES,
    TICK,
    Request,
    Response,
    decode_server_frame,
    encode,
)

__all__ = [
    "ClientSession",
    "Gap",
    "Happened",
    "Hello",
    "Reply",
    "RunCursor",
    "RunEnded",
    "RunStep",
    "RunText",
    "Shutdown",
    "message_text",
]


LARGEST = 2**53
"""Numbers of a gateway are taken below this, where a float is still exact."""

LONGEST_TICK = 3600.0
"""Seconds between ticks, however long a gateway says."""

_short = Repr()

SECRET = 8
"""Characters from which on a token is masked in a gateway's words; a shorter one may be a part of any word."""

LONGEST_LOCK = 60.0
"""Seconds a gateway's lock is waited for at most before the next attempt."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The gateway let us in."""

    protocol: int
    capabilities: frozenset[str]
    tick: float


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the request ``id``: a payload, or the error it was refused with."""

    id: str
    payload: Any = None
    error: OpenClawError | None = None


@dataclass(frozen=True, slots=True)
class RunText:
    run_id: str
    offset: int
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class RunStep:
    run_id: str
    key: str
    title: str
    offset: int
    text: str
    tokens: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class RunEnded:
    """``state`` is final, aborted or error; ``facts`` is the payload."""

    run_id: str
    state: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gap:
    """The gateway is ahead of us: text from ``have`` on is missing and must be asked for."""

    run_id: str
    have: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The gateway is going away; it says why."""

    reason: str


Happened = Hello | Reply | RunText | RunStep | RunEnded | Gap | Shutdown


@dataclass(slots=True)
class RunCursor:
    """How much of one run is here, in code points; ``text`` is kept only for gateways without offsets."""

    have: int = 0
    tokens: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    text: str = ""


class ClientSession:
    """One client across its connections: request ids, the handshake, and a cursor for every run in flight."""

    def __init__(self, *, token: str | None, version: str, platform: str) -> None:
        self._token = token
        self._version = version
        self._platform = platform
        self._next_id = 0
        self._connect_id: str | None = None
        self.hello: Hello | None = None
        self.runs: dict[str, RunCursor] = {}

    def __repr__(self) -> str:
        return f"<ClientSession protocol={self.hello.protocol if self.hello else None} runs={len(self.runs)}>"

    def can(self, capability: str) -> bool:
        """Whether the gateway is there and agreed on ``capability``."""
        return self.hello is not None and capability in self.hello.capabilities

    def disconnected(self) -> None:
        """The link is gone; the next one begins with its own handshake."""
        self.hello = self._connect_id = None

    def request(self, method: str, params: dict[str, Any]) -> tuple[str, bytes]:
        """A new request, as (id, bytes)."""
        self._next_id += 1
        id = str(self._next_id)
        return id, encode(Request(id, method, params))

    def connect(self) -> bytes:
        """The connect request that answers the gateway's challenge."""
        self._connect_id, data = self.request("connect", {
            "minProtocol": PROTOCOLS[0],
            "maxProtocol": PROTOCOLS[-1],
            "client": {
                "id": "gateway-client", "version": self._version, "platform": self._platform, "mode": "backend",
            },
            "role": "operator",
            "scopes": list(SCOPES),
            "caps": ["tool-events", *CAPABILITIES],
            **({"auth": {"token": self._token}} if self._token is not None else {}),
        })  # fmt: skip
        return data

    def receive(self, raw: bytes) -> Iterator[bytes | Happened]:
        """Frames to send back, and what happened, in order. Raises AuthError or ProtocolError when not let in."""
        frame = decode_server_frame(raw)
        if isinstance(frame, Response):
            yield from self._response(frame)
            return
        payload = frame.payload if isinstance(frame.payload, dict) else {}
        match frame.event:
            case "connect.challenge" if self._connect_id is None:
                yield self.connect()
            case "chat":
                yield from self._chat(payload)
            case "agent":
                yield from self._agent(payload)
            case "shutdown":
                yield Shutdown(self._said(payload.get("reason", "")))

    def _response(self, frame: Response) -> Iterator[Happened]:
        error = None if frame.ok else self._error(frame.error or {})
        if frame.id == self._connect_id:
            if error is not None:
                refused = _not_let_in(frame.error or {}, error)
                refused.code = self._said(refused.code)
                raise refused
            self.hello = _read_hello(frame.payload)
            yield self.hello
        else:
            yield Reply(frame.id, frame.payload, error)

    def _said(self, words: object) -> str:
        """A gateway's words, to be shown and saved: without terminal escapes, and without our token."""
        said, token = str(words), self._token or ""
        return one_line(said.replace(token, "***") if len(token) >= SECRET else said)

    def _error(self, error: dict[str, Any]) -> RequestError:
        code = self._said(error.get("code", "INVALID_REQUEST"))
        return RequestError(self._said(error.get("message", "refused")), code=code)

    def _chat(self, payload: dict[str, Any]) -> Iterator[Happened]:
        run_id = payload.get("runId")
        cursor = self.runs.get(run_id) if isinstance(run_id, str) else None
        if cursor is None or not isinstance(run_id, str):
            return
        state = payload.get("state")
        if "offset" in payload:
            yield from self._text_at(run_id, cursor, payload)
        elif isinstance(payload.get("message"), dict):
            yield from self.catch_up(run_id, message_text(payload["message"]))
        if state in ("final", "aborted", "error"):
            if (_count(payload.get("length")) or 0) > cursor.have:
                yield Gap(run_id, cursor.have)
            else:
                del self.runs[run_id]
                if "errorMessage" in payload:
                    payload["errorMessage"] = self._said(payload["errorMessage"])
                yield RunEnded(run_id, state, payload)

    def _text_at(self, run_id: str, cursor: RunCursor, payload: dict[str, Any]) -> Iterator[Happened]:
        offset, text = _count(payload["offset"]), payload.get("deltaText")
        if offset is None or not isinstance(text, str):
            raise ProtocolError("a chat delta needs an offset, counted from 0, and a text")
        if offset > cursor.have:
            yield Gap(run_id, cursor.have)
            return
        tokens = _count(payload.get("tokens"))
        cursor.tokens = cursor.tokens + 1 if tokens is None else max(cursor.tokens, tokens)
        if fresh := text[cursor.have - offset :]:
            at, cursor.have = cursor.have, cursor.have + len(fresh)
            yield RunText(run_id, at, fresh, cursor.tokens)

    def catch_up(self, run_id: str, text: str) -> Iterator[RunText]:
        """The whole text of a run so far, from a gateway that tells no offsets: what of it is new here."""
        cursor = self.runs.get(run_id)
        if cursor is not None and len(text) > cursor.have and text.startswith(cursor.text):
            at, cursor.have, cursor.text = cursor.have, len(text), text
            cursor.tokens += 1
            yield RunText(run_id, at, text[at:], cursor.tokens)

    def _agent(self, payload: dict[str, Any]) -> Iterator[Happened]:
        run_id, data = payload.get("runId"), payload.get("data")
        cursor = self.runs.get(run_id) if isinstance(run_id, str) else None
        if cursor is None or payload.get("stream") != "thinking" or not isinstance(data, dict):
            return
        key = str(data.get("key", "thinking"))
        have = cursor.steps.get(key, 0)
        # A gateway without offsets tells the whole text each time.
        offset, text = _count(data.get("offset", 0)), data.get("delta" if "offset" in data else "text")
        if offset is None or not isinstance(text, str) or offset > have:
            return
        fresh = text[have - offset :]
        cursor.steps[key] = have + len(fresh)
        yield RunStep(
            str(run_id), key, str(data.get("title", key)), have, fresh, _count(data.get("tokens")) or 0,
            _duration(data.get("seconds")),
        )  # fmt: skip


def message_text(message: Mapping[str, Any]) -> str:
    """The text of a message as gateways write it: plain, or in parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _not_let_in(error: dict[str, Any], refused: RequestError) -> OpenClawError:
    details = error.get("details")
    reason = details.get("code") if isinstance(details, dict) else None
    if reason == "AUTH_RATE_LIMITED":
        return _locked(details)
    if reason == "PROTOCOL_MISMATCH":
        return ProtocolError(f"the gateway speaks another protocol version ({PROTOCOLS[0]} to {PROTOCOLS[-1]} here)")
    return AuthError(f"the gateway does not let us in: {refused}", code=str(reason or refused.code))


def _locked(details: Any) -> ConnectionLost:
    """Somebody at this address guessed tokens, perhaps not us: it opens again by itself."""
    locked = ConnectionLost("too many wrong tokens were tried at this gateway; it lets nobody in for a while")
    locked.retry_after = min((_duration(details.get("retryAfterMs")) or 0.0) / 1000, LONGEST_LOCK)
    return locked


def _count(value: Any) -> int | None:
    """A gateway's word for how many, or None where it is none."""
    return value if type(value) is int and 0 <= value < LARGEST else None


def _duration(value: Any) -> float | None:
    """A gateway's word for how long, in its own unit, or None where it is none."""
    return float(value) if type(value) in (int, float) and 0 <= value < LARGEST else None


def _read_hello(payload: Any) -> Hello:
    try:
        features = payload.get("features", {})
        policy = payload.get("policy", {})
        capabilities = frozenset(map(str, features.get("capabilities", ())))
        protocol, tick = payload["protocol"], _duration(policy.get("tickIntervalMs"))
    except (AttributeError, KeyError, TypeError):
        raise ProtocolError("the gateway's hello-ok cannot be read") from None
    if type(protocol) is not int or protocol not in PROTOCOLS:
        raise ProtocolError(f"the gateway chose protocol {_short.repr(protocol)}, which was not offered")
    return Hello(protocol, capabilities, TICK if tick is None else min(max(tick / 1000, 1.0), LONGEST_TICK))
