"""What a run will cost, in money, tokens and seconds with a range for each, before anything is sent."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from ..render import counted, dollars
from .costs import COUNTED, Tariff
from .posterior import Posterior, Prior, Row, fit

__all__ = ["CostEstimate", "Estimate", "Experience", "Observation", "Query", "estimate"]

NEWEST = 32
"""Runs of one model at each level that an estimate looks at."""

MOST = 1_000
"""Runs that an Experience keeps."""

TOKENS = 400.0
"""Tokens of a usual answer at level 2, its thoughts included, of a model that was never seen."""

WAIT, RATE = 0.7, 60.0
"""Seconds until such a model begins, and tokens a second from then on."""

PROMPT, BEFORE = 100.0, 500.0
"""Tokens of a usual prompt, and of what is sent with it."""

MADE = (0.6, 1.0, 3.2, 9.0)
"""Tokens that are made at each level, where 2 has 1: 3 plans, drafts and checks, 4 has several candidates."""

ASKED = (1.0, 1.0, 3.0, 8.0)
"""How often the question and what goes with it are sent at each level."""

TOLD = (0.0, 0.0, 0.6, 1.0)
"""Of the tokens made, how many are read again at each level: drafts are checked, repaired and joined."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one run used; ``asked`` are the tokens of its prompt and ``before`` those sent with it, as counted then."""

    model: str
    level: int
    asked: int
    input_tokens: int
    output_tokens: int
    seconds: float
    cost: float | None = None
    before: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """What is known of a run before it is sent: the tokens of its prompt, and of what is sent with it each time."""

    model: str
    asked: int
    before: int = 0


class Experience:
    """The newest runs that a client has seen end; bounded, and from any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._seen: deque[Observation] = deque(maxlen=most)
        self._beliefs: dict[str, _Beliefs] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._seen)

    def __iter__(self) -> Iterator[Observation]:
        with self._lock:
            return iter(tuple(self._seen))

    def __repr__(self) -> str:
        return f"<Experience of {counted(len(self), 'run')}>"

    def add(self, observation: Observation) -> None:
        """A run has come to its end; one that was stopped or failed tells nothing of how long it would have been."""
        with self._lock:
            self._seen.append(observation)
            self._beliefs.pop(observation.model, None)

    def of(self, model: str) -> tuple[Observation, ...]:
        """The newest of one model at each level, oldest first."""
        newest: dict[int, deque[Observation]] = {}
        for one in self:
            if one.model == model:
                newest.setdefault(one.level, deque(maxlen=NEWEST)).append(one)
        return tuple(chain.from_iterable(newest.values()))

    def beliefs(self, model: str) -> _Beliefs:
        """What they say about this model's next run."""
        with self._lock:
            known = self._beliefs.get(model)
        if known is None:
            known = _Beliefs(self.of(model))
            with self._lock:
                self._beliefs[model] = known
        return known


class Estimate(float):
    """A number that is expected, between ``low`` and ``high`` in more than 9 of 10 cases."""

    low: float
    high: float

    def __new__(cls, middle: float, low: float, high: float) -> Estimate:
        self = super().__new__(cls, middle)
        self.low, self.high = low, high
        return self

    def __repr__(self) -> str:
        return f"{float(self):.4g} ({self.low:.4g} to {self.high:.4g})"


class CostEstimate(Estimate):
    """What a run is expected to cost, in USD: a number that compares with numbers, between ``low`` and ``high``.

    ``tokens`` (those it makes, thoughts and drafts included), ``input_tokens`` (those of all its requests) and
    ``seconds`` have ranges of their own. Where the price is not known it is not a number (NaN), and ``known`` False.
    """

    tokens: Estimate
    input_tokens: Estimate
    seconds: Estimate
    model: str
    level: int

    @property
    def known(self) -> bool:
        """Whether the price of the model is known."""
        return not math.isnan(self)

    @property
    def words(self) -> str:
        """As a person reads it: "$0.012 ($0.004 to $0.04), 900 tokens, 15 s"."""
        time = f"{self.seconds:.1f} s" if self.seconds < 9.95 else f"{self.seconds:.0f} s"
        return f"{self._money()}, {counted(round(self.tokens), 'token')}, {time}"

    def __str__(self) -> str:
        return self.words

    def __repr__(self) -> str:
        return f"<CostEstimate {self.words}, level {self.level} of {self.model}>"

    def _money(self) -> str:
        if not self.known:
            return f"the price of {self.model} is not known"
        if not self.high:
            return "free"
        return f"{dollars(self)} ({dollars(self.low)} to {dollars(self.high)})"


def estimate(query: Query, level: int, tariff: Tariff, experience: Experience) -> CostEstimate:
    """What a run of this query is expected to use at this level, from prices and from what was seen of its model.

    Each range is meant to hold in 19 of 20 runs. Takes the price table, unless the tariff is at hand.
    """
    beliefs = experience.beliefs(query.model)
    made = beliefs.made(query, level)
    sent, asked = beliefs.asked(query, level)
    wait, seconds = beliefs.seconds(level)

    def cost(made: float, more: float = 1.0) -> float:
        return _cost(tariff, level, sent(made) * asked * more, made)

    money = Estimate(cost(made), 0.0, 0.0) if tariff.free else _spread(cost, made, asked)
    self = CostEstimate(money, money.low, money.high)
    self.tokens = made
    self.input_tokens = _spread(lambda made, more=1.0: sent(made) * asked * more, made, asked)
    self.seconds = _spread(lambda made, more=1.0: wait(made) * seconds * more, made, seconds)
    self.model, self.level = query.model, level
    return self


def _cost(tariff: Tariff, level: int, asked: float, made: float) -> float:
    """USD of a level's requests, each a part of it: prices may rise with the length of one."""
    requests = ASKED[level - 1]
    cost = tariff.cost(math.ceil(asked / requests), math.ceil(made / requests))
    return math.nan if cost is None else cost * requests


def _spread(of: Callable[..., float], made: Estimate, factor: Estimate) -> Estimate:
    """What follows from the tokens that are made, and from a factor; a run that is short in one way is so in both."""
    middle = of(made)
    low = _log_ratio(middle, of(made.low)) + _log_ratio(middle, of(made, factor.low / factor))
    high = _log_ratio(of(made.high), middle) + _log_ratio(of(made, factor.high / factor), middle)
    return Estimate(middle, middle * math.exp(-low), middle * math.exp(high))


def _log_ratio(one: float, other: float) -> float:
    return math.log(one / other) if one > 0 and other > 0 else 0.0 if one == other else math.nan


# -- what is believed of one model -----------------------------------------------------------------

_MADE = Prior((math.log(TOKENS), 0.15, 0.0, *map(math.log, MADE)), (0.9, 0.25, 0.1, 0.3, 0.1, 0.5, 0.5), 0.5)
_ASKED = Prior((math.log(COUNTED), 0.0, 0.0, 0.0, 0.0), (0.3, 0.15, 0.15, 0.4, 0.4), 0.3)
_SECONDS = Prior((0.0, 0.0, 0.0, 0.0, 0.0), (0.8, 0.2, 0.2, 0.4, 0.5), 0.3)


class _Beliefs:
    """What some runs of a model say about the next: its tokens, and from these what is asked and how long it takes.

    All is in logarithms, so that a factor of two too much and one too little are the same mistake.
    """

    def __init__(self, seen: Sequence[Observation]) -> None:
        self._seen = seen

    def made(self, query: Query, level: int) -> Estimate:
        """Tokens of all answers."""
        return _around(self._made.predict(_long(query.asked, query.before, level), level))

    def asked(self, query: Query, level: int) -> tuple[Callable[[float], float], Estimate]:
        """Tokens of all requests, as they usually follow from those made, and the factor by which they are more."""
        tokens = query.asked + query.before
        return lambda made: _sent(tokens, level, made), _around(self._asked.predict(_levels(level), level))

    def seconds(self, level: int) -> tuple[Callable[[float], float], Estimate]:
        """Seconds, as they usually follow from the tokens made, and the factor by which they are more."""
        return _usual_seconds, _around(self._seconds.predict(_levels(level), level))

    @cached_property
    def _made(self) -> Posterior:
        return fit(_MADE, [(_long(o.asked, o.before, o.level), _log(o.output_tokens), o.level) for o in self._seen])

    @cached_property
    def _asked(self) -> Posterior:
        rows: list[Row] = []
        for o in self._seen:
            usual = _sent(o.asked + o.before, o.level, o.output_tokens)
            rows.append((_levels(o.level), _log(o.input_tokens) - _log(usual), o.level))
        return fit(_ASKED, rows)

    @cached_property
    def _seconds(self) -> Posterior:
        rows: list[Row] = []
        for o in self._seen:
            ratio = math.log(max(o.seconds, 1e-3) / _usual_seconds(o.output_tokens))
            rows.append((_levels(o.level), ratio, o.level))
        return fit(_SECONDS, rows)


def _levels(level: int) -> tuple[float, ...]:
    return (1.0, *(float(level == one) for one in (1, 2, 3, 4)))


def _long(asked: int, before: int, level: int) -> tuple[float, ...]:
    one, *levels = _levels(level)
    return (one, _log(asked) - math.log(PROMPT), _log(before + BEFORE) - math.log(2 * BEFORE), *levels)


def _sent(tokens: float, level: int, made: float) -> float:
    """Tokens of all requests of a level, by how often each thing is usually sent."""
    return ASKED[level - 1] * tokens + TOLD[level - 1] * made


def _usual_seconds(made: float) -> float:
    return WAIT + made / RATE


def _around(belief: tuple[float, float]) -> Estimate:
    middle, off = belief
    return Estimate(math.exp(middle), math.exp(middle - off), math.exp(middle + off))


def _log(tokens: float) -> float:
    return math.log(max(tokens, 1.0))
