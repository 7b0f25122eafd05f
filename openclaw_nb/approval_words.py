"""Approvals in words: what is to be run shown so that nothing of it hides, how long there is, and what was decided."""

from __future__ import annotations

import re
from itertools import groupby

from .events import Approval, Step

__all__ = ["LONGEST", "STEP", "WAITS", "decided", "left", "one_line", "step_of", "visible"]

LONGEST = 200_000
"""Characters of a command that are shown; a longer one cannot be read whole, so it is not for a button to allow it."""

STEP = "approval:"
"""What the keys of the steps begin with that say what was decided."""

WAITS = "waiting for your approval"
"""The state of a run that goes on when a person has decided."""

_LINE = 300  # characters of a command where it is one line among others
_SPACES = re.compile(r"[ \t]{40,}")
_LINES = re.compile(r"\n(?:[ \t]*\n){5,}")

# Printable by Unicode's categories, and yet nothing is seen of them: fillers, variation selectors, Braille's blank.
_UNSEEN = frozenset(map(chr, (
    0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0,
    *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0),
)))  # fmt: skip
_KEPT = "\n\t"
_NAMES = {0x00: "NUL", 0x07: "BEL", 0x08: "BS", 0x0D: "CR", 0x1B: "ESC", 0x7F: "DEL"}


def visible(text: str) -> str:
    """``text`` with a name or a number for every character that is not seen as what it is: controls, overrides of
    the direction, what has no width, spaces of other kinds; and with long blank stretches in words.

    Lines and tabs stay. No lone surrogate is left.
    """
    if not text.isprintable() or not _UNSEEN.isdisjoint(text):
        text = "".join(_named(character, len(list(same))) for character, same in groupby(text))
    text = _SPACES.sub(lambda found: f"⟨{len(found[0]):,} spaces⟩", text)
    return _LINES.sub(lambda found: f"\n⟨{found[0].count(chr(10)) - 1:,} empty lines⟩\n", text)


def _named(character: str, times: int) -> str:
    if (character.isprintable() and character not in _UNSEEN) or character in _KEPT:
        return character * times
    name = _NAMES.get(ord(character), f"U+{ord(character):04X}")
    return f"⟨{name}{f' × {times:,}' if times > 1 else ''}⟩"


def one_line(text: str) -> str:
    """A command as one line among others; its lines are marked, and of a long one is said how much is left out."""
    line = " ↵ ".join(filter(None, (" ".join(part.split()) for part in visible(text).split("\n"))))
    return line if len(line) <= _LINE else f"{line[:_LINE]}… ({len(line) - _LINE:,} more characters)"


def decided(approval: Approval) -> str:
    """What was decided: "allowed once", "denied", "allowed elsewhere", "expired"."""
    match approval.decision:
        case "allow-once":
            return "allowed elsewhere" if approval.by else "allowed once"
        case "deny":
            return "denied elsewhere" if approval.by else "denied"
        case "expired":
            return "expired"
        case str() as other if other.startswith("allow"):
            return "allowed elsewhere, from now on"
        case _:
            return "not decided"


def step_of(approval: Approval) -> Step:
    """An approval that is settled as a step of its run: one line of what led to the answer."""
    return Step(STEP + approval.id, decided(approval), 0, one_line(approval.command))


def left(seconds: float) -> str:
    """How long there still is to decide: "30 min left", "45 s left"."""
    if seconds >= 90:
        return f"{round(seconds / 60):,} min left"
    return f"{max(0, round(seconds))} s left"
