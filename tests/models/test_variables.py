"""Descriptions of real data, made from nothing but the prompt."""

from __future__ import annotations

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from openclaw_nb.models.variables import describe, read_columns, wants_description
from openclaw_nb.prompts import Data, fill


def data(value: object) -> Data:
    return fill("{x}", {"x": value}).data[0]


@pytest.fixture
def sales() -> pd.DataFrame:
    days = range(31)
    revenue = [np.nan if day % 4 == 0 else 10.5 * day for day in days]
    return pd.DataFrame({"day": list(days), "a|b": ["x"] * 31, "revenue": revenue})


def test_a_table(sales: pd.DataFrame) -> None:
    text = describe(data(sales))
    assert text.startswith("**`x`** is a DataFrame of 31 rows and 3 columns.")
    assert "- Missing values are in `revenue`: 8 of 31 (26 %)." in text
    assert "The largest value is 315, in `revenue` (mean 161.152)." in text
    assert "One value only: `a|b`." in text
    assert "perhaps a key: `day`." in text
    assert "| revenue | float64 | 8 | 23 | 10.5 | 161.152 | 315 |" in text
    assert "First 5 rows:" in text


def test_an_image() -> None:
    words = "**`x`** is an image of 640 × 480 pixels (Image). I cannot look at pictures."
    assert describe(data(PIL.Image.new("L", (640, 480)))) == words
    assert "pictures" not in describe(data("(image 1)"))


def test_the_columns_asked_for_come_first(sales: pd.DataFrame) -> None:
    lines = describe(data(sales), "why is Revenue so low in `x`?").split("\n")
    assert lines[2] == "- `revenue`: float64, 8 of 31 missing, 23 distinct, from 10.5 to 315, mean 161.152."


def test_columns_are_read_back(sales: pd.DataFrame) -> None:
    columns = read_columns(data(sales).body)
    assert [column.name for column in columns] == ["day", "a|b", "revenue"]
    assert columns[2].missing == "8"


def test_a_column(sales: pd.DataFrame) -> None:
    text = describe(data(sales["revenue"]))
    assert "is a Series of 31 values" in text
    assert "Missing values are in `revenue`: 8 of 31" in text
    assert "No value is missing." in describe(data(sales["day"]))


def test_other_values() -> None:
    assert describe(data([1, 2, 3])) == "**`x`** is a list of 3 items.\n\n```python\n[1, 2, 3]\n```"
    assert describe(data("two words\nx")).startswith("**`x`** is a text of 11 characters, 3 words, 2 lines.")
    assert "is an array: shape 2 × 2, dtype float64" in describe(data(np.zeros((2, 2))))
    assert "more characters" in describe(data("y" * 3_000))
    imitation = describe(data("31 rows × 2 columns\n\n| column |\n|---|\n| x |"))
    assert imitation.startswith("**`x`** is a text of ")
    assert "```text\n31 rows" in imitation


@pytest.mark.parametrize(
    "value",
    [
        "31 rows × 2 columns\n\n| column |\n|---|\n| x |",
        "```\nout",
        pd.DataFrame(),
        pd.DataFrame({"a": [None]}),
        {},
        "",
        pd.DataFrame({"n": [np.inf], "z": [1j]}),
    ],
)
def test_odd_values(value: object) -> None:
    assert describe(data(value)).startswith("**`x`** is ")


@pytest.mark.parametrize(
    "body",
    ["3 rows × 1 columns\n\n| column |\n|---|\n| broken |", "1 values\n\n| column |", "3 values\n\n| column |\n\n"],
)
def test_a_body_that_only_looks_like_a_table(body: str) -> None:
    assert describe(Data("x", "DataFrame", "", body))


def test_what_asks_for_a_description() -> None:
    assert wants_description("describe `sales`")
    assert wants_description("`sales`")
    assert wants_description("what is `sales`?")
    assert wants_description("which column of `sales` has gaps?")
    assert not wants_description("why does `sales` dip in March?")
