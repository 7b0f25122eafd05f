"""A loopback server that speaks Gemini's streamGenerateContent, scripted per call: see `tests.mock_server`.

It refuses what the real one refuses: fields and thinking settings that the model does not know, calls without
results, and the first call of a newer model without the signature that came with it.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # it is in no package then
    sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.mock_server import Mock, alone, starting
from tests.mock_wire import Answer, Body, Reply, Request, Wire, spoken

if TYPE_CHECKING:
    import pytest

__all__ = ["MockGoogle", "started"]

FIELDS = {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig", "safetySettings"}
SIGNATURE = base64.b64encode(b"signed-by-the-mock").decode()
DUMMY = base64.b64encode(b"skip_thought_signature_validator").decode()
"""What Google takes in place of a signature, for calls that another model made."""

ERRORS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE",
}  # fmt: skip


class _ContentWire(Wire):
    malformed = b'data: {"candidates": [{"content"\n\n'

    def thought(self, text: str) -> bytes:
        return self._event([{"text": text, "thought": True}])

    def text(self, text: str) -> bytes:
        return self._event([{"text": text}])

    def calls(self) -> Iterator[bytes]:
        """Calls come whole; the first has the signature of the thought that led to it."""
        turn = len(self.request.body["contents"])
        for number, (name, arguments) in enumerate(self.answer.calls):
            call = {"name": name, "args": json.loads(arguments), "id": f"call_{turn}_{number}"}
            signed = {"thoughtSignature": SIGNATURE} if number == 0 and _is_new(self.request.path) else {}
            yield self._event([{"functionCall": call, **signed}])

    def end(self) -> bytes:
        reason = "MAX_TOKENS" if self.answer.cut else "STOP"
        if self.answer.reply.finish_reason == "content_filter":
            reason = "SAFETY"
        return self._event([{"text": ""}], reason)

    def error(self, message: str) -> bytes:
        return _data({"error": {"code": 500, "message": message, "status": "INTERNAL"}})

    def _event(self, parts: list[Body], reason: str | None = None) -> bytes:
        candidate: Body = {"content": {"parts": parts, "role": "model"}, "index": 0}
        chunk: Body = {"candidates": [candidate], "modelVersion": _model(self.request.path), "responseId": "mock"}
        if reason:
            candidate["finishReason"] = reason
            if self.answer.reply.usage:
                chunk["usageMetadata"] = self._usage()
        return _data(chunk)

    def _usage(self) -> Body:
        body = self.request.body
        asked = spoken(body["contents"]) + spoken(body.get("systemInstruction"))
        said, thought = len(self.answer.texts), len(self.answer.thoughts)
        return {
            "promptTokenCount": asked, "candidatesTokenCount": said, "thoughtsTokenCount": thought,
            "totalTokenCount": asked + said + thought,
        }  # fmt: skip


class MockGoogle(Mock):
    """The Gemini API."""

    variable = "GOOGLE_GEMINI_BASE_URL"
    wire = _ContentWire

    def is_call(self, path: str) -> bool:
        return ":streamGenerateContent?alt=sse" in path

    def limit(self, body: Body) -> int | None:
        limit: int | None = _config(body).get("maxOutputTokens")
        return limit

    def settings(self, body: Body) -> Body:
        return _config(body)

    def answer(self, reply: Reply, body: Body) -> Answer:
        shown = _config(body).get("thinkingConfig", {}).get("includeThoughts")
        return super().answer(reply if shown else Reply(**{**vars(reply), "thinking": 0}), body)

    def error(self, reply: Reply) -> Body:
        error: Body = {"code": reply.status, "message": reply.message, "status": ERRORS.get(reply.status, "UNKNOWN")}
        if reply.status == 401:  # the real one says 400 of a wrong key
            error |= {"code": 400, "status": ERRORS[400], "details": [{"reason": "API_KEY_INVALID"}]}
        if reply.retry_after:  # it says so in the body
            kind = "type.googleapis.com/google.rpc.RetryInfo"
            error["details"] = [{"@type": kind, "retryDelay": f"{reply.retry_after}s"}]
        return {"error": error}

    def refusal(self, request: Request) -> str | None:
        body, model = request.body, _model(request.path)
        if unknown := body.keys() - FIELDS:
            return f'Invalid JSON payload received. Unknown name "{min(unknown)}": Cannot find field.'
        return _thinking_refused(_config(body).get("thinkingConfig"), model) or _exchange_refused(body, request.path)


def _thinking_refused(thinking: Body | None, model: str) -> str | None:
    if thinking is None:
        return None
    if model.startswith(("gemini-2.0", "gemma")):
        return "Thinking is not enabled for this model."
    if "thinkingLevel" in thinking and (_is_old(model) or "thinkingBudget" in thinking):
        return "Thinking level is not supported for this model."
    if thinking.get("thinkingBudget") == 0 and "pro" in model:
        return "Budget 0 is invalid. This model only works in thinking mode."
    if thinking.get("thinkingLevel") == "MINIMAL" and "pro" in model:
        return "Thinking level MINIMAL is not supported for this model."
    return None


def _exchange_refused(body: Body, path: str) -> str | None:
    asked = 0
    for content in body["contents"]:
        parts = content["parts"]
        given = sum("functionResponse" in part for part in parts)
        if given != asked:
            return "The number of function response parts has to equal that of the function call parts."
        calls = [part for part in parts if "functionCall" in part]
        if calls and _is_new(path) and calls[0].get("thoughtSignature") not in (SIGNATURE, DUMMY):
            return "Function call is missing a thought_signature in functionCall parts."
        asked = len(calls)
    return None


def _config(body: Body) -> Body:
    """The settings, by one way of writing their names: both are taken."""
    config: Body = _camel(body.get("generationConfig", {}))
    return config


def _camel(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {re.sub("_(.)", lambda mark: mark[1].upper(), name): _camel(part) for name, part in value.items()}


def _model(path: str) -> str:
    return path.partition("/models/")[2].partition(":")[0]


def _is_old(model: str) -> bool:
    return model.startswith("gemini-2")


def _is_new(path: str) -> bool:
    return not _is_old(_model(path))


def _data(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\r\n\r\n"


def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MockGoogle]]:
    """A way to start mocks, for a fixture: Google's models are asked of the newest, and all end with it."""
    return starting(MockGoogle, monkeypatch)


if __name__ == "__main__":
    alone(MockGoogle)
