"""Finding, what one look showed: a state, a sentence with what was measured, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..errors import one_line
from ..redaction import redact

__all__ = ["Finding", "State", "seconds"]


class State(StrEnum):
    """``look`` works and could be better; ``broken`` keeps runs from working."""

    OK = "ok"
    LOOK = "look"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at and how it is; ``words`` say it without a figure, ``measured`` the figures in words.

    ``remedy`` is what to change, as it is typed, and "" where nothing needs to. ``figures`` are the same for programs:
    seconds, bytes and counts by name.
    """

    name: str
    state: State
    words: str
    measured: str = ""
    remedy: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    def sentence(self, *, measured: bool = True) -> str:
        """All of it in one line; without figures it is the same on every machine where the state is."""
        said = f"{self.words}: {self.measured}" if measured and self.measured else self.words
        return str(redact(one_line(f"{said}; {self.remedy}" if self.remedy else said, 1_000)))

    def told(self) -> dict[str, Any]:
        """As plain data."""
        texts = {name: redact(one_line(getattr(self, name), 1_000)) for name in ("words", "measured", "remedy")}
        return {"name": self.name, "state": str(self.state), **texts, "figures": dict(self.figures)}


def seconds(value: float) -> str:
    """A duration for people: 0.4 ms, 35 ms, 2.1 s."""
    milliseconds = value * 1000
    if milliseconds >= 1000:
        return f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
