"""A Model that answers each stage of a deliberation from a script, for tests, and what is asked of its runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from openclaw_nb.engine import Engine, Turn
from openclaw_nb.events import Usage
from openclaw_nb.models.base import ModelEvent, ModelRequest, StepDelta, TextDelta, ThinkingDelta
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore

__all__ = ["FAIL", "PASS", "STEPS", "Native", "Said", "Staged", "events_of", "kinds", "shown", "unended"]

STEPS = """
import asyncio, os
from openclaw_nb.models.base import TextDelta

class Steps:
    "Takes a second for its answer, or until there is the file of `gate`, and keeps at which level it was asked."
    name = "steps"
    levels = []
    gate = ""

    async def stream(self, request):
        self.levels.append(request.level)
        for n in range(20):
            yield TextDelta(f"{n} ")
            await asyncio.sleep(0.05)
        while self.gate and not os.path.exists(self.gate):
            await asyncio.sleep(0.05)

steps = Steps()
"""
"""The same for a notebook: what a cell has to run so that there is a model `steps`."""

PASS = "All is well.\nVERDICT: pass"
FAIL = "The sum is wrong.\nVERDICT: fail"

Said = Any
"""A text, or a list of texts, events and errors, or one of them; or a function that gives it."""

DEFAULTS: dict[str, Said] = {
    "": "plain answer",
    "plan": "1. add\n2. look",
    "answer": lambda request, number: f"draft {number}",
    "check": PASS,
    "repair": "repaired",
    "join": "joined",
}


class Staged:
    """Says, for a request of each kind ("" without a stage), its reply: a text word by word, or a list of events.

    A function is given the request and the candidate's number. Each piece counts as a token, each request 10.
    """

    name = "staged"

    def __init__(self, pause: float = 0.0, **replies: Said) -> None:
        self.replies = DEFAULTS | replies
        self.pause = pause
        self.asked: list[ModelRequest] = []
        self.open = 0
        self.most_open = 0

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.asked.append(request)
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        made = 0
        try:
            for piece in self._pieces(request):
                if isinstance(piece, BaseException):
                    raise piece
                event = TextDelta(piece) if isinstance(piece, str) else piece
                made += getattr(event, "tokens", 0)
                yield event
                await asyncio.sleep(self.pause)
            yield Usage(10, made)
        finally:
            self.open -= 1

    def _pieces(self, request: ModelRequest) -> list[Any]:
        stage = request.stage
        reply = self.replies[stage.kind if stage else ""]
        said = reply(request, stage.number if stage else 1) if callable(reply) else reply
        if isinstance(said, str):
            return [word + " " for word in said.split(" ")[:-1]] + [said.split(" ")[-1]]
        return said if isinstance(said, list) else [said]


class Native(Staged):
    """One that may think by itself."""

    name = "native"

    def __init__(self, *, thinks: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.by_itself = thinks

    async def thinks(self) -> bool:
        return self.by_itself


async def events_of(
    model: Any, level: int, change: dict[str, int] | None = None, **facts: Any
) -> tuple[list[ModelEvent], Turn]:
    """All of one turn; ``change`` says in the middle of which step the level becomes another."""
    change = dict(change or {})
    turn = Turn("k", "q", level=level, **facts)
    events: list[ModelEvent] = []
    async with aclosing(Engine(Memory(SnapshotStore()), model).turn(turn)) as source:
        async for event in source:
            events.append(event)
            if isinstance(event, StepDelta) and event.text and event.key in change:
                turn.changed = change.pop(event.key)
    return events, turn


def kinds(model: Staged) -> list[str]:
    """What it was asked for, in order."""
    return [request.stage.kind if request.stage else "" for request in model.asked]


def shown(events: list[ModelEvent]) -> dict[str, str]:
    """The text of each step and of each kind of delta, in the order in which they began."""
    texts: dict[str, str] = {}
    for event in events:
        key = {TextDelta: "answer", ThinkingDelta: "thinking"}.get(type(event), getattr(event, "key", ""))
        texts[key] = texts.get(key, "") + event.text  # type: ignore[union-attr]
    return texts


def unended(events: list[ModelEvent]) -> set[str]:
    """The steps that began and have no time."""
    steps = [event for event in events if isinstance(event, StepDelta)]
    return {step.key for step in steps} - {step.key for step in steps if step.seconds is not None}
