"""Elsewhere, how a turn gets its answer from a worker: what is posted there happens here, as if it was made here.

The session, its snapshots, the ledger of tool calls and what is spent stay here. A worker that dies costs nothing of
what came: another one goes on with it, and a tool call that was under way is not made again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from msgspec import convert, to_builtins

from .. import errors
from ..answers.deliberation import Beside
from ..errors import ModelError, OpenClawError, RunError, one_line
from ..events import Usage
from ..ledger import UNFINISHED, Entry
from ..models.base import Model, ModelEvent, ModelRequest, StepDelta
from ..reasoning.budgets import Count, Meter
from ..reasoning.costs import tariff_of
from ..redaction import redact
from ..sessions.forks import Fork
from ..tools import Toolbox
from . import posts
from .executor import Executor, Posted, differs
from .orders import Order, pack, travels

__all__ = ["MOST_DEATHS", "AnsweringElsewhere", "Told", "elsewhere"]

MOST_DEATHS = 3
"""Workers that may die while they answer one turn, before it is given up."""

GONE = "EXECUTOR_LOST"
"""The code of a run whose scheduler is gone."""

MOST_SENT = 10
"""How often one turn is given to the scheduler at most."""

LOOK = 0.2
"""Seconds between two looks at the level, which may be changed while it is answered."""


class Told(Protocol):
    """Who is told how far a turn is."""

    def begun(self, where: str, limit: float) -> float:
        """It is at work at a worker, and may be so for ``limit`` seconds; how many are left of them."""

    def late(self) -> None:
        """These are over."""

    def say(self, words: str) -> None:
        """What it does or waits for; "" where its text says so."""


def elsewhere(executor: Executor, told: Told, limit: float, *, process: bool) -> Callable[..., AnsweringElsewhere]:
    """What stands for `Answering` where an executor does the work, for ``limit`` seconds from when it begins there, its
    tools in a process of their own or not."""
    return partial(AnsweringElsewhere, executor, told, limit, process)


class AnsweringElsewhere:
    """One turn's answer, as of `Answering`."""

    def __init__(
        self, executor: Executor, told: Told, limit: float, process: bool, model: Model, request: ModelRequest,
        tools: Toolbox, fork: Fork, depth: Callable[[], int], meter: Meter, beside: Beside,
    ) -> None:  # fmt: skip
        self._noted = ""
        self._executor = executor
        self._told = told
        self._limit = limit
        self._order = Order(
            fork.task.id, travels(model), request, tuple(tools), tariff_of(model), fork.task.budget, process
        )
        self._fork = fork
        self._depth = depth
        self._meter = meter
        self._given = 0
        self._had = fork.tokens
        self._inbox: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self._posted: Posted | None = None
        self._attempt = _Attempt("", "")
        self._past: set[str] = set()
        self._sent = 0
        self._over = False
        self._steps = _Steps()
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def note(self) -> str:
        return self._noted

    @property
    def usage(self) -> Usage | None:
        meter = self._meter
        if not meter.requests:
            return None
        return Usage(meter.input_tokens, meter.output_tokens + self._given, meter.estimated)

    async def prepare(self) -> AsyncGenerator[StepDelta, None]:
        """The calls that were made before it was cut."""
        for entry in self._fork.ledger.entries:
            if entry.state == "done":
                yield StepDelta(entry.key, entry.title, entry.result, seconds=entry.seconds or 0.0)

    async def events(self) -> AsyncGenerator[ModelEvent, None]:
        """What comes after the part that is known. Raises as `Answering.events`; ConfigError for what cannot travel,
        and RunError where workers died too often (code WORKERS_LOST), or the scheduler is gone (EXECUTOR_LOST)."""
        loop = asyncio.get_running_loop()
        data = await asyncio.to_thread(pack, self._order)

        def tell(*what: Any) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._inbox.put_nowait, what)

        self._posted = self._executor.post(partial(tell, "posts"), partial(tell, "over"))
        try:
            self._send(data)
            self._look(loop)
            while not self._over:
                match await self._inbox.get():
                    case "posts", attempt, number, told:
                        if not self._is_next(attempt, number, told):
                            continue
                        if number == 0:
                            for step in self._lost():
                                yield step
                            self._begin(attempt, *told.pop(0)[1:])
                        for post in told:
                            if (event := await self._take(*post)) is not None:
                                yield event
                    case "over", how:
                        for step in self._ended(how):
                            yield step
                        self._send(data)
        finally:
            self._posted.drop(ended=self._over)
            self._told.say("")
            for timer in self._timers:
                timer.cancel()

    # -- attempts --------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        self._sent += 1
        if self._sent > MOST_SENT:
            raise RunError(f"it was given up: {self._executor.name} has lost it {MOST_SENT} times", code="WORKERS_LOST")
        if not self._executor.alive:
            raise self._gone()
        self._told.say("waits for a worker")
        if self._posted is not None:
            self._posted.send(data)

    def _is_next(self, attempt: str, number: int, told: list[list[Any]]) -> bool:
        """Whether a batch is to be taken: the next one of the attempt at work, or the first of one that takes over."""
        if attempt == self._attempt.id:
            self._attempt.number += 1
            if number != self._attempt.number:
                raise RunError("a part of what the worker said was lost on the way", code="RUN_LOST")
            return True
        return number == 0 and attempt not in self._past and bool(told) and told[0][0] == posts.HELLO

    def _begin(self, attempt: str, where: str, version: str, python: str) -> None:
        if wrong := differs(version, python):
            raise RunError(f"the worker at {where} has {wrong}", code=errors.ConfigError.code)
        self._attempt = now = _Attempt(attempt, where, level=self._depth())
        self._steps.begin({*self._fork.stages, *(entry.key for entry in self._fork.ledger.entries)})
        self._told.say("")
        left = self._told.begun(where, self._limit)
        if not self._past:
            self._timers.append(asyncio.get_running_loop().call_later(left, self._told.late))
        self._tell("go", self._state(now.level))

    def _state(self, level: int) -> dict[str, Any]:
        """What a worker has to know to go on."""
        fork = self._fork
        return {
            "answer": "".join(fork.answer), "tokens": fork.tokens, "known": fork.known, "stages": dict(fork.stages),
            "calls": to_builtins(fork.ledger.entries), "level": level,
            "spent": (self._meter.cost or 0.0) if self._meter.limit is not None else 0.0,
        }  # fmt: skip

    def _ended(self, how: str) -> Iterator[StepDelta]:
        """Its task has ended, and it has not."""
        if how == "gone":
            raise self._gone()
        if how not in ("", "killed"):
            raise RunError(f"no worker of {self._executor.name} can answer it: {redact(how)}", code="WORKER")
        return self._lost()

    def _gone(self) -> RunError:
        return RunError(f"the scheduler of {self._executor.name} is gone, and who answered with it", code=GONE)

    def _lost(self) -> Iterator[StepDelta]:
        """The attempt at work, if there is one, is no more."""
        lost, self._attempt = self._attempt, _Attempt("", "")
        if not lost.id:
            return
        self._past.add(lost.id)
        for one in lost.counts.values():
            one.ended()
        for entry in self._fork.ledger.entries:
            if entry.state == "pending":
                self._fork.ledger.end(entry, UNFINISHED, time.monotonic() - lost.began)
                yield self._steps.cut(entry.key, UNFINISHED)
        yield from self._steps.cut_all("its worker died")
        if len(self._past) > MOST_DEATHS:
            raise RunError(
                f"it was given up: {len(self._past)} workers died while they answered it", code="WORKERS_LOST"
            )

    def _tell(self, word: str, value: Any) -> None:
        if self._posted is not None and self._attempt.id:
            self._posted.tell(self._attempt.where, self._attempt.id, word, value)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Whether the level was changed, now and again."""
        level = self._depth()
        if self._attempt.id and level != self._attempt.level:
            self._attempt.level = level
            self._tell("level", level)
        self._timers[:1] = [loop.call_later(LOOK, self._look, loop)]

    # -- posts -----------------------------------------------------------------------------------

    async def _take(self, kind: str, *facts: Any) -> ModelEvent | None:
        match kind:
            case posts.EVENT:
                event = posts.event_of(*facts)
                return self._steps.take(event) if isinstance(event, StepDelta) else event
            case posts.COUNT:
                self._count(*facts)
            case posts.CALL:
                place, entry = facts
                made = convert(entry, Entry)
                self._fork.ledger.entries[place : place + 1] = [made]
                self._told.say(f"runs {made.name}" if made.state == "pending" else "")
            case posts.KEEP:
                await self._fork.keep_calls()
                self._tell("kept", facts[0])
            case posts.STAGE:
                self._fork.stage(*facts)
            case posts.END:
                self._note(*facts)
                self._over = True
            case posts.ERROR:
                kind, code, words, wait, *rest = facts
                self._note(*rest)
                self._over = True
                raise _error(kind, code, words, wait)
        return None

    def _count(self, place: int, asked: int, made: int, cost: float | None, counted: list[Any] | None) -> None:
        one = self._attempt.counts.get(place)
        if one is None:
            one = self._attempt.counts[place] = self._meter.asked(asked)
        if counted:
            one.counted(Usage(*counted))
            return
        one.follow(made, cost)
        if counted is not None:
            one.ended()

    def _note(self, note: str, given: int) -> None:
        self._noted = note
        self._given = min(given, self._had)


@dataclass(slots=True)
class _Attempt:
    """The start of the order that is at work; none where ``id`` is ""."""

    id: str
    where: str
    number: int = 0
    level: int = 0
    began: float = field(default_factory=time.monotonic)
    counts: dict[int, Count] = field(default_factory=dict)


class _Steps:
    """The steps of all attempts: what a later one does again is a step of its own, what it only repeats is none."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, float]] = {}
        self._seen: set[str] = set()
        self._before: set[str] = set()
        self._known: set[str] = set()
        self._attempt = 0

    def begin(self, known: set[str]) -> None:
        """An attempt begins, and is told of these."""
        self._attempt += 1
        self._before, self._known = set(self._seen), known

    def take(self, event: StepDelta) -> StepDelta | None:
        """A step as it is to be shown."""
        self._seen.add(event.key)
        if event.key in self._before:
            if event.key in self._known:
                return None
            again = f", again {self._attempt - 1}".removesuffix(" 1")
            event = StepDelta(event.key + again, event.title + again, event.text, event.tokens, event.seconds)
        if event.seconds is None:
            self._open.setdefault(event.key, (event.title, time.monotonic()))
        else:
            self._open.pop(event.key, None)
        return event

    def cut(self, key: str, words: str) -> StepDelta:
        """One is over before its end."""
        title, began = self._open.pop(key, (key, time.monotonic()))
        return StepDelta(key, title, words, 0, time.monotonic() - began)

    def cut_all(self, words: str) -> Iterator[StepDelta]:
        for key in tuple(self._open):
            yield self.cut(key, f" [{words}]")


def _error(kind: str, code: str, words: str, wait: float) -> OpenClawError:
    """What a worker said went wrong, as the error that it was there."""
    found = getattr(errors, kind, None)
    if not (isinstance(found, type) and issubclass(found, OpenClawError)):
        found = RunError
    error: OpenClawError = found(one_line(words), code=code)
    if isinstance(error, ModelError):
        error.retry_after = wait
    return error
