"""Levels that jump: how often auto changed its mind between tasks that are alike, how near the borders, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..front import Front
from ..render import counted
from ..run import Run
from .finding import Finding, State
from .patient import Patient

__all__ = ["Choice", "choices", "jumps", "levels"]

NEWEST = 50
"""Runs that are looked at."""

ENOUGH = 4
"""Choices from which on a habit shows."""

ALIKE = 0.5
"""Levels by which the scores of two tasks that are alike differ at most."""

NEAR = 0.25
"""Levels from a border within which a small difference decides."""

OFTEN = 1 / 3
"""The part of the neighbours alike at which a change of level is one too many."""

BORDERS = (1.5, 2.5, 3.5)


@dataclass(frozen=True)
class Choice:
    """One that was not made by hand: its level, its reason as the footer says it, and the task's score from 1 to 4."""

    level: int
    reason: str
    score: float

    @property
    def near(self) -> float:
        """Levels from the nearest border."""
        return min(abs(self.score - border) for border in BORDERS)


def levels(patient: Patient) -> Iterator[Finding]:
    """Whether adaptive reasoning jumps too much, and which setting it needs."""
    if patient.front is None:
        return
    yield jumps(choices(patient.front, patient.runs), patient.front.max_level)


def choices(front: Front, runs: Sequence[Run]) -> list[Choice]:
    """The newest levels that were chosen for the user, oldest first."""
    return [
        Choice(run.level, run.level_reason, front.predictor.look(run.prompt).score)
        for run in runs
        if run.level is not None and run.level_reason
    ][-NEWEST:]


def jumps(chosen: Sequence[Choice], highest: int = 4) -> Finding:
    """What their order shows, and what would calm it."""
    neighbours = [pair for pair in pairwise(chosen) if abs(pair[0].score - pair[1].score) <= ALIKE]
    changed = [pair for pair in neighbours if pair[0].level != pair[1].level]
    counts = {level: sum(one.level == level for one in chosen) for level in range(1, 5)}
    spread = ", ".join(f"{count} at {level}" for level, count in counts.items() if count)
    figures = {"runs": len(chosen), "alike": len(neighbours), "changes": len(changed), "ultra": counts[4]}
    if not chosen:
        return Finding("levels", State.OK, "none was chosen for you yet", figures=figures)
    measured = f"{counted(len(chosen), 'run')}, {spread}"
    if neighbours:
        measured += f"; {len(changed)} of {counted(len(neighbours), 'neighbour')} alike got another level"
    if len(chosen) >= ENOUGH and changed and len(changed) >= OFTEN * len(neighbours):
        why, remedy = _why([one for pair in changed for one in pair])
        words = f"they jump between tasks that are alike, {why}"
        return Finding("levels", State.LOOK, words, measured, remedy, figures)
    if len(chosen) >= ENOUGH and highest == 4 and counts[4] > len(chosen) / 2:
        remedy = "%openclaw level auto --max 3 (max_level=3 of an agent) keeps them below the dearest"
        return Finding("levels", State.LOOK, "most runs got the highest one", measured, remedy, figures)
    return Finding("levels", State.OK, "they are steady", measured, figures=figures)


def _why(changed: Sequence[Choice]) -> tuple[str, str]:
    """What most of those who changed have in common, and the setting for it."""
    unstable = sum(one.reason.startswith("unstable") for one in changed)
    tagged = sum(one.reason.startswith("tagged") for one in changed)
    spare = sum(" by " in one.reason and "limited to" in one.reason for one in changed)
    if 2 * unstable >= len(changed):
        return (
            "as runs are simpler while the gateway is unstable",
            "see what is said of the link and of recovery; OpenClawClient(auto_degrade=False) keeps the level",
        )
    if 2 * tagged >= len(changed):
        return (
            "as their tags say different things",
            "give tags that are alike one level: OpenClawAgent(level_thresholds={'complex': 3, 'complex_task': 3})",
        )
    if 2 * spare >= len(changed):
        return "as the budget runs out", "%openclaw budget USD allows more, and %openclaw level 2 asks for less"
    near = sum(one.near <= NEAR for one in changed)
    if 2 * near >= len(changed):
        level = round(sum(one.level for one in changed) / len(changed))
        return (
            "as they stand near the border between two levels",
            f"%openclaw level {level} fixes it (set once after a run, auto learns from it), %openclaw level auto --max "
            f"3 limits it",
        )
    return (
        "for no reason that shows in their text",
        "%openclaw level auto --max 3 limits it, and %openclaw level 2 takes it out of auto's hands",
    )
