"""OpenClawAgent, the front of an agent: it chooses the level, keeps the budget, sends a message and gives a Run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from . import seams
from .client import OpenClawClient
from .engine import AgentSpec
from .errors import ConfigError
from .memory import Memory, cut_in
from .models.base import Model
from .reasoning.costs import Budget
from .reasoning.levels import DEFAULT_THRESHOLDS, decide, read_level
from .run import Delta, Run, RunEvent
from .snapshots import Snapshot
from .stability import degrade
from .tools import Tool, Toolbox

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

    ``tools`` are functions of the notebook that the model may call (see `Tool`), each call at most once: one that was
    under way when the kernel died is not repeated.

    With ``snapshot`` its runs are kept on their way, every ``snapshot_interval`` seconds in which they grew and at each
    step, so that one which is cut can be resumed; how they end is always kept. A gateway elsewhere decides both itself.
    """

    def __init__(
        self,
        name: str = "main",
        client: OpenClawClient | None = None,
        model: str | Model | Any | None = None,
        instructions: str = "",
        tools: Iterable[Tool | Callable[..., Any]] = (),
        *,
        adaptive_reasoning: bool = True,
        reasoning_level: int | str = "auto",
        level_thresholds: Mapping[str, int] | None = None,
        max_level: int = 4,
        snapshot: bool = True,
        snapshot_interval: float = 5.0,
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
        if not 0 < snapshot_interval < float("inf"):
            raise ConfigError(f"snapshot_interval is a number of seconds above 0, not {snapshot_interval!r}")
        self._model: str | None = model if isinstance(model, str) else None
        self._id = name
        own = model is not None and not isinstance(model, str)
        spec = AgentSpec(name, None, instructions, snapshot, snapshot_interval, Toolbox(tools))
        special = own or spec != AgentSpec(name)
        if client is None:
            runtime = seams.local_runtime()
            client = runtime.client()
            if special:
                if not runtime.is_local(client):
                    raise ConfigError(f"an agent at {client.uri} {_ITS_OWN}")
                spec = replace(spec, model=runtime.resolve(model) if model is not None else None)
                self._id = runtime.register(spec)
                self._model = None
        elif special:
            raise ConfigError(f"an agent with a client of its own {_ITS_OWN}")
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
        return self._send(query, {"session": self.session, **degrade(decision, self.client), **options})

    def execute(self, task: str, use_snapshot: bool = False, **options: Any) -> Run:
        """Have a task done; the same path as `analyze`.

        With ``use_snapshot`` a run that fails or is stopped leaves its session as it found it: what came of it stays
        in the store, beside the session, and ``resume_from(partial.snapshot)`` goes on with it.
        """
        return self.analyze(task, isolated=use_snapshot, **options)

    def is_unstable(self) -> bool:
        """Whether the errors and latencies of its client's runs are bad (see `Health`)."""
        return bool(self.client.stability.why())

    # -- snapshots -------------------------------------------------------------------------------

    async def load_snapshot(self, id: str | None = None) -> Snapshot:
        """A snapshot by id, the beginning of one, or name; None: the newest of its session, one of a cut run included.

        SnapshotError where there is none, ConfigError where its gateway keeps its sessions itself.
        """
        return await asyncio.to_thread(self._memory().find, id, self.session)

    def resume_from(self, snapshot: Snapshot | str) -> Run:
        """Go on from a snapshot: its session stands there from now on.

        A run that was cut, stopped or failed in it goes on with the text that was kept, under its id, level, model and
        budget. Where its last run had come to its end the Run is that one, answered from memory: no model is asked.
        SnapshotError while the session is at work, ConfigError where nothing was asked in it yet.
        """
        memory = self._memory()
        if isinstance(snapshot, str):
            snapshot = memory.find(snapshot, self.session)
        cut, last = cut_in(snapshot), _last_answer(snapshot)
        if cut is not None:
            message, options = cut.message, {
                "idempotency_key": cut.run_id, "level": cut.level, "model": cut.model, "budget": cut.budget,
                "partial": (cut.text, cut.tokens),
            }  # fmt: skip
        elif last is not None:
            asked, answer = last
            message = asked["content"]
            options = {
                "idempotency_key": answer["run"], "level": answer.get("level"), "budget": None, "partial": ("", 0),
            }  # fmt: skip
        else:
            raise ConfigError(f"nothing was asked in snapshot {snapshot.id} yet, so there is nothing to go on with")
        memory.restore(self.session, snapshot, stopped=True)
        return self._send(message, {"session": self.session, "level_reason": "resumed", **options})

    def _memory(self) -> Memory:
        runtime = seams.local_runtime()
        if not runtime.is_local(self.client):
            raise ConfigError(f"the gateway at {self.client.uri} keeps its sessions itself; its snapshots are not here")
        memory: Memory = runtime.memory
        return memory

    def _send(self, message: str, options: dict[str, Any]) -> Run:
        options = {"model": self._model, "budget": self.budget} | options
        limit = options["budget"]
        budget = None if limit is None else Budget(limit, options["model"] or "", message)
        run = self.client.send(message, agent=self._id, **options)
        if budget is not None:
            keep_within(run, budget)
        return run


_ITS_OWN = "takes a model by name, no instructions of ours and no tools, and keeps its sessions itself"


def _last_answer(snapshot: Snapshot) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The last question of a state and its answer, where that has its run."""
    messages = snapshot.state.get("messages", [])
    asked = [message for message in messages if message["role"] == "user"]
    answer = messages[-1] if messages else {}
    return (asked[-1], answer) if asked and answer.get("run") else None
