"""Outlook, what is known of a run before it is sent: the model, its prices, and what it will cost at each level."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from . import seams
from .client import OpenClawClient
from .reasoning.costs import Tariff, count_tokens, is_free, is_priced, tariff_of
from .reasoning.estimates import CostEstimate, Experience, Query, estimate
from .reasoning.levels import Decision, ReasoningLevel, read_level
from .spending import Spending

if TYPE_CHECKING:
    from .agent import OpenClawAgent

__all__ = ["AdaptiveCostEstimator", "Outlook", "Preview", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a run goes: a gateway's client, an agent there, the model by name (None: its own), and the session."""

    client: OpenClawClient
    agent: str = "main"
    model: str | None = None
    session: str = "main"


@dataclass(frozen=True, slots=True)
class Preview:
    """What auto would decide about a prompt, and what it is expected to cost at each level from 1 to 4."""

    decision: Decision
    estimates: Mapping[int, CostEstimate]


class Outlook:
    """What a prompt is expected to cost at a target, or at none, where nothing costs anything.

    ModelError and ConfigError where the agent or the model is not there. May take the price table: 0.3 s, once.
    """

    def __init__(self, prompt: str, target: Target | None) -> None:
        self.tariff = Tariff("")
        self.named = True
        """Whether the model is one whose price is looked up here; a gateway knows what its own costs."""
        self._spending = Spending() if target is None else target.client.spending
        name, before = "", 0
        if target is not None and target.client.is_local:
            model, said, told = seams.local_runtime().outlook(target.agent, target.model, target.session)
            self.tariff, name, before = tariff_of(model), model.name, said + told
            self._spending.tell(target.client.uri, target.agent, told)
        elif target is not None:
            uri = target.client.uri
            name = target.model or self._spending.model(uri, target.agent)
            self.named = is_priced(name)
            self.tariff = Tariff(name if self.named or is_free(name) else f"the model of {uri}")
            before = self._spending.before(uri, target.session)
        self.query = Query(name, count_tokens(prompt), before)

    @property
    def least(self) -> float | None:
        """USD for the question alone; None where the price is not known."""
        return self.cost(0)

    def cost(self, made: int) -> float | None:
        """USD for an answer of so many tokens."""
        return self.tariff.cost(self.query.asked + self.query.before, made)

    @cached_property
    def estimates(self) -> Mapping[int, CostEstimate]:
        """By level from 1 to 4."""
        experience: Experience = self._spending.experience
        return {int(level): estimate(self.query, level, self.tariff, experience) for level in ReasoningLevel}

    def affordable(self, left: float) -> int:
        """The highest level that is expected to cost no more than ``left`` USD; 1 where none is."""
        return max((level for level, cost in self.estimates.items() if cost <= left), default=1)


class AdaptiveCostEstimator:
    """Says what a query to an agent will cost, before anything is sent; better with every run that was seen."""

    def __init__(self, agent: OpenClawAgent) -> None:
        self._front = agent.front

    async def estimate(self, query: str, reasoning_level: int | str = "auto") -> CostEstimate:
        """Money, tokens and seconds at a level, or at the one that auto would take. ConfigError for what is none."""
        chosen = read_level(reasoning_level)
        preview = await asyncio.to_thread(self._front.preview, query)
        return preview.estimates[int(chosen or preview.decision.level)]
