"""Budget, a sum in USD that several runs share, and Meter, what one run has used of what it may."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..render import dollars
from .costs import COUNTED, Tariff, count_tokens

if TYPE_CHECKING:
    from ..events import Usage

__all__ = ["Budget", "Count", "Hold", "Meter", "hold"]

PICO = 10**12
"""Money is counted in whole millionths of a millionth of a dollar: no price of a token is finer."""

OF_MANY = ("cluster", "notebook")
"""Budgets of runs that are beside each other: one of which nobody knows what it needs leaves half to the others."""

KEYS = 1_000
"""Runs whose cost a Budget remembers: one that is taken up again is not counted twice."""

LONG = 16
"""Characters of the longest words that are one token."""


class Budget:
    """At most ``limit`` USD, for all runs that share it. From any thread. ConfigError for a limit that is no sum.

    A run holds what it may use at most while it is at work, so two at once cannot spend the same money, and settles
    for what it used. ``name`` says whose it is: "run", "agent", "cluster" or "notebook".
    """

    def __init__(self, limit: float, name: str = "run") -> None:
        self._limit = _sum(limit)
        self.name = name
        self.parts = 0
        """How many runs are still to begin beside each other: then none holds more than its part of what is left. 0:
        half of it, or as much as it is expected to need."""
        self._held = 0
        self._settled = 0
        self._of: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Budget of the {self.name}: {self.spent:.6g} of {self.limit:g} USD spent>"

    @property
    def limit(self) -> float:
        """USD that all of them may cost. It may be changed: what is spent, and what runs at work hold, stays so."""
        return self._limit

    @limit.setter
    def limit(self, limit: float) -> None:
        self._limit = _sum(limit)

    @property
    def spent(self) -> float:
        """USD that the runs used that have ended."""
        return self._settled / PICO

    @property
    def held(self) -> float:
        """USD that runs at work may use."""
        return self._held / PICO

    @property
    def left(self) -> float:
        """USD that nobody has spent or holds."""
        return max(0, self._left()) / PICO

    def share(self, least: float) -> float:
        """USD that one more run may hold: a part of what is left, so that others may run beside it, but ``least``."""
        if math.isinf(least) and self.name in OF_MANY:
            least = 0.0
        return self.left / self.parts if self.parts else min(self.left, max(least, self.left / 2))

    def hold(self, amount: float) -> float:
        """Hold so much, or what is left if that is less; how much that is."""
        with self._lock:
            held = max(0, min(_pico(amount), self._left()))
            self._held += held
            self.parts = max(self.parts - 1, min(self.parts, 1))  # the last of them may have all that is left then
            return held / PICO

    def release(self, amount: float) -> None:
        """Hold so much less."""
        with self._lock:
            self._held -= min(self._held, _pico(amount))

    def expect(self, key: str, cost: float) -> None:
        """The run ``key`` is taken up again: it has cost so much already, here or in an earlier kernel."""
        with self._lock:
            self._of[key] = max(_pico(cost), self._of.get(key, 0))

    def settle(self, key: str, cost: float) -> None:
        """The run ``key`` cost so much, all in all: what it cost when it settled before is not counted again."""
        with self._lock:
            self._settled += max(0, _pico(cost) - self._of.get(key, 0))
            self._of[key] = max(_pico(cost), self._of.get(key, 0))
            self._of.move_to_end(key)
            while len(self._of) > KEYS:
                self._of.popitem(last=False)

    def _left(self) -> int:
        return _pico(self.limit) - self._settled - self._held


class Hold:
    """What one run holds of its budgets: ``amount`` in USD, and ``tightest``, the budget that allows no more."""

    def __init__(self, budgets: Sequence[Budget], amount: float, tightest: Budget) -> None:
        self.amount = amount
        self.tightest = tightest
        self._budgets = budgets
        self._open = True

    def settle(self, key: str, cost: float) -> None:
        """The run ``key`` has ended, and cost so much, all in all; a second time changes nothing."""
        was_open, self._open = self._open, False
        if was_open:
            for budget in self._budgets:
                budget.release(self.amount)
                budget.settle(key, cost)


def hold(budgets: Sequence[Budget], least: float) -> Hold:
    """Hold what one more run may use of all of these budgets, which is ``least`` USD wherever there is so much left;
    infinite where nobody knows."""
    shares = [(budget.share(least) if budget.name != "run" else budget.left, budget) for budget in budgets]
    amount, tightest = min(shares, key=lambda share: share[0])
    held = [(budget.hold(amount), budget) for budget in budgets]
    amount = min(amount for amount, _ in held)  # another thread may have been quicker
    for more, budget in held:
        budget.release(more - amount)
    return Hold(budgets, amount, tightest)


class Meter:
    """What one run has used, request by request: it may cost ``limit`` USD, of which ``spent`` is gone already.

    Requests are counted for themselves, several at once: roughly while they are at work, and as their provider counted
    them when that says so. While others are at work, too, each may bring one more delta before it hears that it is
    over: so much is kept free of the limit, and the run ends at most one delta above it. For one thread. With a limit
    the tariff has to be at hand (`Tariff.at_hand`); ConfigError where it knows no price.
    """

    def __init__(self, tariff: Tariff, limit: float | None = None, spent: float = 0.0) -> None:
        self.tariff = tariff
        self.limit = limit if limit is None else _sum(limit)
        if limit is not None and tariff.cost(0, 0) is None:
            raise ConfigError(f"the price of {tariff.model} is not known, so a budget cannot be kept")
        self.limited = limit is not None and not tariff.free
        """Whether each delta has to be counted as it comes."""
        self._spent = spent
        self._counts: list[Count] = []
        self._left = _pico((self.limit or 0.0) - spent)
        self._largest = 0
        self._margin = 0

    def __repr__(self) -> str:
        return f"<Meter {self.input_tokens} + {self.output_tokens} tokens>"

    @property
    def requests(self) -> int:
        return len(self._counts)

    @property
    def counts(self) -> tuple[Count, ...]:
        """Each of them, the oldest first."""
        return tuple(self._counts)

    @property
    def at_work(self) -> int:
        """How many of them have not ended."""
        return sum(count.at_work for count in self._counts)

    @property
    def input_tokens(self) -> int:
        return sum(count.input for count in self._counts)

    @property
    def output_tokens(self) -> int:
        return sum(count.output for count in self._counts)

    @property
    def estimated(self) -> bool:
        """Whether some of it was not counted by its provider."""
        return any(count.estimated for count in self._counts)

    @property
    def cost(self) -> float | None:
        """USD so far; None where the price is not known. Takes the price table, unless the tariff is at hand."""
        costs = [count.cost for count in self._counts]
        known = [cost for cost in costs if cost is not None]
        return round(self._spent + sum(known), 12) if len(known) == len(costs) else None

    @property
    def exceeded(self) -> bool:
        """Whether that is more than the run may cost."""
        return self.limited and self._left < self._margin

    @property
    def words(self) -> str:
        """What is said of a run that it stops."""
        return f"stopped at the budget of {dollars(self.limit or 0.0)}"

    def asked(self, tokens: int | Callable[[], int]) -> Count:
        """A request of about so many tokens is sent; where there is no limit they may be counted later, or never."""
        count = Count(self, tokens, *((0, 0) if callable(tokens) else self._rates(tokens)))
        self._counts.append(count)
        return count

    def room(self, asked: int, among: int = 1) -> int | None:
        """Tokens that each of so many requests of ``asked`` tokens may make with what is left; None for any number."""
        fixed, rate = self._rates(asked)
        return max(0, self._left // among - fixed) // rate if rate else None

    def _rates(self, asked: int) -> tuple[int, int]:
        """What a request of so many tokens costs, and each token of what it makes, where that has a limit."""
        if not self.limited:
            return 0, 0
        fixed = _pico(self.tariff.cost(asked, 0) or 0.0)
        return fixed, (_pico(self.tariff.cost(asked, 1_000_000) or 0.0) - fixed) // 1_000_000

    def took(self, cost: int) -> bool:
        """So much more is spent, or less; whether the run is over its limit."""
        self._left -= cost
        return self._left < self._margin

    def keep_free(self, delta: int = 0) -> None:
        """A delta may cost so much, and some requests are at work."""
        self._largest = max(self._largest, delta)
        self._margin = max(0, self.at_work - 1) * self._largest


class Count:
    """What one request of a `Meter` has used. Where that is not `limited` one may add to ``output`` what comes."""

    __slots__ = ("_cost", "_input", "_largest", "_meter", "_rate", "_usage", "at_work", "output")

    def __init__(self, meter: Meter, tokens: int | Callable[[], int], fixed: int, rate: int) -> None:
        self._input = tokens
        self.output = 0
        self.at_work = True
        self._meter = meter
        self._rate = rate
        self._cost = fixed
        self._largest = 0
        self._usage: Usage | None = None
        meter.took(fixed)
        meter.keep_free()

    @property
    def input(self) -> int:
        """Tokens it was sent with."""
        if callable(self._input):
            self._input = self._input()
        return self._input

    def made(self, tokens: int, text: str = "") -> bool:
        """So many tokens came; whether the run is over its limit. They cost as many as ``text`` has if those are more:
        some providers send several in one delta."""
        self.output += tokens
        if not text.isascii() or " " in text[1:-1] or len(text) > LONG * tokens:
            tokens = max(tokens, round(COUNTED * count_tokens(text)))
        cost = self._rate * tokens
        self._cost += cost
        if cost > self._largest:
            self._largest = cost
            self._meter.keep_free(cost)
        return self._meter.took(cost)

    def follow(self, output: int, cost: float | None) -> None:
        """It is counted elsewhere: it has made so many tokens by now, for so many USD."""
        self.output = output
        if self._meter.limited and cost is not None:
            before, self._cost = self._cost, _pico(cost)
            self._meter.took(self._cost - before)

    def counted(self, usage: Usage) -> None:
        """Its provider says what it used, at its end."""
        self._input, self.output, self._usage = usage.input_tokens, usage.output_tokens, usage
        if self._meter.limited:
            before, self._cost = self._cost, _pico(self.cost or 0.0)
            self._meter.took(self._cost - before)
        self.ended()

    def ended(self) -> None:
        """It is over; where its provider has not said what it used, what was counted stands."""
        self.at_work = False
        self._meter.keep_free()

    @property
    def usage(self) -> Usage | None:
        """What its provider counted; None where it has not said."""
        return self._usage

    @property
    def estimated(self) -> bool:
        """Whether its provider has not counted it."""
        return self._usage is None or self._usage.estimated

    @property
    def cost(self) -> float | None:
        """USD; None where the price is not known."""
        if self._usage is None and self._meter.limited:
            return self._cost / PICO
        cached = 0 if self._usage is None else self._usage.cached_tokens
        return self._meter.tariff.cost(self.input, self.output, cached)


def _sum(limit: float) -> float:
    with suppress(TypeError):
        if 0 < limit < float("inf") and not isinstance(limit, bool):
            return float(limit)
    raise ConfigError(f"a budget is a sum in USD above 0, not {limit!r}")


def _pico(dollars: float) -> int:
    return round(dollars * PICO)
