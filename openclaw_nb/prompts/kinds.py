"""What a value is, by a library's own types, without importing the library."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

__all__ = ["is_a", "scalar", "shape_of"]


def is_a(value: object, module: str, *names: str) -> bool:
    """Whether it is one of a module's types; False as long as nobody has imported that module."""
    kinds = (getattr(sys.modules.get(module), name, None) for name in names)
    return isinstance(value, tuple(kind for kind in kinds if isinstance(kind, type)))


def scalar(value: Any) -> Any:
    """The Python number in a NumPy scalar; anything else as it is."""
    return value.item() if is_a(value, "numpy", "generic") and value.dtype.kind in "biuf" else value


def shape_of(value: Any) -> str:
    """The shape of an array or a table as "31x3", "" for what has none."""
    with suppress(Exception):
        sides = tuple(value.shape)
        if all(isinstance(side, int) for side in sides):
            return "x".join(map(str, sides))
    return ""
