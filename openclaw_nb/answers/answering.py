"""Answering, how one turn gets its answer from a model: at once, with tools, or by deliberation; and what it used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from ..errors import BudgetReached
from ..events import Usage
from ..ledger import without_tools
from ..models.base import (
    Continuing,
    Model,
    ModelEvent,
    ModelRequest,
    StepDelta,
    TextDelta,
    ThinkingDelta,
    ToolDefinition,
    is_loading,
    is_thinking,
)
from ..reasoning.budgets import Meter
from ..reasoning.costs import PER_MESSAGE, count_tokens
from ..tools import Toolbox
from .continuation import go_on, how_it_goes_on, rest_of
from .deliberation import CANDIDATES, Beside, Deliberation, at_once
from .progress import Progress
from .stages import aloud
from .toolloop import with_tools

__all__ = ["LONGEST_TURN_OF_LOOP", "Answering", "weight"]

LONGEST_TURN_OF_LOOP = 0.005
"""Seconds after which a model that never waits is made to let the loop's other work go on."""

PER_IMAGE = 1_600
"""Tokens that a picture has at most, unless a provider cuts it into tiles."""

CAPPED = 4_096
"""Tokens from which on the model is not told how many it may make: some refuse more than they ever could."""


class Answering:
    """One turn's answer to ``request``, of which ``fork`` may have a part already; ``depth`` gives the level.

    ``meter`` counts what its requests use, and ends them where that is more than they may; ``beside`` says when those
    that work side by side may begin.
    """

    def __init__(
        self,
        model: Model,
        request: ModelRequest,
        tools: Toolbox,
        fork: Progress,
        depth: Callable[[], int],
        meter: Meter,
        beside: Beside = at_once,
    ) -> None:
        self._meter = meter
        self._beside = beside
        self._note = ""
        self._model = model
        self._request = request
        self._tools = tools
        self._fork = fork
        self._depth = depth
        self._known = "".join(fork.answer)
        self._given = fork.tokens
        self._thinks = True
        self._deliberation: Deliberation | None = None

    async def prepare(self) -> AsyncGenerator[StepDelta, None]:
        """The calls that were made before it was cut; and have the model loaded, which may take seconds at first."""
        for entry in self._fork.ledger.entries:
            if entry.state == "done":
                yield StepDelta(entry.key, entry.title, entry.result, seconds=entry.seconds or 0.0)
        model = self._model
        if is_loading(model) and (what := model.waits_for()):
            began = time.monotonic()
            yield StepDelta("load", "loading", what)
            await model.load()
            yield StepDelta("load", "loading", seconds=time.monotonic() - began)
        if is_thinking(model):
            self._thinks = await model.thinks()

    def events(self) -> AsyncGenerator[ModelEvent, None]:
        """What comes after the part that is known. Raises ModelError, and RunError where that cannot be had."""
        model, known, fork = self._model, self._known, self._fork
        if self._depth() > 2 or self._request.output is not None:
            if not known:
                return self._deliberate()
            if step := next((key for key, text in fork.stages.items() if text == known), ""):
                self._note = f"it stands as its step {step} gave it"
                return self._given_already()
            if fork.stages or not isinstance(model, Continuing):
                self._note = "" if fork.stages else how_it_goes_on(model, len(known))
                return rest_of(self._deliberate(), known, model)
        request = self._request
        if not known and self._depth() == 2 and is_thinking(model) and not self._thinks:
            request = aloud(request)  # who has begun to answer has thought
        if self._tools or fork.ledger.entries:
            return with_tools(self._ask, request, self._tools, fork)
        return self._ask(request, known)

    @property
    def usage(self) -> Usage | None:
        """What all its requests used, as their provider counted it, or roughly; None where none was sent."""
        meter = self._meter
        if not meter.requests:
            return None
        gone_on = self._note and isinstance(self._model, Continuing)  # it counts the rest
        made = meter.output_tokens + (self._given if gone_on else 0)
        return Usage(meter.input_tokens, made, meter.estimated)

    @property
    def note(self) -> str:
        """What is to be known of how the answer came to be, in words."""
        return (self._deliberation.note if self._deliberation else "") or self._note

    async def _given_already(self) -> AsyncGenerator[ModelEvent, None]:
        """The steps of an answer that is here, as when its budget ended: what they might still lead to is another."""
        for key, text in self._fork.stages.items():
            yield StepDelta(key, key, text, 0, 0.0)

    def _deliberate(self) -> AsyncGenerator[ModelEvent, None]:
        fork, tools = self._fork, self._tools
        whole = self._request
        plain = replace(whole, messages=without_tools(whole.messages), tools=())

        def ask_tools(request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
            messages = (*whole.messages[:-1], request.messages[-1])
            offered = replace(request, messages=messages, tools=whole.tools)
            return with_tools(self._ask, offered, tools, fork, draft=True)

        self._deliberation = Deliberation(
            plain, lambda request: self._ask(request, ""), self._depth, known=fork.stages, keep=fork.stage,
            ask_tools=ask_tools if tools or fork.ledger.entries else None, found=lambda: fork.ledger.found,
            thinks=is_thinking(self._model) and self._thinks, budgeted=fork.task.budget is not None,
            beside=partial(self._beside, fork.task.id),
        )  # fmt: skip
        return self._deliberation.events()

    def _ask(self, request: ModelRequest, known: str) -> AsyncGenerator[ModelEvent, None]:
        """The answer to a request, of which the text ``known`` is there already."""
        if not known:
            return self._stream(request)
        self._note = how_it_goes_on(self._model, len(known))
        return go_on(self._model, self._stream, request, known)

    def _stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """What the model says to this very request, counted."""
        stage, among = request.stage, 1
        if stage is None:
            if request.level != (level := self._depth()):  # it may have changed since tools were asked for
                request = replace(request, level=level)
        elif stage.kind == "answer" and request.level > 3:
            among = CANDIDATES  # they are at work side by side
        return _even(self._model, request, self._meter, among)


async def _even(model: Model, request: ModelRequest, meter: Meter, among: int) -> AsyncGenerator[ModelEvent, None]:
    """What a model says, with surrogate pairs that were cut between two deltas made whole, counted, and the loop let
    turn. BudgetReached after the first delta by which the run is over its limit, or before, where it cannot be asked.

    Half a pair on the wire would count as one character here and as none once joined, and offsets would differ.
    A model may yield many events without ever waiting. One generator does all: each costs every token its own time.
    ``among`` is how many requests are to share what is left.
    """
    limited = meter.limited
    if limited:
        asked, among = weight(request), max(among, meter.at_work + 1)
        most = meter.room(asked, among)
        if most == 0 or meter.exceeded:
            raise BudgetReached(meter.words)
        count = meter.asked(asked)
        if most is not None and most <= CAPPED:
            # Of those thoughts, too, that it keeps to itself; one more tells an answer that fits from one that would
            # not.
            request = replace(request, max_tokens=most + (among == 1))
    else:
        count = meter.asked(partial(weight, request))  # which takes longer, the longer the conversation
    held: dict[type[TextDelta | ThinkingDelta], str] = {}
    clock = time.monotonic
    due = clock() + LONGEST_TURN_OF_LOOP
    over = False
    try:
        async with aclosing(model.stream(request)) as source:  # type: ignore[type-var]
            async for event in source:
                if isinstance(event, TextDelta | ThinkingDelta):
                    if limited:
                        over = count.made(event.tokens, event.text)
                    else:
                        count.output += event.tokens
                    yield event if not held and event.text.isascii() else _whole(event, held)
                else:
                    if isinstance(event, Usage):
                        count.counted(event)
                    yield event
                if over:
                    raise BudgetReached(meter.words)
                if clock() > due:
                    await asyncio.sleep(0)
                    due = clock() + LONGEST_TURN_OF_LOOP
    finally:
        count.ended()
    for kind, half in held.items():
        yield kind(half, 0)
    if request.max_tokens is not None and count.output >= request.max_tokens:
        raise BudgetReached(meter.words)


def weight(request: ModelRequest) -> int:
    """About how many tokens a request has."""
    tokens = count_tokens(request.instructions) + sum(map(_tool_weight, request.tools))
    for message in request.messages:
        tokens += PER_MESSAGE + count_tokens(message["content"]) + PER_IMAGE * len(message.get("images", ()))
    return tokens


def _tool_weight(tool: ToolDefinition) -> int:
    return count_tokens(f"{tool.name} {tool.description} {tool.schema}")


def _whole(event: TextDelta | ThinkingDelta, held: dict[type[TextDelta | ThinkingDelta], str]) -> ModelEvent:
    """The event with the half of a pair that was ``held`` of its kind before it, and without the half at its end."""
    kind = type(event)
    text = held.pop(kind, "") + event.text
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        if "\ud800" <= text[-1:] <= "\udbff":
            text, held[kind] = text[:-1], text[-1]
    return kind(text, event.tokens)
