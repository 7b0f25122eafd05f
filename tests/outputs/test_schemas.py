"""What is taken as a schema, what fits one, in which words it is said what does not, and that no schema can do harm."""

from __future__ import annotations

import json
import socket
import warnings
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openclaw_nb.outputs.schemas import SCHEMA_BYTES, fits, refused

CITY = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "pattern": "^[A-Z]"},
        "population": {"type": "integer", "minimum": 0},
        "kind": {"enum": ["city", "town"]},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}, "maxItems": 3},
        "mayor": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["name", "population"],
    "additionalProperties": False,
    "$defs": {"Part": {"type": "object", "properties": {"area": {"type": "number"}}, "required": ["area"]}},
}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties]}


def test_a_schema_that_is_taken() -> None:
    assert refused(CITY) == ""
    assert fits('{"name": "Ulm", "population": 126000, "parts": [{"area": 1.5}], "mayor": null}', CITY) == ""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"name": "Ulm", "population": "many"}, "population must be an integer"),
        ({"name": "Ulm", "population": 1.5}, "population must be an integer"),
        ({"name": "Ulm"}, "it lacks population"),
        ({"name": "Ulm", "population": -1}, "population must be at least 0"),
        ({"name": "ulm", "population": 1}, 'name must match "^[A-Z]"'),
        ({"name": "Ulm", "population": 1, "kind": "x"}, 'kind must be one of "city", "town"'),
        ({"name": "Ulm", "population": 1, "parts": [{"area": 1}, {}]}, "parts[1] lacks area"),
        ({"name": "Ulm", "population": 1, "parts": [{"area": "x"}]}, "parts[0].area must be a number"),
        ({"name": "Ulm", "population": 1, "parts": [{"area": 1}] * 4}, "parts must have at most 3 items"),
        ({"name": "Ulm", "population": 1, "mayor": 5}, "mayor must be a text or must be null"),
        ({"name": "Ulm", "population": 1, "more\nlines": 5}, "it has more lines besides what is asked"),
        ([1], "it must be an object"),
        (True, "it must be an object"),
    ],
)
def test_what_is_wrong_in_words(answer: Any, words: str) -> None:
    assert fits(json.dumps(answer), CITY) == words


@pytest.mark.parametrize("text", ["", "no", '{"a": NaN}', '{"a": 1} more', "{", "[" * 100_000, "1" * 10_000])
def test_no_json(text: str) -> None:
    wrong = fits(text, CITY)
    assert wrong.startswith(("it is no JSON: ", "it is nested too deep", "it must be an object"))
    assert len(wrong) < 200
    assert "\n" not in wrong


# -- what is not taken ---------------------------------------------------------------------------

NOT_TAKEN = {
    "no object": ([], "has the type object"),
    "another type": ({"type": "array"}, "has the type object"),
    "too deep": (
        json.loads('{"type": "object", "not": ' + '{"not": ' * 60 + "{}" + "}" * 61),
        "nested at most 40 deep",
    ),
    "too large": (obj(**{f"x{at}": {"description": "y" * 1_000} for at in range(70)}), "at most 65,536 bytes"),
    "an address": (obj(x={"$ref": "http://127.0.0.1:9/x"}), "its own $defs only, not to http://127.0.0.1:9/x"),
    "a file": (obj(x={"$ref": "file:///etc/passwd"}), "its own $defs only"),
    "a part that is not there": (obj(x={"$ref": "#/$defs/y"}), "its own $defs only"),
    "its own dialect": (obj(x={"$schema": "http://json-schema.org/draft-07/schema#"}), "does not use $schema"),
    "its own address": (obj(x={"$id": "http://127.0.0.1:9/"}), "does not use $id"),
    "no schema": ({"type": "object", "properties": 5}, "that is no schema: 5 is not of type 'object'"),
    "an odd keyword": (obj(x={"$schema": ["x"]}), "that is no schema"),
    "odd parts": ({"type": "object", "$defs": [1]}, "that is no schema"),
}


@pytest.mark.parametrize("what", NOT_TAKEN)
def test_not_taken(what: str) -> None:
    schema, words = NOT_TAKEN[what]
    assert words in refused(schema)
    assert len(refused(schema)) < 200


def test_data_may_be_called_like_a_keyword() -> None:
    assert refused(obj(**{"$ref": {"type": "string"}, "$id": {"type": "string"}})) == ""


# -- what is taken, and means harm ---------------------------------------------------------------


def doubling(depth: int) -> dict[str, Any]:
    """Of which each part refers to the next one twice: 2**depth steps for any answer."""
    parts: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(depth)}
    return {"type": "object", "allOf": [{"$ref": "#/$defs/d0"}], "$defs": parts | {f"d{depth}": {"type": "object"}}}


MEANT_ILL = {
    "a loop": {"type": "object", "$ref": "#"},
    "a longer loop": {
        "type": "object", "$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
    },
    "doubling": doubling(30),
    "two loops at each level": {
        "type": "object", "anyOf": [{"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}}],
        "not": {},
    },
}  # fmt: skip


@pytest.mark.parametrize("what", MEANT_ILL)
def test_a_check_that_would_not_end(what: str) -> None:
    schema = MEANT_ILL[what]
    assert refused(schema) == ""
    deep = '{"a": ' * 60 + "1" + "}" * 60
    assert fits(deep, schema) == "it is too large or too deep to be checked"


def test_a_large_answer_is_not_checked_for_ever() -> None:
    schema = obj(x={"type": "array", "items": {"allOf": [{"type": "integer"}] * 500}})
    assert refused(schema) == ""
    assert fits(json.dumps({"x": [1] * 5_000}), schema) == "it is too large or too deep to be checked"
    assert fits(json.dumps({"x": [1] * 90}), schema) == ""


def test_a_pattern_that_backtracks_for_ever() -> None:
    schema = obj(x={"type": "string", "pattern": "^(a+)+$"})
    assert refused(schema) == ""
    assert fits(json.dumps({"x": "a" * 50_000 + "b"}), schema) == 'x must match "^(a+)+$"'
    assert fits(json.dumps({"x": "a" * 50_000}), schema) == ""


def test_a_pattern_of_another_engine_binds_nobody() -> None:
    assert fits('{"x": "y"}', obj(x={"type": "string", "pattern": "(?<=a)b"})) == ""
    assert fits('{"x": "y"}', obj(x={"type": "string", "pattern": "(x{1000}){1000}"})) == ""


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *to: asked.append(to))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for place in ("http://127.0.0.1:9/x", "https://json-schema.org/x", "file:///etc/passwd", "x", "#x"):
            schema = obj(x={"$ref": place})
            assert refused(schema)
            with pytest.raises(Exception, match=r"Unresolvable|PointerToNowhere|NoSuchAnchor"):
                fits('{"x": 1}', schema)  # had it been taken
    assert not asked


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["type", "properties", "items", "$ref", "$defs", "enum", "required", "anyOf", "x"]),
                inner,
            )
        ),
    )
)
@settings(max_examples=50)
def test_anything_may_come_as_a_schema(value: Any) -> None:
    schema = {"type": "object", "x": value} | (value if isinstance(value, dict) else {})
    if not refused(schema):
        fits('{"x": [1, {"x": "y"}]}', schema)


ANSWERS = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.text("Ab", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "population", "parts", "area"]), inner)
    ),
    max_leaves=8,
)


@given(
    ANSWERS
    | st.fixed_dictionaries({"name": ANSWERS, "population": ANSWERS}, optional={"parts": ANSWERS, "kind": ANSWERS})
)
def test_what_fits_is_what_fits_by_the_whole_standard(answer: Any) -> None:
    assert (fits(json.dumps(answer), CITY) == "") == jsonschema.Draft202012Validator(CITY).is_valid(answer)


def test_its_size_is_bounded() -> None:
    assert SCHEMA_BYTES == 65_536
    assert refused(obj(**{f"x{at}": {"type": "string"} for at in range(500)})) == ""
