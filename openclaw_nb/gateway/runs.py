"""Runs, the turns a gateway has under way and those that ended a short while ago.

A run outlives the connection that asked for it: it goes on while nobody watches, and its log can be fetched for
RETAIN seconds after its end, as long as RETAIN_BYTES hold all that ended since. The idempotency key of the request
is the run's id, so a request repeated after a lost reply finds the run it already started.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from sys import getsizeof
from typing import Any, Protocol

from ..engine import Outcome, Turn
from ..errors import BudgetReached, OpenClawError, RequestError, RunError
from ..metrics import Metrics
from ..metrics.instruments import DONE as DONE_WELL
from ..metrics.instruments import FAILED, STOPPED
from ..models.base import ModelEvent, StepDelta, TextDelta, ThinkingDelta
from ..protocol.runlog import Ending, RunLog
from ..run import within
from ..waits import part_of

__all__ = ["RETAIN", "RETAIN_BYTES", "ActiveRun", "Handler", "KeyConflict", "Runs", "Watcher"]

Handler = Callable[[Turn], AsyncGenerator[ModelEvent, None]]
"""What a gateway serves: the events of one turn. An Engine's `turn` is one."""

RETAIN = 300.0
"""Seconds for which a finished run can still be fetched."""

RETAIN_BYTES = 67_108_864
"""Bytes all finished runs may take together; the oldest are forgotten first."""

RUN_BYTES = 2_048
"""Bytes a finished run takes beside its texts."""

log = logging.getLogger("openclaw_nb")


DONE = Ending("final", {"stopReason": "stop"})

ABORTED = Ending("aborted", {"stopReason": "rpc"})

AT_BUDGET = Ending("aborted", {"stopReason": "budget"})

TOO_LONG = Ending("aborted", {"stopReason": "timeout"})

CANCELLED = Ending("error", {"errorMessage": "the turn was cancelled from inside"})

GATEWAY_STOPPED = Ending(
    "error", {"errorMessage": "the gateway was stopped; what came is kept", "errorCode": "GATEWAY_STOPPED"}
)

OUTCOME = {"final": DONE_WELL, "aborted": STOPPED, "error": FAILED}
"""How a run ended, as metrics count it."""

STOP_TIMEOUT = 2.0
"""Seconds a closing gateway waits for models that ignore their cancellation."""


class KeyConflict(RequestError):
    """The id of a run stands for another message; ``details`` are those of a real gateway."""

    def __init__(self) -> None:
        super().__init__("this idempotency key was already used for another message")
        self.details = {"reason": "chat-request-conflict"}


class Watcher(Protocol):
    """Who is to be told when a log grows."""

    def grown(self) -> None:
        """There is more, or the end."""


class ActiveRun:
    """One turn at work, or done: its log, and who is to be told when the log grows."""

    __slots__ = (
        "_asked", "_at_work", "_metrics", "_stopped", "_timer", "began", "ended", "lasted", "log", "size", "task",
        "turn", "watchers",
    )  # fmt: skip

    def __init__(
        self, turn: Turn, handler: Handler, on_end: Callable[[ActiveRun], None], metrics: Metrics | None = None
    ) -> None:
        self._stand(turn, metrics)
        work = self._work(handler, on_end)
        self.task: asyncio.Task[None] | None = asyncio.get_running_loop().create_task(
            work, name=f"openclaw run {turn.run_id}"
        )
        """What does the work; None once it is done."""

    def _stand(self, turn: Turn, metrics: Metrics | None = None) -> None:
        """Have a log with what is there of the answer, and nobody at work."""
        self._asked = time.monotonic()
        self._metrics = metrics
        self.turn = turn
        self.log = RunLog(turn.run_id, f"agent:{turn.agent}:{turn.session}")
        if turn.partial:
            self.log.append(turn.partial, turn.partial_tokens)
        self.watchers: list[Watcher] = []
        self.began = time.time()
        """When it began, in Unix seconds."""
        self.ended = 0.0
        """When it ended, on the loop's clock."""
        self.lasted = 0.0
        """Seconds from its beginning to its end."""
        self._timer: asyncio.TimerHandle | None = None
        self.size = 0
        """Bytes it takes since it ended."""
        self._at_work = False
        self._stopped: Ending | None = None
        self.task = None

    @property
    def done(self) -> bool:
        return self.log.ending is not None

    def stop(self, ending: Ending = ABORTED) -> bool:
        """Close the model's stream and end the run so; whether there was anything to stop."""
        if self.task is None:
            return False
        self._stopped = self._stopped or ending
        if self._at_work:  # a task cancelled before its first step would not take it, and nobody learn of the end
            self.task.cancel()
        return True

    def stop_after(self, seconds: float) -> None:
        """Stop it when it has lasted this long; 0 is no limit."""
        if seconds > 0 and self._timer is None and not self.done:
            self._timer = asyncio.get_running_loop().call_later(seconds, self.stop, TOO_LONG)

    def change(self, level: int) -> None:
        """Have its next steps at another level."""
        self.turn.changed = level

    async def over(self, timeout: float | None = None) -> None:
        """Return when it has ended, or after so many seconds."""
        if self.task is not None:
            await asyncio.wait({self.task}, timeout=timeout)

    async def _work(self, handler: Handler, on_end: Callable[[ActiveRun], None]) -> None:
        """Write down what the model says. One coroutine, without helpers: it is entered once for every token."""
        log, text, watchers = self.log, self.log.text, self.watchers
        within.set(within.get() | {self.turn.session})
        part_of.set((self.turn.run_id, self.turn.agent))
        clock = asyncio.get_running_loop().time
        began: float | None = None
        unheard = True
        ended = CANCELLED
        self._at_work = begins = self._stopped is None
        try:
            if begins:
                events = handler(self.turn)
                try:
                    async for event in events:
                        if unheard and getattr(event, "tokens", False):  # the name of a step alone is no answer
                            unheard = False
                            self._heard()
                        if isinstance(event, TextDelta):
                            if began is not None:
                                log.append_step("thinking", "thinking", seconds=clock() - began)
                                began = None
                            text.append(event.text)
                            log.tokens += event.tokens
                        elif isinstance(event, ThinkingDelta):
                            began = clock() if began is None else began
                            log.append_step("thinking", "thinking", event.text, event.tokens)
                        elif isinstance(event, StepDelta):
                            log.append_step(event.key, event.title, event.text, event.tokens, event.seconds)
                        for watcher in watchers:
                            watcher.grown()
                        if self._stopped is not None:  # the model ignored its cancellation
                            break
                finally:
                    await events.aclose()
            ended = DONE
        except Exception as error:
            ended = _how_it_ended(error)
        finally:
            self._settle(ended, clock())
            on_end(self)

    def _heard(self) -> None:
        """The first token is there, of the answer or of the way to it."""
        if self._metrics is not None:
            self._metrics.first_token(self.turn.depth, time.monotonic() - self._asked)

    def _measure(self, ending: Ending, metrics: Metrics) -> None:
        """Tell what it took."""
        outcome = self.turn.outcome
        metrics.ended(
            OUTCOME[ending.state], self.turn.depth, time.monotonic() - self._asked,
            read=outcome.usage.input_tokens if outcome.usage is not None else 0, written=self.written,
            cost=outcome.cost or 0.0, code=ending.facts.get("errorCode", RunError.code),
        )  # fmt: skip

    @property
    def here(self) -> bool:
        """Whether it is at work at this instance."""
        return self.task is not None

    @property
    def waits(self) -> bool:
        """Whether it waits here for its turn, at other instances too."""
        return False

    @property
    def written(self) -> int:
        """Tokens that were made of it here so far, those of its steps included."""
        log = self.log
        steps = sum(step.tokens for step in tuple(log.steps.values())) if log.steps else 0
        return max(log.tokens - self.turn.partial_tokens, 0) + steps

    def _settle(self, ended: Ending, now: float) -> None:
        """Write down how it ended, and keep only what a later question needs."""
        turn, log = self.turn, self.log
        ending = self._stopped or ended
        log.end(Ending(ending.state, ending.facts | _facts(turn.outcome)))
        if self._metrics is not None:
            self._measure(ending, self._metrics)
        for watcher in self.watchers:
            watcher.grown()
        if self._timer is not None:
            self._timer.cancel()
        self.task = self._stopped = self._timer = None
        turn.partial = ""
        self.ended = now
        self.lasted = time.time() - self.began
        self.size = RUN_BYTES + sum(len(image["data"]) for image in turn.images)
        self.size += getsizeof(turn.message) + 2 * getsizeof(turn.session) + getsizeof(str(log.text))
        for step in log.steps.values():
            self.size += getsizeof(str(step.text))


def _how_it_ended(error: Exception) -> Ending:
    if isinstance(error, BudgetReached):
        return AT_BUDGET
    if isinstance(error, OpenClawError):
        facts: dict[str, Any] = {"errorMessage": str(error), "errorCode": error.code}
        if wait := getattr(error, "retry_after", 0.0):
            facts["retryAfterMs"] = round(1000 * wait)
        return Ending("error", facts)
    log.error("a turn failed", exc_info=error)
    return Ending("error", {"errorMessage": f"the turn failed: {type(error).__name__}: {error}"})


def _facts(outcome: Outcome) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if outcome.model:
        facts["model"] = outcome.model
    if outcome.snapshot:
        facts["snapshot"] = outcome.snapshot
    if outcome.session:
        facts["session"] = outcome.session
    if outcome.cost:
        facts["cost"] = outcome.cost
    if outcome.note:
        facts["note"] = outcome.note
    if outcome.usage is not None:
        usage = outcome.usage
        facts["usage"] = {
            "input": usage.input_tokens, "output": usage.output_tokens, "estimated": usage.estimated,
        }  # fmt: skip
    return facts


class Runs:
    """All runs of one gateway, by id; ``ended`` is told of each that ends, except at the end of the gateway."""

    def __init__(
        self, handler: Handler, ended: Callable[[ActiveRun], None] | None = None, metrics: Metrics | None = None
    ) -> None:
        self._handler = handler
        self._metrics = metrics
        self._when_ended = ended
        self._runs: dict[str, ActiveRun] = {}
        self._ended: OrderedDict[str, ActiveRun] = OrderedDict()
        self._size = 0
        self._expiry: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._runs) + len(self._ended)

    def start(self, turn: Turn) -> tuple[ActiveRun, bool]:
        """The run of this turn and whether it is new: a failed or stopped one is made anew for a turn that is a retry.

        RequestError if its id stands for another message.
        """
        if (known := self.find(turn.run_id)) is not None:
            if known.turn != turn and not (turn.retry and known.turn.message == turn.message):
                raise KeyConflict
            if not (turn.retry and known.log.ending is not None and known.log.ending.state != DONE.state):
                return known, False
            if self._ended.pop(turn.run_id, None) is not None:
                self._size -= known.size
        run = self._runs[turn.run_id] = ActiveRun(turn, self._handler, self._retain, self._metrics)
        if self._metrics is not None:
            self._metrics.began()
        return run, True

    def find(self, run_id: str) -> ActiveRun | None:
        return self._runs.get(run_id) or self._ended.get(run_id)

    @property
    def load(self) -> int:
        """How many have not ended."""
        return len(self._runs)

    def at_work(self) -> list[ActiveRun]:
        """The runs that have not ended, oldest first."""
        return list(self._runs.values())

    def of_session(self, agent: str, session: str) -> list[ActiveRun]:
        """The runs of one agent at work in one session."""
        return [run for run in self._runs.values() if (run.turn.agent, run.turn.session) == (agent, session)]

    async def close(self) -> None:
        """Stop what is at work, and wait for it, though not for ever."""
        tasks = [run.task for run in self._runs.values() if run.task is not None and run.stop(GATEWAY_STOPPED)]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
        self._runs.clear()
        while self._ended:
            self._drop_oldest()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def _retain(self, run: ActiveRun) -> None:
        """It has ended: keep it for a while, at the cost of those that ended long before it."""
        if self._runs.pop(run.turn.run_id, None) is None:
            return
        self._ended[run.turn.run_id] = run
        self._size += run.size
        if self._when_ended is not None:
            self._when_ended(run)
        while self._size > RETAIN_BYTES and len(self._ended) > 1:
            self._drop_oldest()
        if self._expiry is None:
            self._expire()

    def _expire(self) -> None:
        """Drop those whose time has come, and come back when it has for the next."""
        loop = asyncio.get_running_loop()
        self._expiry = None
        while self._ended:
            due = next(iter(self._ended.values())).ended + RETAIN
            if due > loop.time():
                self._expiry = loop.call_at(due, self._expire)
                break
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, run = self._ended.popitem(last=False)
        self._size -= run.size
