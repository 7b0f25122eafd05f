"""ReasoningLevel and the one decision: by hand, by tag, by what a task looks like, and never above the limits."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.errors import ConfigError
from openclaw_nb.reasoning.levels import (
    DEFAULT_THRESHOLDS,
    HYSTERESIS,
    Decision,
    ReasoningLevel,
    decide,
    level_of_thinking,
    read_level,
)

EVEN = 0.5 + HYSTERESIS
"""How far a score may be from the level of the decision before it without leaving it."""

scores = st.floats(1, 4)
levels = st.integers(1, 4)


@dataclass(frozen=True)
class Seen:
    """A prediction, as plain data."""

    score: float
    signals: tuple[str, ...] = ()


def auto(score: float, before: Decision | None = None, **limits: int) -> Decision:
    return decide(prediction=Seen(score), before=before, **limits)


def test_labels_and_the_protocol_s_words() -> None:
    assert [level.label for level in ReasoningLevel] == ["1 fast", "2 standard", "3 deep", "4 ultra"]
    assert [level.thinking for level in ReasoningLevel] == ["off", "low", "medium", "high"]
    assert [level_of_thinking(level.thinking) for level in ReasoningLevel] == list(ReasoningLevel)


@pytest.mark.parametrize(
    ("options", "level", "reason", "by_itself"),
    [
        ({}, 2, "", True),
        ({"level": "auto"}, 2, "", True),
        ({"level": 4}, 4, "", False),
        ({"level": "3"}, 3, "", False),
        ({"level": 1, "complexity": "complex"}, 1, "", False),
        ({"level": 1, "prediction": Seen(4)}, 1, "", False),
        ({"complexity": "simple"}, 1, "tagged simple", False),
        ({"complexity": "complex"}, 3, "tagged complex", False),
        ({"complexity": "complex_task"}, 4, "tagged complex_task", False),
        ({"complexity": "simple", "prediction": Seen(4)}, 1, "tagged simple", False),
        ({"complexity": "own", "thresholds": {"own": 4}}, 4, "tagged own", False),
        ({"complexity": "complex_task", "max_level": 2}, 2, "tagged complex_task, limited to 2", False),
        ({"level": 4, "max_level": 1}, 1, "limited to 1", False),
        ({"max_level": 1}, 1, "limited to 1", True),
        ({"level": 4, "affordable": 3}, 3, "limited to 3 by the budget", False),
        ({"level": 4, "affordable": 1, "budget": "the notebook's"}, 1, "limited to 1 by the notebook's", False),
        ({"level": 4, "max_level": 3, "affordable": 2}, 2, "limited to 3, limited to 2 by the budget", False),
        ({"level": 4, "max_level": 2, "affordable": 3}, 2, "limited to 2", False),
        ({"prediction": Seen(3.1)}, 3, "auto", True),
        ({"prediction": Seen(3.1, ("a", "b", "c", "d"))}, 3, "auto: a, b, c", True),
        ({"prediction": Seen(3.1, ("a",)), "max_level": 2}, 2, "auto: a, limited to 2", True),
    ],
)
def test_decide(options: dict[str, object], level: int, reason: str, by_itself: bool) -> None:
    decision = decide(**options)  # type: ignore[arg-type]
    assert (decision.level, decision.reason, decision.auto) == (level, reason, by_itself)
    assert isinstance(decision.level, ReasoningLevel)


def test_all_signals_are_told() -> None:
    signals = ("a", "b", "c", "d")
    assert decide(prediction=Seen(2, signals)).signals == signals
    assert decide(level=2, prediction=Seen(2, signals)).signals == ()


@pytest.mark.parametrize(
    ("score", "level"), [(1, 1), (1.49, 1), (1.5, 2), (2.49, 2), (2.5, 3), (3.49, 3), (3.5, 4), (4, 4), (0, 1), (9, 4)]
)
def test_scores(score: float, level: int) -> None:
    assert auto(score).level == level


# -- it does not flap ------------------------------------------------------------------------------


@given(
    st.lists(st.floats(-HYSTERESIS, HYSTERESIS), min_size=1, max_size=30),
    st.sampled_from([1.5, 2.5, 3.5]) | st.floats(1.25, 3.75),
)
def test_scores_within_a_band_never_flap(wander: list[float], middle: float) -> None:
    """Wherever a band as wide as the hysteresis lies, auto moves once at most, and never back."""
    seen = [auto(middle + wander[0])]
    for off in wander[1:]:
        seen.append(auto(middle + off, seen[-1]))
    moves = [(a.level, b.level) for a, b in pairwise(seen) if a.level != b.level]
    assert len(moves) <= 1, moves
    if middle in (1.5, 2.5, 3.5):
        assert moves == [], "around a border it stays where it began"


@pytest.mark.parametrize(
    ("before", "score", "level"),
    [(2, 2.7, 2), (2, 2.8, 3), (3, 2.3, 3), (3, 2.2, 2), (1, 1.7, 1), (4, 3.3, 4), (1, 4, 4)],
)
def test_how_far_is_clear(before: int, score: float, level: int) -> None:
    assert auto(score, Decision(ReasoningLevel(before), "auto", auto=True)).level == level


@given(levels, scores)
def test_clear_moves_are_always_followed(level: int, score: float) -> None:
    before = Decision(ReasoningLevel(level), "auto", auto=True)
    moved = auto(score, before)
    if abs(score - level) > EVEN:
        assert moved == auto(score), "as if there had been nothing before"
        assert moved.level != level
    else:
        assert moved.level == level


@given(st.lists(scores, min_size=1, max_size=30))
def test_auto_moves_at_most_to_where_the_evidence_is(wander: list[float]) -> None:
    before: Decision | None = None
    for score in wander:
        was = before
        before = auto(score, before)
        assert abs(before.level - score) <= EVEN
        if was is not None and before.level != was.level:
            assert before.level == auto(score).level


@pytest.mark.parametrize("before", [decide(level=4), decide(complexity="complex_task")])
def test_what_was_chosen_by_hand_binds_nobody(before: Decision) -> None:
    assert auto(3.4, before).level == 3


@given(scores, levels, levels, st.lists(scores, max_size=5))
def test_limits_hold_whatever_was_before(score: float, most: int, affordable: int, past: list[float]) -> None:
    before: Decision | None = None
    for one in (*past, score):
        before = auto(one, before, max_level=most, affordable=affordable)
        assert before.level <= min(most, affordable)


@given(scores, st.integers(1, 3))
def test_a_limit_that_is_gone_leaves_no_trace_of_what_was_clear(score: float, most: int) -> None:
    limited = auto(score, max_level=most)
    if score - limited.level > EVEN:
        assert auto(score, limited) == auto(score)


# -- words -----------------------------------------------------------------------------------------


def test_the_document_s_thresholds() -> None:
    assert dict(DEFAULT_THRESHOLDS) == {"simple": 1, "complex": 3, "complex_task": 4}


def test_an_unknown_tag_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="did you mean 'complex'"):
        decide(complexity="complx")
    with pytest.raises(ConfigError, match="none of 'simple', 'complex', 'complex_task'"):
        decide(complexity="?")
    with pytest.raises(ConfigError, match="complexity 5 is none of"):
        decide(complexity=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["auto", " AUTO "])
def test_auto_is_no_level(text: str) -> None:
    assert read_level(text) is None


@pytest.mark.parametrize("value", [3, "3", " 3 ", "deep", "DEEP", "3 deep", ReasoningLevel.DEEP])
def test_levels_by_hand(value: int | str) -> None:
    assert read_level(value) is ReasoningLevel.DEEP


@pytest.mark.parametrize("value", [0, 5, -1, "", "3.0", 2.5, True, None, "²", "٣", "high"])
def test_what_is_no_level(value: object) -> None:
    with pytest.raises(ConfigError, match="not one of 1, 2, 3, 4 or auto"):
        read_level(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "level"),
    [(None, 2), ("adaptive", 2), ("low", 2), ("off", 1), ("minimal", 1), ("medium", 3), ("xhigh", 4), ("max", 4)],
)
def test_words_of_the_protocol(word: str | None, level: int) -> None:
    assert level_of_thinking(word) == level


@pytest.mark.parametrize("word", ["", "LOW", "deep", "4"])
def test_what_is_no_word_of_the_protocol(word: str) -> None:
    with pytest.raises(ConfigError, match="is not one of off"):
        level_of_thinking(word)
