"""The tool loop: a model is asked, the calls that it asks for are made, and it is asked again with what they gave.

Each call is written down before it begins, and what it gave before the model is told: see `Ledger`. The calls of one
round are made one after another, in the model's order.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from ..errors import ModelError, RunError
from ..ledger import UNFINISHED, without_tools
from ..models.base import ModelEvent, ModelRequest, StepDelta, TextDelta, ToolCall
from ..tools import Toolbox
from .progress import Progress

__all__ = ["MOST_CALLS", "MOST_ROUNDS", "with_tools"]

MOST_ROUNDS = 16
"""How often a model may ask for tools in one turn."""

MOST_CALLS = 32
"""Calls that a model may ask for at once; of those beyond, it is told that they were not made."""

TOO_MANY = f"This call was not made: a model can ask for {MOST_CALLS} at once."

Ask = Callable[[ModelRequest, str], AsyncGenerator[ModelEvent, None]]
"""Asks the model; the text is the part of its answer to this request that is there already."""


async def with_tools(
    ask: Ask, request: ModelRequest, tools: Toolbox, fork: Progress, *, draft: bool = False
) -> AsyncGenerator[ModelEvent, None]:
    """The events of one turn, its calls as steps, the usage of each round.

    Whoever takes them adds their text to the answer of ``fork``, which may have a part of it already; or, where it is
    only a ``draft`` of the answer, does not: the calls then stand before all of it. Raises ModelError where the model
    asks for tools more than MOST_ROUNDS times, and SnapshotError where a call cannot be written down: it is not made
    then.
    """
    ledger = fork.ledger
    if not draft and (gap := _gap(fork)):
        yield TextDelta(gap)
    while True:
        async with aclosing(_make(fork, tools)) as steps:
            async for step in steps:
                yield step
        said = "" if draft else "".join(fork.answer)
        messages = (*request.messages, *ledger.messages(said))
        told = replace(request, messages=messages if request.tools else without_tools(messages))
        calls: list[ToolCall] = []
        async with aclosing(ask(told, said[ledger.at :])) as events:
            async for event in events:
                if isinstance(event, ToolCall):
                    calls.append(event)
                else:
                    yield event
        if not calls:
            return
        if ledger.rounds == MOST_ROUNDS:
            raise ModelError(f"the model asked for tools more than {MOST_ROUNDS} times in one turn", code="TOOL_ROUNDS")
        at = 0 if draft else sum(map(len, fork.answer))
        for entry in ledger.ask(ledger.rounds, at, calls)[MOST_CALLS:]:
            ledger.end(entry, TOO_MANY, 0.0)


async def _make(fork: Progress, tools: Toolbox) -> AsyncGenerator[StepDelta, None]:
    """Make the calls that were asked for and not begun."""
    ledger = fork.ledger
    unmade = ledger.unmade
    for entry in unmade:
        yield StepDelta(entry.key, entry.title)
        ledger.begin(entry)
        try:
            await fork.keep_calls()  # and with it the result of the call before
        except BaseException:
            ledger.leave(entry)
            raise
        began = time.monotonic()
        try:
            given = (await tools.call(entry.name, entry.arguments)).text
        except BaseException:  # the run is stopped; what a thread gives after that is dropped
            ledger.end(entry, UNFINISHED, time.monotonic() - began)
            raise
        ledger.end(entry, given, time.monotonic() - began)
        yield StepDelta(entry.key, entry.title, given, seconds=entry.seconds)
    if unmade:
        await fork.keep_calls()


def _gap(fork: Progress) -> str:
    """What was said before tools were last asked for, and has not reached the client."""
    said, at = "".join(fork.answer), fork.ledger.at
    if len(said) >= at:
        return ""
    if not fork.known.startswith(said) or len(fork.known) < at:
        raise RunError("the run was cut, and what was kept of it differs from what was shown", code="RUN_LOST")
    return fork.known[len(said) : at]
