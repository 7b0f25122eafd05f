"""Variables: values of a notebook as plain data, in formats that run nothing when they are read."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigError, SnapshotError, one_line
from ..redaction import UNNAMED, secret_in
from ..secret import Secret
from .arrow import read_table, write_table
from .npy import read_array, write_array
from .plain import MAX_DEPTH, encode, plain

__all__ = ["LARGEST", "LARGEST_TOGETHER", "changes", "pack", "unpack"]

LARGEST = 16 * 2**20
"""Bytes of one variable at most, as it is kept."""

LARGEST_TOGETHER = 4 * LARGEST
"""Bytes of all that are kept at once at most."""

_MOST = 1_000  # variables
Path = tuple[str | int, ...]


def pack(values: Mapping[str, object]) -> dict[str, Any]:
    """The plain data of variables by name, each ``{"format": "json" | "npy" | "arrow" | "reference", …}``.

    What `unpack` gives back is equal and of the same type:

    - dict with str keys, list, tuple, str, int of up to 2,048 bits, float, bool and None, up to 100 deep; a str of a
      subclass, such as a Result, comes back as a str
    - NumPy arrays and scalars of any dtype without objects, writeable, in Fortran order where they were
    - DataFrames and Series of pandas and polars and Tables of pyarrow, by the package pyarrow
    - a Secret, as its reference

    Raises SnapshotError, in which every variable is named that cannot be kept, and why; then none is.
    """
    packed: dict[str, Any] = {}
    refused: dict[str, str] = {}
    room = LARGEST_TOGETHER
    for name, value in values.items():
        try:
            packed[name] = _checked(_pack(value))
            room -= _size(packed[name])
            if room < 0:
                raise SnapshotError(f"with it all together would be above {LARGEST_TOGETHER // 2**20} MiB")
        except SnapshotError as error:
            refused[name] = str(error)
        except Exception as error:  # of a library, about a value that is somebody else's
            refused[name] = f"a {type(value).__name__} cannot be kept: {one_line(type(error).__name__)}"
    if len(values) > _MOST:
        raise SnapshotError(f"no variable was kept: {len(values):,} are more than {_MOST:,}")
    if refused:
        raise SnapshotError(f"no variable was kept: {_listed(refused)}")
    return packed


def unpack(variables: Mapping[str, Any]) -> dict[str, object]:
    """The values that `pack` made plain data of. SnapshotError for any other data, whatever it holds: nothing in it is
    run, and it takes about ten times its own size at most."""
    values: dict[str, object] = {}
    refused: dict[str, str] = {}
    if not isinstance(variables, Mapping) or len(variables) > _MOST:
        raise SnapshotError("no variable was restored: this is not what variables are kept as")
    room = LARGEST_TOGETHER
    for name, entry in variables.items():
        try:
            room -= _size(entry)
            if room < 0:
                raise SnapshotError(f"all together are above {LARGEST_TOGETHER // 2**20} MiB")
            values[name] = _unpack(entry)
        except SnapshotError as error:
            refused[name] = one_line(error)
        except BaseException as error:
            # Of parsers fed with anything, those in Rust among them, whose panics are no Exception.
            if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
                raise
            refused[name] = f"what was kept of it cannot be read ({type(error).__name__})"
    if refused:
        raise SnapshotError(f"no variable was restored: {_listed(refused)}")
    return values


def changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What is different in ``b`` from ``a``, both from `pack`, in words: "df: 3 rows more", "params: changed"."""
    words = [f"{name}: gone" for name in a if name not in b]
    for name, entry in b.items():
        if name not in a:
            words.append(f"{name}: new")
        elif a[name] != entry:
            words.append(f"{name}: {_change(a[name], entry)}")
    return words


def _change(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    if a.get("type") != b.get("type"):
        return f"now {_a(b)}, was {_a(a)}"
    if b["format"] == "reference":
        return f"now {b['data']}, was {a['data']}"
    (one, other) = (a.get("shape"), b.get("shape"))
    if not one or not other or one == other or len(one) != len(other):
        return "changed"
    sides = ("rows", "columns") if b["format"] == "arrow" else ("items",) if len(one) == 1 else ()
    if not sides:
        return f"shape {'x'.join(map(str, other))}, was {'x'.join(map(str, one))}"
    found = [
        f"{abs(now - then):,} {side[:-1] if abs(now - then) == 1 else side} {'more' if now > then else 'fewer'}"
        for side, then, now in zip(sides, one, other, strict=False)
        if then != now
    ]
    return ", ".join(found)


def _a(entry: Mapping[str, Any]) -> str:
    name = str(entry.get("type", "value"))
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


# -- packing ---------------------------------------------------------------------------------------


def _pack(value: object) -> dict[str, Any]:
    if (entry := _special(value)) is not None:
        return entry
    inside: list[list[Any]] = []
    data = _plain(value, (), inside)
    entry = {"format": "json", "type": type(value).__name__, "data": data}
    if isinstance(value, (dict, list, tuple, str)):
        entry["shape"] = [len(value)]
    return entry | ({"inside": inside} if inside else {})


def _plain(value: Any, path: Path, inside: list[list[Any]]) -> Any:
    """Plain data, and in ``inside`` what stands in it at which path that JSON has no word for, innermost first."""
    if len(path) > MAX_DEPTH:
        raise SnapshotError(f"what is nested more than {MAX_DEPTH} deep cannot be kept")
    if type(value) is dict:
        odd = next((key for key in value if not isinstance(key, str)), None)
        if odd is not None:
            raise SnapshotError(f"a dict with {type(odd).__name__} keys cannot be kept; str keys can")
        return {str.__str__(key): _plain(item, (*path, str.__str__(key)), inside) for key, item in value.items()}
    if type(value) in (list, tuple):
        items = [_plain(item, (*path, at), inside) for at, item in enumerate(value)]
        if type(value) is tuple:
            inside.append([list(path), {"format": "tuple"}])
        return items
    if (entry := _special(value)) is not None:
        inside.append([list(path), entry])
        return None
    if type(value).__name__ in ("SecretStr", "SecretBytes"):
        raise SnapshotError('a secret cannot be kept; keep Secret("env:NAME") in its place')
    if type(value) not in (str, bool, int, float, type(None)) and not isinstance(value, str):
        raise SnapshotError(f"a {type(value).__name__} cannot be kept; plain data, arrays and tables can")
    return _leaf(value)


def _leaf(value: Any) -> Any:
    try:
        return plain(value, "it")
    except SnapshotError as error:
        raise SnapshotError(str(error).partition(": ")[2]) from None


def _special(value: Any) -> dict[str, Any] | None:
    """The entry of what is more than JSON, or None. By the type's home: no library is imported to ask about it."""
    if isinstance(value, Secret):
        return {"format": "reference", "type": "Secret", "data": str(value)}
    if type(value) is float and not math.isfinite(value):
        return {"format": "float", "type": "float", "data": str(value)}
    home = type(value).__module__.partition(".")[0]
    if home not in ("numpy", "pandas", "polars", "pyarrow"):
        return None
    _check_size(getattr(value, "nbytes", 0))
    shape = list(getattr(value, "shape", ()))
    entry: dict[str, Any] = {"type": f"{home}.{type(value).__name__}", "shape": shape}
    if home == "numpy":
        return entry | {"format": "npy", "data": _text(write_array(value))}
    if home == "pandas" and hasattr(value, "memory_usage") and hasattr(value, "attrs"):
        usage = value.memory_usage(index=True)
        _check_size(usage if isinstance(usage, int) else int(usage.sum()))
    data, about = write_table(value)
    described = _pack(about)
    return entry | {"format": "arrow", "data": _text(data), "about": described}


def _text(data: bytes) -> str:
    _check_size(len(data))
    if reference := secret_in(data):
        raise SnapshotError(_holds(reference))
    return base64.b64encode(data).decode()


def _checked(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry, if it is not too large and no secret stands in it."""
    data = encode(entry)
    if len(data) > LARGEST * 4 // 3 + 4096:  # in base64, and without
        raise SnapshotError(_too_large(len(data)))
    if entry["format"] == "json" and len(data) > LARGEST:
        raise SnapshotError(_too_large(len(data)))
    if reference := secret_in(data.decode(errors="replace")):
        raise SnapshotError(_holds(reference))
    return entry


def _holds(reference: str) -> str:
    if reference == UNNAMED:
        return 'it holds a password or token in an address or header; keep Secret("env:NAME") in its place'
    return f"it holds the value of {reference}; keep Secret({reference!r}) in its place".replace("'", '"')


def _check_size(size: Any) -> None:
    if isinstance(size, int) and size > LARGEST:
        raise SnapshotError(_too_large(size))


def _too_large(size: int) -> str:
    return f"its {size / 2**20:,.1f} MiB are above the {LARGEST // 2**20} that one variable may have"


def _size(entry: Any) -> int:
    """About how many bytes an entry has: its data, and that of what stands inside."""
    if isinstance(entry, dict):
        return sum(map(_size, entry.values())) + 16 * len(entry)
    if isinstance(entry, list):
        return sum(map(_size, entry)) + 8
    return len(entry) if isinstance(entry, str) else 8


def _listed(refused: Mapping[str, str]) -> str:
    return "; ".join(f"{one_line(name, 80)} ({why})" for name, why in refused.items())


# -- unpacking -------------------------------------------------------------------------------------


def _unpack(entry: Any) -> Any:
    if type(entry) is dict and entry.get("format") == "json":
        return _rebuilt(entry)
    return _of(entry)


def _rebuilt(entry: dict[str, Any]) -> Any:
    """The JSON of an entry, copied, with what is more than JSON put into its places."""
    root = [_leaf(entry["data"])]
    for path, odd in entry.get("inside", ()):
        if len(path) > MAX_DEPTH:
            raise SnapshotError("what was kept of it names a place that is not there")
        holder: Any = root
        steps = [0, *path]
        for step in steps[:-1]:
            holder = holder[_step(holder, step)]
        last = _step(holder, steps[-1])
        holder[last] = tuple(holder[last]) if odd == {"format": "tuple"} else _of(odd)
    return root[0]


def _step(holder: Any, step: Any) -> Any:
    """``step``, if it is one into this dict or list."""
    if type(holder) is list and type(step) is int and 0 <= step < len(holder):
        return step
    if type(holder) is dict and type(step) is str and step in holder:
        return step
    raise SnapshotError("what was kept of it names a place that is not there")


def _of(entry: Any) -> Any:
    """What one entry other than JSON stands for."""
    if type(entry) is not dict or entry.get("format") not in _READERS or type(entry.get("data")) is not str:
        raise SnapshotError("what was kept of it is of no known format")
    return _READERS[entry["format"]](entry)


def _read_float(entry: dict[str, Any]) -> float:
    if entry["data"] not in ("nan", "inf", "-inf"):
        raise SnapshotError("what was kept of it is no float")
    return float(entry["data"])


def _read_reference(entry: dict[str, Any]) -> Secret:
    try:
        return Secret(entry["data"])
    except ConfigError as error:
        raise SnapshotError(str(error)) from None


def _read_npy(entry: dict[str, Any]) -> Any:
    array = read_array(_bytes(entry))
    return array if entry.get("type") == "numpy.ndarray" else array[()]


def _read_arrow(entry: dict[str, Any]) -> Any:
    return read_table(str(entry["type"]), _bytes(entry), _rebuilt(entry["about"]))


def _bytes(entry: dict[str, Any]) -> bytes:
    if len(entry["data"]) > LARGEST * 4 // 3 + 4:
        raise SnapshotError(_too_large(len(entry["data"]) * 3 // 4))
    try:
        return base64.b64decode(entry["data"], validate=True)
    except (binascii.Error, ValueError):
        raise SnapshotError("what was kept of it is no base64") from None


_READERS: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "arrow": _read_arrow,
    "float": _read_float,
    "npy": _read_npy,
    "reference": _read_reference,
}
