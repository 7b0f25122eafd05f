"""A small Bayesian linear regression: what was believed, corrected by what was seen, with a range for the next."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Posterior", "Prior", "Row", "fit"]

Vector = list[float]

Matrix = list[Vector]

Moments = tuple[Matrix, Vector]

Row = tuple[Sequence[float], float, int]
"""One thing seen: its regressors, its value, and the group whose spread it shows."""

ROUNDS = 3
"""How often the coefficients and the spreads, which depend on each other, are corrected."""

Z = 1.959964
"""A normal variable is within this many standard deviations 95 times in 100."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed before anything was seen: coefficients with their standard deviations, and the values' spread.

    Each group has a spread of its own, for which this one counts as much as ``strength`` things seen.
    """

    means: Sequence[float]
    deviations: Sequence[float]
    spread: float
    strength: float = 4.0


class Posterior:
    """What is believed now; `predict` gives the middle of a value that is to come, and how far off it may be."""

    def __init__(
        self, prior: Prior, means: Vector, factor: Matrix, spreads: dict[int, float], seen: dict[int, int]
    ) -> None:
        self._prior = prior
        self._means = means
        self._factor = factor
        self._spreads = spreads
        self._seen = seen

    def predict(self, regressors: Sequence[float], group: int) -> tuple[float, float]:
        """The middle, and how far off 95 values in 100 are at most; a spread of which little was seen may be larger."""
        middle = sum(mean * x for mean, x in zip(self._means, regressors, strict=True))
        doubt = sum(part * part for part in _forward(self._factor, regressors))
        spread = self._spreads.get(group, self._prior.spread)
        freedom = self._prior.strength + self._seen.get(group, 0)
        return middle, math.hypot(_quantile(freedom) * spread, Z * math.sqrt(doubt))


def fit(prior: Prior, rows: Iterable[Row]) -> Posterior:
    """What is to be believed of values with these regressors, after these rows."""
    groups: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[2]].append(row)
    moments = {group: _moments(seen, len(prior.means)) for group, seen in groups.items()}
    spreads = dict.fromkeys(groups, prior.spread)
    means, factor = _solve(prior, moments, spreads)
    for _ in range(ROUNDS):
        spreads = {group: _spread(prior, means, seen) for group, seen in groups.items()}
        means, factor = _solve(prior, moments, spreads)
    return Posterior(prior, means, factor, spreads, {group: len(seen) for group, seen in groups.items()})


def _moments(rows: Sequence[Row], size: int) -> Moments:
    squares = [[0.0] * size for _ in range(size)]
    products = [0.0] * size
    for regressors, value, _ in rows:
        present = [(i, x) for i, x in enumerate(regressors) if x]
        for i, x in present:
            products[i] += x * value
            line = squares[i]
            for j, other in present:
                line[j] += x * other
    return squares, products


def _solve(prior: Prior, moments: dict[int, Moments], spreads: dict[int, float]) -> tuple[Vector, Matrix]:
    """The coefficients' means, and the Cholesky factor of their precision."""
    size = len(prior.means)
    right = [mean / deviation**2 for mean, deviation in zip(prior.means, prior.deviations, strict=True)]
    precision = [[0.0] * size for _ in range(size)]
    for i, deviation in enumerate(prior.deviations):
        precision[i][i] = 1 / deviation**2
    for group, (squares, products) in moments.items():
        weight = 1 / spreads[group] ** 2
        for i in range(size):
            right[i] += weight * products[i]
            for j in range(i + 1):
                precision[i][j] += weight * squares[i][j]
    factor = _cholesky(precision)
    return _backward(factor, _forward(factor, right)), factor


def _spread(prior: Prior, means: Sequence[float], rows: Sequence[Row]) -> float:
    wrong = 0.0
    for regressors, value, _ in rows:
        wrong += (value - sum(mean * x for mean, x in zip(means, regressors, strict=True))) ** 2
    return math.sqrt((prior.strength * prior.spread**2 + wrong) / (prior.strength + len(rows)))


def _cholesky(matrix: Matrix) -> Matrix:
    factor: Matrix = []
    for i, line in enumerate(matrix):
        new: Vector = []
        for j in range(i + 1):
            rest = line[j] - sum(a * b for a, b in zip(new, factor[j] if j < i else new, strict=False))
            new.append(math.sqrt(rest) if i == j else rest / factor[j][j])
        factor.append(new)
    return factor


def _forward(factor: Matrix, right: Sequence[float]) -> Vector:
    solved: Vector = []
    for line, value in zip(factor, right, strict=True):
        solved.append((value - sum(a * b for a, b in zip(line, solved, strict=False))) / line[-1])
    return solved


def _backward(factor: Matrix, right: Sequence[float]) -> Vector:
    solved = [0.0] * len(right)
    for i in reversed(range(len(right))):
        known = sum(factor[j][i] * solved[j] for j in range(i + 1, len(right)))
        solved[i] = (right[i] - known) / factor[i][i]
    return solved


def _quantile(freedom: float) -> float:
    """Student's t at 97.5 %, by Cornish and Fisher's expansion: right to a hundredth from 4 degrees of freedom on."""
    z, n = Z, freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )
