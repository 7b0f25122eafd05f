"""Estimates before a run is sent: their ranges hold, their errors shrink with use, and what is not known is said."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

import pytest

from openclaw_nb.reasoning.costs import Tariff
from openclaw_nb.reasoning.estimates import CostEstimate, Experience, Observation, Query, estimate

TARIFF = Tariff("mock", (2.5, 10.0))

FOUR = (1, 2, 3, 4)


class World:
    """A model whose answers are of random lengths, by its level and its prompt, with habits of its own.

    Level 3 repairs some of its answers, and level 4 has rounds: not what the estimator believes beforehand.
    """

    def __init__(self, seed: int) -> None:
        self.dice = dice = random.Random(seed)
        self.usual = dice.lognormvariate(math.log(500), 0.9)
        self.slope = dice.uniform(0, 0.4)
        self.times = (dice.uniform(0.3, 0.9), 1.0, dice.uniform(2, 6), dice.uniform(5, 16))
        self.spreads = [dice.uniform(0.15, 0.7) for _ in FOUR]
        self.requests = (1, 1, dice.choice((3, 4)), dice.choice((6, 8, 12)))
        self.rate, self.wait = dice.uniform(20, 250), dice.uniform(0.1, 3)
        self.counts = dice.uniform(0.7, 1.1)

    def runs(self, count: int) -> Iterator[tuple[Query, Observation]]:
        """One conversation after the other, at levels by chance."""
        dice, before = self.dice, 0
        for _ in range(count):
            before = 0 if dice.random() < 0.1 else before
            asked, level = 1 + int(dice.lognormvariate(math.log(80), 1.2)), dice.choice((1, 2, 2, 2, 3, 4))
            seen = self._run(level, asked, before)
            yield Query("mock", asked, before), seen
            before += asked + min(seen.output_tokens, 800)

    def _run(self, level: int, asked: int, before: int) -> Observation:
        dice = self.dice
        made = self.usual * self.times[level - 1] * (asked / 100) ** self.slope
        made *= dice.lognormvariate(0, self.spreads[level - 1])
        if level >= 3:
            made *= dice.choice((1, 1, 1.7) if level == 3 else (1, 1, 1, 2))
        sent = self.requests[level - 1] * (asked + before) * self.counts + (0, 0, 0.7, 1.1)[level - 1] * made
        seconds = (self.wait + made / self.rate * (1 if level < 4 else 0.5)) * dice.lognormvariate(0, 0.2)
        made, sent = max(1, round(made)), round(sent)
        return Observation("mock", level, asked, sent, made, seconds, TARIFF.cost(sent, made), before)


def watched(world: World, count: int = 200) -> list[tuple[CostEstimate, Observation]]:
    """Each run estimated before it, and learnt from after it."""
    experience, seen = Experience(), []
    for query, observation in world.runs(count):
        seen.append((estimate(query, observation.level, TARIFF, experience), observation))
        experience.add(observation)
    return seen


def test_ranges_hold_and_errors_shrink(figure: Callable[[str, str], None]) -> None:
    held = {"money": 0, "tokens": 0, "seconds": 0}
    worst, early, late, better, worlds = 1.0, [], [], 0, 4
    for seed in range(worlds):
        seen = watched(World(seed))
        inside = {
            "money": sum(guess.low <= run.cost <= guess.high for guess, run in seen if run.cost is not None),
            "tokens": sum(guess.tokens.low <= run.output_tokens <= guess.tokens.high for guess, run in seen),
            "seconds": sum(guess.seconds.low <= run.seconds <= guess.seconds.high for guess, run in seen),
        }
        worst = min(worst, *(count / len(seen) for count in inside.values()))
        held = {what: count + inside[what] for what, count in held.items()}
        errors = [abs(math.log((run.cost or 0) / guess)) for guess, run in seen]
        early.append(fmean(errors[:20]))
        late.append(fmean(errors[-20:]))
        better += late[-1] < early[-1]
    runs = 200 * worlds
    shares = ", ".join(f"{what} {count / runs:.1%}" for what, count in held.items())
    figure("estimates hold", f"{runs} runs of {worlds} mock worlds: {shares} in range, {worst:.1%} in the worst")
    off = [math.exp(fmean(errors)) for errors in (early, late)]
    figure(
        "estimates learn",
        f"typically wrong by a factor of {off[0]:.2f} in the first 20 of 200 runs, {off[1]:.2f} in the last 20",
    )
    assert worst >= 0.9
    assert off[1] < off[0]
    assert better > 0.6 * worlds


def test_ranges_become_narrow_where_runs_are_alike() -> None:
    experience = Experience()
    first = estimate(Query("mock", 50), 2, TARIFF, experience)
    for _ in range(60):
        experience.add(Observation("mock", 2, 50, 60, 700, 9.0, 0.00715))
    later = estimate(Query("mock", 50), 2, TARIFF, experience)
    assert first.high / first.low > 20
    assert later.high / later.low < 2.1
    assert later == pytest.approx(0.00715, rel=0.05)
    assert later.tokens == pytest.approx(700, rel=0.05)
    assert later.input_tokens == pytest.approx(60, rel=0.05)
    assert later.seconds == pytest.approx(9.0, rel=0.05)


def test_deeper_costs_more_from_the_start() -> None:
    guesses = [estimate(Query("mock", 50), level, TARIFF, Experience()) for level in FOUR]
    for one, deeper in pairwise(guesses):
        assert one < deeper
        assert one.tokens < deeper.tokens
        assert one.seconds < deeper.seconds
    assert all(guess.low < guess < guess.high for guess in guesses)


def test_what_was_seen_at_one_level_is_a_word_about_the_others() -> None:
    experience = Experience()
    before = estimate(Query("mock", 50), 4, TARIFF, experience)
    for _ in range(20):
        experience.add(Observation("mock", 1, 50, 50, 6_000, 60.0))
    after = estimate(Query("mock", 50), 4, TARIFF, experience)
    assert after.tokens > 4 * before.tokens
    assert after.tokens.high / after.tokens.low > 3


def test_a_longer_conversation_costs_more() -> None:
    experience = Experience()
    one, two = (estimate(Query("mock", 50, before), 2, TARIFF, experience) for before in (0, 50_000))
    assert two > one + 0.05


def test_a_level_that_is_seldom_taken_is_not_forgotten() -> None:
    experience = Experience()
    for level, count in ((4, 20), (2, 200)):
        for _ in range(count):
            experience.add(Observation("mock", level, 50, 50, 1_000 * level, 9.0))
    assert len(experience.of("mock")) == 20 + 32
    assert estimate(Query("mock", 50), 4, TARIFF, experience).tokens == pytest.approx(4_000, rel=0.1)


def test_other_models_say_nothing() -> None:
    experience = Experience()
    before = estimate(Query("mock", 50), 2, TARIFF, experience)
    experience.add(Observation("other", 2, 50, 50, 9_000, 90.0))
    assert estimate(Query("mock", 50), 2, TARIFF, experience) == before


def test_it_compares_with_a_number_and_says_itself_in_words() -> None:
    guess = estimate(Query("mock", 50), 3, TARIFF, Experience())
    assert guess < 1.0
    assert not guess > 1.0
    assert (guess.known, guess.level, guess.model) == (True, 3, "mock")
    assert str(guess) == guess.words == "$0.013 ($0.0013 to $0.20), 1,154 tokens, 20 s"
    assert repr(guess) == f"<CostEstimate {guess.words}, level 3 of mock>"


def test_what_is_free_has_tokens_and_seconds() -> None:
    guess = estimate(Query("offline", 50), 2, Tariff("offline"), Experience())
    assert (float(guess), guess.low, guess.high, guess.known) == (0.0, 0.0, 0.0, True)
    assert guess.words.startswith("free, 361 tokens, 6.7 s")


def test_a_price_that_is_not_known_is_no_number() -> None:
    guess = estimate(Query("nobody:nothing", 50), 2, Tariff("nobody:nothing"), Experience())
    assert not guess.known
    assert not guess > 0
    assert not guess < 1e9
    assert guess.words.startswith("the price of nobody:nothing is not known, ")
    assert guess.tokens > 0


def test_odd_runs_do_no_harm() -> None:
    experience = Experience()
    for odd in (Observation("mock", 1, 0, 0, 0, 0.0), Observation("mock", 4, 10**9, 10**9, 10**9, 1e9)):
        experience.add(odd)
    for level in FOUR:
        guess = estimate(Query("mock", 0), level, TARIFF, experience)
        assert 0 < guess.low < guess < guess.high < math.inf


def test_experience_is_bounded_and_from_any_thread() -> None:
    experience = Experience(most=100)
    one = Observation("mock", 2, 50, 60, 700, 9.0)

    def learn(number: int) -> None:
        for _ in range(50):
            experience.add(replace(one, model=f"m{number % 3}"))
            estimate(Query(f"m{number % 3}", 50), 2, TARIFF, experience)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(learn, range(6)))
    assert len(experience) == len(list(experience)) == 100
    assert len(experience.of("m0")) <= 32
    assert repr(experience) == "<Experience of 100 runs>"
