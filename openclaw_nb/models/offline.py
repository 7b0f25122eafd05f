"""OfflineModel: streams what can be answered here and now, without a language model and without a network."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Iterable, Iterator

from ..errors import ConfigError
from ..events import Usage
from .base import ModelEvent, ModelRequest, Stage, TextDelta, ThinkingDelta
from .question import Question, Workspace
from .skills import Answer, Part, answer
from .structured import reviewed, structured
from .testing import next_run
from .tool_use import Use, next_use
from .verification import Work

__all__ = ["OfflineModel", "Workspace"]

RATE = 80.0  # tokens per second: about what a fast hosted model gives
WAYS = 3  # in which a question is answered
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
        """The answer in pieces of about a word, at the model's rate; from level 2 on, what is about to be done first.

        Where the request is a step of a deliberation, that step: a plan, a draft by one way or another, a check that
        computes the draft again, a repair, the best of several. Where the prompt says ``use NAME(…)`` of a tool that is
        there, the call is asked for; so it is where an agent that tests has code, and a tool that runs tests.
        """
        asked = [message for message in request.messages if message["role"] != "tool"]
        while asked and asked[-1].get("calls"):
            asked.pop()
        first = request.messages[-1:] == tuple(asked[-1:])
        if request.stage is not None:
            asked[-1:] = [request.stage.question]
        question = Question.of(asked, self._workspace, request.instructions)
        use = next_use(question, request) or next_run(question, request)
        if request.output is not None and use is None:
            thought, text = "", structured(question, answer(question), request.output)
        elif request.stage is not None:
            thought, text = "", _step(request.stage, question, use)
        else:
            reply = Answer(use.text, (Part("", "a tool", use.text),)) if use else answer(question)
            thought, text = _plan(question, reply) if request.level >= 2 and first else "", reply.text
        events: list[ModelEvent] = [ThinkingDelta(piece) for piece in _tokens(thought)]
        events += [TextDelta(piece) for piece in _tokens(text)]
        events = events[: request.max_tokens]
        async for event in self._paced(events):
            yield event
        if use and use.call and _acts(request.stage):
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


def _acts(stage: Stage | None) -> bool:
    """Whether tools are asked for in this step: once, by the first draft or its repair."""
    return stage is None or (stage.kind in ("answer", "repair") and stage.number == 1)


def _step(stage: Stage, question: Question, use: Use | None) -> str:
    """What one step of a deliberation says."""
    if use and _acts(stage):
        return use.text
    reply = Answer(stage.found) if stage.found else answer(question)
    work = Work(question, reply, stage.plan, stage.found, tools=use is not None)
    match stage.kind:
        case "plan":
            return work.planned()
        case "answer":
            return work.candidate((stage.number - 1) % WAYS + 1)
        case "check":
            draft = "\n\n".join(stage.drafts)
            return reviewed(draft, question, reply) or str(work.check(draft))
        case "repair":
            return work.repaired(stage.drafts)
        case "join":
            return work.joined(stage.drafts)


def _plan(question: Question, reply: Answer) -> str:
    """What is about to be done, in a sentence or two; there is no reasoning behind it."""
    names = ", ".join(f"`{data.name}`" for data in question.data[:5])
    look = f"Look at {names}. " if names else ""
    if not reply.skills:
        return f"{look}None of the fixed skills fits; say so."
    return f"{look}Answer from {' and '.join(reply.skills)}; everything is computed here."
