"""Plain data: what may be kept of a state, checked and copied, and the bytes that bring it back exactly."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from ..errors import SnapshotError

__all__ = ["MAX_BITS", "MAX_DEPTH", "Path", "decode", "encode", "plain", "refusal", "same", "text", "utf8"]

MAX_DEPTH = 100
MAX_BITS = 2048  # of an int: below the 640 digits that every Python reads, whatever its limit
Path = str | tuple["Path", str | int]

_dumps = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def encode(value: Any) -> bytes:
    """JSON in UTF-8 with surrogates passed through: unlike JSON's escapes that keeps two of them in a row apart."""
    try:
        return msgspec.json.encode(value)  # in a tenth of the time of json
    except ValueError:  # of a surrogate
        return utf8(_dumps(value))


def utf8(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def text(data: bytes) -> str:
    return bytes.decode(data, "utf-8", "surrogatepass")


def decode(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)  # in half the time of json
    except ValueError:  # of a lone surrogate, which UTF-8 has not
        return json.loads(text(data))


def plain(value: Any, path: Path, depth: int = 0) -> Any:
    """A copy of ``value`` that shares no container with it. Raises SnapshotError with the path of what is not plain.

    Plain are dict with str keys, list, str, int of up to MAX_BITS bits, finite float, bool and None, up to MAX_DEPTH
    containers deep. A str of a subclass, such as a Result, is kept as its text.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if (kind is int and value.bit_length() <= MAX_BITS) or (kind is float and math.isfinite(value)):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if (kind is dict or kind is list) and depth >= MAX_DEPTH:
        raise refusal(path, f"what is nested more than {MAX_DEPTH} deep cannot be kept")
    if kind is dict:
        return {_key(key, path): plain(item, (path, key), depth + 1) for key, item in list(value.items())}
    if kind is list:
        return [plain(item, (path, index), depth + 1) for index, item in enumerate(value[:])]
    if kind is int:
        raise refusal(path, f"an int of more than {MAX_BITS} bits cannot be kept")
    if kind is float:
        raise refusal(path, f"{value} cannot be kept (only finite numbers can)")
    raise refusal(path, f"{_a(value)} cannot be kept (only dict, list, str, int, float, bool and None can)")


def same(ours: Any, theirs: Any) -> bool:
    """Whether ``theirs`` is still what `plain` made ``ours`` of; where that costs more to say than to encode, False.

    `plain` copies every container, so an object that is in both is a leaf, and leaves do not change.
    """
    if ours is theirs:
        return True
    kind = type(ours)
    if kind is not type(theirs):
        return False
    if kind is list:
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if kind is not dict:
        return kind is not float and bool(ours == theirs)  # 0.0 == -0.0
    pairs = list(theirs.items())
    if len(ours) != len(pairs):
        return False
    for (key, mine), (other_key, other) in zip(ours.items(), pairs, strict=True):
        if not same(key, other_key) or not same(mine, other):
            return False
    return True


def refusal(path: Path, why: str) -> SnapshotError:
    """The error that says why what is at ``path`` cannot be kept."""
    steps = ""
    while isinstance(path, tuple):
        path, key = path
        steps = (f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]") + steps
    where = path + steps
    return SnapshotError(f"{where if len(where) <= 120 else where[:120] + '…'}: {why}")


def _key(key: object, path: Path) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    raise refusal(path, f"{_a(key)} cannot be kept as a key (only str can)")


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
