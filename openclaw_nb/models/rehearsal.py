"""A first answer read off the event loop, and from nobody: what a library builds at its first use is there afterwards.

The clients of providers build the types of their answers when the first one comes, a second of work for some.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.models import Model as Library

__all__ = ["rehearse"]

_MESSAGE: dict[str, Any] = {
    "id": "x", "type": "message", "role": "assistant", "model": "x", "content": [], "stop_reason": None,
    "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip
_RESPONSE: dict[str, Any] = {
    "id": "x", "object": "response", "created_at": 0, "model": "x", "status": "completed", "output": [],
    "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
}  # fmt: skip
# What is not quite as it should be is read in another way, which takes a second the first time: so these are not.
_ITEM: dict[str, Any] = {"id": "x", "type": "message", "role": "assistant", "status": "x", "content": []}
_PART: dict[str, Any] = {"type": "output_text", "text": "", "annotations": []}
_PLACE: dict[str, Any] = {"item_id": "x", "output_index": 0, "content_index": 0, "sequence_number": "x"}
_CHUNK = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "x"}

_ANSWERS: dict[str, list[dict[str, Any]]] = {
    "/chat/completions": [
        {**_CHUNK, "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]},
        {**_CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ],
    "/responses": [
        {"type": "response.created", "sequence_number": 0, "response": {**_RESPONSE, "status": "in_progress"}},
        {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": _ITEM},
        {"type": "response.content_part.added", **_PLACE, "part": _PART},
        {"type": "response.output_text.delta", **_PLACE, "delta": "x", "logprobs": []},
        {"type": "response.output_item.done", "sequence_number": 1, "output_index": 0, "item": _ITEM},
        {"type": "response.completed", "sequence_number": 2, "response": _RESPONSE},
    ],
    "/messages": [
        {"type": "message_start", "message": _MESSAGE},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ],
    ":streamGenerateContent": [
        {
            "candidates": [{"content": {"parts": [{"text": "x"}], "role": "model"}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
        },
    ],
}  # fmt: skip
"""The shortest answer that each API streams, by the end of its path."""

_rehearsed: set[type] = set()


def rehearse(model: Library, name: str) -> None:
    """Read an answer to ``name`` (``provider:model``), of which ``model`` is one; where that fails, nothing is lost.

    It is done once for each API, in a thread, and nothing leaves the machine.
    """
    if type(model) in _rehearsed:
        return
    _rehearsed.add(type(model))
    with suppress(Exception):
        asyncio.run(_read(name))


async def _read(name: str) -> None:
    from httpx2 import AsyncClient, MockTransport
    from pydantic_ai.direct import model_request_stream
    from pydantic_ai.messages import ModelRequest
    from pydantic_ai.models import infer_model
    from pydantic_ai.providers import infer_provider_class

    async with AsyncClient(transport=MockTransport(_answer), timeout=60) as http:
        options: dict[str, Any] = {"api_key": "none", "http_client": http}
        model = infer_model(name, lambda kind: infer_provider_class(kind)(**options))
        async with model_request_stream(model, [ModelRequest.user_text_prompt("x")]) as events:
            async for _ in events:
                pass
            events.get()


def _answer(request: httpx2.Request) -> httpx2.Response:
    from httpx2 import Response

    answer = next(events for path, events in _ANSWERS.items() if request.url.path.endswith(path))
    lines = (f"data: {json.dumps(event)}\n\n" for event in answer)
    if "type" in answer[0]:
        lines = (f"event: {event['type']}\n{line}" for event, line in zip(answer, lines, strict=True))
    return Response(200, headers={"Content-Type": "text/event-stream"}, content="".join(lines).encode())
