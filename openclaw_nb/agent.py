"""OpenClawAgent, the front of an agent: it chooses the level, keeps the budget, sends a message and gives a Run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import seams
from .client import OpenClawClient
from .engine import AgentSpec
from .errors import ConfigError
from .models.base import Model
from .reasoning.costs import Budget
from .reasoning.levels import DEFAULT_THRESHOLDS, decide, read_level
from .run import Delta, Run, RunEvent

__all__ = ["OpenClawAgent", "keep_within"]


def keep_within(run: Run, budget: Budget) -> None:
    """Stop ``run`` with the first delta by which it costs more than ``budget``."""

    def check(event: RunEvent) -> None:
        if isinstance(event, Delta) and budget.exceeded(event.tokens):
            run.cancel(f"stopped at the budget of ${budget.limit:g}")

    run.subscribe(check)


class OpenClawAgent:
    """An agent at a gateway: ``agent.analyze(query)`` and ``agent.execute(task)`` give Runs.

    ``client`` None means the gateway in this process (or ``OPENCLAW_GATEWAY_URL``). There ``model`` may be a
    name, a Model or an async generator function ``(prompt) -> AsyncIterator[str]``, and ``instructions`` are told
    to it before every conversation; at a gateway elsewhere only a model's name can be asked for. ``budget`` is
    in USD per run. ``level_thresholds`` maps complexity tags to levels 1-4, ``max_level`` limits them all.
    """

    def __init__(
        self,
        name: str = "main",
        client: OpenClawClient | None = None,
        model: str | Model | Any | None = None,
        instructions: str = "",
        *,
        adaptive_reasoning: bool = True,
        reasoning_level: int | str = "auto",
        level_thresholds: Mapping[str, int] | None = None,
        max_level: int = 4,
        budget: float | None = None,
    ) -> None:
        self.name = name
        self.session = "main"
        self.adaptive_reasoning = adaptive_reasoning
        self.level_thresholds = {**DEFAULT_THRESHOLDS, **(level_thresholds or {})}
        for tag, value in self.level_thresholds.items():
            if value not in (1, 2, 3, 4):
                raise ConfigError(f"level_thresholds[{tag!r}] is {value!r}, not a level from 1 to 4")
        self.max_level = int(read_level(max_level) or 4)
        self.set_reasoning_level(reasoning_level)
        if budget is not None:
            Budget(budget, "", "")
        self.budget = budget
        self._model: str | None = model if isinstance(model, str) else None
        self._id = name
        own_model = model is not None and not isinstance(model, str)
        if client is None:
            runtime = seams.local_runtime()
            client = runtime.client()
            if own_model or instructions:
                if not runtime.is_local(client):
                    raise ConfigError(f"an agent at {client.uri} takes a model by name and no instructions of ours")
                own = runtime.resolve(model) if model is not None else None
                self._id = runtime.register(AgentSpec(name, own, instructions))
                self._model = None
        elif own_model or instructions:
            raise ConfigError("with a client of its own an agent takes a model by name and no instructions")
        self.client = client

    def __repr__(self) -> str:
        return f"<OpenClawAgent {self.name!r} at {self.client.uri}, level {self.reasoning_level}>"

    def set_reasoning_level(self, level: int | str) -> None:
        """1-4, or "auto"; for the runs that follow."""
        chosen = read_level(level)
        self.reasoning_level: int | str = "auto" if chosen is None else int(chosen)

    def set_streaming(self, on: bool) -> None:
        """Whether text comes as it is made, or in one piece at the end; for the runs that follow."""
        self.client.streaming = on

    def analyze(self, query: str, complexity: str | None = None, **options: Any) -> Run:
        """Ask. ``complexity`` is a tag of ``level_thresholds``; options are those of `OpenClawClient.send`."""
        decision = decide(
            level=self.reasoning_level, complexity=complexity if self.adaptive_reasoning else None,
            thresholds=self.level_thresholds, max_level=self.max_level,
        )  # fmt: skip
        options = {"session": self.session, "model": self._model, **options}
        budget = None if self.budget is None else Budget(self.budget, options["model"] or "", query)
        run = self.client.send(
            query, level=int(decision.level), level_reason=decision.reason, agent=self._id, **options
        )
        if budget is not None:
            keep_within(run, budget)
        return run

    def execute(self, task: str, **options: Any) -> Run:
        """Have a task done; the same path as `analyze`."""
        return self.analyze(task, **options)
