"""Allowance, what one run may cost: fixed before it is sent, and settled when it has ended."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .errors import BudgetReached, ConfigError
from .outlook import Outlook
from .reasoning.budgets import Budget, Hold, hold
from .render import dollars
from .run import Run

__all__ = ["Allowance"]

ENOUGH = 4.0
"""Times the upper end of its estimate that a run may cost, where there is so much: beyond it something goes wrong."""

HOW_TO_RAISE = {
    "run": "--budget or budget= raises it",
    "cluster": "limits.budget of the cluster in its configuration raises it",
    "agent": "OpenClawAgent(budget=) or agent.budget raises it",
    "notebook": "%openclaw budget USD raises it",
    "pool": "budget= of execute, or --budget of the cell, raises it",
}


class Allowance:
    """What a run may cost by all its budgets together. ``affordable`` is the highest level that is expected to fit.

    BudgetReached where too little is left to ask at all, ConfigError where nobody knows what it costs. A run that is
    taken ``again`` is one of this id, which has cost so much.
    """

    def __init__(self, outlook: Outlook, budgets: Sequence[Budget], again: tuple[str, float] | None = None) -> None:
        self.affordable = 4
        self._before = 0.0
        self._outlook = outlook
        self._budgets = budgets
        if again is not None:
            self._take_up(*again)
        self._tightest = min(budgets, key=lambda budget: budget.left)
        self._hold: Hold | None = None
        least, left = outlook.least, self._tightest.left
        if least is None and outlook.named:
            raise ConfigError(f"the price of {outlook.tariff.model} is not known, so a budget cannot be kept")
        if outlook.tariff.free:
            return
        if left <= (least or 0.0):
            raise BudgetReached(_too_little(self._tightest, least or 0.0))
        if least is not None:
            self.affordable = outlook.affordable(left)

    @property
    def words(self) -> str:
        """Of which budget it is: "the notebook's budget of $0.01"."""
        return _named(self._tightest)

    def take(self, level: int) -> float:
        """Hold what a run at this level may cost, in USD; how much that is."""
        if self._outlook.tariff.free:
            return self._tightest.limit
        expected = self._outlook.estimates[level]
        self._hold = hold(self._budgets, ENOUGH * expected.high if expected.known else math.inf)
        if not self._hold.amount:  # another thread was quicker
            raise BudgetReached(_too_little(self._tightest, 0.0))
        return self._hold.amount + self._before

    def _take_up(self, key: str, spent: float) -> None:
        """The run has cost so much before, which its own budget counts, and others did."""
        self._before = spent
        for budget in self._budgets:
            if budget.name == "run":
                budget.settle(key, spent)
            else:
                budget.expect(key, spent)

    def give_back(self) -> None:
        """It was not sent."""
        if self._hold is not None:
            self._hold.settle("", 0.0)

    def follow(self, run: Run) -> None:
        """It was sent to a gateway, which stops it in time: settle when it ends."""
        if self._hold is not None:
            run.before_end(lambda end: self._settle(run, end.cost))

    def _settle(self, run: Run, cost: float | None) -> None:
        if cost is None and run.tokens:  # its gateway does not say, or is gone
            cost = self._outlook.cost(run.tokens)
        if self._hold is not None:
            self._hold.settle(run.id, cost or 0.0)


def _too_little(budget: Budget, least: float) -> str:
    at_work = f", {dollars(budget.held)} held by what is at work" if budget.held else ""
    rest = f"{dollars(budget.spent)} spent{at_work}"
    if budget.left and not budget.spent and not budget.held:
        return f"the question alone costs {dollars(least)}, more than {_named(budget)}; {HOW_TO_RAISE[budget.name]}"
    return f"{_named(budget)} is used up, {rest}; {HOW_TO_RAISE[budget.name]}"


def _named(budget: Budget) -> str:
    whose = "" if budget.name == "run" else f"{budget.name}'s "
    return f"the {whose}budget of {dollars(budget.limit)}"
