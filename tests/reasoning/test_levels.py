"""ReasoningLevel and the one decision: by hand, then by tag, then the standard, and never above the limit."""

from __future__ import annotations

import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.reasoning.levels import (
    DEFAULT_THRESHOLDS,
    Decision,
    ReasoningLevel,
    decide,
    level_of_thinking,
    read_level,
)


def test_labels_and_the_protocol_s_words() -> None:
    assert [level.label for level in ReasoningLevel] == ["1 fast", "2 standard", "3 deep", "4 ultra"]
    assert [level.thinking for level in ReasoningLevel] == ["off", "low", "medium", "high"]
    assert [level_of_thinking(level.thinking) for level in ReasoningLevel] == list(ReasoningLevel)


@pytest.mark.parametrize(
    ("options", "level", "reason"),
    [
        ({}, 2, ""),
        ({"level": "auto"}, 2, ""),
        ({"level": 4}, 4, ""),
        ({"level": "3"}, 3, ""),
        ({"level": 1, "complexity": "complex"}, 1, ""),
        ({"complexity": "simple"}, 1, "tagged simple"),
        ({"complexity": "complex"}, 3, "tagged complex"),
        ({"complexity": "complex_task"}, 4, "tagged complex_task"),
        ({"complexity": "complex_task", "max_level": 2}, 2, "limited to 2"),
        ({"level": 4, "max_level": 1}, 1, "limited to 1"),
        ({"max_level": 1}, 1, "limited to 1"),
        ({"complexity": "own", "thresholds": {"own": 4}}, 4, "tagged own"),
    ],
)
def test_decide(options: dict[str, object], level: int, reason: str) -> None:
    assert decide(**options) == Decision(ReasoningLevel(level), reason)  # type: ignore[arg-type]


def test_the_document_s_thresholds() -> None:
    assert dict(DEFAULT_THRESHOLDS) == {"simple": 1, "complex": 3, "complex_task": 4}


def test_an_unknown_tag_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="did you mean 'complex'"):
        decide(complexity="complx")
    with pytest.raises(ConfigError, match="none of 'simple', 'complex', 'complex_task'"):
        decide(complexity="?")


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
