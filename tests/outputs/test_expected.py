"""Types of the notebook as what a model is asked for, and answers as their values."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator
from typing_extensions import TypedDict

from openclaw_nb.errors import ConfigError, RequestError, RunError
from openclaw_nb.outputs.expected import Expected, check


class City(BaseModel):
    """A city."""

    name: str
    population: Annotated[int, Field(ge=0)]


@dataclasses.dataclass
class Town:
    name: str
    twin: City | None = None


class Land(TypedDict):
    name: str


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Node(BaseModel):
    value: int
    children: list[Node] = []


class Fussy(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def check(cls, n: int) -> int:
        if n == 13:
            raise ValueError("13 is out of the question")
        if n == 14:
            raise KeyError("broken")
        if n == 15:
            sys.exit("no more")
        return n


@pytest.mark.parametrize(
    ("kind", "name", "answer", "value"),
    [
        (City, "City", {"name": "Ulm", "population": 5}, City(name="Ulm", population=5)),
        (Town, "Town", {"name": "Ulm"}, Town("Ulm")),
        (Land, "Land", {"name": "Ulm"}, {"name": "Ulm"}),
        (Node, "Node", {"value": 1, "children": [{"value": 2}]}, Node(value=1, children=[Node(value=2)])),
        (dict[str, int], "dict_str_int", {"a": 1}, {"a": 1}),
        (Colour, "Colour", {"result": "blue"}, Colour.BLUE),
        (Literal["a", "b"], "Literal_a_b", {"result": "b"}, "b"),
        (list[City], "list_City", {"result": [{"name": "Ulm", "population": 5}]}, [City(name="Ulm", population=5)]),
        (City | None, "City_None", {"result": None}, None),
        (int, "int", {"result": 5}, 5),
        (str, "str", {"result": "x"}, "x"),
        (tuple[int, str], "tuple_int_str", {"result": [1, "x"]}, (1, "x")),
        (set[int], "set_int", {"result": [1, 1]}, {1}),
    ],
)
def test_a_type_and_its_value(kind: Any, name: str, answer: Any, value: object) -> None:
    expected = Expected(kind)
    assert expected.output["name"] == name
    assert expected.output["schema"]["type"] == "object"
    check(**expected.output)
    assert expected.read(json.dumps(answer)) == value
    assert expected.read(f"```json\n{json.dumps(answer)}\n```") == value


def test_a_model_is_told_what_the_class_says() -> None:
    schema = Expected(City).output["schema"]
    assert schema["description"] == "A city."
    assert schema["properties"]["population"]["minimum"] == 0
    assert "$ref" not in Expected(Node).output["schema"]


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (City, '{"name": "Ulm", "population": "many"}', "City: population must be an integer"),
        (City, '{"name": "Ulm"}', "City: it lacks population"),
        (City, "Ulm is nice", "City: it is no JSON: Expecting value: line 1 column 1 (char 0)"),
        (City, "", "City: it is no JSON"),
        (list[City], '{"result": [{"name": "Ulm"}]}', "list[City]: result[0] lacks population"),
        (list[City], '[{"name": "Ulm"}]', "list[City]: it must be an object"),
        (Fussy, '{"n": 13}', "Fussy: n: Value error, 13 is out of the question"),
        (Fussy, '{"n": 14}', "Fussy: KeyError: 'broken'"),
        (Fussy, '{"n": 15}', "Fussy: SystemExit: no more"),
        (Colour, '{"result": "green"}', 'Colour: result must be one of "red", "blue"'),
    ],
)
def test_an_answer_that_does_not_fit(kind: Any, text: str, words: str) -> None:
    with pytest.raises(RunError) as error:
        Expected(kind).read(text)
    assert str(error.value).startswith(f"the answer does not fit {words}")
    assert error.value.code == "OUTPUT"
    assert "\n" not in str(error.value)


class Plain:
    def __init__(self, x: int) -> None:
        self.x = x


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Plain, r"^Plain cannot be asked for, JSON cannot hold it: Unable to generate pydantic-core schema for "),
        (list[Plain], r"^list\[Plain\] cannot be asked for, JSON cannot hold it"),
        (5, r"^5 cannot be asked for"),
    ],
)
def test_what_cannot_be_asked_for(kind: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Expected(kind)


def test_a_type_may_be_too_large() -> None:
    big = Literal[tuple(f"choice {at} {'x' * 50}" for at in range(2_000))]  # type: ignore[valid-type]
    with pytest.raises(ConfigError, match=r"cannot be asked for: a schema has at most 65,536 bytes$"):
        Expected(big)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "Städte", 'x"\n'])
def test_a_name_that_is_not_taken(name: str) -> None:
    with pytest.raises(RequestError, match=r"^output: a name has 1 to 64 letters"):
        check(name, {"type": "object"})


def test_a_schema_that_is_not_taken() -> None:
    with pytest.raises(RequestError, match=r"^output: a schema refers to its own \$defs only"):
        check("x", {"type": "object", "properties": {"x": {"$ref": "http://127.0.0.1:9/x"}}})
