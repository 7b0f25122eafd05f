"""Transcripts: our messages as the provider library's, and its calls as ours, forth and back."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic_ai.messages import (
    BinaryContent,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolCallPartDelta,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.messages import ModelRequest as Asked
from pydantic_ai.models.test import TestModel

from openclaw_nb.ledger import Ledger
from openclaw_nb.models.base import Image, ModelRequest, Output, ToolCall, ToolDefinition
from openclaw_nb.models.transcripts import OUTPUT_TOOL, OutputCall, messages_of, parameters_of, tool_calls
from tests.asking import user

MODEL = "anthropic:claude"


def kept(calls: list[ToolCall], run_id: str = "run") -> Any:
    """What a session has of the calls after they were made, as it comes back from its file."""
    ledger = Ledger(run_id)
    for entry in ledger.ask(0, 4, calls):
        ledger.end(entry, f"{entry.name} done", 0.0)
    return json.loads(json.dumps(ledger.messages("See ")))


def request(*messages: Any, **facts: Any) -> ModelRequest:
    return ModelRequest(({"role": "user", "content": "q"}, *messages), **facts)


def test_tools_are_offered() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    asked = request(tools=(ToolDefinition("add", "Adds.", schema),))
    [offered] = parameters_of(asked, TestModel(), {}).function_tools
    assert (offered.name, offered.description, offered.parameters_json_schema) == ("add", "Adds.", schema)
    assert parameters_of(request(), TestModel(), {}).function_tools == []


def test_an_exchange_forth_and_back() -> None:
    response = ModelResponse(
        parts=[TextPart("See "), ToolCallPart("add", '{"x": 1}', "id1"), ToolCallPart("now", None, "id2")]
    )
    calls = tool_calls(response, MODEL)
    assert [(call.name, call.arguments) for call in calls] == [("add", {"x": 1}), ("now", {})]
    asked, answer, given = messages_of(request(*kept(calls)), MODEL)
    assert isinstance(asked, Asked)
    assert [part.content for part in asked.parts if isinstance(part, UserPromptPart)] == ["q"]
    assert [type(part) for part in answer.parts] == [TextPart, ToolCallPart, ToolCallPart]
    assert [part.tool_call_id for part in answer.parts if isinstance(part, ToolCallPart)] == ["id1", "id2"]
    results = [part for part in given.parts if isinstance(part, ToolReturnPart)]
    assert [(part.tool_name, part.content, part.tool_call_id) for part in results] == [
        ("add", "add done", "id1"), ("now", "now done", "id2"),
    ]  # fmt: skip
    assert len(results) == len(given.parts), "all results of one response in one message"


def test_two_rounds_stay_two() -> None:
    one, two = ToolCall("", "a", {}), ToolCall("", "b", {})
    messages = messages_of(request(*kept([one], "r1"), *kept([two], "r2")), MODEL)
    assert [message.kind for message in messages] == ["request", "response", "request", "response", "request"]


def test_instructions_go_with_results_too() -> None:
    *_, last = messages_of(request(*kept([ToolCall("", "a", {})]), instructions="be brief"), MODEL)
    assert isinstance(last, Asked)
    assert last.instructions == "be brief"


@pytest.mark.parametrize("written", ['{"x": 1', "[1]", "null", "x", '"x"', "[" * 100_000])
def test_arguments_that_are_no_object_stay_as_they_were_written(written: str) -> None:
    [call] = tool_calls(ModelResponse(parts=[ToolCallPart("add", written, "id")]), MODEL)
    assert call.arguments == written


def test_signed_thoughts_go_back_to_who_signed_them() -> None:
    thought = ThinkingPart("hm", signature="s1gn", provider_name="anthropic")
    parts = [thought, TextPart("See "), ToolCallPart("add", {"x": 1}, "id1")]
    response = ModelResponse(parts=parts, provider_name="anthropic", provider_url="https://user:pw@host/v1")
    calls = tool_calls(response, MODEL)
    assert "user:pw" not in repr(calls), "an address may have a password in it"
    _, answer, _ = messages_of(request(*kept(calls)), MODEL)
    assert isinstance(answer, ModelResponse)
    assert list(answer.parts) == parts
    assert answer.provider_name == "anthropic"
    _, other, given = messages_of(request(*kept(calls)), "openai-chat:gpt")
    assert [type(part) for part in other.parts] == [TextPart, ToolCallPart], "another provider is not told of them"
    assert other.parts[1].tool_call_id == given.parts[0].tool_call_id == "run-0-0"  # type: ignore[union-attr]


@pytest.mark.parametrize("run_id", ["r" * 200, "run with spaces", "läuft", "half \ud83d"])
def test_ids_are_such_as_every_provider_takes(run_id: str) -> None:
    _, answer, given = messages_of(request(*kept([ToolCall("", "a", {})], run_id)), MODEL)
    ids = {part.tool_call_id for part in (answer.parts[-1], given.parts[0]) if hasattr(part, "tool_call_id")}
    [id] = ids
    assert re.fullmatch("[a-zA-Z0-9_-]{1,40}", str(id))


# -- pictures ----------------------------------------------------------------------------------------------------------

PICTURE: Image = {"name": "fig", "mime": "image/png", "data": "iVBORw0KGgo="}


def test_pictures_follow_their_names() -> None:
    [asked] = messages_of(ModelRequest((user("What is it?", images=[PICTURE, {**PICTURE, "name": "b"}]),)), MODEL)
    [part] = asked.parts
    assert isinstance(part, UserPromptPart)
    text, name, picture, *other = part.content
    assert (text, name, len(other)) == ("What is it?", "The picture fig:", 2)
    assert isinstance(picture, BinaryContent)
    assert (picture.data, picture.media_type) == (b"\x89PNG\r\n\x1a\n", "image/png")


def test_a_model_that_takes_none_is_told_of_each() -> None:
    [asked] = messages_of(ModelRequest((user("What is it?", images=[PICTURE]),)), MODEL, pictures=False)
    [part] = asked.parts
    assert isinstance(part, UserPromptPart)
    assert part.content == "What is it?\n[The picture fig is left out: this model takes no pictures.]"


# -- answers of a form -------------------------------------------------------------------------------------------------

FORM = Output("City of mine", {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})


@pytest.mark.parametrize(
    ("profile", "mode"),
    [
        ({}, "tool"),
        ({"default_structured_output_mode": "native", "supports_json_schema_output": True}, "native"),
        ({"supports_tools": False, "supports_json_schema_output": True}, "native"),
        ({"supports_tools": False}, "prompted"),
    ],
)
def test_the_way_to_a_form_is_that_of_the_model(profile: Any, mode: str) -> None:
    parameters = parameters_of(request(output=FORM), TestModel(profile=profile), {})
    assert parameters.output_mode == mode
    assert parameters.allow_text_output is (mode != "tool")
    assert parameters.output_object is not None
    assert parameters.output_object.name == "City_of_mine", "as every provider takes it"
    assert parameters.output_object.json_schema == FORM.schema


def test_the_call_that_is_the_answer_is_no_call_of_a_tool() -> None:
    response = ModelResponse(parts=[ToolCallPart(OUTPUT_TOOL, {"name": "x"}, "id1"), ToolCallPart("add", {}, "id2")])
    assert [call.name for call in tool_calls(response, MODEL)] == ["add"]


def test_only_the_first_call_of_it_is_read() -> None:
    output = OutputCall()
    events = [
        PartStartEvent(index=0, part=TextPart("hm")),
        PartStartEvent(index=1, part=ToolCallPart("add", "{}", "id0")),
        PartDeltaEvent(index=1, delta=ToolCallPartDelta(args_delta="no")),
        PartStartEvent(index=2, part=ToolCallPart(OUTPUT_TOOL, '{"na', "id1")),
        PartDeltaEvent(index=2, delta=ToolCallPartDelta(args_delta='me": 1}')),
        PartStartEvent(index=3, part=ToolCallPart(OUTPUT_TOOL, {"name": 2}, "id2")),
        PartDeltaEvent(index=3, delta=ToolCallPartDelta(args_delta="no")),
    ]
    assert "".join(map(output.piece, events)) == '{"name": 1}'
    assert output.begun
    assert OutputCall().piece(PartStartEvent(index=0, part=ToolCallPart(OUTPUT_TOOL, {"ä": 1}, "id"))) == '{"ä": 1}'
