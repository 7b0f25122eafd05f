"""Structured answers of the offline model: what it has, and that it makes nothing up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import pytest

from openclaw_nb.errors import ModelError
from openclaw_nb.models.base import Output
from openclaw_nb.models.question import Question
from openclaw_nb.models.skills import answer
from openclaw_nb.models.structured import reviewed, structured
from openclaw_nb.outputs import Expected
from openclaw_nb.prompts import fill


@dataclass
class City:
    name: str
    population: int


@dataclass
class Optionally:
    name: str = ""


@dataclass
class Table:
    rows: int
    columns: int


def said(prompt: str, kind: Any, **space: Any) -> Any:
    expected = Expected(kind)
    question = Question.of([{"role": "user", "content": str(fill(prompt, space))}])
    return expected.read(structured(question, answer(question), Output(**expected.output)))


ULM = City("Ulm", 126_000)


@pytest.mark.parametrize(
    ("prompt", "kind", "space", "value"),
    [
        ("what is 6*7?", int, {}, 42),
        ("what is 15% of 80?", float, {}, 12.0),
        ("1000 * 1000", int, {}, 1_000_000),
        ("72 F in C", float, {}, 22.2222222222),
        ("what is 6*7? what is 2+2?", list[int], {}, [42, 4]),
        ("which city is {c}?", City, {"c": {"name": "Ulm", "population": 126_000}}, ULM),
        ("which city is {c}?", City, {"c": {"Name": "Ulm", "more": [1], "POPULATION": 126_000}}, ULM),
        ("which city is {c}?", City, {"c": ULM}, ULM),
        ("which city is {c}?", City, {"c": "Name: Ulm\nPopulation: 126,000\n"}, ULM),
        ("which city is {c}?", City, {"c": '{"name": "Ulm", "population": 126000}'}, ULM),
        ("which city is {a} and {b}?", City, {"a": {"name": "Ulm"}, "b": {"population": 126_000}}, ULM),
        ("which are in {c}?", list[City], {"c": [{"name": "Ulm", "population": 126_000}]}, [ULM]),
        ("what is the population in {c}?", int, {"c": {"size": 5, "population": 126_000}}, 126_000),
        ("how big is {t}?", Table, {"t": pd.DataFrame({"a": range(1_200)})}, Table(1_200, 1)),
        ("what is in {d}?", dict[str, int], {"d": {"a": 1}}, {"a": 1}),
    ],
)
def test_what_is_at_hand(prompt: str, kind: Any, space: dict[str, Any], value: object) -> None:
    assert said(prompt, kind, **space) == value


def test_a_text_is_the_answer_itself() -> None:
    assert said("what is 6*7?", str) == "`6*7` = **42**"


@pytest.mark.parametrize(
    ("prompt", "kind", "space"),
    [
        ("what is the largest city of France?", City, {}),
        ("what is the largest city of France?", str, {}),
        ("how many people live in Ulm?", int, {}),
        ("which city is {c}?", City, {"c": {"name": "Ulm"}}),
        ("which city is {c}?", City, {"c": {"name": "Ulm", "population": "many"}}),
        ("is it good or bad?", Literal["good", "bad"], {}),
        ("which city is {c}?", City, {"c": ["x" * 300] * 60}),
        ("which city is {c}?", Optionally, {"c": {"size": 5}}),
        ("which city is it?", list[int], {}),
        ("which city is {c}?", City, {"c": "[" * 9_000}),
    ],
)
def test_nothing_is_made_up(prompt: str, kind: Any, space: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"^the offline model is no language model and finds no \w+ in the data"):
        said(prompt, kind, **space)


@pytest.mark.parametrize(
    ("draft", "passed"),
    [
        ('{"name": "Ulm", "population": 126000}', True),
        ('```json\n{"result": [42, "Ulm"]}\n```', True),
        ('{"name": "Bonn", "population": 126000}', False),
        ('{"result": {"deep": [{"population": 1}]}}', False),
        ('{"result": []}', False),
    ],
)
def test_a_draft_is_checked_against_what_is_at_hand(draft: str, passed: bool) -> None:
    prompt = str(fill("what is 6*7? and {c}?", {"c": {"name": "Ulm", "population": 126_000}}))
    question = Question.of([{"role": "user", "content": prompt}])
    review = reviewed(draft, question, answer(question))
    assert review is not None
    assert review.endswith(f"VERDICT: {'pass' if passed else 'fail'}")
    assert ("Wrong, not at hand" in review) is not passed


@pytest.mark.parametrize("draft", ["42", "[1]", "Ulm is nice", "{", "[" * 9_000])
def test_other_drafts_are_checked_as_ever(draft: str) -> None:
    assert reviewed(draft, Question("x"), answer(Question("x"))) is None


def test_json_of_any_letters() -> None:
    question = Question.of([{"role": "user", "content": str(fill("{c}", {"c": {"name": "Köln", "population": 1}}))}])
    text = structured(question, answer(question), Output(**Expected(City).output))
    assert "Köln" in text
    assert json.loads(text) == {"name": "Köln", "population": 1}
