"""Lenient reading of payloads: what is there in the right form, and nothing in place of what is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["amount", "mapping", "members", "seconds", "text"]


def mapping(value: object) -> Mapping[str, Any]:
    """``value`` if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def members(value: object) -> Iterator[Mapping[str, Any]]:
    """The objects of a list; nothing of what is no list."""
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, Mapping))


def text(value: object) -> str:
    """``value`` if it is text, else ""."""
    return value if isinstance(value, str) else ""


def amount(value: object) -> float | None:
    """``value`` if it is a number that is none below 0, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < float("inf") else None


def seconds(value: object) -> float | None:
    """Seconds since the epoch of a number of milliseconds; None where there is none."""
    found = amount(value)
    return None if found is None else found / 1000
