"""How tables, columns and arrays are shown to a model."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from openclaw_nb.prompts.values import render_value


@pytest.fixture
def sales() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "date": pd.date_range("2026-03-01", periods=31),
            "region": ["north", "a|b", None] * 10 + ["south"],
            "revenue": [np.nan if day % 4 == 0 else 100.5 * day for day in range(31)],
            "open": [True] * 31,
        }
    )


def body(value: object) -> str:
    return render_value(value)[1]


def test_a_table(sales: pd.DataFrame) -> None:
    text = body(sales)
    assert text.startswith("31 rows × 4 columns\n\n| column | dtype | missing | unique | min | mean | max |\n")
    assert "| revenue | float64 | 8 | 23 | 100.5 | 1542.46 | 3015 |" in text
    assert "| open | bool | 0 | 1 | True | 1 | True |" in text
    assert "| date | datetime64[us] | 0 | 31 | 2026-03-01 |  | 2026-03-31 |" in re.sub(r"64\[\w+\]", "64[us]", text)
    assert "| 1 | 2026-03-02 | a\\|b | 100.5 | True |" in text
    assert text.count("\n| ") == 1 + 4 + 1 + 5  # two headers, four columns, five rows


def test_a_wide_table_is_bounded() -> None:
    text = body(pd.DataFrame(np.zeros((3, 500)), columns=[f"column {at} " + "x" * 200 for at in range(500)]))
    assert "… 480 more columns" in text
    assert len(text) < 10_000


def test_a_long_table_counts_on_a_sample() -> None:
    text = body(pd.DataFrame({"n": np.arange(1_000_000), "s": ["a", "b"] * 500_000}))
    assert text.startswith("1,000,000 rows × 2 columns")
    assert "| n | int64 | 0 | at least 90910 | 0 | 499999.5 | 999999 |" in text
    assert "at least 2" in text


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, for a mean of infinities
@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame(columns=["a"]),
        pd.DataFrame({"a": [None, None]}),
        pd.DataFrame([[1, 2]], columns=["same", "same"]),
        pd.DataFrame({("a", 1): [[1], {2}], ("b", 2): ["x", 3]}),
        pd.DataFrame({"c": pd.Categorical(["x", "y"]), "i": pd.array([1, None], dtype="Int64"), "z": [1j, 2j]}),
        pd.DataFrame({"inf": [np.inf, -np.inf]}, index=pd.MultiIndex.from_tuples([(1, "a"), (2, "b")])),
        pd.Series([1, 2], name=0),
        pd.Series([], dtype=float),
        pd.Series(["x"], name=("a", "b")),
    ],
)
def test_odd_tables(frame: object) -> None:
    assert body(frame)


def test_a_column(sales: pd.DataFrame) -> None:
    shape, text = render_value(sales.revenue)
    assert shape == "31"
    assert text.startswith("31 values\n\n| column |")


@pytest.mark.leaks("polars keeps a pool of threads of its own")
def test_polars_where_there_is_polars() -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    frame = pl.DataFrame({"a": [1, None, 3], "b": ["x|y", "y", "z"]})
    assert "| a | Int64 | 1 | 2 | 1 | 2 | 3 |" in body(frame)
    assert "| 0 | 1 | x\\|y |" in body(frame)
    assert body(frame["a"]).startswith("3 values")


def test_an_array() -> None:
    text = body(np.arange(12.0).reshape(3, 4))
    assert text.startswith("shape 3 × 4, dtype float64, 12 values")
    assert "| 0 | 0 | 5.5 | 11 |" in text
    assert text.endswith("First values: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …")
    odd = ([], 5, ["a"], [np.nan], [None, {}], [np.datetime64("2026-01-01")])
    assert all(body(np.array(values)) for values in (*odd, np.zeros(2, "i4,f8")))
    assert "| 2 | 3 | 3 | 3 |" in body(np.ma.masked_array([1.0, np.nan, 3.0], [True, False, False]))
