"""A loopback server that speaks OpenAI's Responses API, streaming, scripted per call: see `tests.mock_server`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tests.mock_openai import EFFORTS, MockOpenAI
from tests.mock_server import starting
from tests.mock_wire import Answer, Body, Request, Wire, pieces, spoken

if TYPE_CHECKING:
    import pytest

__all__ = ["MockResponses", "started"]


class _ResponseWire(Wire):
    malformed = b'event: response.output_text.delta\ndata: {"type": "response.output_text.delta", "item_id"\n\n'

    def __init__(self, request: Request, answer: Answer) -> None:
        super().__init__(request, answer)
        self._item: Body = {}
        self._items = 0
        self._events = 0

    @property
    def _reason(self) -> str:
        """Why the answer is not whole."""
        withheld = "content_filter" if self.answer.reply.finish_reason == "content_filter" else ""
        return "max_output_tokens" if self.answer.cut else withheld

    def begin(self) -> bytes:
        return self._event("response.created", response=self._response("in_progress"))

    def thought(self, text: str) -> bytes:
        begun = self._begin("reasoning", id="rs_mock", summary=[])
        if begun:
            part = {"type": "summary_text", "text": ""}
            begun += self._of_item("response.reasoning_summary_part.added", summary_index=0, part=part)
        return begun + self._of_item("response.reasoning_summary_text.delta", summary_index=0, delta=text)

    def text(self, text: str) -> bytes:
        begun = self._begin("message", id="msg_mock", role="assistant", status="in_progress", content=[])
        if begun:
            part = {"type": "output_text", "text": "", "annotations": []}
            begun += self._of_item("response.content_part.added", content_index=0, part=part)
        return begun + self._of_item("response.output_text.delta", content_index=0, delta=text, logprobs=[])

    def calls(self) -> Iterator[bytes]:
        turn = len(self.request.body["input"])
        for number, (name, arguments) in enumerate(self.answer.calls):
            ids = {"id": f"fc_{turn}_{number}", "call_id": f"call_{turn}_{number}"}
            yield self._begin("function_call", anew=True, **ids, name=name, arguments="", status="in_progress")
            for piece in pieces(arguments):
                yield self._of_item("response.function_call_arguments.delta", delta=piece)
            yield self._of_item("response.function_call_arguments.done", arguments=arguments, name=name)

    def end(self) -> bytes:
        status = "incomplete" if self._reason else "completed"
        return self._done() + self._event(f"response.{status}", response=self._response(status))

    def error(self, message: str) -> bytes:
        return self._event("error", code="server_error", message=message, param=None)

    def _begin(self, kind: str, *, anew: bool = False, **fields: Any) -> bytes:
        if self._item.get("type") == kind and not anew:
            return b""
        done, self._item = self._done(), {"type": kind, **fields}
        self._items += 1
        return done + self._event("response.output_item.added", output_index=self._items, item=self._item)

    def _done(self) -> bytes:
        if not self._item:
            return b""
        signed = {"encrypted_content": "signed-by-the-mock"} if self._item["type"] == "reasoning" else {}
        done = self._event("response.output_item.done", output_index=self._items, item={**self._item, **signed})
        self._item = {}
        return done

    def _of_item(self, kind: str, **fields: Any) -> bytes:
        return self._event(kind, item_id=self._item["id"], output_index=self._items, **fields)

    def _response(self, status: str) -> Body:
        asked, made = spoken(self.request.body["input"]), self.answer.output_tokens
        usage = {
            "input_tokens": asked, "output_tokens": made, "total_tokens": asked + made,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": len(self.answer.thoughts)},
        }  # fmt: skip
        return {
            "id": "resp_mock", "object": "response", "created_at": 1700000000, "model": self.request.body["model"],
            "status": status, "output": [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
            "error": None, "metadata": {}, "instructions": None, "temperature": 1.0, "top_p": 1.0,
            "incomplete_details": {"reason": self._reason} if status == "incomplete" else None,
            "usage": None if status == "in_progress" else usage,
        }  # fmt: skip

    def _event(self, kind: str, **fields: Any) -> bytes:
        self._events += 1
        data = {"type": kind, "sequence_number": self._events, **fields}
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


class MockResponses(MockOpenAI):
    """OpenAI's Responses API."""

    wire = _ResponseWire

    def is_call(self, path: str) -> bool:
        return path.endswith("/responses")

    def limit(self, body: Body) -> int | None:
        limit: int | None = body.get("max_output_tokens")
        return limit

    def refusal(self, request: Request) -> str | None:
        if request.body.get("max_output_tokens", 16) < 16:
            return "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16."
        model, effort = str(request.body.get("model")), (request.body.get("reasoning") or {}).get("effort")
        taken = next((known for name, known in EFFORTS.items() if model.startswith(name)), set())
        return None if effort is None or effort in taken else f"Unsupported value: 'reasoning.effort': '{effort}'."

    def whole(self, request: Request, answer: Answer) -> Body | None:
        return None


def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MockResponses]]:
    """A way to start mocks, for a fixture: OpenAI's models are asked of the newest, and all end with it."""
    return starting(MockResponses, monkeypatch)
