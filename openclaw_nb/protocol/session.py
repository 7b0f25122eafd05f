"""ClientSession, one client as a state machine: frames go in, frames to send and what happened come out.

It lives across the client's reconnects, so it knows how much of every run is here and asks for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import AuthError, OpenClawError, ProtocolError, RequestError, one_line
from .frames import (
    CAPABILITIES,
    PROTOCOLS,
    SCOPES,
    Request,
    Response,
    decode_server_frame,
    encode,
)
from .handshake import Hello, Proof, duration, read_hello, read_refusal
from .happened import Gap, Happened, Reply, RunCursor, RunEnded, RunStep, RunText, Shutdown
from .openclaw import count, told_asked, told_settled, told_whole, told_work

__all__ = ["APPROVALS", "ClientSession"]

APPROVALS = "operator.approvals"
"""The scope to be asked for leave; a gateway of ours does not give it."""

SECRET = 8
"""Characters from which on a token is masked in a gateway's words; a shorter one may be a part of any word."""


class ClientSession:
    """One client across its connections: request ids, the handshake, and a cursor for every run in flight."""

    def __init__(
        self, *, token: str | None, version: str, platform: str, proof: Proof | None = None,
        scopes: Sequence[str] = (*SCOPES, APPROVALS),
    ) -> None:  # fmt: skip
        self._token = token
        self._scopes = list(scopes)
        self._proof = proof
        self._version = version
        self._platform = platform
        self._next_id = 0
        self._connect_id: str | None = None
        self.hello: Hello | None = None
        self.runs: dict[str, RunCursor] = {}

    def __repr__(self) -> str:
        return f"<ClientSession protocol={self.hello.protocol if self.hello else None} runs={len(self.runs)}>"

    def prove_by(self, proof: Proof) -> None:
        """Be let in by this from the next handshake on."""
        self._proof = proof

    def can(self, capability: str) -> bool:
        """Whether the gateway is there and agreed on ``capability``."""
        return self.hello is not None and capability in self.hello.capabilities

    def disconnected(self) -> None:
        """The link is gone; the next one begins with its own handshake."""
        self.hello = self._connect_id = None
        for cursor in self.runs.values():
            cursor.cut = True

    def request(self, method: str, params: dict[str, Any]) -> tuple[str, bytes]:
        """A new request, as (id, bytes)."""
        self._next_id += 1
        id = str(self._next_id)
        return id, encode(Request(id, method, params))

    def connect(self, nonce: str = "") -> bytes:
        """The connect request that answers the gateway's challenge."""
        request: dict[str, Any] = {
            "minProtocol": PROTOCOLS[0],
            "maxProtocol": PROTOCOLS[-1],
            "client": {
                "id": "gateway-client", "version": self._version, "platform": self._platform, "mode": "backend",
            },
            "role": "operator",
            "scopes": self._scopes,
            "caps": ["tool-events", "exec-approvals", *CAPABILITIES],
        }  # fmt: skip
        if self._proof is not None:
            request |= self._proof.answer(nonce, request)
        elif self._token is not None:
            request["auth"] = {"token": self._token}
        self._connect_id, data = self.request("connect", request)
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
                if self._proof is not None:
                    self._proof.challenged(payload)
                yield self.connect(str(payload.get("nonce", "")))
            case "chat":
                yield from self._chat(payload)
            case "agent":
                yield from self._agent(payload)
            case "exec.approval.requested" | "plugin.approval.requested" as name:
                yield from told_asked(name.partition(".")[0], payload)
            case "exec.approval.resolved" | "plugin.approval.resolved":
                yield from told_settled(payload)
            case "shutdown":
                milliseconds = duration(payload.get("restartExpectedMs"))
                seconds = None if milliseconds is None else milliseconds / 1000
                yield Shutdown(self._said(payload.get("reason", "")), seconds)

    def _response(self, frame: Response) -> Iterator[Happened]:
        error = None if frame.ok else self._error(frame.error or {})
        if frame.id == self._connect_id:
            if error is not None:
                raise self._refused(read_refusal(frame.error or {}, error))
            hello = read_hello(frame.payload)
            if self._proof is not None:
                self._proof.let_in(hello)
            self.hello = hello
            yield self.hello
        else:
            yield Reply(frame.id, frame.payload, error)

    def _refused(self, why: OpenClawError) -> OpenClawError:
        why.code = self._said(why.code)
        if isinstance(why, AuthError):
            why.details = {name: self._said(word) for name, word in why.details.items()}
        return why

    def _said(self, words: object) -> str:
        """A gateway's words, to be shown and saved: without terminal escapes, and without our secrets."""
        said = str(words)
        for secret in (self._token or "",) if self._proof is None else self._proof.secrets:
            if len(secret) >= SECRET:
                said = said.replace(secret, "***")
        return one_line(said)

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
        else:
            yield from told_whole(run_id, cursor, payload)
        if state in ("final", "aborted", "error"):
            if (count(payload.get("length")) or 0) > cursor.have:
                yield Gap(run_id, cursor.have)
            else:
                del self.runs[run_id]
                if "errorMessage" in payload:
                    payload["errorMessage"] = self._said(payload["errorMessage"])
                yield RunEnded(run_id, state, payload, cursor)

    def _text_at(self, run_id: str, cursor: RunCursor, payload: dict[str, Any]) -> Iterator[Happened]:
        offset, text = count(payload["offset"]), payload.get("deltaText")
        if offset is None or not isinstance(text, str):
            raise ProtocolError("a chat delta needs an offset, counted from 0, and a text")
        if offset > cursor.have:
            yield Gap(run_id, cursor.have)
            return
        tokens = count(payload.get("tokens"))
        cursor.tokens = cursor.tokens + 1 if tokens is None else max(cursor.tokens, tokens)
        if fresh := text[cursor.have - offset :]:
            at, cursor.have = cursor.have, cursor.have + len(fresh)
            yield RunText(run_id, at, fresh, cursor.tokens)

    def _agent(self, payload: dict[str, Any]) -> Iterator[Happened]:
        run_id, data = payload.get("runId"), payload.get("data")
        cursor = self.runs.get(run_id) if isinstance(run_id, str) else None
        if cursor is None or not isinstance(run_id, str) or not isinstance(data, dict):
            return
        if payload.get("stream") == "thinking" and "offset" in data:
            yield from self._step_at(run_id, cursor, data)
        else:
            yield from told_work(
                run_id, cursor, payload, data, in_parts=self.hello is not None and self.hello.protocol == 3
            )

    def _step_at(self, run_id: str, cursor: RunCursor, data: dict[str, Any]) -> Iterator[Happened]:
        key, text = str(data.get("key", "thinking")), data.get("delta")
        have, offset = cursor.steps.get(key, 0), count(data["offset"])
        if offset is None or not isinstance(text, str) or offset > have:
            return
        fresh = text[have - offset :]
        cursor.steps[key] = have + len(fresh)
        yield RunStep(
            run_id, key, str(data.get("title", key)), have, fresh, count(data.get("tokens")) or 0,
            duration(data.get("seconds")),
        )  # fmt: skip
