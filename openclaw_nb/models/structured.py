"""Structured answers of the offline model: what it computed or finds in the data, where that is what was asked for."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ..errors import ModelError
from ..outputs.answers import bare
from ..outputs.schemas import fits
from ..prompts import Data
from .base import Output
from .question import Question
from .skills import Answer

__all__ = ["reviewed", "structured"]

MOST_TRIED = 60  # values that are held against a schema

_NUMBER = re.compile(r"\*\*(-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)(?=\D*\*\*)")
_SIZE = re.compile(r"([\d,]+) rows × ([\d,]+) columns\n")
_FIELD = re.compile(r"^[-*\s]*([^\W\d][\w ]{0,40}?)\s*[:=]\s*(\S.*?)\s*$", re.MULTILINE)
_WORDS = re.compile(r"[^\W_]+")


def structured(question: Question, reply: Answer, output: Output) -> str:
    """The JSON that ``output`` asks for, of values that are at hand; ModelError where there are none that fit.

    Nothing is made up: each value was computed for ``reply``, or stands in the data by the name of its field.
    """
    tried = islice(filter(None, _candidates(question, reply, output.schema)), MOST_TRIED)
    texts = (json.dumps(value, ensure_ascii=False) for value in tried)
    found = next((text for text in texts if not fits(text, output.schema)), None)
    if found is None:
        raise ModelError(
            f"the offline model is no language model and finds no {output.name} in the data or in what it can compute; "
            "choose one with --model openai-chat:NAME or anthropic:NAME"
        )
    return found


def reviewed(draft: str, question: Question, reply: Answer) -> str | None:
    """The check of a structured draft: whether each of its values is at hand; None for what is no JSON object."""
    try:
        answer = json.loads(bare(draft))
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    known = [reply.text, *_computed(reply), *(leaf for data in question.data for _, leaf in _leaves(_value(data)))]
    found = [(place, leaf in known) for place, leaf in islice(_leaves(answer), MOST_TRIED)]
    lines = [f"- {'In the data or computed' if there else 'Wrong, not at hand'}: `{place}`." for place, there in found]
    return "\n".join([*lines, f"VERDICT: {'pass' if all(there for _, there in found) else 'fail'}"])


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The values in containers, each with its place, and the containers that are empty."""
    inside: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not inside or not value:
        yield place, value
        return
    for name, item in inside:
        yield from _leaves(item, f"{place}[{name}]" if isinstance(name, int) else f"{place}.{name}".strip("."))


def _candidates(question: Question, reply: Answer, schema: dict[str, Any]) -> Iterator[Any]:
    """What may be the answer, the nearest first."""
    fields = list(schema.get("properties", {}))
    values = [value for data in question.data if (value := _value(data)) is not None]
    tables = [value for value in values if isinstance(value, dict)]
    for table in tables:
        yield _picked(table, fields)
    yield _picked({name: value for table in tables for name, value in table.items()}, fields)
    if len(fields) != 1:
        return
    [only] = fields
    asked = {word.casefold() for word in _WORDS.findall(question.text)}
    for table in tables:
        yield from ({only: value} for name, value in table.items() if set(_plain(name).split()) <= asked)
    yield from ({only: value} for value in values)
    numbers = _computed(reply)
    yield from ({only: number} for number in numbers)
    if numbers:
        yield {only: numbers}
    if reply.parts and not reply.open:
        yield {only: reply.text}


def _computed(reply: Answer) -> list[Any]:
    return [_number(text) for part in reply.parts for text in _NUMBER.findall(part.text)[:1]]


def _picked(table: dict[Any, Any], fields: list[str]) -> dict[str, Any]:
    """The fields that are asked for, by names that are the same but for case and signs; all where any will do."""
    if not fields:
        return table
    known = {_plain(name): value for name, value in table.items()}
    return {field: known[_plain(field)] for field in fields if _plain(field) in known}


def _plain(name: object) -> str:
    return " ".join(_WORDS.findall(str(name))).casefold()


def _value(data: Data) -> Any:
    """A value in the prompt as plain data, or None where it is not all there or is something else."""
    if data.type == "DataFrame" and (size := _SIZE.match(data.body)):
        return dict(zip(("rows", "columns"), map(_number, size.groups()), strict=True))
    if data.type == "str":
        return _read_text(data.body)
    try:
        tree = ast.parse(data.body, mode="eval").body
        if isinstance(tree, ast.Call):  # what a dataclass or a model shows itself as
            return {word.arg: ast.literal_eval(word.value) for word in tree.keywords if word.arg}
        return ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _read_text(text: str) -> Any:
    """What a text says as JSON, or in lines of the form ``name: value``."""
    try:
        return json.loads(bare(text))
    except (ValueError, RecursionError):
        return {name: _number(value) for name, value in _FIELD.findall(text)} or None


def _number(text: str) -> Any:
    """The number that a text is, or the text."""
    for kind in (int, float):
        try:
            return kind(text.replace(",", ""))
        except ValueError:
            continue
    return text
