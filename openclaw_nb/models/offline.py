"""OfflineModel: streams what can be answered here and now, without a language model and without a network."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Iterable, Iterator

from ..errors import ConfigError
from ..run import Usage
from .base import ModelEvent, ModelRequest, TextDelta, ThinkingDelta
from .question import Question, Workspace
from .skills import Answer, answer
from .tool_use import next_use

__all__ = ["OfflineModel", "Workspace"]

RATE = 80.0  # tokens per second: about what a fast hosted model gives
BREATH = 32  # tokens between two turns of the loop where there is no waiting

_TOKEN = re.compile(r"\w{1,16}[,.;:!?]?\s*|[^\w\s]{1,4}\s*|\s+")


class OfflineModel:
    """Answers from what is at hand: the data in the prompt, the conversation, the notebook.

    ``rate`` is in tokens per second, 0 for no pause. ``workspace`` is the notebook, or None outside of one. It is no
    language model and says so; the same question to the same notebook is answered the same way.
    """

    def __init__(self, rate: float = RATE, workspace: Workspace | None = None) -> None:
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < math.inf:
            raise ConfigError(f"the rate of the offline model is in tokens per second, 0 for no pause, not {rate!r}")
        self.rate = float(rate)
        self.name = "offline" if rate == RATE else f"offline:{rate:g}"
        self._workspace = workspace

    @classmethod
    def parse(cls, name: str, workspace: Workspace | None = None) -> OfflineModel:
        """The model that ``offline`` or ``offline:RATE`` names; ConfigError for anything else."""
        kind, colon, rate = name.strip().partition(":")
        if kind == "offline" and not colon:
            return cls(workspace=workspace)
        try:
            number = float(rate)
        except ValueError:
            number = math.nan
        if kind != "offline" or not 0 <= number < math.inf:
            raise ConfigError(f"{name[:60]!r} is no offline model; write offline, or offline:RATE in tokens per second")
        return cls(number, workspace)

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        """The answer in pieces of about a word, at the model's rate; at level 3 and 4 a plan comes first.

        Where the prompt says ``use NAME(…)`` of a tool that is there, the call is asked for.
        """
        asked = [message for message in request.messages if message["role"] != "tool"]
        while asked and asked[-1].get("calls"):
            asked.pop()
        question = Question.of(asked, self._workspace)
        use = next_use(question, request)
        reply = Answer(use.text, ("a tool",)) if use else answer(question)
        first = request.messages[-1:] == tuple(asked[-1:])
        plan = _plan(question, reply) if request.level >= 3 and first else ""
        events: list[ModelEvent] = [ThinkingDelta(piece) for piece in _tokens(plan)]
        events += [TextDelta(piece) for piece in _tokens(reply.text)]
        async for event in self._paced(events):
            yield event
        if use and use.call:
            yield use.call
        said = (request.instructions, *(message["content"] for message in request.messages))
        yield Usage(sum(_count(text) for text in said), len(events))

    async def _paced(self, events: Iterable[ModelEvent]) -> AsyncIterator[ModelEvent]:
        """One event at a time, each due at its own moment since the start, so that delays do not add up."""
        start = time.monotonic()
        for at, event in enumerate(events):
            delay = start + at / self.rate - time.monotonic() if self.rate else 0.0
            if delay > 0 or (at and at % BREATH == 0):
                await asyncio.sleep(max(delay, 0))
            yield event

    def __repr__(self) -> str:
        return f"<OfflineModel {self.name}>"


def _tokens(text: str) -> Iterator[str]:
    return (match[0] for match in _TOKEN.finditer(text))


def _count(text: str) -> int:
    return sum(1 for _ in _tokens(text))


def _plan(question: Question, reply: Answer) -> str:
    """What is about to be done, in a sentence or two; there is no reasoning behind it."""
    names = ", ".join(f"`{data.name}`" for data in question.data[:5])
    look = f"Look at {names}. " if names else ""
    if not reply.skills:
        return f"{look}None of the fixed skills fits; say so."
    return f"{look}Answer from {' and '.join(reply.skills)}; everything is computed here."
