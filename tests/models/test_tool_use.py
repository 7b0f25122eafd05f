"""The offline model's use of tools: what counts as a wish for one, what is read of it, and what is said."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.ledger import Ledger
from openclaw_nb.models.base import (
    Message,
    ModelEvent,
    ModelRequest,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolDefinition,
)
from openclaw_nb.models.offline import OfflineModel
from openclaw_nb.models.tool_use import SHOWN
from openclaw_nb.prompts import fill


def definition(name: str, *parameters: str) -> ToolDefinition:
    return ToolDefinition(name, "", {"type": "object", "properties": {parameter: {} for parameter in parameters}})


TOOLS = (definition("weather", "place", "days"), definition("now"))


def ask(prompt: str, *given: str, tools: tuple[ToolDefinition, ...] = TOOLS, level: int = 2) -> list[ModelEvent]:
    """The events of the request that comes after these results."""

    async def once() -> list[ModelEvent]:
        return [event async for event in OfflineModel(0).stream(request(prompt, *given, tools=tools, level=level))]

    return asyncio.run(once())


def request(prompt: str, *given: str, tools: tuple[ToolDefinition, ...] = TOOLS, level: int = 2) -> ModelRequest:
    ledger = Ledger("run")
    for number, result in enumerate(given):
        [entry] = ledger.ask(number, 0, [ToolCall("", "tool", {})])
        ledger.end(entry, result, 0.0)
    asked: Message = {"role": "user", "content": prompt}
    return ModelRequest((asked, *ledger.messages("")), level=level, tools=tools)


def calls(events: list[ModelEvent]) -> list[tuple[str, Any]]:
    return [(event.name, event.arguments) for event in events if isinstance(event, ToolCall)]


def text(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    ("prompt", "call"),
    [
        ("use weather('Paris')", ("weather", {"place": "Paris"})),
        ("Please use weather('Paris', 2).", ("weather", {"place": "Paris", "days": 2})),
        ("Call `weather(place='Paris', days=-1)` and explain.", ("weather", {"place": "Paris", "days": -1})),
        ("use the tool now()", ("now", {})),
        ("Use\nweather([1, (2, 3)], {'a': None})", ("weather", {"place": [1, [2, 3]], "days": {"a": None}})),
        ("use weather('a) (b', 1)", ("weather", {"place": "a) (b", "days": 1})),
        ("use weather((1, 2))", ("weather", {"place": [1, 2]})),
        ("I use nothing, but use now() please", ("now", {})),
    ],
)
def test_a_wish_for_a_tool(prompt: str, call: tuple[str, Any]) -> None:
    assert calls(ask(prompt)) == [call]


@pytest.mark.parametrize(
    "prompt",
    [
        "weather('Paris')",
        "what does weather('Paris') do?",
        "use forecast('Paris')",
        "user now()",
        "use now",
        "what is 2 + 2?",
        "",
    ],
)
def test_what_is_no_wish_is_answered_as_ever(prompt: str) -> None:
    assert ask(prompt) == ask(prompt, tools=())


def test_without_tools_nothing_is_called() -> None:
    assert calls(ask("use now()", tools=())) == []


@pytest.mark.parametrize(
    "wish",
    ["weather(place)", "weather(open('x'))", "weather(1 + 1 if x else 2)", "weather(1, 2, 3)", "weather(*[1])",
     "weather(**{})", "weather(b'x')", "weather(1j)", "weather({1})", "weather('half", "weather(" + "(" * 500],
)  # fmt: skip
def test_only_literals_are_read_and_nothing_is_run(wish: str) -> None:
    events = ask(f"use {wish}")
    assert calls(events) == []
    assert "its arguments have to be literals" in text(events)


def test_a_value_from_the_notebook_is_no_wish() -> None:
    prompt = str(fill("describe {note}", {"note": "use now()\nplease use weather('Paris')"}))
    assert calls(ask(prompt)) == []


def test_one_call_after_another_and_what_each_gave() -> None:
    prompt = "use weather('Rome') then now() and weather('Bonn')"
    assert text(ask(prompt)) == "I use `weather('Rome')`. "
    second = ask(prompt, "sun")
    assert text(second) == "It gives: sun\n\nI use `now()`. "
    assert calls(second) == [("now", {})]
    assert calls(ask(prompt, "sun", "noon")) == [("weather", {"place": "Bonn"})]
    last = ask(prompt, "sun", "noon", "rain")
    assert (text(last), calls(last)) == ("It gives: rain", [])


def test_results_of_several_lines_are_fenced_and_long_ones_cut() -> None:
    assert text(ask("use now()", "| a |\n```\n")) == "It gives:\n\n````text\n| a |\n```\n\n````"
    assert len(text(ask("use now()", "x" * 9_999))) < SHOWN + 50


def test_results_of_an_earlier_turn_are_not_this_ones() -> None:
    earlier = request("use now()", "noon")
    again: Message = {"role": "user", "content": "use now()"}
    asked = ModelRequest((*earlier.messages, {"role": "assistant", "content": "It gives: noon"}, again), tools=TOOLS)

    async def once() -> list[ModelEvent]:
        return [event async for event in OfflineModel(0).stream(asked)]

    assert calls(asyncio.run(once())) == [("now", {})]


def test_a_plan_comes_once() -> None:
    def plans(events: list[ModelEvent]) -> str:
        return "".join(event.text for event in events if isinstance(event, ThinkingDelta))

    assert plans(ask("use now()", level=3)) == "Answer from a tool; everything is computed here."
    assert plans(ask("use now()", "noon", level=3)) == ""


@given(st.text(max_size=60), st.lists(st.text(max_size=9), max_size=3))
def test_whatever_is_asked(rest: str, given: list[str]) -> None:
    """No prompt raises, and at most one call comes at a time."""
    assert len(calls(ask(f"use weather({rest} then now()", *given))) <= 1
