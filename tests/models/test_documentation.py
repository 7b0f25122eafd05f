"""Documentation of real objects, and that looking one up runs nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from openclaw_nb.models.question import Question
from openclaw_nb.models.skills import answer
from openclaw_nb.prompts import Data


class Trap:
    """Set to go off."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("something was run")

    @property
    def spring(self) -> int:
        """Never to be released."""
        raise AssertionError("something was run")

    @staticmethod
    def still(a: int, b: str = "x") -> None:
        """Lies there."""

    def __call__(self) -> None:
        raise AssertionError("something was run")


NAMES = {
    "np": np,
    "pd": pd,
    "df": pd.DataFrame({"a": [1]}),
    "trap": Trap(),
    "n": 5,
    "s": pd.Series(["x"]),
}


class Notebook:
    def lookup(self, name: str) -> object:
        return NAMES[name]

    def last_exception(self) -> None:
        return None


def ask(text: str, data: tuple[Data, ...] = ()) -> str:
    return answer(Question(text, data, workspace=Notebook())).text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("what does np.mean do?", ["np.mean(a, axis=None", "arithmetic mean"]),
        ("help on df.groupby", ["df.groupby(by=None", "Group DataFrame"]),
        ("signature of pd.concat", ["pd.concat(objs"]),
        ("docs for `len`", ["len(obj, /)", "number of items"]),
        ("np.sin?", ["Trigonometric sine"]),
        ("help(sorted)", ["sorted(iterable"]),
        ("explain np", ["is a module"]),
        ("what is n?", ["is a `int`", "`{n}`"]),
        ("how does s.str.upper work?", ["s.str.upper("]),
        ("what does trap.still do", ["trap.still(a: 'int', b: 'str' = 'x')", "Lies there."]),
        ("what is trap.spring", ["is a property", "Never to be released."]),
        ("what does np.maen do", ["has no `maen`", "Did you mean `mean`?"]),
    ],
)
def test_named_objects(text: str, words: list[str]) -> None:
    reply = ask(text)
    assert not [word for word in words if word not in reply]


def test_nothing_is_run() -> None:
    for text in ("what is trap", "what does trap do", "what does trap.missing do", "help on trap.spring.x", "trap?"):
        assert "something was run" not in ask(text)


def test_it_is_bounded() -> None:
    assert len(ask("what does pd.read_csv do")) < 6_000


def test_what_is_not_there_is_left_to_others() -> None:
    assert "not a language model" in ask("what is love?")


def test_data_in_the_prompt_comes_first() -> None:
    assert "a list of 1 items" in ask("what is `df`?", (Data("df", "list", "1", "[1]"),))
