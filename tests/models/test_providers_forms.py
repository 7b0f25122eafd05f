"""ProviderModel where more than text comes and goes: answers of a form, pictures, thoughts in tags, big pieces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from openclaw_nb.errors import ModelError
from openclaw_nb.events import Usage
from openclaw_nb.models.base import Image, ModelRequest, Output, TextDelta
from openclaw_nb.models.transcripts import OUTPUT_TOOL
from openclaw_nb.tools import Toolbox
from tests.asking import HELLO, VENDORS, ask, calls_of, collect, provider, text_of, thought_of, user
from tests.mock_openai import MockOpenAI, Reply
from tests.mock_server import Mock
from tests.mock_wire import pieces

pytestmark = [
    pytest.mark.usefixtures("environment"),
    pytest.mark.filterwarnings("ignore:The model:DeprecationWarning"),  # of models that think by a budget
]

Answering = Callable[..., Mock]

FORM = Output("City", {
    "type": "object", "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
})  # fmt: skip
CITY = {"name": "Zürich", "people": 440_000}
WRITTEN = json.dumps(CITY)


# -- answers of a form -------------------------------------------------------------------------------------------------


def is_tool_asked_for(body: dict[str, Any]) -> bool:
    return OUTPUT_TOOL in json.dumps(body)


def as_it_is_asked_for(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(OUTPUT_TOOL, WRITTEN)] if is_tool_asked_for(body) else []


def in_text(body: dict[str, Any]) -> list[str]:
    return ["Here it is: "] if is_tool_asked_for(body) else list(pieces(WRITTEN))


WAYS = [
    ("openai", "openai-chat:gpt-5", 2, "tool", lambda body: body["tool_choice"]),
    ("responses", "openai:gpt-5", 2, "tool", lambda body: body["tool_choice"]),
    ("anthropic", "anthropic:claude-sonnet-4-5", 1, "tool", lambda body: body["tool_choice"]["type"]),
    ("anthropic", "anthropic:claude-sonnet-4-5", 2, "native", lambda body: body["output_config"]["format"]["type"]),
    ("anthropic", "anthropic:claude-sonnet-4-6", 3, "native", lambda body: body["output_config"]["format"]["type"]),
    ("anthropic", "anthropic:claude-sonnet-4-20250514", 2, "prompted", lambda body: "JSON" in str(body["system"])),
    ("google", "google:gemini-3-flash-preview", 2, "tool", lambda body: str(body["toolConfig"]).find("ANY") > 0),
]  # fmt: skip


@pytest.mark.parametrize(("vendor", "name", "level", "way", "seen"), WAYS)
def test_an_answer_of_a_form_is_its_json(
    answering: Answering, vendor: str, name: str, level: int, way: str, seen: Callable[[dict[str, Any]], Any]
) -> None:
    mock = answering(VENDORS[vendor], tokens=in_text, calls=as_it_is_asked_for)
    events = ask(ModelRequest(HELLO.messages, level=level, output=FORM, instructions="be brief"), name=name)
    assert json.loads(text_of(events)) == CITY
    assert not calls_of(events)
    [body] = mock.bodies
    assert seen(body) in ("required", "any", "ANY", "json_schema", True)
    assert "people" in json.dumps(body)
    assert "be brief" in json.dumps(body)
    assert is_tool_asked_for(body) is (way == "tool")
    assert thought_of(events) == ("Here it is: " if way == "tool" else "")
    texts = [event for event in events if isinstance(event, TextDelta)]
    assert len(texts) > 3 or vendor == "google", "it streams, where the provider streams a call's arguments"


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "google"])
def test_tools_may_be_called_first(answering: Answering, vendor: str) -> None:
    def add(a: int) -> int:
        """Adds."""
        return a

    answering(VENDORS[vendor], tokens=0, calls=[("add", '{"a": 1}')])
    request = ModelRequest(HELLO.messages, level=1, output=FORM, tools=Toolbox([add]).definitions)
    events = ask(request, name=VENDORS[vendor].model)
    assert [call.name for call in calls_of(events)] == ["add"]
    assert text_of(events) == ""


def test_an_answer_in_text_is_taken_too(serve: Callable[..., MockOpenAI]) -> None:
    serve(tokens=["<think>hm</think>", *pieces(WRITTEN)])
    events = ask(replace(HELLO, output=FORM))
    assert json.loads(text_of(events)) == CITY


def test_with_the_answer_no_more_is_called(serve: Callable[..., MockOpenAI]) -> None:
    serve(tokens=0, calls=[(OUTPUT_TOOL, WRITTEN), ("add", "{}"), (OUTPUT_TOOL, "{}")])
    events = ask(replace(HELLO, output=FORM))
    assert json.loads(text_of(events)) == CITY
    assert not calls_of(events)


# -- pictures ----------------------------------------------------------------------------------------------------------

DATA = "iVBORw0KGgo="
PICTURE: Image = {"name": "fig", "mime": "image/png", "data": DATA}
ASKED = ModelRequest((user("What is it?", images=[PICTURE]),))

SENT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "openai": lambda body: body["messages"][0]["content"][2]["image_url"]["url"],
    "responses": lambda body: body["input"][0]["content"][2]["image_url"],
    "anthropic": lambda body: body["messages"][0]["content"][2]["source"],
    "google": lambda body: body["contents"][0]["parts"][2]["inlineData"],
}
ARRIVED = {
    "openai": f"data:image/png;base64,{DATA}", "responses": f"data:image/png;base64,{DATA}",
    "anthropic": {"type": "base64", "media_type": "image/png", "data": DATA},
    "google": {"mime_type": "image/png", "data": DATA},
}  # fmt: skip


@pytest.mark.parametrize("vendor", VENDORS)
def test_pictures_reach_the_provider(answering: Answering, vendor: str) -> None:
    mock = answering(VENDORS[vendor], tokens=1)
    ask(ASKED, name=VENDORS[vendor].model)
    [body] = mock.bodies
    assert SENT[vendor](body) == ARRIVED[vendor]
    assert "What is it?" in json.dumps(body)
    assert "The picture fig:" in json.dumps(body)


def test_a_model_that_takes_none_is_asked_again_without(serve: Callable[..., MockOpenAI]) -> None:
    """Of most that take none the library knows nothing: they say so themselves, each with other words."""
    mock = serve(tokens=1)
    later = ModelRequest((*ASKED.messages, {"role": "assistant", "content": "A dot."}, user("Sure?")))

    async def twice() -> None:
        async with provider("openai-chat:o3-mini") as model:
            await collect(model, ASKED)
            await collect(model, later)

    asyncio.run(twice())
    assert mock.calls == 3, "once refused, it is known"
    assert "image_url" in json.dumps(mock.bodies[0])
    for body in mock.bodies[1:]:
        assert body["messages"][0]["content"] == (
            "What is it?\n[The picture fig is left out: this model takes no pictures.]"
        )


def test_what_is_refused_for_another_reason_stays_refused(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(status=400, message="too long")
    with pytest.raises(ModelError, match="too long"):
        ask(ASKED)
    assert mock.calls == 1
    mock = serve(status=400, message="no image please")
    with pytest.raises(ModelError, match="no image please"):
        ask(ASKED)
    assert mock.calls == 2


# -- thoughts in tags --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tokens",
    [
        ["<think>", "let me", " see", "</think>", "\n\n", "42"],
        ["<think>", "let me see", "</think>\n\n42"],  # taken one by one, the end would be missed
        ["<th", "ink>let me see<", "/think>42"],
    ],
)
@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_thoughts_in_tags_are_split_off(answering: Answering, vendor: str, tokens: list[str]) -> None:
    answering(VENDORS[vendor], tokens=tokens)
    events = ask(ModelRequest(HELLO.messages, level=1), name=VENDORS[vendor].model)
    assert (thought_of(events), text_of(events)) == ("let me see", "42")
    assert events[-1] == Usage(2, len(tokens))


def test_tags_that_are_talked_about_are_text(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=["Write ", "<think>", " and ", "</think>", "."])
    events = ask()
    assert (thought_of(events), text_of(events)) == ("", mock.text)


def test_thoughts_that_were_never_closed(serve: Callable[..., MockOpenAI]) -> None:
    serve(Reply(tokens=["<think>", "it is ", "42"]), Reply(tokens=["<think>", "it is ", "42"]))
    assert text_of(ask()) == "it is 42", "the answer is in there"
    cut = ask(ModelRequest(HELLO.messages, max_tokens=2))
    assert (thought_of(cut), text_of(cut)) == ("it is ", "")


# -- how many tokens a piece is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("piece", "least", "most"),
    [("token1 ", 1, 1), ("x" * 11, 1, 1), ("four words of prose, " * 10, 40, 80), ("東京都" * 4, 9, 24), ("é", 1, 2)],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_piece_counts_for_what_it_is(
    serve: Callable[..., MockOpenAI], piece: str, least: int, most: int, first: bool
) -> None:
    serve(tokens=[piece] if first else ["a ", piece])
    delta = [event for event in ask() if isinstance(event, TextDelta)][-1]
    assert delta.text == piece
    assert least <= delta.tokens <= most
