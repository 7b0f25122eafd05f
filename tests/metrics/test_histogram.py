"""Buckets, and quantiles of them as Prometheus has them."""

from __future__ import annotations

import random

import pytest

from openclaw_nb.metrics.histogram import Histogram, quantile

BOUNDS = (0.1, 0.5, 1.0)


def test_a_bound_belongs_to_its_own_bucket() -> None:
    histogram = Histogram(BOUNDS)
    for value in (0.1, 0.10001, 0.5, 1.0, 7.0):
        histogram.observe(value)
    assert histogram.counts == [1, 2, 1, 1]
    assert histogram.buckets == [("0.1", 1), ("0.5", 3), ("1.0", 4), ("+Inf", 5)]
    assert histogram.sum == pytest.approx(8.70001)


@pytest.mark.parametrize(
    ("q", "counts", "expected"),
    [
        (0.99, [0, 0, 0, 0], None),
        (0.5, [10, 0, 0, 0], 0.05),  # evenly from 0 to the first bound
        (0.5, [0, 10, 0, 0], 0.3),
        (0.5, [5, 5, 0, 0], 0.1),
        (0.75, [5, 5, 0, 0], 0.3),
        (0.99, [0, 0, 0, 3], 1.0),  # above the last bound all is the last bound
        (1.0, [1, 0, 1, 0], 1.0),
        (0.0, [0, 2, 0, 0], 0.1),
    ],
)
def test_quantiles_as_prometheus_estimates_them(q: float, counts: list[int], expected: float | None) -> None:
    assert quantile(q, BOUNDS, counts) == (pytest.approx(expected) if expected is not None else None)


def test_a_quantile_is_in_the_bucket_of_the_true_one() -> None:
    random.seed(8)
    bounds = [n / 20 for n in range(1, 21)]
    for _ in range(50):
        values = sorted(random.betavariate(2, 5) for _ in range(500))
        histogram = Histogram(bounds)
        for value in values:
            histogram.observe(value)
        estimate = quantile(0.99, bounds, histogram.counts)
        assert estimate == pytest.approx(values[494], abs=0.051)
