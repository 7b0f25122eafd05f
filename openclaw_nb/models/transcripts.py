"""Transcripts: a request as the messages and tools of the provider library, and the calls in its responses as ours."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from .base import Message, ModelRequest, Output, ToolCall

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse, ModelResponseStreamEvent, ToolCallPart, UserContent
    from pydantic_ai.models import Model as Library
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.settings import ModelSettings

__all__ = ["OUTPUT_TOOL", "OutputCall", "messages_of", "parameters_of", "tool_calls"]

OUTPUT_TOOL = "final_result"
"""The tool whose arguments are the answer, for models that are best at an answer of one form as a tool's call."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")  # what every provider takes as the id of a call


def parameters_of(request: ModelRequest, model: Library, settings: ModelSettings) -> ModelRequestParameters:
    """The tools that a request offers, and the form of its answer, asked for in the way that is best for ``model``."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.tools import ToolDefinition

    tools = [
        ToolDefinition(name=tool.name, parameters_json_schema=tool.schema, description=tool.description)
        for tool in request.tools
    ]
    if request.output is None:
        return ModelRequestParameters(function_tools=tools)
    parameters = _formed(request.output, tools)
    profile = model.profile
    if not profile.get("supports_tools", True):
        return parameters.with_default_output_mode(
            "native" if profile.get("supports_json_schema_output", False) else "prompted"
        )
    # Which way is best may depend on whether it thinks: the library knows, and is asked again with the answer.
    return parameters.with_default_output_mode(model.prepare_request(settings, parameters)[1].output_mode)  # type: ignore[arg-type]


def _formed(output: Output, tools: list[Any]) -> ModelRequestParameters:
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.output import OutputObjectDefinition
    from pydantic_ai.tools import ToolDefinition

    said = output.schema.get("description") or f"The answer: one {output.name}."
    form = ToolDefinition(name=OUTPUT_TOOL, parameters_json_schema=output.schema, description=said, kind="output")
    name = re.sub(r"[^A-Za-z0-9_-]", "_", output.name)[:64] or OUTPUT_TOOL
    whole = OutputObjectDefinition(output.schema, name, said)
    return ModelRequestParameters(
        function_tools=tools, output_mode="auto", output_object=whole, output_tools=[form], allow_text_output=False
    )


def messages_of(request: ModelRequest, model: str, *, pictures: bool = True) -> list[ModelMessage]:
    """The conversation as ``model`` is told it; what it wanted to have back with its calls is among it.

    Where it takes no ``pictures``, a note is in the place of each.
    """
    from pydantic_ai.messages import ModelRequest as Asked
    from pydantic_ai.messages import ToolReturnPart, UserPromptPart

    ids: dict[str, str] = {}
    messages: list[ModelMessage] = []
    for message in request.messages:
        if message["role"] == "user":
            messages.append(Asked(parts=[UserPromptPart(_shown(message, pictures))]))
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


def _shown(message: Message, pictures: bool) -> str | list[UserContent]:
    """A user's message with its pictures, each after its name."""
    from pydantic_ai.messages import BinaryContent

    images = message.get("images")
    if not images:
        return message["content"]
    if not pictures:
        left_out = (f"[The picture {image['name']} is left out: this model takes no pictures.]" for image in images)
        return "\n".join((message["content"], *left_out))
    content: list[UserContent] = [message["content"]]
    for image in images:
        content.append(f"The picture {image['name']}:")
        content.append(BinaryContent(base64.b64decode(image["data"]), media_type=image["mime"]))
    return content


def tool_calls(response: ModelResponse, model: str) -> list[ToolCall]:
    """The tools that a response of ``model`` asks for, without keys."""
    from pydantic_ai.messages import ToolCallPart

    parts = [part for part in response.parts if isinstance(part, ToolCallPart) and part.tool_name != OUTPUT_TOOL]
    extras: list[dict[str, Any]] = [{"model": model, "id": part.tool_call_id} for part in parts]
    if parts and (signed := _signed(response)):
        extras[0]["response"] = signed
    return [ToolCall("", part.tool_name, _arguments(part), extra) for part, extra in zip(parts, extras, strict=True)]


class OutputCall:
    """The arguments of the first call of the output tool, as they come."""

    def __init__(self) -> None:
        self._index: int | None = None

    @property
    def begun(self) -> bool:
        return self._index is not None

    def piece(self, event: ModelResponseStreamEvent) -> str:
        """More of the answer in an event of the stream, or nothing."""
        from pydantic_ai.messages import PartDeltaEvent, PartStartEvent, ToolCallPart, ToolCallPartDelta

        if isinstance(event, PartDeltaEvent):
            if event.index != self._index or not isinstance(event.delta, ToolCallPartDelta):
                return ""
            return _written(event.delta.args_delta)
        if self._index is not None or not isinstance(event, PartStartEvent):
            return ""
        if not isinstance(event.part, ToolCallPart) or event.part.tool_name != OUTPUT_TOOL:
            return ""
        self._index = event.index
        return _written(event.part.args)


def _written(arguments: object) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False) if arguments else ""


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
