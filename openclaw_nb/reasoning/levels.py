"""ReasoningLevel, the four depths of thought, and the one function that decides between them.

The levels and the threshold names are those of the OpenClaw 2026.3.1 document, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum

from ..errors import ConfigError

__all__ = ["DEFAULT_THRESHOLDS", "Decision", "ReasoningLevel", "decide", "level_of_thinking", "read_level"]


class ReasoningLevel(IntEnum):
    """1 answers directly, 2 reasons, 3 plans and checks, 4 compares several candidates."""

    FAST = 1
    STANDARD = 2
    DEEP = 3
    ULTRA = 4

    @property
    def label(self) -> str:
        """As a person reads it: "3 deep"."""
        return f"{int(self)} {self.name.lower()}"

    @property
    def thinking(self) -> str:
        """The gateway protocol's word for it (`chat.send.thinking`)."""
        return _THINKING[self]


_THINKING = {
    ReasoningLevel.FAST: "off",
    ReasoningLevel.STANDARD: "low",
    ReasoningLevel.DEEP: "medium",
    ReasoningLevel.ULTRA: "high",
}

_BY_HAND: dict[str, ReasoningLevel | None] = {
    "auto": None,
    **{word: level for level in ReasoningLevel for word in (str(int(level)), level.name.lower(), level.label)},
}

DEFAULT_THRESHOLDS: Mapping[str, int] = {"simple": 1, "complex": 3, "complex_task": 4}
"""Complexity tags and their levels, from the document."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The level a run gets and, in a few words, why."""

    level: ReasoningLevel
    reason: str


def decide(
    *,
    level: int | str = "auto",
    complexity: str | None = None,
    thresholds: Mapping[str, int] = DEFAULT_THRESHOLDS,
    max_level: int = 4,
) -> Decision:
    """Choose the level of one run: what was asked for by hand, then the complexity tag, then the standard."""
    if (chosen := read_level(level)) is not None:
        wanted = Decision(chosen, "")
    elif complexity is not None:
        wanted = Decision(_of_tag(complexity, thresholds), f"tagged {complexity}")
    else:
        wanted = Decision(ReasoningLevel.STANDARD, "")
    if wanted.level > max_level:
        return Decision(ReasoningLevel(max_level), f"limited to {max_level}")
    return wanted


def _of_tag(tag: str, thresholds: Mapping[str, int]) -> ReasoningLevel:
    if tag in thresholds:
        return ReasoningLevel(thresholds[tag])
    near = get_close_matches(tag, thresholds, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"complexity {tag!r} is none of {', '.join(map(repr, thresholds))}{hint}")


def read_level(value: int | str) -> ReasoningLevel | None:
    """A level given by hand: 1-4, "1"-"4" or a level's name; None for "auto"; ConfigError for the rest."""
    try:
        return _BY_HAND[str(value).strip().lower()]
    except KeyError:
        raise ConfigError(f"level {value!r} is not one of 1, 2, 3, 4 or auto") from None


def level_of_thinking(thinking: str | None) -> ReasoningLevel:
    """The level that a protocol word for thinking asks for; None and "adaptive" mean the standard."""
    match thinking:
        case None | "adaptive" | "low":
            return ReasoningLevel.STANDARD
        case "off" | "minimal":
            return ReasoningLevel.FAST
        case "medium":
            return ReasoningLevel.DEEP
        case "high" | "xhigh" | "max":
            return ReasoningLevel.ULTRA
        case _:
            raise ConfigError(f"thinking {thinking!r} is not one of off, minimal, low, medium, high, xhigh, max")
