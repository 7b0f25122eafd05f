"""Transcripts: our messages as the provider library's, and its calls as ours, forth and back."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic_ai.messages import ModelRequest as Asked
from pydantic_ai.messages import ModelResponse, TextPart, ThinkingPart, ToolCallPart, ToolReturnPart, UserPromptPart

from openclaw_nb.ledger import Ledger
from openclaw_nb.models.base import ModelRequest, ToolCall, ToolDefinition
from openclaw_nb.models.transcripts import messages_of, parameters_of, tool_calls

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
    [offered] = parameters_of(request(tools=(ToolDefinition("add", "Adds.", schema),))).function_tools
    assert (offered.name, offered.description, offered.parameters_json_schema) == ("add", "Adds.", schema)
    assert parameters_of(request()).function_tools == []


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
