"""Fixed texts of a given length."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from openclaw_nb.models.question import Question
from openclaw_nb.models.skills import answer


def ask(text: str) -> str:
    return answer(Question(text)).text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("count to 5", "1, 2, 3, 4, 5"),
        ("Please count to 3.", "1, 2, 3"),
        ("count from 7 to 9", "7, 8, 9"),
        ("count from 3 down to 1", "3, 2, 1"),
        ("count to 4, slowly", "1, 2, 3, 4"),
        ("count to 0", "1, 0"),
    ],
)
def test_count(text: str, shown: str) -> None:
    assert ask(text) == shown


@pytest.mark.parametrize("number", ["20000", "999,999,999", "9" * 500])
def test_count_is_bounded(number: str) -> None:
    text = ask(f"count to {number}")
    assert ", 10000." in text
    assert text.endswith("I count 10,000 numbers at most.")


@pytest.mark.parametrize("wanted", [1, 12, 500])
def test_words(wanted: int) -> None:
    assert len(ask(f"write {wanted} words").split()) == wanted


def test_words_are_bounded() -> None:
    assert len(ask("write 999999999999 words").split()) == 20_000
    assert ask("write 0 words") == "No words, then."
    assert ask("lorem ipsum").startswith("Lorem ipsum dolor")
    assert len(ask("lorem 30").split()) == 30


def test_markdown_has_one_of_each() -> None:
    html = MarkdownIt().enable("table").render(ask("show markdown"))
    assert not [
        tag
        for tag in ("h1", "h2", "ol", "ul", "table", "pre", "blockquote", "strong", "em", "hr")
        if f"<{tag}" not in html
    ]
