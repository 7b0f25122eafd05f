"""The regression: exact where there is much to see, the prior where there is nothing, and honest in between."""

from __future__ import annotations

import random

import pytest

from openclaw_nb.reasoning.posterior import Prior, Row, fit

PRIOR = Prior((1.0, 0.0), (1.0, 1.0), 0.5)


def test_before_anything_is_seen_it_is_the_prior() -> None:
    middle, off = fit(PRIOR, []).predict((1.0, 2.0), 1)
    assert middle == 1.0
    assert off == pytest.approx(((2.776 * 0.5) ** 2 + 1.96**2 * 5) ** 0.5, rel=0.01)


def test_much_that_is_seen_outweighs_it() -> None:
    dice = random.Random(1)
    rows: list[Row] = []
    for _ in range(1_000):
        x = dice.uniform(-2, 2)
        rows.append(((1.0, x), 3.0 - 0.7 * x + dice.gauss(0, 0.2), 1))
    middle, off = fit(PRIOR, rows).predict((1.0, 1.0), 1)
    assert middle == pytest.approx(2.3, abs=0.03)
    assert off == pytest.approx(1.96 * 0.2, rel=0.1)


def test_what_one_group_shows_is_no_word_about_the_spread_of_another() -> None:
    belief = fit(PRIOR, [((1.0, 0.0), 2.0, 1)] * 100)
    assert belief.predict((1.0, 0.0), 1)[1] < 0.3
    assert belief.predict((1.0, 0.0), 2)[1] > 1.3


def test_what_was_never_varied_stays_in_doubt() -> None:
    belief = fit(PRIOR, [((1.0, 0.0), 2.0, 1)] * 100)
    assert belief.predict((1.0, 1.0), 1)[1] > 1.9


def test_nineteen_of_twenty_are_within_the_range_from_the_first_on() -> None:
    """Worlds that are as the prior believes, each seen for some time."""
    dice = random.Random(2)
    inside = count = 0
    for _ in range(300):
        a, b = dice.gauss(1, 1), dice.gauss(0, 1)
        rows: list[Row] = []
        for _ in range(8):
            x = (1.0, dice.uniform(-1, 1))
            value = a + b * x[1] + dice.gauss(0, 0.5)
            middle, off = fit(PRIOR, rows).predict(x, 1)
            inside += abs(value - middle) <= off
            count += 1
            rows.append((x, value, 1))
    assert 0.94 <= inside / count <= 0.995
