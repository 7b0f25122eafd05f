"""ReasoningLevelPredictor: which level a task needs, from its text, by a small linear model that can say why.

The model is ordinal: the weighted features of a task sum up to one number, and three thresholds cut it into four
levels. The weights are in weights.json, trained by `python -m tests.tools.levels`. What a user corrects shifts that
number for tasks of the same kind, and stays on the machine.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

from .. import seams
from ..errors import ConfigError, OpenClawError, one_line
from .features import GROUPS, KINDS, describe, extract
from .levels import read_level

__all__ = ["Correction", "Prediction", "ReasoningLevelPredictor", "short_of"]

WEIGHTS = Path(__file__).with_name("weights.json")

MOST_CORRECTIONS = 200
SIGNALS = 4
WORTH_SAYING = 0.25
"""What a feature must add to or take from the sum to be named."""

HARD = frozenset({"proof", "derivation", "system", "abstract maths", "formulas", "counting", "depth"})
"""Level 4 costs most, so it needs one of these: however many ordinary things a task asks for, they make it a 3."""

_SHORT = 0.5  # before the last threshold, where sums without any of these begin to level off
_MARGIN = 0.9  # how far inside its level a corrected task is to stand
_STEP = 0.5  # of the way there, at each correction
_FORGET = 0.99  # what one correction leaves of the earlier ones
_HALF = 0.49  # what still rounds to the same level
_JUDGED = 0.8  # how sure the judge's digit is


@dataclass(frozen=True, slots=True)
class Correction:
    """A level that the user set by hand: what was counted in the task, never its text, and the level."""

    features: Mapping[str, int]
    level: int


class Prediction(int):
    """The level a task needs, 1-4, as an int with its reasons.

    ``score`` is where the task stands from 1.0 to 4.0, and rounds to the level; ``probabilities`` are those of levels
    1 to 4; ``signals`` say in a few words each what decided, strongest first.
    """

    score: float
    probabilities: tuple[float, float, float, float]
    signals: tuple[str, ...]

    def __new__(
        cls, score: float, probabilities: tuple[float, float, float, float], signals: tuple[str, ...] = ()
    ) -> Prediction:
        self = super().__new__(cls, min(4, max(1, math.floor(score + 0.5))))
        self.score = score
        self.probabilities = probabilities
        self.signals = signals
        return self

    def __repr__(self) -> str:
        return f"Prediction({int(self)}, score {self.score:.2f}: {', '.join(self.signals) or 'nothing stands out'})"

    __str__ = int.__repr__  # what takes a level takes it by this


@dataclass(frozen=True, slots=True)
class _Linear:
    """The trained model for one choice of feature groups."""

    thresholds: tuple[float, float, float]
    weights: Mapping[str, float] = field(repr=False)

    def parts(self, features: Mapping[str, int]) -> dict[str, float]:
        """What each feature adds to the sum: its weight times log(1 + count)."""
        weights = self.weights
        return {name: weights[name] * math.log1p(count) for name, count in features.items() if name in weights}

    def score(self, total: float) -> float:
        """From 1 to 4: 1.5, 2.5 and 3.5 at the thresholds, straight between them, and levelling off outside."""
        first, second, third = self.thresholds
        if total < first:
            return 1 + 0.5 * math.exp(max(total - first, -700.0))
        if total >= third:
            return 4 - 0.5 * math.exp(max(third - total, -700.0))
        if total < second:
            return 1.5 + (total - first) / (second - first)
        return 2.5 + (total - second) / (third - second)

    def probabilities(self, total: float) -> tuple[float, float, float, float]:
        above1, above2, above3 = (_sigmoid(total - threshold) for threshold in self.thresholds)
        return 1 - above1, above1 - above2, above2 - above3, above3

    def inside(self, level: int, total: float) -> float:
        """The sum nearest to ``total`` that stands well inside a level."""
        edges = (-math.inf, *self.thresholds, math.inf)
        low, high = edges[level - 1] + _MARGIN, edges[level] - _MARGIN
        return (low + high) / 2 if low > high else min(max(total, low), high)


def short_of(total: float, threshold: float) -> float:
    """A sum that levels off short of a threshold: the higher it is the nearer, but never above."""
    start = threshold - _SHORT
    return total if total <= start else threshold - _SHORT * math.exp(max((start - total) / _SHORT, -30.0))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


@cache
def _linear(groups: frozenset[str]) -> _Linear:
    trained = json.loads(WEIGHTS.read_text(encoding="utf-8"))["models"]
    model = trained[" + ".join(name for name in GROUPS if name in groups)]
    return _Linear(tuple(model["thresholds"]), {name: w for name, w in model["weights"].items() if w})


class ReasoningLevelPredictor:
    """Predicts the level of reasoning that a task needs, offline and in less than a millisecond.

    ``features`` are the groups that count: task_complexity, query_length, domain. ``model``, by name or as an agent
    takes it, is asked as a judge by `predict`; without one nothing is sent anywhere. ``corrections`` are those of
    earlier, oldest first, and ``on_learn`` is told each new one, to keep it.
    """

    def __init__(
        self,
        model: Any = None,
        features: Iterable[str] = tuple(GROUPS),
        *,
        corrections: Iterable[Correction] = (),
        on_learn: Callable[[Correction], None] | None = None,
    ) -> None:
        self.model = model
        self.features = (features,) if isinstance(features, str) else tuple(features)
        if unknown := [name for name in self.features if name not in GROUPS]:
            raise ConfigError(f"features has {unknown[0]!r}, which is none of {', '.join(GROUPS)}")
        if not self.features:
            raise ConfigError(f"features is empty; name one or more of {', '.join(GROUPS)}")
        self._linear = _linear(frozenset(self.features))
        self._on_learn = on_learn
        self._learning = threading.Lock()
        self._corrections = tuple(corrections)[-MOST_CORRECTIONS:]
        self._shifts = self._replay()

    def __repr__(self) -> str:
        judge = f"model={self.model!r}, " if self.model is not None else ""
        return f"ReasoningLevelPredictor({judge}features={self.features!r})"

    @property
    def corrections(self) -> tuple[Correction, ...]:
        """What it has learned from, oldest first, at most 200."""
        return self._corrections

    def look(self, task: str) -> Prediction:
        """The level of a task by its text alone; asks nobody."""
        features = extract(task)
        parts = self._linear.parts(features)
        shift = self._shift(features)
        total = self._total(features, parts) + shift
        score = self._linear.score(total)
        signals = _signals(features, parts, score > 2.5)
        if abs(shift) > WORTH_SAYING:
            signals = ("as you corrected before", *signals)[:SIGNALS]
        return Prediction(score, self._linear.probabilities(total), signals)

    async def predict(self, task: str) -> Prediction:
        """The level of a task by the judge, where a ``model`` was given, else as `look` has it.

        A judge that fails, takes too long or does not answer with one digit is passed over, and a signal says so.
        ConfigError where the model is none.
        """
        own = self.look(task)
        if self.model is None:
            return own
        named = self.model if isinstance(self.model, str) else getattr(self.model, "name", None)
        name = one_line(named or getattr(self.model, "__name__", "the model"), 60)
        try:
            level = await seams.local_runtime().judge(self.model, task)
        except OpenClawError as error:
            if isinstance(error, ConfigError):
                raise
            return _passed_over(own, f"{name} could not judge")
        if level is None:
            return _passed_over(own, f"{name} gave no level")
        spread = [(1 - _JUDGED) * p + _JUDGED * (n == level) for n, p in enumerate(own.probabilities, 1)]
        score = min(max(own.score, level - _HALF), level + _HALF)
        return Prediction(score, (spread[0], spread[1], spread[2], spread[3]), (f"judged by {name}", *own.signals))

    def learn(self, task: str, level: int | str) -> None:
        """Take a correction: a task like this needs ``level``. Of the task only what was counted in it is kept.

        ConfigError where the level is none of 1-4.
        """
        wanted = read_level(level)
        if wanted is None:
            raise ConfigError("a correction is a level from 1 to 4, not auto")
        correction = Correction(extract(task), int(wanted))
        with self._learning:
            self._corrections = (*self._corrections, correction)[-MOST_CORRECTIONS:]
            self._shifts = self._replay()
        if self._on_learn is not None:
            self._on_learn(correction)

    def _total(self, features: Mapping[str, int], parts: Mapping[str, float]) -> float:
        total = sum(parts.values())
        return total if HARD & features.keys() else short_of(total, self._linear.thresholds[2])

    def _shift(self, features: Mapping[str, int]) -> float:
        shifts = self._shifts
        if not shifts:
            return 0.0
        return sum(shifts.get(key, 0.0) for key in self._kind(features))

    def _kind(self, features: Mapping[str, int]) -> list[tuple[str, ...]]:
        """What makes a task one of a kind: each thing that it asks or is about, and each two of them together.

        A correction is shared out among these, so that it tells most on tasks that have all of them in common.
        """
        own = [name for name in features if name in KINDS and any(name in GROUPS[group] for group in self.features)]
        return [(name,) for name in own] + list(combinations(own, 2)) or [()]

    def _replay(self) -> dict[tuple[str, ...], float]:
        """What the corrections add to the sums, learned one after the other.

        Each is a step part of the way from where a task stands to where it belongs; those before fade a little, so
        that the shipped weights have the last word where nothing was corrected for long.
        """
        shifts: dict[tuple[str, ...], float] = {}
        for correction in self._corrections:
            kind = self._kind(correction.features)
            parts = self._linear.parts(correction.features)
            total = self._total(correction.features, parts) + sum(shifts.get(key, 0.0) for key in kind)
            step = _STEP * (self._linear.inside(correction.level, total) - total) / len(kind)
            shifts = {key: value * _FORGET for key, value in shifts.items()}
            for key in kind:
                shifts[key] = shifts.get(key, 0.0) + step
        return shifts


def _signals(features: Mapping[str, int], parts: Mapping[str, float], deep: bool) -> tuple[str, ...]:
    """What decided, strongest first: for a low level what took from the sum before what added to it."""
    sign = 1 if deep else -1
    told = [name for name, part in parts.items() if abs(part) >= WORTH_SAYING]
    told.sort(key=lambda name: (sign * parts[name] < 0, -abs(parts[name])))
    return tuple(filter(None, (describe(name, features[name]) for name in told)))[:SIGNALS]


def _passed_over(own: Prediction, why: str) -> Prediction:
    return Prediction(own.score, own.probabilities, (why, *own.signals))
