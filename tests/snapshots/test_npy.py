"""NumPy arrays come back as they are, and what is no array, or lies about itself, is refused before room is made."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots.npy import read_array, write_array

DTYPES = st.one_of(npst.scalar_dtypes(), npst.byte_string_dtypes(), npst.unicode_string_dtypes())
ARRAYS = npst.arrays(
    st.one_of(DTYPES, npst.array_dtypes(DTYPES), npst.nested_dtypes(DTYPES)),
    npst.array_shapes(min_dims=0, min_side=0, max_side=4),
)


def same(one: Any, other: Any) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


@given(ARRAYS, st.sampled_from("CFA"))
def test_arrays_come_back(array: Any, order: Any) -> None:
    array = np.array(array, order=order)
    array.flags.writeable = False
    if array.dtype.itemsize == 0:
        return
    back = read_array(write_array(array))
    assert same(array, back)
    assert back.flags.writeable
    assert back.flags.f_contiguous >= (array.flags.f_contiguous and array.ndim > 1)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12).reshape(3, 4)[:, ::2], np.array(5), np.empty((0, 3)), np.array(["NaT", "2026-01-01"], "M8[s]"),
        np.array([(1, "é")], dtype=[("x", ">i4"), ("ñ", "U3")]), np.zeros(3, dtype=[("a", "f4", (2, 2))]),
        np.array([1j, np.nan]), np.array([np.nan, -0.0, np.inf], ">f2"), np.longdouble([1.1]),
    ],
)  # fmt: skip
def test_odd_ones_too(array: Any) -> None:
    assert same(array, read_array(write_array(array)))


def test_numpy_reads_what_is_kept() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert same(np.load(io.BytesIO(write_array(array)), allow_pickle=False), array)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([object()]), "takes pickles"), (np.zeros(1, dtype=[("a", "O")]), "takes pickles"),
        (np.ma.array([1], mask=[True]), "MaskedArray"), (np.zeros(1).view(np.recarray), "recarray"),
        (np.array(["a"], dtype=np.dtypes.StringDType()), "takes pickles"), (np.float64, "type"),
        (np.dtype("f8"), "DType"),
    ],
)  # fmt: skip
def test_what_is_refused(value: Any, words: str) -> None:
    with pytest.raises(SnapshotError, match=words):
        write_array(value)
