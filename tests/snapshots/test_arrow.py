"""Tables pass through Arrow, and only streams without surprises are read."""

from __future__ import annotations

import sys
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots.arrow import read_table, write_table

POLARS: dict[str, Any] = {
    "every dtype": pl.DataFrame(
        {
            "a": [1, None], "f": [float("nan"), None], "c": pl.Series(["x", "y"], dtype=pl.Categorical),
            "e": pl.Series(["x", None], dtype=pl.Enum(["y", "x"])), "l": [[1], [2, None]], "s": [{"x": 1}, {"x": None}],
            "n": [None, None], "t": ["a", "é"], "b": [b"\0", None],
            "d": pl.Series([1, 2]).cast(pl.Datetime("us", "UTC")), "bool": [True, None],
            "dur": pl.Series([1, 2]).cast(pl.Duration("ms")), "time": pl.Series([1, 2]).cast(pl.Time),
            "i8": pl.Series([1, 2], dtype=pl.Int8), "array": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int8, 2)),
        }
    ),
    "no columns": pl.DataFrame(),
    "no rows": pl.DataFrame({"c": pl.Series([], dtype=pl.Categorical), "e": pl.Series([], dtype=pl.Enum(["y"]))}),
    "a Series": pl.Series("name", [1, None]),
    "a Series without a name": pl.Series([["a"]]),
}  # fmt: skip


def back(value: Any) -> Any:
    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    return read_table(kind, *write_table(value))


@pytest.mark.parametrize("name", POLARS)
def test_polars(name: str) -> None:
    value = POLARS[name]
    found = back(value)
    if isinstance(value, pl.Series):
        assert value.name == found.name
        value, found = value.to_frame(), found.to_frame()
    assert found.schema == value.schema
    assert found.equals(value)


def test_pyarrow_and_pandas() -> None:
    nested = pa.array([[1], None], pa.list_(pa.int8()))
    table = pa.table(
        {"a": [1, None], "v": pa.array(["x", "y"], pa.string_view()), "l": nested}
    ).replace_schema_metadata({"k": "v"})
    assert back(table).equals(table, check_metadata=True)
    frame = pd.DataFrame({"a": [1.5, None]}, index=["x", "y"])
    pd.testing.assert_frame_equal(back(frame), frame)
    pd.testing.assert_series_equal(back(frame["a"]), frame["a"])
    two = pa.concat_tables([table, table])
    assert back(two).equals(two)


class Subclass(pd.DataFrame):
    pass


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (pl.DataFrame({"a": [1]}).lazy(), "LazyFrame cannot be kept"),
        (pd.Timestamp("2026"), "Timestamp cannot be kept"), (pd.DataFrame, "cannot be kept"),
        (Subclass(), "Subclass cannot be kept"), (pa.array([1]), "cannot be kept"),
        (pl.DataFrame({"a": [object()]}), "is not read"),
        (pa.table({"a": pa.array([b"0" * 16], pa.uuid())}), "extension"),
    ],
)  # fmt: skip
def test_what_is_refused(value: Any, words: str) -> None:
    with pytest.raises(SnapshotError, match=words):
        write_table(value)


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"a": [1]})
    data, about = write_table(frame)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SnapshotError, match=r"it takes the package pandas \(pip install pandas\)"):
        read_table("pandas.DataFrame", data, about)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SnapshotError, match=r"a DataFrame takes the package pyarrow \(pip install pyarrow\)"):
        write_table(frame)
