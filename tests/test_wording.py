"""wording: any state in words that a terminal can show."""

from __future__ import annotations

from typing import Any

import pytest

from openclaw_nb.wording import exchange, in_words, setting, sized, variable

HOSTILE = "\x1b[2J\u202e\r\x07\ud800"


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], [("you", "a"), ("agent", "b")]),
        ([{"role": "assistant", "content": "b", "stopped": True}], [("agent, stopped", "b")]),
        ([{"role": "assistant", "content": "b", "failed": True}], [("agent, failed", "b")]),
        ([{"role": "tool", "name": "head", "key": "k", "content": "3"}], [("tool head", "3")]),
        (
            [{"role": "assistant", "content": "", "calls": [{"key": "k", "name": "head", "arguments": {"n": 2}}]}],
            [("agent", 'calls head with {"n": 2}')],
        ),
        (["text", 7, None, [], {}], [("message", "text"), ("message", "7"), ("message", "null"), ("message", "[]"),
                                     ("message", "")]),
        ([{"role": 7, "content": {"x": 1}, "calls": 7}], [("message", '{"x": 1}')]),
        ([{"role": HOSTILE, "content": HOSTILE}], [("␛[2J␇�", "␛[2J␇�")]),
    ],
)  # fmt: skip
def test_who_said_what(messages: list[Any], wanted: list[tuple[str, str]]) -> None:
    assert exchange(messages) == wanted


def test_the_parts_of_one_answer_are_one() -> None:
    def part(run: str, text: str, n: int) -> dict[str, Any]:
        return {"role": "assistant", "run": run, "content": text, "part": n}

    said = [part("r", "a ", 0), part("r", "b", 1), part("s", "c", 0), {"role": "assistant", "run": "s", "content": "d"}]
    assert exchange(said) == [("agent", "a b"), ("agent", "c"), ("agent", "d")]


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1234, "1.2 kB"), (99_949, "99.9 kB"), (99_950, "100 kB"),
     (999_499, "999 kB"), (999_500, "1.0 MB"), (3_400_000, "3.4 MB"), (5e9, "5.0 GB"), (5e12, "5,000 GB")],
)  # fmt: skip
def test_sizes(count: float, words: str) -> None:
    assert sized(count) == words


def test_a_variable_is_named_and_never_shown() -> None:
    assert variable({"format": "arrow", "data": "secret" * 300}) == "arrow, 1.8 kB"
    assert variable({"format": HOSTILE, "data": None}) == "␛[2J␇�, 4 B"
    assert variable(None) == "not there"


def test_values_are_one_short_line() -> None:
    assert in_words("a\n\n b\t" + HOSTILE) == "a b ␛[2J␇�"
    assert in_words({"a": ["x" * 100]}) == '{"a": ["' + "x" * 51 + "…"
    assert setting("spent", 0.0054) == "$0.0054"
    assert [setting("level", value) for value in (3, None)] == ["3", "not there"]
