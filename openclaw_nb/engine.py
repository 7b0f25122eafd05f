"""Engine: one turn of an agent, from a message and the session's memory to a stream of events.

A turn works on the session as it was when it began; question and answer are added to the session together when
it ends, so runs side by side on one session never see half of each other, and a stopped one leaves a clean pair.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from .continuation import go_on
from .errors import ModelError, OpenClawError, RequestError
from .models.base import Message, Model, ModelEvent, ModelRequest, TextDelta, ThinkingDelta
from .reasoning.costs import is_priced, price
from .run import Usage
from .snapshots import SnapshotStore

__all__ = ["AgentSpec", "Engine", "Outcome", "Turn"]

LONGEST_TURN_OF_LOOP = 0.005
"""Seconds after which a model that never waits is made to let the loop's other work go on."""


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """What makes one agent: its model (None: the gateway's own) and what it is told before every message."""

    name: str = "main"
    model: Model | None = None
    instructions: str = ""


@dataclass(slots=True)
class Outcome:
    """What is known of a turn besides its text; filled in while it goes on, complete when it has ended."""

    usage: Usage | None = None
    cost: float | None = None
    model: str = ""
    snapshot: str | None = None


@dataclass(slots=True)
class Turn:
    """One message to one agent in one session; ``level`` 1-4, ``model`` a name or None for the agent's own.

    ``partial`` is what the client has of the answer already, and ``partial_tokens`` how many tokens that was.
    """

    run_id: str
    message: str
    agent: str = "main"
    session: str = "main"
    level: int = 2
    model: str | None = None
    partial: str = field(default="", compare=False)
    partial_tokens: int = field(default=0, compare=False)
    outcome: Outcome = field(default_factory=Outcome, compare=False)


class Engine:
    """Runs turns. ``resolve`` makes a Model of the name a client asked for, or raises ConfigError."""

    def __init__(self, store: SnapshotStore, default: Model, resolve: Callable[[str], Model] | None = None) -> None:
        self.store = store
        self.default = default
        self._resolve = resolve
        self._agents: dict[str, AgentSpec] = {"main": AgentSpec()}

    def register(self, spec: AgentSpec) -> str:
        """Serve this agent; returns the id that turns name it by, its name where that is still free."""
        id, count = spec.name, 1
        while self._agents.get(id, spec) != spec:
            count += 1
            id = f"{spec.name}-{count}"
        self._agents[id] = spec
        return id

    async def turn(self, turn: Turn) -> AsyncGenerator[ModelEvent, None]:
        """The events of one turn that come after its ``partial``, closing the model's stream however it ends.

        Raises ModelError, ConfigError, and RunError where the partial answer cannot be gone on with.
        """
        spec = self._agents.get(turn.agent)
        if spec is None:
            raise ModelError(f"this gateway has no agent {turn.agent!r}", code="NO_AGENT")
        model = self._model(turn.model, spec)
        turn.outcome.model = model.name
        past = self.messages(turn.session)
        if (answer_then := _answered(past, turn)) is not None:
            yield TextDelta(answer_then.removeprefix(turn.partial))
            return
        question: Message = {"role": "user", "content": turn.message}
        request = ModelRequest((*_told(past), question), spec.instructions, turn.level)
        answer = [turn.partial]
        note: dict[str, Any] = {}
        try:
            async with aclosing(_ask(model, request, turn.partial)) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        answer.append(event.text)
                    elif isinstance(event, Usage):
                        await _count(turn.outcome, event)
                        continue
                    yield event
            await asyncio.sleep(0)  # the text leaves before the store is written
        except (asyncio.CancelledError, GeneratorExit) as stop:
            if isinstance(stop, asyncio.CancelledError) and not _is_cancelled():
                note = {"failed": True}
                raise ModelError(f"the model {model.name} was cancelled from inside") from stop
            note = {"stopped": True}
            raise
        except BaseException as error:  # sys.exit() in a model must not end the loop it runs on
            note = {"failed": True}
            if isinstance(error, OpenClawError):
                raise
            raise ModelError(f"the model {model.name} failed: {type(error).__name__}: {error}") from error
        finally:
            self._remember(turn, question, "".join(answer), note)

    def messages(self, session: str) -> list[dict[str, Any]]:
        """What was said in a session, oldest first; of an answer also its ``run``, and whether it ``stopped``."""
        head = self.store.head(session)
        messages: list[dict[str, Any]] = head.state.get("messages", []) if head else []
        return messages

    def history(self, session: str) -> tuple[Message, ...]:
        """What was said in a session, oldest first, as a model is told it."""
        return _told(self.messages(session))

    def _model(self, name: str | None, spec: AgentSpec) -> Model:
        if name is None:
            return spec.model or self.default
        if self._resolve is None:
            raise ModelError(f"this gateway serves {self.default.name}; it takes no other model", code="NO_MODEL")
        return self._resolve(name)

    def _remember(self, turn: Turn, question: Message, answer: str, note: Mapping[str, Any]) -> None:
        """Add the pair to the session. Nothing is added where nothing came: a question alone would corrupt it."""
        if answer:
            pair = [dict(question), {"role": "assistant", "content": answer, "run": turn.run_id, **note}]
            turn.outcome.snapshot = self.store.append(turn.session, pair).id


def _answered(past: list[dict[str, Any]], turn: Turn) -> str | None:
    """The answer that the session remembers under this run's id: a repeated request is no second call."""
    for asked, answer in zip(past[-2::-2], past[::-2], strict=False):
        if answer.get("run") == turn.run_id and not (answer.keys() & {"stopped", "failed"}):
            if asked["content"] != turn.message:
                raise RequestError("this idempotency key was already used for another message")
            return str(answer["content"])
    return None


def _told(messages: list[dict[str, Any]]) -> tuple[Message, ...]:
    return tuple([{"role": m["role"], "content": m["content"]} for m in messages])


def _ask(model: Model, request: ModelRequest, partial: str) -> AsyncGenerator[ModelEvent, None]:
    def stream(request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        return _even(model.stream(request))

    return go_on(model, stream, request, partial) if partial else stream(request)


async def _count(outcome: Outcome, usage: Usage) -> None:
    """Note what a turn used and, where its tokens have a price, what they cost."""
    outcome.usage = usage
    if is_priced(outcome.model):  # the first look at a price imports the table of all of them
        outcome.cost = await asyncio.to_thread(price, outcome.model, usage.input_tokens, usage.output_tokens)


async def _even(events: AsyncIterator[ModelEvent]) -> AsyncGenerator[ModelEvent, None]:
    """The same events, with surrogate pairs that were cut between two deltas made whole, and the loop let turn.

    Half a pair on the wire would count as one character here and as none once joined, and offsets would differ.
    A model may yield many events without ever waiting. One generator does both: each costs every token its own time.
    """
    held: dict[type[TextDelta | ThinkingDelta], str] = {}
    clock = time.monotonic
    due = clock() + LONGEST_TURN_OF_LOOP
    async with aclosing(events) as source:  # type: ignore[type-var]
        async for event in source:
            if isinstance(event, Usage) or (not held and event.text.isascii()):
                yield event
            else:
                yield _whole(event, held)
            if clock() > due:
                await asyncio.sleep(0)
                due = clock() + LONGEST_TURN_OF_LOOP
    for kind, half in held.items():
        yield kind(half, 0)


def _whole(event: TextDelta | ThinkingDelta, held: dict[type[TextDelta | ThinkingDelta], str]) -> ModelEvent:
    """The event with the half of a pair that was ``held`` of its kind before it, and without the half at its end."""
    kind = type(event)
    text = held.pop(kind, "") + event.text
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        if "\ud800" <= text[-1:] <= "\udbff":
            text, held[kind] = text[:-1], text[-1]
    return kind(text, event.tokens)


def _is_cancelled() -> bool:
    """Whether somebody asked this task to stop; a model may raise CancelledError all by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
