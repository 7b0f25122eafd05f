"""NumPy arrays and scalars as npy files, which are read here without NumPy's own reader and without pickles."""

from __future__ import annotations

import ast
import math
import warnings
from importlib import import_module
from io import BytesIO
from typing import Any

from ..errors import SnapshotError

__all__ = ["read_array", "write_array"]

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000  # characters, above which NumPy calls the parsing of it unsafe too


def write_array(value: Any) -> bytes:
    """The npy file of an array or a scalar, which is an array without dimensions. SnapshotError for what is neither."""
    numpy = import_module("numpy")
    if type(value) is not numpy.ndarray and not isinstance(value, numpy.generic):
        raise SnapshotError(f"a numpy {type(value).__name__} cannot be kept; an ndarray can")
    array = numpy.asarray(value)
    if array.dtype.hasobject or array.dtype.kind == "T":
        raise SnapshotError(f"an array of dtype {array.dtype} cannot be kept, as it takes pickles")
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that NumPy before 1.17 cannot read names of fields beyond ASCII
        numpy.lib.format.write_array(file, array, allow_pickle=False)
    return file.getvalue()


def read_array(data: bytes) -> Any:
    """The array in an npy file: writeable, in C or Fortran order as it was. SnapshotError for anything else.

    NumPy's own reader makes room for what the header promises before it looks whether that much is there.
    """
    numpy = import_module("numpy")
    if data[:6] != _MAGIC or data[6:7] not in (b"\x01", b"\x02", b"\x03"):
        raise SnapshotError("this is no npy file")
    wide = 2 if data[6] == 1 else 4
    start = 8 + wide
    end = start + int.from_bytes(data[8:start], "little")
    if not end - start <= _LONGEST_HEADER or end > len(data):
        raise SnapshotError("the header of the npy file is too long")
    try:
        header = ast.literal_eval(data[start:end].decode("utf-8" if data[6] == 3 else "latin-1").strip())
        dtype, order, shape = (header.pop(key) for key in ("descr", "fortran_order", "shape"))
        dtype = numpy.lib.format.descr_to_dtype(dtype)
    except Exception as error:  # of a parser and of dtypes, fed with anything
        raise SnapshotError(f"the header of the npy file cannot be read ({type(error).__name__})") from None
    if header or type(order) is not bool or not _is_shape(shape):
        raise SnapshotError("the header of the npy file is no header of an array")
    if dtype.hasobject or not dtype.itemsize:
        raise SnapshotError(f"an array of dtype {dtype} is not read, as it takes pickles or has no bytes")
    if math.prod(shape) * dtype.itemsize != len(data) - end:
        raise SnapshotError("the npy file does not hold what its header says")
    flat = numpy.frombuffer(data, dtype, offset=end) if end < len(data) else numpy.empty(0, dtype)
    return flat.reshape(shape, order="F" if order else "C").copy("K")


def _is_shape(shape: object) -> bool:
    return type(shape) is tuple and len(shape) <= 32 and all(type(side) is int and 0 <= side < 2**62 for side in shape)
