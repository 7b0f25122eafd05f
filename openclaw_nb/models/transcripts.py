"""Transcripts: a request as the messages and tools of the provider library, and the calls in its responses as ours."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from .base import Message, ModelRequest, ToolCall

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
    from pydantic_ai.models import ModelRequestParameters

__all__ = ["messages_of", "parameters_of", "tool_calls"]

_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")  # what every provider takes as the id of a call


def parameters_of(request: ModelRequest) -> ModelRequestParameters:
    """The tools that a request offers."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.tools import ToolDefinition

    tools = [
        ToolDefinition(name=tool.name, parameters_json_schema=tool.schema, description=tool.description)
        for tool in request.tools
    ]
    return ModelRequestParameters(function_tools=tools)


def messages_of(request: ModelRequest, model: str) -> list[ModelMessage]:
    """The conversation as ``model`` is told it; what it wanted to have back with its calls is among it."""
    from pydantic_ai.messages import ModelRequest as Asked
    from pydantic_ai.messages import ToolReturnPart, UserPromptPart

    ids: dict[str, str] = {}
    messages: list[ModelMessage] = []
    for message in request.messages:
        if message["role"] == "user":
            messages.append(Asked(parts=[UserPromptPart(message["content"])]))
        elif message["role"] == "tool":
            given = ToolReturnPart(message["name"], message["content"], ids[message["key"]])
            # All results of one response are told together, as some providers want them.
            together = [messages.pop()] if isinstance(messages[-1], Asked) else []
            messages.append(Asked(parts=[*(part for one in together for part in one.parts), given]))  # type: ignore[list-item]
        elif message.get("calls"):
            ids |= {call["key"]: _id(call["key"], call.get("extra"), model) for call in message["calls"]}
            messages.append(_asking(message, ids, model))
        elif message["content"]:
            messages.append(_answer([], message["content"]))
    if request.instructions and isinstance(messages[-1], Asked):
        messages[-1].instructions = request.instructions
    return messages


def tool_calls(response: ModelResponse, model: str) -> list[ToolCall]:
    """The tools that a response of ``model`` asks for, without keys."""
    from pydantic_ai.messages import ToolCallPart

    parts = [part for part in response.parts if isinstance(part, ToolCallPart)]
    extras: list[dict[str, Any]] = [{"model": model, "id": part.tool_call_id} for part in parts]
    if parts and (signed := _signed(response)):
        extras[0]["response"] = signed
    return [ToolCall("", part.tool_name, _arguments(part), extra) for part, extra in zip(parts, extras, strict=True)]


def _arguments(part: ToolCallPart) -> dict[str, Any] | str:
    if isinstance(part.args, dict):
        return part.args
    try:
        arguments = json.loads(part.args or "{}")
    except (ValueError, RecursionError):
        return part.args or ""
    return arguments if isinstance(arguments, dict) else part.args or ""


def _signed(response: ModelResponse) -> dict[str, Any] | None:
    """The response as plain data, where a provider may refuse the calls without the thoughts that led to them."""
    from pydantic_ai.messages import ModelMessagesTypeAdapter, ThinkingPart

    if not any(isinstance(part, ThinkingPart) or getattr(part, "provider_details", None) for part in response.parts):
        return None
    [plain] = ModelMessagesTypeAdapter.dump_python([response], mode="json", exclude_none=True)
    return {word: plain[word] for word in plain.keys() & {"kind", "parts", "provider_name", "canonical_system"}}


def _asking(message: Message, ids: dict[str, str], model: str) -> ModelMessage:
    """The assistant's message with its calls: as its provider gave it, where this is the same one."""
    from pydantic_ai.messages import ModelMessagesTypeAdapter, ToolCallPart

    extra = message["calls"][0].get("extra") or {}
    if extra.get("model") == model and "response" in extra:
        [response] = ModelMessagesTypeAdapter.validate_python([extra["response"]])
        return response
    return _answer(
        [ToolCallPart(c["name"], c["arguments"], ids[c["key"]]) for c in message["calls"]], message["content"]
    )


def _answer(calls: list[ToolCallPart], text: str) -> ModelMessage:
    from pydantic_ai.messages import ModelResponse, TextPart

    return ModelResponse(parts=[*([TextPart(text)] if text else []), *calls])


def _id(key: str, extra: dict[str, Any] | None, model: str) -> str:
    """What a provider knows a call by: its own id, or, of a call that another model made, one that every one takes."""
    if extra is not None and extra.get("model") == model:
        return str(extra["id"])
    return key if _ID.fullmatch(key) else hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
