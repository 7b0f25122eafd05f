"""How skills are chosen and answers put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.models.question import Question
from openclaw_nb.models.skills import answer
from openclaw_nb.prompts import Data

DATA = (Data("x", "list", "3", "[1, 2, 3]"),)


class Hostile:
    def lookup(self, name: str) -> object:
        raise RuntimeError("lookup")

    def last_exception(self) -> BaseException | None:
        raise RuntimeError("last")


@given(st.text(max_size=300))
def test_any_text_has_an_answer(text: str) -> None:
    question = Question(text, workspace=Hostile())
    assert answer(question).text
    assert answer(question) == answer(question)


@pytest.mark.parametrize("text", ["what does np do", "explain the error", "what is y"])
def test_a_workspace_that_fails(text: str) -> None:
    assert answer(Question(text, workspace=Hostile())).text


@pytest.mark.parametrize(
    ("text", "skill"),
    [
        ("hi, what is 2 + 2?", "arithmetic"),
        ("please convert 5 km to miles", "units"),
        ("could you count to 3", "counting"),
        ("what is the standard error of 5?", None),
        ("write a poem", None),
        ("你好", None),
        ("", None),
        ("what is my name", "the conversation"),
        ("what does --bg do", "the commands"),
    ],
)
def test_which_skill(text: str, skill: str | None) -> None:
    assert answer(Question(text)).skills == ((skill,) if skill else ())


def test_several_questions_at_once() -> None:
    reply = answer(Question("What is 2+2? Convert 3 h to min.\nTell me a joke."))
    assert reply.skills == ("arithmetic", "units")
    assert reply.text.startswith("`2+2` = **4**\n\n3 h = **180 min**")
    assert "not" in reply.text.rpartition("\n\n")[2]


def test_data_and_a_question() -> None:
    reply = answer(Question("describe `x`. what is 2+2?", DATA))
    assert reply.skills == ("arithmetic", "the variables")
    assert "a list of 3 items" in reply.text
    assert "language model" not in reply.text
    assert "language model" in answer(Question("why is `x` so short?", DATA)).text


def test_where_it_has_no_answer_it_says_how_to_get_one() -> None:
    text = answer(Question("Write a haiku about spring")).text
    for words in (
        "not a language model",
        "%openclaw model openai-chat:NAME",
        "anthropic:NAME",
        "%openclaw connect ws://",
    ):
        assert words in text
    assert text.count(". ") == 1


def test_a_long_text_is_no_question() -> None:
    assert answer(Question("what is " + "very " * 200 + "2 + 2")).skills == ()
