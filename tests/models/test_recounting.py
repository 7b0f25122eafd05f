"""Data counted again from its block: right figures stand, wrong ones do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from openclaw_nb.models.recounting import recount
from openclaw_nb.prompts import Data, fill, parse


def block(value: Any) -> Data:
    return parse(str(fill("{x}", {"x": value}))).data[0]


SMALL = pd.DataFrame({"a": [1.5, None, 4.0], "b": ["x", "y", "y"]})
LONG = pd.DataFrame(
    {"a": [float(n) if n % 4 else None for n in range(31)], "when": pd.date_range("2026-01-01", periods=31)}
)


@pytest.mark.parametrize(
    "value",
    [SMALL, LONG, SMALL["a"], "some words\nhere", [1, 2, 3], {"a": 1, "b": 2}, {3, 4}, pd.DataFrame({"a": [-1e9, 3]})],
)
def test_right_figures(value: Any) -> None:
    trials = recount(block(value))
    assert trials
    assert all(trial.agrees for trial in trials)


@pytest.mark.parametrize(
    ("value", "right", "wrong"),
    [
        (SMALL, "2 columns", "3 columns"),
        (SMALL, "| a | float64 | 1 |", "| a | float64 | 2 |"),
        (SMALL, "| 1.5 | 2.75 | 4 |", "| 1.5 | 2.85 | 4 |"),
        (SMALL, "| 1.5 | 2.75 | 4 |", "| 1.4 | 2.75 | 4 |"),
        (LONG, "| a | float64 | 8 |", "| a | float64 | 1 |"),
        (LONG, "| a | float64 | 8 |", "| a | float64 | 80 |"),
        (LONG, " | 30 |\n", " | 2 |\n"),
        ([1, 2, 3], "[1, 2, 3]", "[1, 2]"),
    ],
)
def test_wrong_figures(value: Any, right: str, wrong: str) -> None:
    data = block(value)
    assert right in data.body
    assert not all(trial.agrees for trial in recount(replace(data, body=data.body.replace(right, wrong, 1))))


def test_figures_are_counted_and_not_only_bounded_where_all_rows_are_there() -> None:
    assert "`a`: least, mean and most counted again" in [trial.text for trial in recount(block(SMALL))]
    assert "`a`: 2 missing of the 5 rows shown" in [trial.text for trial in recount(block(LONG))]


@pytest.mark.parametrize("value", [np.arange(6), object(), len, list(range(500))])
def test_too_little_to_count(value: Any) -> None:
    assert recount(block(value)) == []
