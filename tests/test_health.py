"""Health: what makes it unstable, in which words, when it is calm again, and that it does not flap."""

from __future__ import annotations

import random

import pytest

from openclaw_nb.health import (
    ENOUGH,
    ERRORS,
    GOOD,
    HOLD,
    KINDS,
    LATE,
    NEWEST,
    QUIET,
    RELAPSE,
    RELAPSES,
    SAMPLES,
    SLOW,
    WINDOW,
    Health,
)


def usual(health: Health, seconds: float = 0.4, kind: str = "m 2", count: int = ENOUGH) -> None:
    for _ in range(count):
        health.first_token(0, seconds, kind)


def test_errors_of_the_last_minute() -> None:
    health = Health()
    assert repr(health) == "<Health calm>"
    for moment in (0, 30, WINDOW):  # the first of them is a minute old by then
        health.failed(moment)
    assert not health.unstable(WINDOW)
    assert health.why == ""
    assert (health.errors(WINDOW), health.errors(WINDOW + 30)) == (2, 1)
    health.failed(WINDOW + 1)
    assert health.unstable(WINDOW + 1)
    assert health.why == "3 errors in the last minute"
    assert repr(health) == "<Health unstable: 3 errors in the last minute>"


def test_good_runs_between_do_not_hide_errors() -> None:
    health = Health()
    for moment in range(ERRORS):
        health.succeeded(moment)
        health.failed(moment)
        health.succeeded(moment)
    assert health.unstable(ERRORS)


@pytest.mark.parametrize(
    ("seconds", "unstable"),
    [
        ((2.0, 2.0, 2.0), True), ((2.0, 0.4, 2.0), True), ((2.0, 2.0), True), ((2.0, 0.4, 0.4), False), ((2.0,), False),
        ((1.9, 1.9, 1.9), False),
    ],
)  # fmt: skip
def test_a_first_token_slower_than_usual(seconds: tuple[float, ...], unstable: bool) -> None:
    health = Health()
    usual(health)
    for moment, late in enumerate(seconds):
        health.first_token(moment, late, "m 2")
    assert health.unstable(3) is unstable
    assert health.why == ("first token 5 x slower than usual" if unstable else "")


def test_what_is_not_slow() -> None:
    health = Health()
    usual(health, 0.001)
    for _ in range(NEWEST):
        health.first_token(1, LATE - 0.01, "m 2")
    assert not health.unstable(1), "quick enough for anybody"
    for _ in range(NEWEST):
        health.first_token(1, 100, "m 4")
    assert not health.unstable(1), "another kind, and nobody knows how long that takes"
    usual(health, count=ENOUGH - 1, kind="m 3")
    for _ in range(NEWEST - 1):
        health.first_token(1, 100, "m 3")
    assert not health.unstable(1), "too few to know what is usual, and then too few that are slow"
    health = Health()
    usual(health)
    for moment in (1.0, WINDOW + 1):
        health.first_token(moment, 100, "m 2")
    assert not health.unstable(WINDOW + 1), "they are not of one minute"


def test_what_is_slow_does_not_become_the_usual() -> None:
    health = Health()
    usual(health)
    for moment in range(10 * SAMPLES):
        health.first_token(moment, 3.0, "m 2")
    assert health.unstable(10 * SAMPLES)


def test_what_came_while_unstable_does_not_become_the_usual() -> None:
    health = Health()
    usual(health)
    for _ in range(ERRORS):
        health.failed(0)
    for moment in range(SAMPLES):
        health.first_token(moment, SLOW * 0.4 - 0.1, "m 2")
    assert not health.unstable(QUIET)
    for _ in range(NEWEST):
        health.first_token(QUIET, SLOW * 0.4, "m 2")
    assert health.unstable(QUIET)


def test_slow_answers_count_once() -> None:
    health = Health()
    usual(health)
    for _ in range(NEWEST):
        health.first_token(0, 2.0, "m 2")
    assert health.unstable(0)
    for _ in range(GOOD):
        health.succeeded(HOLD)
    assert not health.unstable(HOLD)
    assert not health.unstable(HOLD), "it was calm, and nothing has happened since"


def test_the_usual_follows_slowly() -> None:
    health = Health()
    usual(health, 0.4)
    for moment in range(2 * SAMPLES):
        health.first_token(moment, SLOW * 0.4 - 0.1, "m 2")
    for _ in range(NEWEST):
        health.first_token(1_000, SLOW * 0.4, "m 2")
    assert not health.unstable(1_000)


def test_calm_again_after_good_runs() -> None:
    health = Health()
    for _ in range(ERRORS):
        health.failed(0)
    for _ in range(GOOD - 1):
        health.succeeded(HOLD)
    assert health.unstable(HOLD)
    health.succeeded(HOLD)
    assert not health.unstable(HOLD)
    health.failed(HOLD)
    assert not health.unstable(HOLD), "what made it unstable does not do so twice"


def test_a_slow_one_is_no_good_run() -> None:
    health = Health()
    usual(health)
    for _ in range(ERRORS):
        health.failed(0)
    for moment in range(10):
        health.first_token(moment, 2.0, "m 2")
        health.succeeded(moment)
    assert health.unstable(9 + HOLD)


def test_calm_again_after_quiet_time() -> None:
    health = Health()
    for moment in range(ERRORS):
        health.failed(moment)
    last = ERRORS - 1
    assert health.unstable(last + QUIET - 1)
    assert not health.unstable(last + QUIET)
    assert health.why == ""
    for late in (False, True):
        health = Health()
        usual(health)
        for _ in range(ERRORS):
            health.failed(0)
        if late:
            health.first_token(10 * QUIET, 100, "m 2")
        else:
            health.failed(10 * QUIET)
        assert not health.unstable(10 * QUIET), "nobody looked meanwhile, and what comes now comes alone"


def test_of_ten_at_once_some_fail() -> None:
    health = Health()
    for good in (False, True, False, True, False, True, True, True, True, True):
        (health.succeeded if good else health.failed)(1.0)
    assert health.unstable(1.0), "seven that were at work already say nothing about what follows"


@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
def test_it_does_not_flap(share: float) -> None:
    """A source that keeps failing is unstable most of the time, and is not called well whenever it is lucky."""
    health, chance = Health(), random.Random(0)
    changes, bad, before = 0, 0, False
    for moment in range(0, 3_600, 3):
        (health.failed if chance.random() < share else health.succeeded)(moment)
        changes += health.unstable(moment) is not before
        before = health.unstable(moment)
        bad += before
    assert changes <= 25
    assert bad >= 0.8 * 1_200


def test_a_relapse_takes_twice_as_many_good_runs() -> None:
    health, now, taken = Health(), 0.0, list[int]()
    for _ in range(RELAPSES + 3):
        for _ in range(ERRORS):
            health.failed(now)
        now += HOLD
        for good in range(1, 1_000):
            health.succeeded(now)
            if not health.unstable(now):
                taken.append(good)
                break
    assert taken == [3, 6, 12, 24, 48, 48, 48]
    now += RELAPSE
    for _ in range(ERRORS):
        health.failed(now)
    for _ in range(GOOD):
        health.succeeded(now + HOLD)
    assert not health.unstable(now + HOLD), "after a long calm it is a new trouble"


def test_one_error_in_a_hundred_is_none() -> None:
    health, chance = Health(), random.Random(1)
    for moment in range(0, 36_000, 12):
        (health.failed if chance.random() < 0.01 else health.succeeded)(moment)
        assert not health.unstable(moment)


def test_it_stays_small() -> None:
    health = Health()
    for i in range(10 * KINDS):
        health.first_token(i, 0.1, i)
    assert len(health._usual) == KINDS
    for _ in range(5_000):
        health.failed(0)
    assert len(health._errors) <= 1_000
