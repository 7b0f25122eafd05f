"""Variables of the notebook, kept and brought back: those that were named, and none replaced unasked."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from .errors import ConfigError, SnapshotError, nearest
from .snapshots.variables import pack, unpack
from .wording import in_words, variable

__all__ = ["ALL", "bring_back", "described", "read_back", "take"]

ALL = "all"
"""What `--vars` says for every variable of a snapshot."""


def take(names: Iterable[str], namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of these names as `pack` makes them plain data.

    ConfigError for a name that there is not, SnapshotError for what cannot be kept, which says its name.
    """
    values: dict[str, object] = {}
    for name in names:
        if name not in namespace:
            known = {one: None for one, value in namespace.items() if not one.startswith("_") and not callable(value)}
            raise ConfigError(f"there is no variable {name!r} to keep{nearest(name, known)}")
        values[name] = namespace[name]
    return pack(values)


def read_back(packed: Mapping[str, Any], replace: Iterable[str] = ()) -> dict[str, object]:
    """The variables of a snapshot. SnapshotError for what cannot be read, ConfigError for a name that it has not."""
    if missing := sorted({*replace} - {ALL} - packed.keys()):
        has = f"it has {', '.join(map(in_words, sorted(packed)[:20]))}" if packed else "it has none"
        raise ConfigError(f"there is no variable {missing[0]!r} in that snapshot; {has}")
    return {name: value for name, value in unpack(packed).items() if _fit(name)}


def bring_back(
    values: Mapping[str, object],
    packed: Mapping[str, Any],
    namespace: MutableMapping[str, Any],
    replace: Iterable[str] = (),
) -> tuple[list[str], list[str]]:
    """Set what was read of ``packed``; the names that were set, and of those that were left as they are.

    What exists and differs is left unless its name, or `ALL`, is in ``replace``; what is equal is not touched.
    """
    wanted = set(replace)
    new: dict[str, object] = {}
    left: list[str] = []
    for name, value in values.items():
        if not _there(name, namespace) or wanted & {name, ALL}:
            new[name] = value
        elif not _same(namespace.get(name), packed[name]):
            left.append(name)
    namespace.update(new)
    return sorted(new), sorted(left)


def described(packed: Mapping[str, Any]) -> str:
    """Kept variables in words: "df (arrow, 1.2 kB), rate (json, 4 B)"; of a secret its reference."""
    return ", ".join(f"{in_words(name)} ({_what(entry)})" for name, entry in sorted(packed.items()))


def _what(entry: Any) -> str:
    reference = isinstance(entry, Mapping) and entry.get("format") == "reference"
    return in_words(entry.get("data")) if reference else variable(entry)


def _fit(name: str) -> bool:
    """Whether a cell could have kept this name; a store may be anybody's."""
    return name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")


def _there(name: str, namespace: Mapping[str, Any]) -> bool:
    return name in namespace or hasattr(builtins, name)


def _same(value: object, entry: Any) -> bool:
    """Whether a variable would be kept just so; to compare arrays or tables themselves gives no yes or no."""
    try:
        return bool(pack({"it": value})["it"] == entry)
    except SnapshotError:
        return False
