"""The part of an agent in front of its message, and taken from there again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.prompts import Data, Prompt, parse, take_part, with_part
from openclaw_nb.reasoning.features import extract

PART = "You test the code.\n\nProve that each error is found, compare three designs, and find the fault."


@pytest.mark.parametrize(
    "task", ["implement it", "", "a\n\nb\n\nThe task:\nc", "Your part in this task:\nx\n\nThe task:\ny"]
)
def test_there_and_back(task: str) -> None:
    assert take_part(with_part(PART, task)) == (PART, task)


@pytest.mark.parametrize(
    "message",
    ["", "implement it", "Your part in this task:\nand no task", "x Your part in this task:\na\n\nThe task:\nb"],
)
def test_any_other_message_stays(message: str) -> None:
    assert take_part(message) == ("", message)


def test_with_data_behind_it() -> None:
    data = (Data("coder", "answer", "3", "abc"),)
    prompt = parse(with_part(PART, str(Prompt("implement it", data))))
    assert (take_part(prompt.text), prompt.data) == ((PART, "implement it"), data)


@given(st.text(max_size=100), st.text(max_size=100))
def test_any_part_and_task(part: str, task: str) -> None:
    found, rest = take_part(with_part(part, task))
    assert with_part(found, rest) == with_part(part, task)


def test_the_level_is_that_of_the_task() -> None:
    """An agent's instructions are long and full of words that a hard question has."""
    assert extract(with_part(PART, "what is 2+2?")) == extract("what is 2+2?")
    assert extract(f"{PART}\n\nwhat is 2+2?") != extract("what is 2+2?")
