"""The text of a structured answer: its JSON alone, and as people read it."""

from __future__ import annotations

import re

from msgspec.json import format

__all__ = ["bare", "pretty"]

_FENCED = re.compile(r"\s*(`{3,})(?:json)?[ \t]*\n(.*?)\n?\1\s*", re.DOTALL | re.IGNORECASE)


def bare(text: str) -> str:
    """The JSON of an answer without the code block that a model may have put around it."""
    fenced = _FENCED.fullmatch(text)
    return fenced[2] if fenced else text.strip()


def pretty(text: str) -> str:
    """The same, indented, each value as it was written; as it is where it is no JSON, or not all of it has come."""
    try:
        return format(bare(text), indent=2)
    except (ValueError, RecursionError):
        return text
