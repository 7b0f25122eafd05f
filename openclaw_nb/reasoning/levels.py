"""ReasoningLevel, the four depths of thought, and the one function that decides between them.

The levels and the threshold names are those of the OpenClaw 2026.3.1 document, section 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import IntEnum
from typing import Protocol

from ..errors import ConfigError

__all__ = [
    "DEFAULT_THRESHOLDS",
    "Decision",
    "Prediction",
    "ReasoningLevel",
    "decide",
    "level_of_thinking",
    "read_level",
]


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

MOST_SIGNALS = 3
"""Signals that a reason names."""


class Prediction(Protocol):
    """How deep a task looks: ``score`` from 1 to 4, and what was seen in it, the strongest first."""

    @property
    def score(self) -> float: ...

    @property
    def signals(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Decision:
    """The level a run gets and why, in a few words; ``signals`` are what was seen in its task.

    ``auto`` says that nobody chose it by hand.
    """

    level: ReasoningLevel
    reason: str
    signals: tuple[str, ...] = ()
    auto: bool = False


HYSTERESIS = 0.25
"""How far beyond the border between two levels a task has to be for auto to leave the level of the one before."""


def decide(
    *,
    level: int | str = "auto",
    complexity: str | None = None,
    thresholds: Mapping[str, int] = DEFAULT_THRESHOLDS,
    max_level: int = 4,
    prediction: Prediction | None = None,
    before: Decision | None = None,
    affordable: int = 4,
    budget: str = "the budget",
) -> Decision:
    """Choose the level of one run: what was asked for by hand, the complexity tag, the prediction, or the standard.

    ``before`` is the last decision of the same conversation: auto moves away from its level only where the prediction
    is clearly on the other side of the border between two levels, so that tasks alike do not flap. ``max_level`` and
    ``affordable``, the highest level that the ``budget`` allows, which is called so, limit all of them.
    """
    if (chosen := read_level(level)) is not None:
        wanted = Decision(chosen, "")
    elif complexity is not None:
        wanted = Decision(_of_tag(complexity, thresholds), f"tagged {complexity}")
    elif prediction is not None:
        words = ", ".join(prediction.signals[:MOST_SIGNALS])
        wanted = Decision(
            _settled(prediction.score, before), f"auto: {words}" if words else "auto", prediction.signals, True
        )
    else:
        wanted = Decision(ReasoningLevel.STANDARD, "", auto=True)
    for limit, why in ((max_level, f"limited to {max_level}"), (affordable, f"limited to {affordable} by {budget}")):
        if wanted.level > limit:
            reason = f"{wanted.reason}, {why}" if wanted.reason else why
            wanted = replace(wanted, level=ReasoningLevel(limit), reason=reason)
    return wanted


def _settled(score: float, before: Decision | None) -> ReasoningLevel:
    """The level of a score from 1 to 4, which is the one before where the score is no clear evidence against it."""
    if before is not None and before.auto and abs(score - before.level) <= 0.5 + HYSTERESIS:
        return before.level
    return ReasoningLevel(min(4, max(1, math.floor(score + 0.5))))


def _of_tag(tag: str, thresholds: Mapping[str, int]) -> ReasoningLevel:
    if tag in thresholds:
        return ReasoningLevel(thresholds[tag])
    near = get_close_matches(str(tag), thresholds, 1)
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
