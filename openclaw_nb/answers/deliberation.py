"""Deliberation: an answer at level 3 or 4, made in steps: planned, drafted, checked, repaired; or several, joined.

Every step streams into the reasoning part; only what stands at the end is the answer. The level is read before each
step, so that a change while it is under way takes effect on the next one. What a step gave is noted by its key: a run
that is taken up again does not ask for it once more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import msgspec

from ..errors import BudgetReached, is_retryable, one_line
from ..events import Usage
from ..models.base import Kind, ModelEvent, ModelRequest, Stage, StepDelta, TextDelta, ThinkingDelta
from .stages import read_verdict, staged

__all__ = ["CANDIDATES", "ROUNDS", "Beside", "Deliberation", "Works", "at_once", "side_by_side"]

CANDIDATES = 3
"""Answers that level 4 makes side by side in a round."""

ROUNDS = 3
"""Rounds of level 4 at most where no budget says how long it may go on."""

ROUNDS_OF_BUDGET = 20
"""Rounds of level 4 at most where a budget does."""

REPAIRS = 2
"""How often an answer that has to fit a schema is repaired for it."""

Ask = Callable[[ModelRequest], AsyncGenerator[ModelEvent, None]]


Works = list[AsyncGenerator[ModelEvent, None]]

Beside = Callable[[str, Works], Works]
"""Given a run's id and what works side by side in it: the same, each beginning when it may."""


def at_once(_: str, works: Works) -> Works:
    """All may."""
    return works


@dataclass(slots=True)
class _Draft:
    """An answer that may become the one, and what a check said of it."""

    parts: list[str] = field(default_factory=list)
    objection: str = ""
    passed: bool = False
    whole: bool = False
    error: BaseException | None = None
    unchecked: str = ""

    @property
    def text(self) -> str:
        return "".join(self.parts)


class Deliberation:
    """The answer to ``request``, at the level that ``depth`` gives; ``ask`` asks the model, ``ask_tools`` with tools.

    ``thinks`` says that the model plans by itself. ``known`` are the texts of steps by key that an earlier attempt
    left, ``keep`` is told those of this one; ``found`` tells what tools gave so far. ``note`` says at the end what is
    to be known of the answer.
    """

    def __init__(
        self,
        request: ModelRequest,
        ask: Ask,
        depth: Callable[[], int],
        *,
        known: Mapping[str, str],
        keep: Callable[[str, str], None],
        ask_tools: Ask | None = None,
        found: Callable[[], str] = str,
        thinks: bool = False,
        budgeted: bool = False,
        beside: Callable[[Works], Works] = list,
    ) -> None:
        self.note = ""
        self._request = request
        self._question = request.messages[-1]
        self._ask = ask
        self._ask_tools = ask_tools
        self._found = found
        self._depth = depth
        self._known = known
        self._keep = keep
        self._thinks = thinks
        self._beside = beside
        self._rounds = ROUNDS_OF_BUDGET if budgeted else ROUNDS
        self._plan = ""
        self._drafts: list[_Draft] = []
        self._announced: dict[str, None] = {}  # steps of which nothing is known but their place
        self._open: list[AsyncGenerator[ModelEvent, None]] = []

    async def events(self) -> AsyncGenerator[ModelEvent, None]:
        """The steps, and at the end the answer. Where the budget ends before it, the best draft there is, then
        BudgetReached. Raises what the model raises while there is no draft at all."""
        try:
            async with aclosing(self._steps()) as events:
                async for event in events:
                    yield event
        except BudgetReached:
            if (answer := self._best()) is not None:
                yield TextDelta(answer.text, 0)
            raise
        finally:
            for events in self._open:
                await events.aclose()

    def _of(self, events: AsyncGenerator[ModelEvent, None]) -> AsyncGenerator[ModelEvent, None]:
        """The same, to be closed with this one: left alone it would be by a task of its own, some time later."""
        self._open.append(events)
        return events

    # -- the levels ------------------------------------------------------------------------------

    async def _steps(self) -> AsyncGenerator[ModelEvent, None]:
        if self._depth() > 2 and not self._thinks:
            plan = _Draft()
            async for event in self._of(self._step("plan", plan, self._stage("plan"))):
                yield event
            self._plan = plan.text.strip()
        if self._depth() <= 2 and self._request.output is None:
            async for event in self._of(self._answer_at_once()):
                yield event
            return
        if self._depth() <= 3:
            async for event in self._of(self._one()):
                yield event
        if self._depth() > 3:
            async for event in self._of(self._several()):
                yield event
        if (answer := self._best()) is not None:
            self.note = answer.unchecked or self.note
            yield TextDelta(answer.text, 0)  # its tokens were counted as those of a step

    async def _answer_at_once(self) -> AsyncGenerator[ModelEvent, None]:
        """The level was lowered before the answer began."""
        request = staged(self._request, self._stage("answer")) if self._plan else self._request
        ask = self._ask_tools or self._ask
        async with aclosing(ask(replace(request, level=self._depth()))) as events:
            async for event in events:
                yield event

    async def _one(self) -> AsyncGenerator[ModelEvent, None]:
        """A draft, a check, and one repair; an answer that has to fit a schema has a second one."""
        draft = self._new()
        async for event in self._of(self._step("draft", draft, self._stage("answer"), tools=True)):
            yield event
        for attempt in range(REPAIRS):
            number = "" if attempt == 0 else f" {attempt + 1}"
            async for event in self._of(self._check(f"check{number}", draft, by_model=attempt == 0)):
                yield event
            if draft.passed or self._depth() > 3 or (self._depth() < 3 and self._request.output is None):
                return
            before, draft = draft, self._new()
            stage = self._stage("repair", [before])
            async for event in self._of(self._tried(f"repair{number}", draft, stage, tools=True)):
                yield event
            if draft.error is not None:
                before.passed, before.unchecked = True, f"not repaired: {_words(draft.error)}"
                return
            if self._request.output is None:
                draft.passed = True  # it is repaired once, and stands
                return

    async def _several(self) -> AsyncGenerator[ModelEvent, None]:
        """Candidates side by side, each checked, then joined; again while no join passes."""
        tried = self._drafts[-1:]
        count = len(tried)
        for round in range(1, self._rounds + 1):
            new = [self._new() for _ in range(CANDIDATES - len(tried) * (round == 1))]
            works = [self._candidate(count + n, draft, tried * (round > 1)) for n, draft in enumerate(new, 1)]
            for n in range(count + 1, count + 1 + len(new)):  # in this order, whoever is done first
                for key in (f"candidate {n}", f"check {n}"):
                    self._announced[key] = None
                    yield StepDelta(key, key)
            count += len(new)
            if self._ask_tools is not None and round == 1 and not tried:
                async for event in self._of(works.pop(0)):  # it alone uses tools; what they gave the others are told
                    yield event
            if self._depth() > 3 or not any(draft.whole for draft in self._drafts):
                async for event in self._of(side_by_side(self._beside(works))):
                    yield event
            for key in self._announced:
                yield StepDelta(key, key, "left out", 0, 0.0)
            self._announced.clear()
            candidates = [draft for draft in (*tried, *new) if draft.whole]
            if not candidates:
                raise next(draft.error for draft in new if draft.error is not None)
            if self._depth() < 4:
                return
            joined, number = self._new(), "" if round == 1 else f" {round}"
            async for event in self._of(self._tried(f"join{number}", joined, self._stage("join", candidates))):
                yield event
            if joined.error is not None:
                self.note = f"not joined: {_words(joined.error)}"
                return
            async for event in self._of(self._check(f"check of the join{number}", joined)):
                yield event
            if joined.passed or self._depth() < 4:
                return
            tried = [joined]
        passed = any(draft.passed for draft in self._drafts)
        self.note = f"no {'join' if passed else 'answer'} passed its check in {self._rounds} rounds"

    async def _candidate(self, number: int, draft: _Draft, tried: Sequence[_Draft]) -> AsyncGenerator[ModelEvent, None]:
        """One of several: a draft and its check. Its failure is its own, as long as there are others."""
        key, began = f"candidate {number}", time.monotonic()
        try:
            stage = self._stage("answer", tried, number)
            async for event in self._of(self._step(key, draft, stage, tools=number == 1)):
                yield event
            async for event in self._of(self._check(f"check {number}", draft)):
                yield event
        except (BudgetReached, asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # sys.exit() in a model must not end the loop: this may be a task of its own
            draft.error = error
            yield _failed(key, draft, began)

    # -- one step --------------------------------------------------------------------------------

    async def _tried(
        self, key: str, draft: _Draft, stage: Stage, *, tools: bool = False
    ) -> AsyncGenerator[ModelEvent, None]:
        """A step without which there is an answer too: ``draft.error`` is why it failed.

        What may pass is raised the first time: the run is then taken up again, and asks for this step alone.
        """
        began = time.monotonic()
        try:
            async for event in self._of(self._step(key, draft, stage, tools=tools)):
                yield event
        except BudgetReached:
            raise
        except Exception as error:
            if is_retryable(error) and not self._request.again:
                raise
            draft.error = error
            yield _failed(key, draft, began)

    async def _step(
        self, key: str, draft: _Draft, stage: Stage, *, tools: bool = False
    ) -> AsyncGenerator[ModelEvent, None]:
        """Ask the model, and have what it says stream into the step ``key`` and into ``draft``."""
        self._announced.pop(key, None)
        if key in self._known:
            draft.parts, draft.whole = [self._known[key]], True
            yield StepDelta(key, key, self._known[key], 0, 0.0)
            return
        ask = self._ask
        if tools and self._ask_tools is not None:
            ask, stage = self._ask_tools, msgspec.structs.replace(stage, found="")  # the exchange itself is told
        began, thoughts = time.monotonic(), f"{key}, thinking"
        thinking = False
        yield StepDelta(key, key)
        async with aclosing(ask(replace(staged(self._request, stage), level=self._depth()))) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    if thinking:
                        thinking = False
                        yield StepDelta(thoughts, thoughts, seconds=time.monotonic() - began)
                    draft.parts.append(event.text)
                    yield StepDelta(key, key, event.text, event.tokens)
                elif isinstance(event, ThinkingDelta):
                    thinking = True
                    yield StepDelta(thoughts, thoughts, event.text, event.tokens)
                elif isinstance(event, Usage | StepDelta):
                    yield event
        if thinking:
            yield StepDelta(thoughts, thoughts, seconds=time.monotonic() - began)
        draft.whole = True
        self._keep(key, draft.text)
        yield StepDelta(key, key, seconds=time.monotonic() - began)

    async def _check(self, key: str, draft: _Draft, *, by_model: bool = True) -> AsyncGenerator[ModelEvent, None]:
        """See whether it fits what it has to be, and from level 3 on what the model finds wrong with it."""
        if self._request.output is not None:
            from ..outputs.schemas import fits  # the validator is imported by who has a schema

            wrong = await asyncio.to_thread(fits, draft.text, self._request.output.schema)
            if wrong:
                draft.objection = wrong
                self._announced.pop(key, None)
                yield StepDelta(key, key, wrong, 0, 0.0)
                return
        if not by_model or self._depth() <= 2:
            draft.passed = True
            return
        said = _Draft()
        async for event in self._of(self._tried(key, said, self._stage("check", [draft]))):
            yield event
        if said.error is not None:
            draft.passed, draft.unchecked = True, f"not checked: {_words(said.error)}"
            return
        draft.objection, draft.passed = said.text, read_verdict(said.text)

    def _stage(self, kind: Kind, drafts: Sequence[_Draft] = (), number: int = 1) -> Stage:
        texts, objections = tuple(draft.text for draft in drafts), tuple(draft.objection for draft in drafts)
        return Stage(kind, self._question, self._plan, self._found(), texts, objections, number)

    def _new(self) -> _Draft:
        draft = _Draft()
        self._drafts.append(draft)
        return draft

    def _best(self) -> _Draft | None:
        """The newest that passed, or else the newest that is whole, or the longest beginning of one."""
        whole = [draft for draft in self._drafts if draft.whole]
        if found := [draft for draft in whole if draft.passed] or whole:
            return found[-1]
        return max(self._drafts, key=lambda draft: len(draft.text), default=None)


def _words(error: BaseException) -> str:
    return one_line(error) or type(error).__name__


def _failed(key: str, draft: _Draft, began: float) -> StepDelta:
    """A step that failed, with what it had to say until then."""
    words = _words(draft.error) if draft.error is not None else ""
    return StepDelta(key, key, f"\n{words}" if draft.parts else words, 0, time.monotonic() - began)


async def side_by_side(works: Works) -> AsyncGenerator[ModelEvent, None]:
    """The events of all of them as they come; one that raises ends the others."""
    events: asyncio.Queue[ModelEvent | asyncio.Task[None]] = asyncio.Queue()

    async def drain(work: AsyncGenerator[ModelEvent, None]) -> None:
        async with aclosing(work) as source:
            async for event in source:
                events.put_nowait(event)

    tasks = [asyncio.create_task(drain(work)) for work in works]
    for task in tasks:
        task.add_done_callback(events.put_nowait)
    try:
        for _ in tasks:
            while not isinstance(event := await events.get(), asyncio.Task):
                yield event
            event.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
