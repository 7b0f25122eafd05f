"""DataFrames of pandas as plain Arrow columns and a description, and together again, by nothing but these two."""

from __future__ import annotations

import datetime
import decimal
import re
from importlib import import_module
from typing import Any

from ..errors import SnapshotError

__all__ = ["put_together", "same", "take_apart"]

_PLAIN = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
_TIMES = re.compile(r"(datetime64|timedelta64)\[(s|ms|us|ns)(, [\w/+:-]{1,40})?\]")
_NULLABLE = re.compile(r"U?Int(8|16|32|64)|Float(32|64)|boolean|str|string")
_OBJECTS = (str, bytes, bool, int, float, decimal.Decimal, datetime.date, datetime.time, type(None))
_MOST_LABELS = 2**24
_FREQUENCY = re.compile(r"[\w-]{1,20}")


def take_apart(value: Any) -> tuple[Any, dict[str, Any]]:
    """The columns and index levels of a DataFrame or Series as an Arrow table, and what else makes it up.

    The description holds labels and names as they are: whether these can be kept is for whoever keeps them to say.
    """
    pa = import_module("pyarrow")
    pd = import_module("pandas")
    if isinstance(value, pd.Series):
        frame, labels = value.to_frame(name=0), {"labels": [value.name], "dtype": "object", "names": [None]}
    else:
        frame, labels = value, _labels(pd, value.columns)
    columns, dtypes = [], []
    for at in range(frame.shape[1]):
        column, dtype = _column(pa, frame.iloc[:, at].array)
        columns.append(column)
        dtypes.append(dtype)
    index: dict[str, Any] = {"names": list(frame.index.names)}
    if isinstance(frame.index, pd.RangeIndex):
        index["range"] = [frame.index.start, frame.index.stop, frame.index.step]
    else:
        index["dtypes"] = []
        if getattr(frame.index, "freqstr", None):
            index["freq"] = frame.index.freqstr
        for level in range(frame.index.nlevels):
            column, dtype = _column(pa, frame.index.get_level_values(level).array)
            columns.append(column)
            index["dtypes"].append(dtype)
    about = {"columns": labels, "dtypes": dtypes, "index": index}
    if value.attrs:
        about["attrs"] = dict(value.attrs)
    if not columns:
        return pa.table({"": pa.nulls(len(frame))}), about | {"empty": True}
    return pa.table(columns, names=[str(at) for at in range(len(columns))]), about


def put_together(table: Any, about: dict[str, Any]) -> Any:
    """The DataFrame of what `take_apart` gave; a Series is its only column."""
    pd = import_module("pandas")
    dtypes, index = about["dtypes"], about["index"]
    arrays = [
        _array(pd, table.column(at).combine_chunks(), dtype)
        for at, dtype in enumerate([*dtypes, *index.get("dtypes", [])])
    ]
    if "range" in index:
        start, stop, step = index["range"]
        rows = pd.RangeIndex(start, stop, step, name=index["names"][0])
    else:
        levels = arrays[len(dtypes) :]
        if len(levels) > 1:
            rows = pd.MultiIndex.from_arrays(levels, names=index["names"])
        elif "freq" in index:
            if not _FREQUENCY.fullmatch(index["freq"]):
                raise SnapshotError("the frequency of its index is none")
            rows = type(pd.Index(levels[0]))(levels[0], freq=index["freq"], name=index["names"][0])
        else:
            rows = pd.Index(levels[0], dtype=levels[0].dtype, name=index["names"][0], tupleize_cols=False)
    if len(rows) != table.num_rows:
        raise SnapshotError("the rows of the table are not those of its index")
    columns = {at: pd.Series(array, dtype=array.dtype, copy=False) for at, array in enumerate(arrays[: len(dtypes)])}
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(rows)), copy=False)  # which infers no dtype of a Series
    frame.index = rows
    frame.columns = _index_of(pd, about["columns"])
    frame.attrs = dict(about.get("attrs", {}))
    return frame


def same(one: Any, other: Any) -> bool:
    """Whether two DataFrames or Series are the same in values, dtypes, missing values, labels, names and attrs."""
    pd = import_module("pandas")
    if type(one) is not type(other) or one.attrs != other.attrs or not _same_index(one.index, other.index):
        return False
    if isinstance(one, pd.Series):
        named = type(one.name) is type(other.name) and (one.name == other.name or one.name != one.name)
        return named and _same_values(one.array, other.array)
    return _same_index(one.columns, other.columns) and all(
        _same_values(one.iloc[:, at].array, other.iloc[:, at].array) for at in range(one.shape[1])
    )


def _same_index(one: Any, other: Any) -> bool:
    return (
        type(one) is type(other)
        and bool(one.identical(other))
        and all(
            _same_values(one.get_level_values(n).array, other.get_level_values(n).array) for n in range(one.nlevels)
        )
    )


def _same_values(one: Any, other: Any) -> bool:
    if str(one.dtype) != str(other.dtype) or one.dtype != other.dtype or len(one) != len(other):
        return False
    if str(one.dtype) == "object":
        return all(type(a) is type(b) and (a == b or (a != a and b != b)) for a, b in zip(one, other, strict=True))
    pd = import_module("pandas")
    return bool(pd.Series(one).equals(pd.Series(other)))


# -- labels ----------------------------------------------------------------------------------------


def _labels(pd: Any, columns: Any) -> dict[str, Any]:
    if isinstance(columns, pd.RangeIndex):
        return {"range": [columns.start, columns.stop, columns.step], "names": list(columns.names)}
    if isinstance(columns, pd.MultiIndex):
        dtypes = [str(level.dtype) for level in columns.levels]
        return {"levels": [list(columns.get_level_values(n)) for n in range(columns.nlevels)], "dtypes": dtypes,
                "names": list(columns.names)}  # fmt: skip
    return {"labels": list(columns), "dtype": str(columns.dtype), "names": list(columns.names)}


def _index_of(pd: Any, labels: dict[str, Any]) -> Any:
    names = labels["names"]
    if "range" in labels:
        found = pd.RangeIndex(*labels["range"], name=names[0])
        if len(found) > _MOST_LABELS:
            raise SnapshotError(f"more than {_MOST_LABELS:,} column names or categories cannot be kept")
        return found
    if "levels" in labels:
        levels = zip(labels["levels"], labels["dtypes"], strict=True)
        return pd.MultiIndex.from_arrays([pd.Index(level, dtype=_plain(dtype)) for level, dtype in levels], names=names)
    return pd.Index(labels["labels"], dtype=_plain(labels["dtype"]), name=names[0], tupleize_cols=False)


def _plain(dtype: str) -> str:
    if dtype in ("object", "str") or _PLAIN.fullmatch(dtype):
        return dtype
    raise SnapshotError(f"column names and categories of dtype {dtype[:80]} cannot be kept")


# -- columns ---------------------------------------------------------------------------------------


def _column(pa: Any, values: Any) -> tuple[Any, Any]:
    """One column as an Arrow array, and the dtype that `_array` makes of it again."""
    dtype = str(values.dtype)
    if dtype == "category":
        known = _labels(import_module("pandas"), values.categories)
        return pa.array(values.codes), {"categories": known, "ordered": bool(values.ordered)}
    if dtype == "object":
        values = list(values)
        odd = next((value for value in values if type(value) not in _OBJECTS), None)
        if odd is not None:
            raise SnapshotError(f"a column of objects that holds a {type(odd).__name__} cannot be kept")
        is_nan = any(value != value for value in values)
        return pa.array([None if value != value else value for value in values]), "object nan" if is_nan else "object"
    if _PLAIN.fullmatch(dtype):
        return pa.array(values.to_numpy(), from_pandas=False), dtype
    if not _TIMES.fullmatch(dtype) and not _NULLABLE.fullmatch(dtype):
        raise SnapshotError(f"a column of dtype {dtype[:80]} cannot be kept")
    array = pa.array(values)
    return (array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array), dtype


def _array(pd: Any, array: Any, dtype: Any) -> Any:
    if isinstance(dtype, dict):
        known = _index_of(pd, dtype["categories"])
        return pd.Categorical.from_codes(array.to_numpy(zero_copy_only=False), known, ordered=dtype["ordered"])
    if dtype in ("object", "object nan"):
        missing = float("nan") if dtype == "object nan" else None
        found = [missing if value is None else value for value in array.to_pylist()]
        return pd.Series(found, dtype=object)
    if _PLAIN.fullmatch(dtype):
        if array.null_count:
            raise SnapshotError(f"a column of dtype {dtype} has missing values")
        return pd.array(array.to_numpy(zero_copy_only=False).astype(dtype), dtype=f"{dtype}", copy=False)
    if _TIMES.fullmatch(dtype):
        found = array.to_pandas().array
        if str(found.dtype) != dtype:
            raise SnapshotError(f"a column of dtype {dtype} is of another one in the stream")
        return found
    if _NULLABLE.fullmatch(dtype):
        return pd.api.types.pandas_dtype(dtype).__from_arrow__(array)
    raise SnapshotError(f"a column of dtype {dtype[:80]!r} is not read")
