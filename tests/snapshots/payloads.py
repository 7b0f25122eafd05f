"""Payloads: kept variables that somebody else made, to run code or take all memory when they are unpacked."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import random
import resource
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from openclaw_nb.errors import SnapshotError
from openclaw_nb.snapshots import frames
from openclaw_nb.snapshots.variables import unpack

__all__ = ["Touch", "arrow", "npy", "of_pandas", "payloads"]


class Touch:
    """Pickled, this makes a file when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.open, (self.path, os.O_CREAT)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def npy(header: str, body: bytes = b"", version: int = 1) -> dict[str, Any]:
    """An npy file of which every part may be a lie."""
    head = header.encode("latin-1")
    length = struct.pack("<H" if version == 1 else "<I", len(head))
    return {
        "format": "npy",
        "type": "numpy.ndarray",
        "data": text(b"\x93NUMPY" + bytes((version, 0)) + length + head + body),
    }


def arrow(table: pa.Table, kind: str = "pyarrow.Table", about: Any = None, **options: Any) -> dict[str, Any]:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    data = {"format": "json", "type": "dict", "data": about or {}}
    return {"format": "arrow", "type": kind, "data": text(bytes(sink.getvalue())), "about": data}


def of_pandas(**forged: Any) -> dict[str, Any]:
    """A DataFrame whose description is forged."""
    table, about = frames.take_apart(pd.DataFrame({"a": [1, 2]}))
    return arrow(table, "pandas.DataFrame", {**about, **forged})


NPY = "{'descr': %s, 'fortran_order': False, 'shape': %s, }"


def of_numpy(pickled: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    yield "an array of objects", {"format": "npy", "data": text(file.getvalue())}
    for name, descr, shape in [
        ("pickled objects", "'|O'", "(1,)"), ("objects in a struct", "[('a', '|O')]", "(1,)"),
        ("objects in a subarray", "[('a', '|O', (2,))]", "(1,)"), ("a call", "__import__('os').getcwd()", "(1,)"),
        ("a terabyte", "'<f8'", "(10**11,)"), ("a terabyte", "'<f8'", "(100000000000,)"),
        ("a product that wraps", "'<f8'", "(4294967296, 4294967296)"), ("a negative side", "'<f8'", "(-1, -8)"),
        ("bools as sides", "'<f8'", "(True,)"), ("no bytes each", "'|V0'", "(1000000000000,)"),
        ("no bytes each", "'<U0'", "(1000000000000,)"), ("a wide subarray", "('<f8', (1000000000,))", "(1,)"),
        ("1,000 sides", "'<f8'", f"({'1, ' * 1000})"), ("no shape", "'<f8'", "5"),
        ("an odd dtype", "'<Q99999999'", "(1,)"),
        ("a dict as dtype", "{'names': ['a'], 'formats': ['O']}", "(1,)"), ("deep parentheses", "(" * 2_000, "(1,)"),
        ("deep minus signs", "-" * 9_000 + "1", "(1,)"), ("metadata", "('<f8', {'a': 1})", "(1,)"),
    ]:  # fmt: skip
        yield name, npy(NPY % (descr, shape), pickled)
    yield "a header without end", npy("{", pickled)
    yield "a header of 60 KB", npy(" " * 60_000 + NPY % ("'<f8'", "(1,)"), b"12345678")
    yield "a header of 4 GiB", {"format": "npy", "data": text(b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + pickled)}
    yield "version 9", npy(NPY % ("'<f8'", "(1,)"), b"12345678", version=9)
    yield "only a pickle", {"format": "npy", "data": text(pickled)}
    yield "nothing", {"format": "npy", "data": ""}


def of_arrow(pickled: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("arrow.py_extension_type", "tests.registered", "arrow.uuid", "pandas.period"):
        metadata = {b"ARROW:extension:name": name.encode(), b"ARROW:extension:metadata": pickled}
        field = pa.field("0", pa.int64(), metadata=metadata)
        inside = pa.field("0", pa.struct([pa.field("x", pa.int64(), metadata=metadata)]))
        for one, column in ((field, pa.array([1])), (inside, pa.array([{"x": 1}], inside.type))):
            table = pa.table([column], schema=pa.schema([one]))
            for kind in ("pyarrow.Table", "polars.DataFrame", "pandas.DataFrame"):
                yield f"an extension type {name}, {kind}", arrow(table, kind, {"dtypes": ["int64"]})
    zeros = pa.table({"0": pa.array(np.zeros(2**21))})
    gigabyte = pa.concat_tables([zeros] * 64)
    words = pa.table({"0": pa.array(["x" * 2**24]).dictionary_encode()})
    for compression in ("zstd", "lz4"):
        yield f"a bomb in {compression}", arrow(gigabyte, compression=compression)
        yield f"a bomb in a dictionary in {compression}", arrow(words, compression=compression)
    for name, make in _MUCH_OF_NOTHING.items():
        made = make()
        for kind in ("polars.DataFrame", "pandas.DataFrame"):
            about = {"columns": {"labels": ["a"], "dtype": "object", "names": [None]}, "dtypes": ["object"],
                     "index": {"names": [None], "range": [0, len(made), 1]}}  # fmt: skip
            with suppress(pa.ArrowException, NotImplementedError):  # this version writes no such table
                yield f"{name}, {kind}", arrow(pa.table({"0": made}), kind, about)
    yield "2**31 rows without columns", arrow(pa.table({"0": pa.Array.from_buffers(pa.null(), FAR, [None])}).select([]))
    for name, make in _INVALID.items():
        for kind in ("pyarrow.Table", "polars.DataFrame"):
            yield f"{name}, {kind}", arrow(pa.table({"0": make()}), kind)
    yield "only a pickle", {"format": "arrow", "type": "pyarrow.Table", "data": text(pickled), "about": {"data": {}}}
    yield "a kind that names a class", arrow(pa.table({"0": [1]}), "os.system")
    yield "a tensor", {"format": "arrow", "type": "pyarrow.Table", "data": text(_tensor()), "about": {"data": {}}}


FAR = 2**31 - 1  # rows; Arrow writes no more to a batch

_MUCH_OF_NOTHING = {
    "2**31 rows of nothing": lambda: pa.Array.from_buffers(pa.null(), FAR, [None]),
    "2**26 rows of nothing": lambda: pa.Array.from_buffers(pa.null(), 2**26, [None]),
    "2**31 empty structs": lambda: pa.Array.from_buffers(pa.struct([]), FAR, [None]),
    "2**26 empty structs": lambda: pa.Array.from_buffers(pa.struct([]), 2**26, [None]),
    "2**26 structs of nothing": lambda: pa.StructArray.from_arrays([pa.nulls(2**26)], names=["x"]),
    "2**26 lists of nothing": lambda: pa.FixedSizeListArray.from_arrays(pa.nulls(2**26), 2**13),
    "a run of 2**26": lambda: pa.RunEndEncodedArray.from_arrays([2**26], [1]),
    "2**31 times no bytes": lambda: pa.Array.from_buffers(pa.binary(0), FAR, [None, pa.py_buffer(b"")]),
    "2**26 times no bytes": lambda: pa.Array.from_buffers(pa.binary(0), 2**26, [None, pa.py_buffer(b"")]),
    "4 GiB of views": lambda: _views(2**16, 2**16),
}


def _views(count: int, size: int) -> Any:
    """``count`` times one text of ``size`` characters, which is there once."""
    view = struct.pack("<i4sii", size, b"xxxx", 0, 0)
    return pa.Array.from_buffers(pa.string_view(), count, [None, pa.py_buffer(view * count), pa.py_buffer(b"x" * size)])


def _strings(offsets: list[int], letters: bytes) -> Any:
    places = pa.py_buffer(struct.pack(f"<{len(offsets)}i", *offsets))
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, [None, places, pa.py_buffer(letters)])


_INVALID = {
    "offsets beyond the end": lambda: _strings([0, 2**30, 3], b"abc"),
    "no UTF-8": lambda: _strings([0, 2], b"\xff\xfe"),
    "codes beyond the end": lambda: pa.DictionaryArray.from_arrays(pa.array([5, -7]), pa.array(["a"]), safe=False),
}


def _tensor() -> bytes:
    sink = pa.BufferOutputStream()
    pa.ipc.write_tensor(pa.Tensor.from_numpy(np.zeros(3)), sink)
    return bytes(sink.getvalue())


def of_descriptions(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a DataFrame's description may say to have something made or called."""
    names = {"names": [None]}
    for dtype in ("O", "|O", "category", "period[D]", "interval[int64]", "Sparse[int64]", "geometry", "evil.Class",
                  "int64\n", "datetime64[ns, ../../etc/passwd]", "int64[pyarrow]", "list<item: int64>[pyarrow]",
                  "complex128", "S",
                  "V", f"__import__('os').open({path!r}, 64)", "datetime64[ns]" * 1000):  # fmt: skip
        yield f"dtype {dtype[:30]!r}", of_pandas(dtypes=[dtype])
        yield f"labels of dtype {dtype[:30]!r}", of_pandas(columns={"labels": ["a"], "dtype": dtype, **names})
    for index in (
        {**names, "range": [0, 10**15, 1]}, {**names, "range": [0, 2, 0]}, {**names, "range": "__import__"},
        {"dtypes": []}, {**names, "dtypes": ["int64"] * 1000}, {**names, "dtypes": ["datetime64[ns]"], "freq": "evil"},
        [], None,
    ):  # fmt: skip
        yield f"index {str(index)[:40]}", of_pandas(index=index)
    days = pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2026", periods=2))
    for freq in ("evil.Class()", "__import__", "99999999999999999999Y", "-1ns", "x" * 10_000, 5, "D\0", "W-SUN"):
        table, about = frames.take_apart(days)
        yield (
            f"frequency {str(freq)[:20]}",
            arrow(table, "pandas.DataFrame", {**about, "index": {**about["index"], "freq": freq}}),
        )
    yield "a range of labels", of_pandas(columns={"range": [0, 10**12, 1], **names})
    yield (
        "categories of a range",
        of_pandas(dtypes=[{"categories": {"range": [0, 10**12, 1], **names}, "ordered": False}]),
    )
    yield "more columns than there are", of_pandas(dtypes=["int64"] * 1000)
    yield "no dict", of_pandas(dtypes=5)


def of_json(path: str, pickled: bytes) -> Iterator[tuple[str, Any]]:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    yield "nested 5,000 deep", {"format": "json", "data": deep}
    for format in (
        "pickle",
        "yaml",
        "dill",
        "joblib",
        "cloudpickle",
        "python",
        "tuple",
        "__reduce__",
        None,
        5,
        ["npy"],
        {},
    ):
        yield f"format {format!r}", {"format": format, "data": text(pickled)}
    call = f"!!python/object/apply:os.open [{path!r}, 64]"
    yield "a path out of it", {"format": "json", "data": {}, "inside": [[["__class__"], {"format": "tuple"}]]}
    yield "a path into a str", {"format": "json", "data": "abc", "inside": [[[0], {"format": "tuple"}]]}
    yield "a path of objects", {"format": "json", "data": [], "inside": [[[{}], {"format": "tuple"}]]}
    yield "a path backwards", {"format": "json", "data": [[1]], "inside": [[[-1], {"format": "tuple"}]]}
    yield "no path", {"format": "json", "data": [1], "inside": [[5, {"format": "tuple"}]]}
    yield "a tuple of a number", {"format": "json", "data": 5, "inside": [[[], {"format": "tuple"}]]}
    yield (
        "a pickle inside",
        {"format": "json", "data": [0], "inside": [[[0], {"format": "pickle", "data": text(pickled)}]]},
    )
    yield "json inside json", {"format": "json", "data": [0], "inside": [[[0], {"format": "json", "data": 1}]]}
    yield "a float", {"format": "float", "data": "1" * 10_000}
    yield "an int", {"format": "json", "data": 10**5_000}
    yield "not base64", {"format": "npy", "data": "é***"}
    for reference in (call, "file:/etc/passwd", "env:", "keyring:", "cmd:touch x", "env:A\n"):
        yield f"reference {reference[:20]!r}", {"format": "reference", "data": reference}
    for entry in (None, 5, "x", [], {}, {"format": "json"}, {"format": "npy"}, {"format": "arrow", "data": ""}):
        yield f"entry {entry!r}", entry


def flipped(entry: dict[str, Any], count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same entry with bytes changed: which parsers take is as the bytes are, and what they refuse is a sentence."""
    choose = random.Random(5)
    data = base64.b64decode(entry["data"])
    for number in range(count):
        changed = bytearray(data)
        for _ in range(choose.choice((1, 1, 8))):
            changed[choose.randrange(len(changed))] = choose.randrange(256)
        if choose.random() < 0.2:
            changed = changed[: choose.randrange(len(changed))]
        yield f"{entry['type']} with bytes flipped, {number}", {**entry, "data": text(bytes(changed))}


def payloads(path: str) -> Iterator[tuple[str, Any]]:
    pickled = pickle.dumps(Touch(path))
    yield from of_numpy(pickled)
    yield from of_arrow(pickled)
    yield from of_descriptions(path)
    yield from of_json(path, pickled)


def main(path: str) -> None:
    """Try all, and print what happened: how many were refused, what was not, and MiB that it took at most."""
    ran: list[str] = []

    class Registered(pa.ExtensionType):  # as a library might register it: a class of its own that unpickles
        def __init__(self) -> None:
            super().__init__(pa.int64(), "tests.registered")

        def __arrow_ext_serialize__(self) -> bytes:
            return b""

        @classmethod
        def __arrow_ext_deserialize__(cls, storage: Any, data: bytes) -> Any:
            ran.append("an extension type")
            pickle.loads(data)
            return cls()

    pa.register_extension_type(Registered())
    table = pa.table({"0": pa.array([1, 2]), "s": ["x", None], "d": pa.array(["a", "b"]).dictionary_encode()})
    frame, about = frames.take_apart(pd.DataFrame({"a": ["x"]}))
    good = [
        arrow(table), arrow(table, "polars.DataFrame"), npy(NPY % ("'<f8'", "(1,)"), b"12345678"),
        arrow(frame, "pandas.DataFrame", about),
    ]  # fmt: skip
    for entry in good:
        unpack({"v": entry})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused, taken = 0, []
    hostile = [*payloads(path)]
    before = max(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    for name, entry in hostile:
        try:
            unpack({"v": entry})
        except SnapshotError as error:
            refused += len(str(error).splitlines()) == 1 and len(str(error)) < 1_000
        else:
            taken.append(name)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    changed = 0
    for entry in good:
        for _, other in flipped(entry, 500):
            changed += 1
            with suppress(SnapshotError):
                repr(unpack({"v": other}))
    print(json.dumps({
        "tried": len(hostile), "refused": refused, "taken": taken, "ran": ran, "flipped": changed,
        "made": Path(path).exists(), "MiB": (peak - before) // 1024, "before": before // 1024,
    }))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1])
