"""ProviderModel with tools: calls out of a stream in pieces, and what they gave told by its id."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from openclaw_nb.events import Usage
from openclaw_nb.ledger import Ledger
from openclaw_nb.models.base import Message, ModelEvent, ModelRequest, ToolCall
from openclaw_nb.tools import Toolbox
from tests.asking import HELLO, VENDORS, ask, calls_of, text_of, thought_of, user
from tests.mock_google import SIGNATURE as MOCK_SIGNATURE
from tests.mock_openai import MockOpenAI, Reply
from tests.mock_server import Mock

pytestmark = [
    pytest.mark.usefixtures("environment"),
    pytest.mark.filterwarnings("ignore:The model:DeprecationWarning"),  # of models that think by a budget
]

Answering = Callable[..., Mock]

NOT_JSON = "add was not called: its arguments have to be one JSON object"


def add(a: int, b: int = 2) -> int:
    """Adds two numbers."""
    return a + b


BOX = Toolbox([add])


def with_box(*messages: Any) -> ModelRequest:
    return ModelRequest((*HELLO.messages, *messages), tools=BOX.definitions)


def test_tool_calls_are_streamed_in_pieces_and_come_whole(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=2, calls=[("add", '{"a": 40, "b": 2}'), ("add", '{"a": 1}')])
    *texts, one, other, usage = ask(with_box())
    assert text_of(texts) == mock.text
    assert isinstance(one, ToolCall)
    assert isinstance(other, ToolCall)
    assert [(call.key, call.name, call.arguments) for call in (one, other)] == [
        ("", "add", {"a": 40, "b": 2}), ("", "add", {"a": 1}),
    ]  # fmt: skip
    assert usage == Usage(2, 2)
    [tool] = mock.requests[0].body["tools"]
    assert tool["type"] == "function"
    assert tool["function"]["name"] == "add"
    assert tool["function"]["description"] == "Adds two numbers."
    assert tool["function"]["parameters"] == BOX.definitions[0].schema


def test_without_tools_none_are_offered(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=1)
    ask()
    assert not mock.requests[0].body.get("tools")


def test_results_reach_the_wire_with_the_ids_of_their_calls(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(Reply(tokens=2, thinking=["hm"], calls=[("add", '{"a": 40}'), ("add", '{"a": ')]), Reply(tokens=1))
    calls = [event for event in ask(with_box()) if isinstance(event, ToolCall)]
    ledger = Ledger("run")
    for entry in ledger.ask(0, len(mock.text), calls):
        ledger.end(entry, asyncio.run(BOX.call(entry.name, entry.arguments)).text, 0.1)
    ask(with_box(*ledger.messages(mock.text)))
    question, asked, *results = mock.requests[1].body["messages"]
    assert question == {"role": "user", "content": "hello there"}
    assert asked["content"] == mock.text
    assert [(call["id"], call["function"]["name"]) for call in asked["tool_calls"]] == [
        ("call_1_0", "add"), ("call_1_1", "add"),
    ]  # fmt: skip
    assert results == [
        {"role": "tool", "tool_call_id": "call_1_0", "content": "42"},
        {"role": "tool", "tool_call_id": "call_1_1", "content": NOT_JSON},
    ]


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_calls_that_are_cut_off_are_asked_for_again_and_never_half_made(
    serve: Callable[..., MockOpenAI], pieces: int
) -> None:
    calls = [("add", '{"a": 40}'), ("add", '{"a": 1}')]
    mock = serve(Reply(tokens=0, calls=calls, lose_calls_after=pieces), Reply(tokens=0, calls=calls))
    assert [event.arguments for event in ask(with_box()) if isinstance(event, ToolCall)] == [{"a": 40}, {"a": 1}]
    assert mock.calls == 2


# -- every vendor ------------------------------------------------------------------------------------------------------

CALLS = [("add", '{"a": 40, "b": 2}'), ("add", '{"a": 1}')]


def made(said: str, events: list[ModelEvent], run_id: str = "run") -> list[Any]:
    """The messages of a turn in which the calls of these events were made, as a session has them."""
    ledger = Ledger(run_id)
    for entry in ledger.ask(0, len(said), calls_of(events)):
        ledger.end(entry, asyncio.run(BOX.call(entry.name, entry.arguments)).text, 0.1)
    return json.loads(json.dumps(ledger.messages(said)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", VENDORS)
def test_calls_and_what_they_gave(answering: Answering, name: str) -> None:
    """The mocks refuse calls without results, and thoughts or calls without the signatures that they came with."""
    vendor = VENDORS[name]
    mock = answering(vendor, Reply(tokens=2, thinking=["let me ", "see"], calls=CALLS), Reply(tokens=["It is 42."]))
    events = ask(with_box(), name=vendor.model)
    assert (thought_of(events), text_of(events)) == ("let me see", mock.text)
    assert [(call.key, call.name, call.arguments) for call in calls_of(events)] == [
        ("", "add", {"a": 40, "b": 2}), ("", "add", {"a": 1}),
    ]  # fmt: skip
    assert events[-1] == Usage(2, 4)
    assert text_of(ask(with_box(*made(mock.text, events)), name=vendor.model)) == "It is 42."
    assert EXCHANGES[name](mock.bodies[1]) == [
        ("add", {"a": 40, "b": 2}, "42"), ("add", {"a": 1}, "3"),
    ]  # fmt: skip
    assert SIGNED[name] in json.dumps(mock.bodies[1])


def chat(body: dict[str, Any]) -> list[tuple[str, Any, str]]:
    _, asked, *given = body["messages"]
    results = {message["tool_call_id"]: message["content"] for message in given}
    return [(call["function"]["name"], json.loads(call["function"]["arguments"]), results[call["id"]])
            for call in asked["tool_calls"]]  # fmt: skip


def responses(body: dict[str, Any]) -> list[tuple[str, Any, str]]:
    results = {item["call_id"]: item["output"] for item in body["input"] if item.get("type") == "function_call_output"}
    calls = [item for item in body["input"] if item.get("type") == "function_call"]
    return [(call["name"], json.loads(call["arguments"]), results[call["call_id"]]) for call in calls]


def anthropic(body: dict[str, Any]) -> list[tuple[str, Any, str]]:
    _, asked, given = body["messages"]
    results = {block["tool_use_id"]: block["content"][0]["text"] for block in given["content"]}
    blocks = asked["content"]
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use", "tool_use"]
    return [(block["name"], block["input"], results[block["id"]]) for block in blocks[2:]]


def google(body: dict[str, Any]) -> list[tuple[str, Any, str]]:
    _, asked, given = body["contents"]
    calls = [part["functionCall"] for part in asked["parts"] if "functionCall" in part]
    results = [part["functionResponse"]["response"]["return_value"] for part in given["parts"]]
    return [(call["name"], call["args"], result) for call, result in zip(calls, results, strict=True)]


EXCHANGES: dict[str, Callable[[dict[str, Any]], list[tuple[str, Any, str]]]] = {
    "openai": chat, "responses": responses, "anthropic": anthropic, "google": google,
}  # fmt: skip
SIGNED = {
    "openai": '"reasoning_content": "let me see"', "responses": '"encrypted_content": "signed-by-the-mock"',
    "anthropic": '"signature": "signed-by-the-mock"', "google": MOCK_SIGNATURE,
}  # fmt: skip


# -- one conversation, told to all of them -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [("anthropic", "openai"), ("openai", "anthropic"), ("google", "anthropic"), ("anthropic", "google"),
     ("responses", "google"), ("google", "openai"), ("openai", "openai")],
)  # fmt: skip
def test_a_conversation_goes_on_with_another_model_and_comes_back(
    answering: Answering, first: str, second: str
) -> None:
    """Calls and thoughts of one are told to the other as it takes them, in the middle of a turn and after it."""
    one, other = VENDORS[first], VENDORS[second]
    mocks = [
        answering(one, Reply(tokens=2, thinking=["let me see"], calls=CALLS), Reply(tokens=["Back."])),
        *([answering(other, tokens=["It is 42."])] if first != second else []),
    ]
    events = ask(replace(with_box(), instructions="be brief"), name=one.model)
    told = made(text_of(events), events)
    in_between = ask(replace(with_box(*told), instructions="be brief"), name=other.model)
    assert text_of(in_between) in ("It is 42.", "Back.")
    ended: Message = {"role": "assistant", "content": text_of(in_between)}
    again = replace(with_box(*told, ended, user("and now?")), instructions="be brief")
    assert text_of(ask(again, name=one.model)) == "Back."
    assert all("be brief" in json.dumps(body) for mock in mocks for body in mock.bodies)
    assert SIGNED[first] in json.dumps(mocks[0].bodies[-1]), "it has its own thoughts back"
    if len(mocks) > 1:
        assert SIGNED[first] not in json.dumps(mocks[1].bodies), "which are none of the other's business"
        assert "let me see" not in json.dumps(mocks[1].bodies)
