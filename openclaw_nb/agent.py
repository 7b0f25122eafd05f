"""OpenClawAgent, the front of an agent: it chooses the level, keeps the budget, sends a message and gives a Run."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from . import seams
from .client import OpenClawClient
from .engine import AgentSpec
from .errors import ConfigError
from .events import Delta, End, RunEvent, Step
from .front import Front
from .models.base import Model
from .outlook import Target
from .outputs import Expected
from .prompts.images import attachment, images_of
from .reasoning.budgets import Budget
from .run import Run
from .sessions.memory import Memory, cut_in
from .snapshots import Snapshot
from .tools import Tool, Toolbox

if TYPE_CHECKING:
    from .reasoning.predictor import ReasoningLevelPredictor

__all__ = ["OpenClawAgent", "known_agents"]

EVENTS = ("end", "step", "token")

_made: WeakValueDictionary[str, OpenClawAgent] = WeakValueDictionary()


class OpenClawAgent:
    """An agent at a gateway: ``agent.analyze(query)`` and ``agent.execute(task)`` give Runs.

    ``client`` None means the gateway in this process (or ``OPENCLAW_GATEWAY_URL``). There ``model`` may be a
    name, a Model or an async generator function ``(prompt) -> AsyncIterator[str]``, and ``instructions`` are told
    to it before every conversation; at a gateway elsewhere only a model's name can be asked for. Its runs
    together cost at most ``budget`` USD. ``level_thresholds`` maps complexity tags to levels 1-4, ``max_level`` limits
    them all.

    ``tools`` are functions of the notebook that the model may call (see `Tool`), each call at most once: one that was
    under way when the kernel died is not repeated.

    In a `ThreadPool` it is bound to one thread, where its tools run, and what it calls by `on`; unless it is not
    ``thread_bound``.

    With ``snapshot`` its runs are kept on their way, every ``snapshot_interval`` seconds in which they grew and at each
    step, so that one which is cut can be resumed; how they end is always kept. A gateway elsewhere decides both itself.
    """

    _listed = True

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
        predictor: ReasoningLevelPredictor | None = None,
        thread_bound: bool = True,
        snapshot: bool = True,
        snapshot_interval: float = 5.0,
        budget: float | None = None,
    ) -> None:
        self.name = name
        self.session = "main"
        self.thread_bound = thread_bound
        self._handlers: defaultdict[str, list[tuple[Context, Callable[[Any], None]]]] = defaultdict(list)
        self.front = Front(
            reasoning_level, thresholds=level_thresholds, max_level=max_level, adaptive=adaptive_reasoning,
            predictor=predictor, budget=None if budget is None else Budget(budget, "agent"), target=self._target,
        )  # fmt: skip
        if not 0 < snapshot_interval < float("inf"):
            raise ConfigError(f"snapshot_interval is a number of seconds above 0, not {snapshot_interval!r}")
        self._model: str | None = model if isinstance(model, str) else None
        self.id = name
        """What its gateway calls it."""
        own = model is not None and not isinstance(model, str)
        spec = AgentSpec(name, None, instructions, snapshot, snapshot_interval, Toolbox(tools))
        self.tool_names = tuple(tool.name for tool in spec.tools)
        """Of the functions that its model may call."""
        special = own or spec != AgentSpec(name)
        self.client: OpenClawClient = seams.local_runtime().client() if client is None else client
        if special and not self.client.is_local:
            raise ConfigError(f"an agent at {self.client.uri or 'a gateway elsewhere'} {_ITS_OWN}")
        self.has_model = model is not None
        """Whether it has a model of its own."""
        if special or (self.client.is_local and name != "main"):
            runtime = seams.local_runtime()
            spec = replace(spec, model=runtime.resolve(model) if model is not None else None)
            self.id = runtime.register(spec)
            self._model = None
        if self._listed:
            _made[name] = self

    def __repr__(self) -> str:
        return f"<OpenClawAgent {self.name!r} at {self.client.uri}, level {self.reasoning_level}>"

    def set_reasoning_level(self, level: int | str) -> None:
        """1-4, or "auto"; for the runs that follow."""
        self.front.set_level(level)

    @property
    def reasoning_level(self) -> int | str:
        """1-4, or "auto"."""
        return self.front.level

    @property
    def model_name(self) -> str | None:
        """What its gateway is asked for; None where it knows."""
        return self._model

    @property
    def budget(self) -> Budget | None:
        """What its runs may cost together: its ``limit``, and what is ``spent`` and ``left`` of it, in USD.

        A sum that is assigned is the new limit; what was spent stays so. None is no limit.
        """
        return self.front.budget

    @budget.setter
    def budget(self, limit: float | None) -> None:
        if limit is None or self.front.budget is None:
            self.front.budget = None if limit is None else Budget(limit, "agent")
        else:
            self.front.budget.limit = limit

    @property
    def max_level(self) -> int:
        """The highest level that any of its runs takes."""
        return self.front.max_level

    @max_level.setter
    def max_level(self, level: int) -> None:
        self.front.max_level = level

    def set_streaming(self, on: bool) -> None:
        """Whether text comes as it is made, or in one piece at the end; for the runs that follow."""
        self.client.streaming = on

    def analyze(
        self,
        query: str,
        complexity: str | None = None,
        *,
        output_type: Any = None,
        images: Sequence[object] = (),
        **options: Any,
    ) -> Run:
        """Ask. ``complexity`` is a tag of ``level_thresholds``; options are those of `OpenClawClient.send`.

        The Result's ``value`` is one of ``output_type``: a dataclass, a pydantic model, ``list[City]``, whatever JSON
        can hold. ``images`` are figures and pictures (see `prompts.images.image_of`). ConfigError for others.
        """
        if output_type is not None:
            options |= Expected(output_type).wishes
        if images:
            options["attachments"] = [attachment(image) for image in images_of(images)]
        asked = {"session": self.session, "model": self._model, "agent": self.id, "hear": self.hear(), **options}
        return self.front.send(self.client, query, complexity=complexity, **asked)

    def execute(self, task: str, use_snapshot: bool = False, **options: Any) -> Run:
        """Have a task done; the same path as `analyze`.

        With ``use_snapshot`` a run that fails or is stopped leaves its session as it found it: what came of it stays
        in the store, beside the session, and ``resume_from(partial.snapshot)`` goes on with it.
        """
        return self.analyze(task, isolated=use_snapshot, **options)

    def on(self, event: str, handler: Callable[[Any], None]) -> Callable[[Any], None]:
        """Call ``handler`` with each "token" (its text), "step" (a `Step`) and "end" (an `End`) of the runs to come:
        in a pool on the agent's own thread, otherwise on the one that feeds the run. What it prints goes to the cell
        that asked, or else to the one that called this. ConfigError for another event."""
        if event not in EVENTS:
            raise ConfigError(f"an agent has no event {event!r}; there are {', '.join(EVENTS)}")
        self._handlers[event].append((copy_context(), handler))
        return handler

    def hear(self, call: Callable[[Callable[[], None]], object] | None = None) -> Callable[[RunEvent], None] | None:
        """What tells the handlers of a run to be sent, each by ``call`` where one is given; None without any."""
        if not self._handlers:
            return None

        def heard(event: RunEvent) -> None:
            kind = {Delta: "token", Step: "step", End: "end"}.get(type(event), "")
            told = event.text if isinstance(event, Delta) else event
            for context, handler in tuple(self._handlers.get(kind, ())):
                if call is not None:
                    call(partial(handler, told))
                else:
                    context.copy().run(handler, told)

        return heard

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
        send: Callable[..., Run] = self.client.send
        options: dict[str, Any]
        if cut is not None:
            message, send = cut.message, partial(
                self.front.resume, self.client, budget=cut.budget, spent=cut.spent
            )  # fmt: skip
            options = {
                "idempotency_key": cut.run_id, "level": cut.level, "model": cut.model,
                "partial": (cut.text, cut.tokens), "output": cut.output,
            }  # fmt: skip
            images = cut.images
        elif last is not None:
            asked, answer = last
            message = asked["content"]
            options = {
                "idempotency_key": answer["run"], "level": answer.get("level"), "model": self._model,
                "partial": ("", 0), "output": asked.get("output"),
            }  # fmt: skip
            images = asked.get("images", [])
        else:
            raise ConfigError(f"nothing was asked in snapshot {snapshot.id} yet, so there is nothing to go on with")
        memory.restore(self.session, snapshot, stopped=True)
        options |= {"level_reason": "resumed", "attachments": [attachment(image) for image in images]}
        return send(message, session=self.session, agent=self.id, **options)

    def _memory(self) -> Memory:
        runtime = seams.local_runtime()
        if not self.client.is_local:
            raise ConfigError(f"the gateway at {self.client.uri} keeps its sessions itself; its snapshots are not here")
        memory: Memory = runtime.memory
        return memory

    def _target(self) -> Target:
        return Target(self.client, self.id, self._model, self.session)


def known_agents() -> dict[str, OpenClawAgent]:
    """The agents that the user has made, each the newest of its name; not those whose client was closed."""
    return {name: agent for name, agent in _made.items() if agent.client.is_open}


_ITS_OWN = "takes a model by name, no instructions of ours and no tools, and keeps its sessions itself"


def _last_answer(snapshot: Snapshot) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The last question of a state and its answer, where that has its run."""
    messages = snapshot.state.get("messages", [])
    asked = [message for message in messages if message["role"] == "user"]
    answer = messages[-1] if messages else {}
    return (asked[-1], answer) if asked and answer.get("run") else None
