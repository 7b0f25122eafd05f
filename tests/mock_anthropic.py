"""A loopback server that speaks Anthropic's streaming Messages API, scripted per call: see `tests.mock_server`.

It refuses what the real one refuses: fields and ways of thinking that the model does not know, a thinking budget that
leaves no room, calls without results, and thoughts whose signatures it did not give.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # it is in no package then
    sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.mock_server import Mock, alone, starting
from tests.mock_wire import Answer, Body, Reply, Request, Wire, pieces, spoken

if TYPE_CHECKING:
    import pytest

__all__ = ["MockAnthropic", "started"]

FIELDS = {
    "model", "messages", "system", "max_tokens", "stream", "thinking", "tools", "tool_choice", "output_config",
    "metadata", "stop_sequences", "temperature", "top_p", "top_k", "service_tier",
}  # fmt: skip

THINKING = {
    "claude-3-5": set(), "claude-sonnet-4-2": {"enabled", "disabled"}, "claude-sonnet-4-5": {"enabled", "disabled"},
    "claude-haiku-4-5": {"enabled", "disabled"}, "claude-sonnet-4-6": {"enabled", "disabled", "adaptive"},
    "claude-haiku-5-5": {"adaptive", "disabled"}, "claude-opus-5-5": {"adaptive"},
    "claude-opus-5": {"adaptive", "disabled"},
}  # fmt: skip
"""The types of thinking that a model takes, by the beginning of its name; from Anthropic's table of models."""

EFFORT = ("claude-sonnet-4-6", "claude-opus-5", "claude-haiku-5-5")
LEAST_BUDGET = 1024
SIGNATURE = "signed-by-the-mock"

ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error",
}  # fmt: skip


class _MessageWire(Wire):
    malformed = b'event: content_block_delta\ndata: {"type": "content_block_delta", "index"\n\n'

    def __init__(self, request: Request, answer: Answer) -> None:
        super().__init__(request, answer)
        self._index = -1
        self._open = ""

    def begin(self) -> bytes:
        usage = {"input_tokens": _asked(self.request.body), "output_tokens": 1}
        message = {
            "id": "msg_mock", "type": "message", "role": "assistant", "model": self.request.body["model"],
            "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage,
        }  # fmt: skip
        return _event("message_start", message=message) + _event("ping")

    def thought(self, text: str) -> bytes:
        begun = self._block("thinking", thinking="", signature="")
        return begun + self._delta("thinking_delta", thinking=text)

    def text(self, text: str) -> bytes:
        return self._block("text", text="") + self._delta("text_delta", text=text)

    def calls(self) -> Iterator[bytes]:
        turn = len(self.request.body["messages"])
        for number, (name, arguments) in enumerate(self.answer.calls):
            yield self._block("tool_use", anew=True, id=f"toolu_{turn}_{number}", name=name, input={})
            yield self._delta("input_json_delta", partial_json="")
            for piece in pieces(arguments):
                yield self._delta("input_json_delta", partial_json=piece)

    def end(self) -> bytes:
        reason = "tool_use" if self.answer.calls else "max_tokens" if self.answer.cut else "end_turn"
        if self.answer.reply.finish_reason == "content_filter":
            reason = "refusal"
        delta = {"stop_reason": reason, "stop_sequence": None}
        usage = {"output_tokens": self.answer.output_tokens}
        return self._close() + _event("message_delta", delta=delta, usage=usage) + _event("message_stop")

    def error(self, message: str) -> bytes:
        return _event("error", error={"type": "overloaded_error", "message": message})

    def _block(self, kind: str, *, anew: bool = False, **fields: Any) -> bytes:
        if self._open == kind and not anew:
            return b""
        closed, self._open = self._close(), kind
        self._index += 1
        return closed + _event("content_block_start", index=self._index, content_block={"type": kind, **fields})

    def _close(self) -> bytes:
        if not self._open:
            return b""
        signed = self._delta("signature_delta", signature=SIGNATURE) if self._open == "thinking" else b""
        self._open = ""
        return signed + _event("content_block_stop", index=self._index)

    def _delta(self, kind: str, **fields: Any) -> bytes:
        return _event("content_block_delta", index=self._index, delta={"type": kind, **fields})


class MockAnthropic(Mock):
    """Anthropic's API."""

    variable = "ANTHROPIC_BASE_URL"
    wire = _MessageWire

    def is_call(self, path: str) -> bool:
        return path.partition("?")[0].endswith("/v1/messages")

    def limit(self, body: Body) -> int | None:
        limit: int = body["max_tokens"]
        return limit

    def answer(self, reply: Reply, body: Body) -> Answer:
        kind = (body.get("thinking") or {}).get("type", "disabled")
        return super().answer(reply if kind in ("enabled", "adaptive") else _thoughtless(reply), body)

    def error(self, reply: Reply) -> Body:
        error = {"type": ERRORS.get(reply.status, "api_error"), "message": reply.message}
        return {"type": "error", "error": error, "request_id": "req_mock"}

    def refusal(self, request: Request) -> str | None:
        body = request.body
        if unknown := body.keys() - FIELDS:
            return f"{min(unknown)}: Extra inputs are not permitted"
        if not isinstance(body.get("max_tokens"), int):
            return "max_tokens: Field required"
        for tool in body.get("tools") or []:
            if tool["input_schema"].get("type") != "object":
                return "tools.0.custom.input_schema.type: Field required"
        return _thinking_refused(body) or _exchange_refused(body["messages"])


def _thinking_refused(body: Body) -> str | None:
    thinking, model = body.get("thinking") or {}, body["model"]
    taken = next((known for name, known in THINKING.items() if model.startswith(name)), set())
    kind = thinking.get("type")
    if kind and kind not in taken:
        return f"'{model}' does not support thinking of the type '{kind}'"
    if "effort" in (body.get("output_config") or {}) and not model.startswith(EFFORT):
        return "This model does not support the effort parameter."
    if kind != "enabled":
        return None
    budget = thinking["budget_tokens"]
    if budget < LEAST_BUDGET:
        return f"thinking.enabled.budget_tokens: Input should be greater than or equal to {LEAST_BUDGET}"
    if budget >= body["max_tokens"]:
        return "`max_tokens` must be greater than `thinking.budget_tokens`."
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        return "Thinking may not be enabled when tool_choice forces tool use."
    return _unthought(body["messages"])


def _unthought(messages: list[Body]) -> str | None:
    """Of the calls that are being answered, the thought before them has to be there where thinking is enabled."""
    if len(messages) > 1 and any(block["type"] == "tool_result" for block in _blocks(messages[-1])):
        first = _blocks(messages[-2])[0]
        if first["type"] != "thinking":
            return f"Expected `thinking` or `redacted_thinking`, but found `{first['type']}`."
    return None


def _exchange_refused(messages: list[Body]) -> str | None:
    asked: set[str] = set()
    for message in messages:
        blocks = _blocks(message)
        if any(block["type"] == "thinking" and block["signature"] != SIGNATURE for block in blocks):
            return "Invalid `signature` in `thinking` block"
        answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if answered != asked:
            return f"`tool_use` ids {sorted(asked)} were answered by `tool_result` blocks {sorted(answered)}"
        asked = {block["id"] for block in blocks if block["type"] == "tool_use"}
    return None


def _blocks(message: Body) -> list[Body]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _asked(body: Body) -> int:
    return spoken(body["messages"]) + spoken(body.get("system"))


def _thoughtless(reply: Reply) -> Reply:
    return Reply(**{**vars(reply), "thinking": 0})


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MockAnthropic]]:
    """A way to start mocks, for a fixture: Anthropic's models are asked of the newest, and all end with it."""
    return starting(MockAnthropic, monkeypatch)


if __name__ == "__main__":
    alone(MockAnthropic)
