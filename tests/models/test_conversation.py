"""Answers that come from the conversation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.models.base import Message
from openclaw_nb.models.conversation import rest_of
from openclaw_nb.models.question import Question
from openclaw_nb.models.skills import answer


def ask(*texts: str) -> str:
    """The answer to the last text; before it, the user's and the assistant's in turn."""
    return answer(
        Question.of([Message(role="assistant" if at % 2 else "user", content=text) for at, text in enumerate(texts)])
    ).text


def test_what_was_asked() -> None:
    assert ask("what did I ask before?") == "You asked nothing before this in the session."
    assert ask("Why is\nit so?", "…", "What did I ask before?") == "Before this you asked:\n\n> Why is it so?"
    assert ask("one", "", "two", "", "what was my last question?").endswith("> two")
    assert ask("one", "", "two", "", "what did I ask first?").endswith("> one")
    assert ask("one", "", "two", "", "what did I say so far").endswith("1. one\n2. two")
    long = ask(*(word for at in range(9) for word in (f"question {at}", "")), "what have I asked you")
    assert "The newest 5 of 9" in long
    assert "question 3" not in long


def test_facts() -> None:
    assert ask("My name is Ada.") == "Noted: your name is Ada."
    assert ask("my name is Ada", "Noted", "what is my name?") == "Your name is Ada."
    assert ask("call me Ada, please", "…", "What's my name?") == "Your name is Ada."
    assert ask("my name is Ada", "", "my name is Grace", "", "what is my name") == "Your name is Grace."
    assert (
        ask("My favourite colour is dark blue!", "", "what is my favourite colour?")
        == "Your favourite colour is dark blue."
    )
    assert ask("My name is Ada. What is my name?") == "Noted: your name is Ada.\n\nYour name is Ada."
    assert ask("what is my name?", "", "what is my name?") == "You have not told me your name in this session."


FULL = ask("count to 50")


@given(st.integers(1, len(FULL)), st.integers(0, 60), st.booleans())
def test_continue_goes_on_where_it_was_cut(first: int, second: int, stripped: bool) -> None:
    tidy = str.strip if stripped else str
    start = tidy(FULL[:first])
    rest = ask("count to 50", start, "continue")
    if not FULL[first:]:
        assert "that was all" in rest
        return
    assert (start + rest) == FULL
    again = ask("count to 50", start, "continue", tidy(rest[:second]), "Go on!")
    assert "that was all" in again or (start + rest).endswith(again)


def test_continue_with_nothing_to_go_on_with() -> None:
    assert ask("continue") == "There is nothing to go on with yet."
    assert ask("count to 3", "1, 2, 3", "continue") == "There is nothing to go on with: that was all."
    assert ask("tell me a story", "Once upon a time", "continue").startswith("I cannot go on with an answer")


@pytest.mark.parametrize(
    ("shown", "rest"),
    [
        ([], "a b c"),
        (["a "], "b c"),
        (["a"], " b c"),
        (["a", "b"], " c"),
        (["a b c"], ""),
        (["x"], None),
        (["a", "c"], None),
    ],
)
def test_rest_of(shown: list[str], rest: str | None) -> None:
    assert rest_of("a b c", shown) == rest
