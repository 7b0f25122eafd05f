"""What a command writes: its result on standard output, and beside it lines for the person on standard error."""

from __future__ import annotations

import sys

__all__ = ["say", "write"]


def write(text: str) -> None:
    """Text of the result, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def say(words: str) -> None:
    """One line for the person, beside what the command prints."""
    sys.stderr.write(words + "\n")
