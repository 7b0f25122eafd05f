"""Engine: one turn of an agent, from a message and the session's memory to a stream of events.

A turn has its session to itself, unless it was to work beside others, and works on a fork of its state; question and
answer are merged back together when it ends, so no run sees half of another, and a stopped one leaves a clean pair.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

from .answers.answering import Answering, weight
from .answers.deliberation import Beside, at_once
from .answers.progress import Answers
from .errors import BudgetReached, ModelError, OpenClawError, RequestError, SnapshotError
from .events import Usage
from .ledger import is_whole, without_tools
from .models.base import Image, Message, Model, ModelEvent, ModelRequest, Output, TextDelta, ThinkingDelta
from .reasoning.budgets import Meter
from .reasoning.costs import load, tariff_of
from .redaction import redact
from .sessions.forks import Fork, Task
from .sessions.memory import Memory
from .snapshots import SnapshotStore
from .tools import Place, Toolbox

__all__ = ["AgentSpec", "Engine", "Outcome", "Turn"]

NO_TOOLS = Toolbox()

EXCHANGE = ("role", "content", "calls", "key", "name")
"""What a model is told of a message in which tools were asked, or answer."""

SAID = ("role", "content", "images")
"""What a model is told of any other."""

NO_END = {"stopped", "failed", "calls", "key", "part"}
"""What tells a message of a run from the end of its answer."""


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """What makes one agent: its model (None: the gateway's own), what it is told before every message, and its tools.

    With ``snapshot`` its runs are kept every ``snapshot_interval`` seconds in which they grew, and at each step.
    """

    name: str = "main"
    model: Model | None = None
    instructions: str = ""
    snapshot: bool = True
    snapshot_interval: float = 5.0
    tools: Toolbox = NO_TOOLS


@dataclass(slots=True)
class Outcome:
    """What is known of a turn besides its text; filled in while it goes on, complete when it has ended."""

    usage: Usage | None = None
    cost: float | None = None
    model: str = ""
    snapshot: str | None = None
    session: str = ""
    note: str = ""


@dataclass(slots=True)
class Turn:
    """One message to one agent in one session; ``level`` 1-4, ``model`` a name or None for the agent's own.

    ``partial`` is what the client has of the answer already, and ``partial_tokens`` how many tokens that was.
    ``base`` is the snapshot or session that a new session begins from. One that works ``beside`` others does not wait
    for them, and begins a branch where its session has moved on when it ends. ``budget`` is the limit in USD that the
    client keeps, ``retry`` says that the client asks again, ``isolated`` that the session is to stay as it was unless
    the turn succeeds. ``output`` is what the answer has to fit. ``depth`` is the level now: it may have been changed.
    """

    run_id: str
    message: str
    agent: str = "main"
    session: str = "main"
    level: int = field(default=2, compare=False)
    model: str | None = None
    images: tuple[Image, ...] = field(default=(), repr=False)
    partial: str = field(default="", compare=False)
    partial_tokens: int = field(default=0, compare=False)
    base: str | None = field(default=None, compare=False)
    beside: bool = field(default=False, compare=False)
    budget: float | None = field(default=None, compare=False)
    retry: bool = field(default=False, compare=False)
    isolated: bool = field(default=False, compare=False)
    output: Output | None = field(default=None, compare=False)
    changed: int | None = field(default=None, compare=False)
    outcome: Outcome = field(default_factory=Outcome, compare=False)

    @property
    def depth(self) -> int:
        return self.changed or self.level


class Engine:
    """Runs turns. ``resolve`` makes a Model of the name a client asked for, or raises ConfigError."""

    def __init__(
        self, memory: Memory | SnapshotStore, default: Model, resolve: Callable[[str], Model] | None = None
    ) -> None:
        self.memory = Memory(memory) if isinstance(memory, SnapshotStore) else memory
        self.default = default
        self._resolve = resolve
        self._agents: dict[str, AgentSpec] = {"main": AgentSpec()}
        self.places: dict[str, Place] = {}
        """Where the tools of a run are to be run, by its id."""
        self.elsewhere: dict[str, Callable[..., Answers]] = {}
        """What is to answer a run in the place of `Answering`, by its id."""
        self.beside: Beside = at_once

    def register(self, spec: AgentSpec) -> str:
        """Serve this agent; returns the id that turns name it by, its name where that is still free."""
        id, count = spec.name, 1
        while self._agents.get(id, spec) != spec:
            count += 1
            id = f"{spec.name}-{count}"
        self._agents[id] = spec
        return id

    @property
    def agents(self) -> tuple[str, ...]:
        """The ids of the agents that are served, the main one first."""
        return tuple(self._agents)

    def check_agent(self, id: str) -> None:
        """ModelError where a turn that names this agent could not be run."""
        self._spec(id)

    def has_tools(self, id: str) -> bool:
        """Whether an agent that is served here has tools."""
        return id in self._agents and bool(self._agents[id].tools)

    def check_model(self, name: str) -> None:
        """ModelError or ConfigError where a turn that names this model could not be run."""
        self._model(name, self._agents["main"])

    def keep_every(self, seconds: float) -> None:
        """How often the runs of the agent that needs no registration are kept."""
        self._agents["main"] = AgentSpec(snapshot_interval=seconds)

    def outlook(self, agent: str, model: str | None, session: str) -> tuple[Model, int, int]:
        """The model that a turn would ask, and about how many tokens the session and the agent add to its message.

        From any thread. ModelError and ConfigError as `turn`.
        """
        spec = self._spec(agent)
        said = weight(ModelRequest(_told(self.messages(session), tools=bool(spec.tools))))
        told = weight(ModelRequest((), spec.instructions, tools=spec.tools.definitions))
        return self._model(model, spec), said, told

    async def turn(self, turn: Turn) -> AsyncGenerator[ModelEvent, None]:
        """The events of one turn that come after its ``partial``, closing the model's stream however it ends.

        Raises ModelError, ConfigError, and RunError where the partial answer cannot be gone on with.
        """
        spec = self._spec(turn.agent)
        model = self._model(turn.model, spec)
        turn.outcome.model = model.name
        lanes = self.memory.lanes
        async with lanes.beside() if turn.beside else lanes.turn(turn.session):
            fork = await self._fork(turn, spec)
            if (answer_then := _answered(fork.past, turn)) is not None:
                yield TextDelta(answer_then.removeprefix(turn.partial))
                return
            messages = (*_told(fork.past, tools=bool(spec.tools)), fork.question)
            request = ModelRequest(
                messages, spec.instructions, turn.depth, spec.tools.definitions, again=turn.retry, output=turn.output
            )
            fork.meter = await _meter(model, request, turn, fork)
            tools = spec.tools.at(self.places.get(turn.run_id))
            answers: Callable[..., Answers] = self.elsewhere.get(turn.run_id, Answering)
            answering = answers(model, request, tools, fork, lambda: _depth(turn, fork), fork.meter, self.beside)
            ended = ""
            thinking = False
            note = ""
            fork.begin()
            try:
                async for step in answering.prepare():
                    yield step
                async with aclosing(answering.events()) as events:
                    async for event in events:
                        if isinstance(event, TextDelta):
                            if thinking:
                                thinking = False
                                fork.step()
                            fork.answer.append(event.text)
                            fork.tokens += event.tokens
                        elif isinstance(event, Usage):
                            continue
                        elif isinstance(event, ThinkingDelta):
                            thinking = True
                        yield event
                if not self.memory.store.in_memory:
                    await asyncio.sleep(0)  # the text leaves before the store is written
            except (asyncio.CancelledError, GeneratorExit) as stop:
                if isinstance(stop, asyncio.CancelledError) and not _is_cancelled():
                    ended = "failed"
                    raise ModelError(f"the model {model.name} was cancelled from inside") from stop
                ended = "stopped"
                raise
            except BudgetReached as stop:
                ended, note = "stopped", str(stop)
                raise
            except BaseException as error:  # sys.exit() in a model must not end the loop it runs on
                ended = "failed"
                if isinstance(error, OpenClawError):
                    raise
                words = redact(f"{type(error).__name__}: {error}")
                raise ModelError(f"the model {model.name} failed: {words}") from error
            finally:
                turn.outcome.note = note or answering.note
                await _count(turn.outcome, answering.usage, fork.meter)
                await _remember(fork, turn, ended)

    async def _fork(self, turn: Turn, spec: AgentSpec) -> Fork:
        """What the turn works on, with the part of its answer that is there already."""
        if turn.base is not None:
            try:
                await self.memory.do(self.memory.branch, turn.session, turn.base)
            except SnapshotError as error:
                raise RequestError(str(error)) from None
        cut = None
        if turn.partial or turn.retry or spec.tools:
            cut = await self.memory.do(self.memory.cut, turn.session, turn.run_id, turn.partial)
        session = self.memory.branched.get(turn.run_id, turn.session)
        base = await self.memory.do(self.memory.base, session, turn.run_id)
        task = Task(
            turn.run_id, turn.message, session, turn.agent, turn.level, turn.model, turn.budget, turn.beside,
            turn.images, turn.output,
        )  # fmt: skip
        fork = Fork(self.memory, task, base, spec.snapshot_interval if spec.snapshot else None, cut)
        fork.answer.append(turn.partial)
        fork.tokens = turn.partial_tokens
        return fork

    def messages(self, session: str) -> list[dict[str, Any]]:
        """What was said in a session, oldest first; of an answer also its ``run``, and whether it ``stopped``."""
        head = self.memory.head(session)
        messages: list[dict[str, Any]] = head.state.get("messages", []) if head else []
        return messages

    def history(self, session: str) -> tuple[Message, ...]:
        """What was said in a session, oldest first, as a model is told it."""
        return _told(self.messages(session))

    def _spec(self, id: str) -> AgentSpec:
        """The agent of this id. One that an earlier kernel knew as name-2 may be the only one of its name here."""
        spec = self._agents.get(id) or self._agents.get(re.sub(r"-\d+\Z", "", id))
        if spec is None:
            sentence = f"this gateway has no agent {id!r}; one with tools or its own model has to be made here first"
            raise ModelError(sentence, code="NO_AGENT")
        return spec

    def _model(self, name: str | None, spec: AgentSpec) -> Model:
        if name is None:
            return spec.model or self.default
        if self._resolve is None and name == self.default.name:
            return self.default
        if self._resolve is None:
            raise ModelError(f"this gateway serves {self.default.name}; it takes no other model", code="NO_MODEL")
        return self._resolve(name)


def _depth(turn: Turn, fork: Fork) -> int:
    """The level now, which is also what is kept of the run from now on."""
    fork.task.level = turn.depth
    return turn.depth


async def _remember(fork: Fork, turn: Turn, ended: str) -> None:
    """Add the pair to the session. Nothing is added where nothing came: a question alone would corrupt it."""
    fork.end()
    outcome = turn.outcome
    if ended and turn.isolated:
        outcome.snapshot = await fork.give_up(ended)
        return
    if not any(fork.answer) and not fork.ledger.entries:
        await fork.give_up(ended)
        return
    facts: dict[str, Any] = {"level": fork.task.level, "model": outcome.model}
    if outcome.usage is not None:
        facts["tokens"] = [outcome.usage.input_tokens, outcome.usage.output_tokens]
    if outcome.cost:
        facts["cost"] = outcome.cost
    if ended:
        facts[ended] = True
    outcome.snapshot = await fork.merge(facts, outcome.cost)
    outcome.session = fork.session


def _answered(past: list[dict[str, Any]], turn: Turn) -> str | None:
    """The answer that the session remembers under this run's id: a repeated request is no second call."""
    ends = [at for at, message in enumerate(past) if message.get("run") == turn.run_id and not message.keys() & NO_END]
    if not ends:
        return None
    start = end = ends[-1]
    while past[start - 1].get("run") == turn.run_id:
        start -= 1
    asked = past[start - 1]
    if (asked["content"], tuple(asked.get("images", ()))) != (redact(turn.message), turn.images):
        raise RequestError("this idempotency key was already used for another message")
    return "".join(message["content"] for message in past[start : end + 1] if message["role"] == "assistant")


def _told(messages: list[dict[str, Any]], *, tools: bool = False) -> tuple[Message, ...]:
    """What a model is told; of an answer that was cut, its parts as one, and without ``tools`` no messages of them."""
    told: list[Message] = []
    exchanges = False
    for m in messages:
        if m.get("part") and told[-1]["role"] == "assistant":
            told[-1] = {"role": "assistant", "content": told[-1]["content"] + m["content"]}
        elif "calls" in m or m["role"] == "tool":
            exchanges = True
            told.append(cast("Message", {key: m[key] for key in EXCHANGE if key in m}))
        else:
            told.append(cast("Message", {key: m[key] for key in SAID if key in m}))
    return tuple(told) if not exchanges or (tools and is_whole(told)) else without_tools(told)


async def _meter(model: Model, request: ModelRequest, turn: Turn, fork: Fork) -> Meter:
    """What counts a turn, which goes on counting where it was cut. ConfigError where its budget cannot be kept."""
    tariff = tariff_of(model)
    again = turn.partial or fork.spent_before
    if (turn.budget is not None or again) and not tariff.at_hand:
        await asyncio.to_thread(load)
    roughly = tariff.cost(weight(request), turn.partial_tokens) if turn.partial else 0.0  # of one that was killed
    return Meter(tariff, turn.budget, max(fork.spent_before, roughly or 0.0))


async def _count(outcome: Outcome, usage: Usage | None, meter: Meter) -> None:
    """Note what a turn used and, where its tokens have a price, what they cost."""
    outcome.usage = usage
    if usage is not None and not meter.tariff.free:
        if not meter.tariff.at_hand:
            await asyncio.to_thread(load)
        outcome.cost = meter.cost


def _is_cancelled() -> bool:
    """Whether somebody asked this task to stop; a model may raise CancelledError all by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
