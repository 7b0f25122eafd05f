"""Levels that jump: alternating ones are named with their cause and its setting, steady ones are left alone."""

from __future__ import annotations

import pytest

from openclaw_nb import Runtime
from openclaw_nb.doctor import Patient, State
from openclaw_nb.doctor.levels import Choice, choices, jumps, levels
from openclaw_nb.front import Front


def alternating(score: float, reason: str = "auto: asks why", count: int = 8) -> list[Choice]:
    return [Choice(2 + n % 2, reason, score) for n in range(count)]


def test_none_yet() -> None:
    assert jumps([]).state is State.OK


def test_steady_ones() -> None:
    assert jumps([Choice(2, "auto", 2.1)] * 8).state is State.OK


def test_different_tasks_may_get_different_levels() -> None:
    tasks = [Choice(1, "auto", 1.1), Choice(3, "auto: a proof", 3.2)] * 4
    finding = jumps(tasks)
    assert finding.state is State.OK
    assert finding.figures["alike"] == 0


def test_alike_and_near_a_border() -> None:
    finding = jumps(alternating(2.45))
    assert finding.state is State.LOOK
    assert "near the border" in finding.words
    assert "%openclaw level" in finding.remedy
    assert "--max 3" in finding.remedy
    assert finding.figures["changes"] == 7
    assert "7 of 7 neighbours alike" in finding.measured


@pytest.mark.parametrize(
    ("reason", "words", "remedy"),
    [
        ("unstable: 3 errors in the last minute", "unstable", "auto_degrade=False"),
        ("tagged complex", "tags", "level_thresholds"),
        ("auto: a proof, limited to 2 by the budget", "budget", "%openclaw budget"),
        ("auto: a proof", "no reason", "%openclaw level 2"),
    ],
)
def test_what_they_have_in_common(reason: str, words: str, remedy: str) -> None:
    finding = jumps(alternating(2.0, reason))
    assert finding.state is State.LOOK
    assert words in finding.words
    assert remedy in finding.remedy


def test_few_changes_and_few_runs_say_nothing() -> None:
    assert jumps(alternating(2.45, count=3)).state is State.OK
    assert jumps([*[Choice(2, "auto", 2.4)] * 9, Choice(3, "auto", 2.6)]).state is State.OK


def test_mostly_the_highest() -> None:
    finding = jumps([Choice(4, "auto: a proof", 3.8)] * 5)
    assert finding.state is State.LOOK
    assert "max_level=3" in finding.remedy
    assert jumps([Choice(4, "auto: a proof", 3.8)] * 5, highest=3).state is State.OK


def test_of_real_runs(runtime: Runtime) -> None:
    """Tasks alike in different sessions, of which one word decides; those chosen by hand are none of auto's."""
    front = Front()
    client = runtime.client()
    like = "Explain the difference between a list and a tuple in Python", "Explain what a list is"
    runs = [front.send(client, f"{like[n % 2]} ({n})", session=f"s{n}", model="offline:0") for n in range(6)]
    runs.append(front.send(client, "by hand", level=4, model="offline:0"))
    for run in runs:
        run.result(60)
    seen = choices(front, runs)
    assert len(seen) == 6
    assert all(1 <= one.score <= 4 for one in seen)
    [finding] = levels(Patient(runtime, front=front, works=runs))
    assert finding.figures["runs"] == 6
    assert not list(levels(Patient(runtime)))
