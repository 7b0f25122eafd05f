"""Tables of pandas, polars and pyarrow as Arrow IPC streams, read without extension types, compression or metadata."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from ..errors import SnapshotError
from . import frames

__all__ = ["read_table", "write_table"]

_MOST_ROWS = 2**27  # what 16 MiB can hold of the smallest values, which are bits
_MOST_NULLS = 2**20  # a column of nothing has no bytes, and as many rows as it says
_MOST_MESSAGES = 10_000
_EXTENSION = b"ARROW:extension:name"


def write_table(value: Any) -> tuple[bytes, dict[str, Any]]:
    """The Arrow stream of a table or column, and what it does not say about it. SnapshotError where it would come back
    as anything else than it is, which is tried here."""
    pa = _arrow(value)
    kind = _kind(value)
    about: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind.startswith("pandas."):
            table, about = frames.take_apart(value)
        elif kind == "pyarrow.Table":
            table = value
        else:
            table = pa.table([value.to_arrow()], names=[""]) if kind.endswith("Series") else value.to_arrow()
            about = {"name": value.name} if kind.endswith("Series") else {}
        data = _stream(pa, table)
        if not _same(kind, value, read_table(kind, data, about)):
            raise SnapshotError("it would not come back from Arrow as it is")
    return data, about


def read_table(kind: str, data: bytes, about: dict[str, Any]) -> Any:
    """What `write_table` was given. SnapshotError for a stream that it does not write."""
    if kind not in _KINDS:
        raise SnapshotError(f"{kind[:80]!r} is no kind of table")
    package = kind.partition(".")[0]
    try:
        pa = import_module("pyarrow")
        library = import_module(package)
    except ImportError as error:
        raise SnapshotError(f"it takes the package {error.name} (pip install {error.name})") from None
    table = _read(pa, data)
    if kind == "pyarrow.Table":
        return table
    for column in table.schema:
        _check_type(pa.types, column.type, table.num_rows)
    if package == "pandas":
        frame = frames.put_together(table, about)
        return frame if kind.endswith("DataFrame") else frame.iloc[:, 0]
    frame = library.from_arrow(table)
    return frame if kind.endswith("DataFrame") else frame.to_series(0).alias(about["name"])


_KINDS = ("pandas.DataFrame", "pandas.Series", "polars.DataFrame", "polars.Series", "pyarrow.Table")


def _kind(value: object) -> str:
    name = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    if name not in _KINDS:
        raise SnapshotError(f"a {name} cannot be kept; a DataFrame, a Series and a pyarrow Table can")
    return name


def _arrow(value: object) -> Any:
    try:
        return import_module("pyarrow")
    except ImportError:
        raise SnapshotError(f"a {type(value).__name__} takes the package pyarrow (pip install pyarrow)") from None


def _same(kind: str, one: Any, other: Any) -> bool:
    if kind.startswith("pandas."):
        return frames.same(one, other)
    if kind == "pyarrow.Table":
        return bool(one.equals(other, check_metadata=True))
    if kind == "polars.Series":
        one, other = one.to_frame(), other.to_frame()
    return bool(one.schema == other.schema and one.equals(other))


# -- streams ---------------------------------------------------------------------------------------


def _stream(pa: Any, table: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _read(pa: Any, data: bytes) -> Any:
    for type, metadata in _messages(pa, data):
        if type == "schema" and _EXTENSION in metadata:
            # Before it is opened: a library that registered such a type runs code of its own on what is in there.
            raise SnapshotError("a table with extension types is not read")
        if type != "schema" and _is_compressed(type, metadata):
            raise SnapshotError("a compressed table is not read, as it may be of any size")
    table = pa.ipc.open_stream(data).read_all()
    if table.num_rows > _MOST_ROWS:
        raise SnapshotError(f"a table of more than {_MOST_ROWS:,} rows is not read")
    table.validate(full=True)
    return table


def _messages(pa: Any, data: bytes) -> Iterator[tuple[str, bytes]]:
    reader = pa.ipc.MessageReader.open_stream(pa.py_buffer(data))
    for _ in range(_MOST_MESSAGES):
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        if message.type not in ("schema", "dictionary", "record batch"):
            raise SnapshotError(f"a message of type {message.type} is in no table")
        yield message.type, message.metadata.to_pybytes()
    raise SnapshotError(f"a table in more than {_MOST_MESSAGES:,} messages is not read")


def _is_compressed(type: str, metadata: bytes) -> bool:
    """Whether the flatbuffer of a batch has a BodyCompression, which pyarrow does not tell before it has made room.

    Arrow's Message.fbs: Message.header is field 2, DictionaryBatch.data 1, RecordBatch.compression 3.
    """
    batch = _follow(metadata, _field(metadata, _follow(metadata, 0), 2))
    if type == "dictionary":
        batch = _follow(metadata, _field(metadata, batch, 1))
    return _field(metadata, batch, 3) != 0


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a table in a flatbuffer is, or 0."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", data, vtable)[0]:
        return 0
    offset: int = struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0]
    return table + offset if offset else 0


def _follow(data: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])


def _check_type(types: Any, type: Any, rows: int, inside: bool = False) -> None:
    """Refuse what takes much more room in a DataFrame than in the stream: there it can say how much that is."""
    flat = (types.is_primitive, types.is_decimal, types.is_string, types.is_large_string, types.is_binary,
            types.is_large_binary)  # fmt: skip
    if any(check(type) for check in flat) or (types.is_null(type) and not inside and rows <= _MOST_NULLS):
        return
    is_list = types.is_list(type) or types.is_large_list(type) or (types.is_fixed_size_list(type) and type.list_size)
    if is_list or (types.is_dictionary(type) and not inside):
        children = [type.value_type]
    elif types.is_struct(type) and type.num_fields:
        children = [type.field(number).type for number in range(type.num_fields)]
    else:
        raise SnapshotError(f"a column of type {str(type)[:80]} is not read")
    for child in children:
        _check_type(types, child, rows, inside=True)
