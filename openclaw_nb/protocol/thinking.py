"""The words of a real gateway for how deep a model thinks, and which of them a model takes."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["ORDER", "nearest"]

ORDER = ("off", "minimal", "low", "medium", "high", "xhigh", "max")
"""All of them, as 2026.9.6 orders them; it also has "adaptive", which is no depth."""


def nearest(wanted: str, allowed: Sequence[str]) -> str:
    """What a model takes in place of ``wanted``: the deepest that is no deeper, or else the least deep it has."""
    known = sorted((word for word in allowed if word in ORDER), key=ORDER.index)
    if wanted in known or not known or wanted not in ORDER:
        return wanted
    return next((word for word in reversed(known) if ORDER.index(word) < ORDER.index(wanted)), known[0])
