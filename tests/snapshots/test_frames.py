"""DataFrames of pandas come back from Arrow with labels, dtypes, index and missing values as they were."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import pandas as pdst
from pandas.testing import assert_frame_equal

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots.frames import put_together, same, take_apart

DAYS = pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin", name="day")


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "i": [1, 2, 3], "f": [1.5, np.nan, -np.inf], "s": ["a", None, "é"], "b": [True, False, True],
            "t": pd.date_range("2026-01-01", periods=3), "tz": DAYS,
            "off": pd.to_datetime(["2026-01-01T00:00+02:00"] * 3),
            "d": pd.to_timedelta([1, 2, None], unit="s"), "none": [None, None, None], "nat": [pd.NaT] * 3,
            "c": pd.Categorical(["x", "y", None], categories=["y", "x", "z"], ordered=True),
            "ci": pd.Categorical([5, 5, 7]), "I": pd.array([1, None, 3], dtype="Int64"),
            "F": pd.array([1.5, None, 3], dtype="Float32"), "B": pd.array([True, None, False], dtype="boolean"),
            "st": pd.array(["a", None, "b"], dtype="string"), "o": pd.Series(["a", None, "c"], dtype=object),
            "on": pd.Series(["a", np.nan, "c"], dtype=object), "by": [b"a", b"\0", None],
            "dec": [Decimal("1.5"), None, Decimal("2.25")], "date": [datetime.date(2026, 1, 1)] * 3,
            "f16": np.array([1, 2, 3], dtype="f2"), "u8": np.array([1, 2, 255], dtype="u1"),
        }
    ).set_index(DAYS)  # fmt: skip


FRAMES: dict[str, Any] = {
    "every dtype": table(),
    "none of its rows": table().iloc[:0],
    "every second row": table().iloc[::2],
    "a MultiIndex": table().set_index(["i", "s", "c"]),
    "empty": pd.DataFrame(),
    "rows alone": pd.DataFrame(index=range(2, 12, 3)),
    "columns alone": pd.DataFrame(columns=["a", "b"]),
    "numbers as labels": pd.DataFrame(np.eye(3)),
    "labels of all kinds": pd.DataFrame([[1, 2, 3, 4]], columns=[1, "a", None, ("t", 2)]),
    "labels that are tuples": pd.DataFrame([[1, 2]], columns=pd.Index([("a", 1), ("b", 2)], tupleize_cols=False)),
    "labels twice": pd.DataFrame([[1, 2]], columns=["a", "a"], index=["x"]),
    "floats as labels": pd.DataFrame([[1, 2]], columns=[1.5, np.nan]),
    "bools as labels": pd.DataFrame([[1, 2]], columns=[True, False]),
    "labels in levels": pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["p", None])
    ),
    "an index of floats": pd.Series([1, 2], index=[1.5, np.nan], name=("a", 1)),
    "an index of categories": pd.Series([1, 2], index=pd.CategoricalIndex(["a", "b"], name="k")),
    "an index twice": pd.Series(["a", "b"], index=["x", "x"]),
    "an index of durations": pd.Series([1, 2], index=pd.to_timedelta([1, 2], unit="h")),
    "a Series without a name": pd.Series([1.0, None]),
    "in Fortran order": pd.DataFrame(np.asfortranarray(np.arange(6).reshape(2, 3)), columns=list("abc")),
    "far away": pd.Series(np.array(["9999-01-01"], dtype="M8[s]")),
}


@pytest.mark.parametrize("name", FRAMES)
def test_it_comes_back(name: str) -> None:
    frame = FRAMES[name]
    arrow, about = take_apart(frame)
    back = put_together(arrow, about)
    if isinstance(frame, pd.Series):
        back = back.iloc[:, 0]
        pd.testing.assert_series_equal(frame, back, check_freq=True, check_index_type="exact")
    else:
        assert_frame_equal(frame, back, check_freq=True, check_index_type="exact", check_column_type="exact")
    assert same(frame, back)


COLUMNS = [
    pdst.column("i", dtype=int), pdst.column("f", dtype=float), pdst.column("b", dtype=bool),
    pdst.column("s", elements=st.text(st.characters(exclude_categories=["Cs"]), max_size=5), dtype=object),
    pdst.column("t", dtype="datetime64[ns]"), pdst.column("d", dtype="timedelta64[ns]"),
]  # fmt: skip


@settings(max_examples=25)  # each takes some fifty milliseconds of pandas
@given(
    pdst.data_frames(COLUMNS, index=st.one_of(pdst.range_indexes(max_size=5), pdst.indexes(dtype=float, max_size=5)))
)
def test_any_frame_comes_back(frame: Any) -> None:
    back = put_together(*take_apart(frame))
    assert_frame_equal(frame, back, check_exact=True)
    assert same(frame, back)


def test_attrs_come_back() -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = {"unit": "kg"}
    assert put_together(*take_apart(frame)).attrs == {"unit": "kg"}


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([object()]), pd.Series([{"a": 1}]), pd.Series([[1]]), pd.Series([np.float64(1)], dtype=object),
        pd.period_range("2026", periods=1), pd.interval_range(0, 1), [1j], pd.arrays.SparseArray([0]),
        pd.array([1], dtype="int64[pyarrow]"), pd.Categorical(DAYS),
        pd.Series([pd.Timestamp("2026"), 1], dtype=object),
    ],
)  # fmt: skip
def test_what_is_refused(values: Any) -> None:
    with pytest.raises(SnapshotError, match="cannot be kept"):
        put_together(*take_apart(pd.DataFrame({"a": values})))


@pytest.mark.parametrize(
    "other",
    [
        pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1]}), pd.DataFrame({"a": [2]}),
        pd.DataFrame({"a": [1]}, index=[0]), pd.DataFrame({"a": [1]}, index=pd.RangeIndex(1, name="n")),
        pd.DataFrame({"a": [1]}, dtype="int8"), pd.Series([1], name="a"), pd.DataFrame({"a": [True]}, dtype=object),
    ],
)  # fmt: skip
def test_what_is_not_the_same(other: Any) -> None:
    assert not same(pd.DataFrame({"a": [1]}), other)


def test_objects_are_not_texts() -> None:
    texts = pd.DataFrame({"a": ["x"]})
    assert not same(texts, pd.DataFrame({"a": pd.Series(["x"], dtype=object)})) or texts["a"].dtype == object
