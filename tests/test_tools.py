"""Tools: what can be one, what a model is told of it, what a call gives, and what is told where it goes wrong."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from copy import copy, deepcopy
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from openclaw_nb.errors import ConfigError
from openclaw_nb.tools import RESULT_LIMIT, Tool, Toolbox, ToolResult
from tests.spine import any_text


class Place(BaseModel):
    city: str
    country: str = "FR"


class Unit(Enum):
    C = "C"
    F = "F"


def weather(place: str, days: Annotated[int, Field(ge=1, description="How many days.")] = 1) -> str:
    """The weather of a place.

    Made up.
    """
    return f"{days} days of sun in {place}"


def visit(
    place: Place, unit: Unit = Unit.C, *, tags: list[str] | None = None, how: Literal["car", "foot"] = "car"
) -> str:
    return f"{place.city}/{place.country} {unit.value} {tags} {how}"


async def later(n: int) -> int:
    await asyncio.sleep(0)
    return n + threading.get_ident() * 0


def call(tool: Callable[..., Any] | Tool, arguments: Any = None) -> ToolResult:
    made = tool if isinstance(tool, Tool) else Tool(tool)
    return asyncio.run(made.call({} if arguments is None else arguments))


def gives(value: Any) -> str:
    def tool() -> Any:
        return value

    result = call(tool)
    assert not result.failed
    return result.text


# -- what a model is told of it ------------------------------------------------------------------


def test_a_function_becomes_a_definition() -> None:
    definition = Tool(weather).definition
    assert definition.name == "weather"
    assert definition.description == "The weather of a place.\n\nMade up."
    assert definition.schema == {
        "type": "object",
        "properties": {
            "place": {"type": "string"},
            "days": {"type": "integer", "minimum": 1, "description": "How many days.", "default": 1},
        },
        "required": ["place"],
        "additionalProperties": False,
    }
    json.dumps(definition.schema)


def test_without_a_docstring_the_signature_says_what_there_is() -> None:
    def double(x: int) -> int:
        return 2 * x

    assert Tool(double).definition.description.startswith("double(x: ")
    assert Tool(double, name="twice", description="Twice as much.").definition.description == "Twice as much."
    assert Tool(double, name="twice").name == "twice"


def test_a_description_is_bounded() -> None:
    def wordy() -> None: ...

    wordy.__doc__ = "word " * 10_000
    assert len(Tool(wordy).definition.description) == 4_000


def test_no_parameters() -> None:
    def now() -> str:
        """The time."""
        return "noon"

    assert Tool(now).definition.schema == {"type": "object", "properties": {}, "additionalProperties": False}
    assert call(now) == ToolResult("noon")


def test_methods_and_partials() -> None:
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        def add(self, by: int) -> int:
            """Adds."""
            self.count += by
            return self.count

        def __call__(self, by: int) -> int:
            return by

    counter = Counter()
    assert call(counter.add, {"by": 2}).text == "2"
    assert Tool(counter.add).definition.schema["required"] == ["by"]
    assert call(Tool(partial(weather, days=3), name="sunny"), {"place": "Rome"}).text == "3 days of sun in Rome"
    assert call(Tool(counter, name="same"), {"by": 7}).text == "7"


def nameless(value: Any) -> Any:
    return value


def untyped(place: str, days=1) -> str:  # type: ignore[no-untyped-def]
    return place


def anything(*places: str) -> None: ...


def any_names(**places: str) -> None: ...


def by_position(place: str, /) -> None: ...


def takes_a_frame(place: str, frame: pd.DataFrame) -> None: ...


def takes_a_function(f: Callable[[int], int]) -> None: ...


def unknown_type(place: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def yields() -> Iterator[int]:
    yield 1


async def yields_later() -> AsyncIterator[int]:
    yield 1


def größe() -> int:
    return 1


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (3, "a tool is a function, not 3"),
        (Place, "a tool is a function, not <class"),
        (lambda: 1, "a lambda has no name"),
        (partial(weather), "an object of partial has no name"),
        (untyped, "untyped cannot be a tool: its parameter days has no type; write days: str"),
        (anything, "anything cannot be a tool: its parameter places is variadic positional"),
        (any_names, "any_names cannot be a tool: its parameter places is variadic keyword"),
        (by_position, "by_position cannot be a tool: its parameter place is positional-only"),
        (takes_a_frame, "takes_a_frame cannot be a tool: its parameter frame is DataFrame, which a model cannot write"),
        (takes_a_function, "takes_a_function cannot be a tool: its parameter f is"),
        (unknown_type, "unknown_type cannot be a tool: its types cannot be read (name 'Nowhere' is not defined)"),
        (yields, "yields cannot be a tool: it yields"),
        (yields_later, "yields_later cannot be a tool: it yields"),
        (größe, "a tool cannot be called 'größe'"),
        (str.join, "cannot be a tool"),
    ],
)
def test_what_cannot_be_a_tool(function: Any, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Tool(function)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


# -- the arguments -------------------------------------------------------------------------------


def test_arguments_become_what_the_function_takes() -> None:
    assert call(visit, {"place": {"city": "Lyon"}}).text == "Lyon/FR C None car"
    told = {"place": {"city": "Ulm", "country": "DE"}, "unit": "F", "tags": ["a"], "how": "foot"}
    assert call(visit, told).text == "Ulm/DE F ['a'] foot"
    assert call(weather, {"place": "Nice", "days": "2"}).text == "2 days of sun in Nice", "a number written as text"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "weather was not called: place: Field required"),
        ({"place": 3}, "weather was not called: place: Input should be a valid string"),
        ({"place": "x", "days": 0}, "weather was not called: days: Input should be greater than or equal to 1"),
        ({"place": "x", "day": 2}, "weather was not called: day: Extra inputs are not permitted"),
        ({"place": ["s3cret"] * 9}, "weather was not called: place: Input should be a valid string"),
        ('{"place": "x"', "weather was not called: its arguments have to be one JSON object"),
    ],
)
def test_wrong_arguments_are_told_in_one_sentence(arguments: Any, words: str) -> None:
    assert call(weather, arguments) == ToolResult(words, failed=True)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | any_text, lambda x: st.lists(x) | st.dictionaries(any_text, x)
    )
)
def test_whatever_a_model_writes_gets_an_answer(arguments: Any) -> None:
    result = call(Tool(visit), {"place": arguments} if not isinstance(arguments, dict) else arguments)
    assert "\n" not in result.text
    assert len(result.text) < 400


# -- the result ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        (None, "null"),
        (3, "3"),
        (True, "true"),
        ({"a": [1, 2.5, None], "b": "é"}, '{"a": [1, 2.5, null], "b": "é"}'),
        ((1, 2), "[1, 2]"),
        ({1, 2}, "[1, 2]"),
        (Unit.C, "<Unit.C: 'C'>"),
        ("half \ud83d", "half \ufffd"),
        ("whole \ud83d\ude00", "whole 😀"),
    ],
)
def test_results_as_text(value: Any, text: str) -> None:
    assert gives(value) == text


def test_a_table_is_its_shape_and_head() -> None:
    text = gives(pd.DataFrame({"n": range(100_000)}))
    assert text.startswith("100,000 rows × 1 columns")
    assert "First 5 rows" in text
    assert len(text) < 400
    assert gives(np.arange(1_000_000)).startswith("shape 1,000,000")


@pytest.mark.parametrize("value", ["x" * 1_000_000, list(range(100_000)), {"k": "y" * 200_000}, [["z" * 99] * 99] * 99])
def test_a_result_is_bounded(value: Any, figure: Callable[[str, str], None]) -> None:
    text = gives(value)
    assert len(text) <= RESULT_LIMIT
    assert "more" in text
    if isinstance(value, str):
        figure("issue 4 tools", f"a result of {len(value):,} characters reaches the model as {len(text):,}")


def test_of_long_text_it_says_how_much_is_left_out() -> None:
    kept, _, more = gives("x" * 1_000_000).partition("\n… ")
    assert len(kept) + int(more.split()[0].replace(",", "")) == 1_000_000


def test_colours_of_a_terminal_are_left_out() -> None:
    assert gives("\x1b[31m\x1b[1m1 failed\x1b[0m, 2 passed") == "1 failed, 2 passed"


def test_what_a_secret_holds_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from openclaw_nb.secret import Secret

    monkeypatch.setenv("PLANTED_TOKEN", "tok-5f1e0c2b9a")
    secret = Secret("env:PLANTED_TOKEN")
    assert gives({"token": secret}) == '{"token": "env:PLANTED_TOKEN"}'

    def leaks() -> str:
        return f"sent with {secret.reveal()}"

    def fails() -> str:
        raise ValueError(f"refused: {secret.reveal()}")

    for text in (call(leaks).text, call(fails).text):
        assert "tok-5f1e" not in text
        assert "env:PLANTED_TOKEN" in text


# -- several -------------------------------------------------------------------------------------


def test_a_toolbox_takes_functions_and_tools() -> None:
    box = Toolbox([weather, Tool(later)])
    assert [tool.name for tool in box] == ["weather", "later"]
    assert [definition.name for definition in box.definitions] == ["weather", "later"]
    assert repr(box) == "<Toolbox weather, later>"
    assert asyncio.run(box.call("later", {"n": 1})) == ToolResult("1")
    assert asyncio.run(box.call("wether", {})) == ToolResult(
        "there is no tool 'wether'; the tools are: weather, later", failed=True
    )
    assert asyncio.run(Toolbox().call("x", {})).text == "there is no tool 'x'; the tools are: none"


def test_boxes_of_the_same_tools_are_equal() -> None:
    assert Toolbox([weather, later]) == Toolbox([Tool(weather), later])
    assert hash(Toolbox([weather])) == hash(Toolbox([weather]))
    assert Toolbox([weather]) != Toolbox([later])
    assert Tool(weather) != Tool(weather, description="other")
    assert len(Toolbox([weather, weather])) == 1


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"two tools are called weather; give one another name"):
        Toolbox([weather, Tool(visit, name="weather")])


# -- copies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy, deepcopy, lambda tool: pickle.loads(pickle.dumps(tool))])
def test_a_copy_is_the_same_tool(copied: Callable[[Tool], Tool]) -> None:
    tool = Tool(weather, name="sun", description="Sun only.")
    made = copied(tool)
    assert made is not tool
    assert (made, hash(made)) == (tool, hash(tool))
    assert made.definition == tool.definition
    assert call(made, {"place": "Nice"}) == ToolResult("1 days of sun in Nice")
    assert call(made, {"place": 3}) == call(tool, {"place": 3})


def test_a_pickle_holds_what_a_tool_is_made_of_and_no_more() -> None:
    assert b"pydantic" not in pickle.dumps(Tool(weather))
