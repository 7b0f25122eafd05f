"""Spending, what the runs of one process used and may use: added up by model and level, and learnt from."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .events import End, Status
from .reasoning.budgets import Budget
from .reasoning.costs import PER_MESSAGE, count_tokens
from .reasoning.estimates import Experience, Observation
from .run import Run

__all__ = ["Spending", "Used"]

K = TypeVar("K")
V = TypeVar("V")

RUNS = 1_000
"""Runs of which it is known what they used: one that is taken up again is not counted twice."""

CONVERSATIONS = 1_000
"""Conversations whose length is known, and agents whose model is."""


@dataclass(frozen=True, slots=True)
class Used:
    """What some runs used; ``cost`` is USD, as far as prices are known."""

    runs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: Used) -> Used:
        return Used(
            self.runs + other.runs, self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens,
            self.cost + other.cost,
        )  # fmt: skip

    def __neg__(self) -> Used:
        return Used(-self.runs, -self.input_tokens, -self.output_tokens, -self.cost)


class Spending:
    """What the runs of the clients that share it used, and the ``budget`` that they all have to stay within.

    ``experience`` is what was seen of how long they are. From any thread.
    """

    def __init__(self) -> None:
        self.budget: Budget | None = None
        self.experience = Experience()
        self.began: Callable[[Run, str], None] | None = None
        """Told of each run that is to be sent, and where to."""
        self._of: OrderedDict[str, tuple[tuple[str, int], Used]] = OrderedDict()
        self._sums: dict[tuple[str, int], Used] = {}
        self._said: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._told: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._models: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        total = self.total
        return f"<Spending {total.runs} runs, {total.cost:.6g} USD>"

    def limit(self, dollars: float | None) -> None:
        """All of them may cost so much, what they have cost so far included; None is no limit."""
        if dollars is None:
            self.budget = None
        elif self.budget is None:
            budget = Budget(dollars, "notebook")
            budget.settle("", self.total.cost)
            self.budget = budget
        else:
            self.budget.limit = dollars

    @property
    def total(self) -> Used:
        """What all of them used."""
        return sum((used for _, used in self.rows()), Used())

    def rows(self) -> Sequence[tuple[tuple[str, int], Used]]:
        """What the runs of each model and level used, the dearest first."""
        with self._lock:
            rows = [(kind, used) for kind, used in self._sums.items() if used.runs]
        return sorted(rows, key=lambda row: (-row[1].cost, -row[1].output_tokens, row[0]))

    def before(self, uri: str, session: str) -> int:
        """About how many tokens were said in a session of a gateway, as far as it was heard here."""
        return self._said.get((uri, session), 0)

    def model(self, uri: str, agent: str) -> str:
        """The model that an agent of a gateway answered with at last, or ""."""
        return self._models.get((uri, agent), "")

    def tell(self, uri: str, agent: str, tokens: int) -> None:
        """An agent's instructions and tools are so many tokens, which its model is told with each message."""
        with self._lock:
            _note(self._told, (uri, agent), tokens, CONVERSATIONS)

    def watch(self, run: Run, uri: str) -> None:
        """Note what a run used when it ends; to be called before it is sent."""
        asked, said = count_tokens(run.prompt), self.before(uri, run.session)
        told = self._told.get((uri, run.agent), 0)
        if self.began is not None:
            self.began(run, uri)

        run.before_end(lambda end: self._ended(run, end, uri, asked, said, told))

    def _ended(self, run: Run, end: End, uri: str, asked: int, said: int, told: int) -> None:
        usage, level = end.usage, run.level or 2
        used = Used(1, 0, run.tokens) if usage is None else Used(1, usage.input_tokens, usage.output_tokens)
        used += Used(cost=end.cost or 0.0)
        with self._lock:
            if run.model:
                _note(self._models, (uri, run.agent), run.model, CONVERSATIONS)
            if text := run.text:
                _note(
                    self._said, (uri, run.session), said + asked + count_tokens(text) + 2 * PER_MESSAGE, CONVERSATIONS
                )
            self._count(run.id, (run.model, level), used)
        if end.status is Status.DONE and usage is not None and usage.output_tokens:
            self.experience.add(Observation(
                run.model, level, asked, usage.input_tokens, usage.output_tokens, run.seconds, end.cost, said + told
            ))  # fmt: skip

    def _count(self, id: str, kind: tuple[str, int], used: Used) -> None:
        """What a run used all in all, in place of what it had when it ended before."""
        if (known := self._of.get(id)) is not None:
            if not used.cost and used.output_tokens <= known[1].output_tokens:
                return  # it was answered from memory
            self._sums[known[0]] += -known[1]
        self._sums[kind] = self._sums.get(kind, Used()) + used
        _note(self._of, id, (kind, used), RUNS)


def _note(of: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    of[key] = value
    of.move_to_end(key)
    while len(of) > most:
        of.popitem(last=False)
