"""A loopback server that speaks OpenAI's streaming chat completions, scripted per call: see `tests.mock_server`.

As a process of its own (for benchmarks): `python tests/mock_openai.py --tokens 4000`, prints its URL, ends with stdin.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # it is in no package then
    sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.mock_server import Mock, alone, starting
from tests.mock_wire import Answer, Body, Reply, Request, Wire, pieces, spoken, words

if TYPE_CHECKING:
    import pytest

__all__ = ["MockOpenAI", "Reply", "Request", "started", "words"]

FIELDS = {
    "model", "messages", "stream", "stream_options", "tools", "tool_choice", "response_format", "reasoning_effort",
    "max_completion_tokens", "max_tokens", "parallel_tool_calls", "metadata", "store", "prompt_cache_key",
}  # fmt: skip
EFFORTS = {
    "gpt-5.1": {"none", "low", "medium", "high"},
    "gpt-5": {"minimal", "low", "medium", "high"},
    "o3": {"low", "medium", "high"},
}
"""Efforts by the beginning of a model's name; other models refuse the setting."""

BLIND = ("gpt-3.5", "o3-mini")


class _ChatWire(Wire):
    malformed = b'data: {"id": "x", "choices": [{"delta"\n\n'

    def __init__(self, request: Request, answer: Answer) -> None:
        super().__init__(request, answer)
        # Only the text differs from chunk to chunk, so the rest is made once: this feeds benchmarks.
        self._before, self._after = self._event({"content": "\0"}).split(b'"\\u0000"')

    def begin(self) -> bytes:
        return self._event({"role": "assistant", "content": ""})

    def thought(self, text: str) -> bytes:
        return self._event({"reasoning_content": text})

    def text(self, text: str) -> bytes:
        return self._before + json.dumps(text).encode() + self._after

    def calls(self) -> Iterator[bytes]:
        """The first delta of each call has its id and name, the others more of its arguments."""
        turn = len(self.request.body["messages"])
        for index, (name, arguments) in enumerate(self.answer.calls):
            begun = {"id": f"call_{turn}_{index}", "type": "function", "function": {"name": name, "arguments": ""}}
            yield self._event({"tool_calls": [{"index": index, **begun}]})
            for piece in pieces(arguments):
                yield self._event({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})

    def end(self) -> bytes:
        reply = self.answer.reply
        reason = "tool_calls" if self.answer.calls else "length" if self.answer.cut else reply.finish_reason
        ends = self._event({}, finish_reason=reason)
        if reply.usage and (self.request.body.get("stream_options") or {}).get("include_usage"):
            ends += self._event(None, usage=_usage(self.request.body, self.answer))
        return ends + b"data: [DONE]\n\n"

    def error(self, message: str) -> bytes:
        error = {"error": {"message": message, "type": "server_error", "code": "server_error"}}
        return b"data: " + json.dumps(error).encode() + b"\n\n"

    def _event(self, delta: Body | None, finish_reason: str | None = None, usage: Body | None = None) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
        model = str(self.request.body.get("model"))
        chunk = {"id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1700000000, "model": model}
        return b"data: " + json.dumps({**chunk, "choices": choices, "usage": usage}).encode() + b"\n\n"


class MockOpenAI(Mock):
    """OpenAI's chat completions, or a server of one's own that speaks them."""

    variable = "OPENAI_BASE_URL"
    base = "/v1"
    wire = _ChatWire

    def is_call(self, path: str) -> bool:
        return path.endswith("/chat/completions")

    def limit(self, body: Body) -> int | None:
        limit: int | None = body.get("max_completion_tokens") or body.get("max_tokens")
        return limit

    def refusal(self, request: Request) -> str | None:
        body, model = request.body, str(request.body.get("model"))
        if unknown := body.keys() - FIELDS:
            return f"Unrecognized request argument supplied: {min(unknown)}"
        efforts = next((known for name, known in EFFORTS.items() if model.startswith(name)), None)
        if (effort := body.get("reasoning_effort")) is not None and effort not in (efforts or ()):
            return f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model."
        if model.startswith(BLIND) and "image_url" in json.dumps(body["messages"]):
            return "Invalid content type. image_url is only supported by certain models."
        if efforts and "max_tokens" in body:
            return "Unsupported parameter: 'max_tokens' is not supported with this model."
        asked: list[str] = []
        for message in body["messages"]:
            if message["role"] == "tool":
                if message["tool_call_id"] not in asked:
                    return "'tool' must be a response to a preceding message with 'tool_calls'."
                asked.remove(message["tool_call_id"])
            elif asked:
                return f"'tool_call_ids' did not have response messages: {', '.join(asked)}"
            else:
                asked = [call["id"] for call in message.get("tool_calls") or []]
        return None

    def error(self, reply: Reply) -> Body:
        return {"error": {"message": reply.message, "type": "mock_error", "param": None, "code": None}}

    def whole(self, request: Request, answer: Answer) -> Body | None:
        if request.body.get("stream"):
            return None
        message = {"role": "assistant", "content": "".join(answer.texts)}
        return {
            "id": "chatcmpl-mock", "object": "chat.completion", "created": 1700000000,
            "model": request.body.get("model"), "usage": _usage(request.body, answer),
            "choices": [{"index": 0, "message": message, "finish_reason": answer.reply.finish_reason}],
        }  # fmt: skip


def _usage(body: Body, answer: Answer) -> dict[str, int]:
    prompt, completion = spoken(body.get("messages", [])), answer.output_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MockOpenAI]]:
    """A way to start mocks, for a fixture: OpenAI's models are asked of the newest, and all end with it."""
    return starting(MockOpenAI, monkeypatch)


if __name__ == "__main__":
    alone(MockOpenAI)
