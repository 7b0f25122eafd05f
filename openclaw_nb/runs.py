"""Runs, the turns a gateway has under way and those that ended a short while ago.

A run outlives the connection that asked for it: it goes on while nobody watches, and its log can be fetched for
RETAIN seconds after its end. The idempotency key of the request is the run's id, so a request repeated after a
lost reply finds the run it already started.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from .engine import Turn
from .errors import OpenClawError, RequestError
from .models.base import ModelEvent, TextDelta, ThinkingDelta
from .protocol.runlog import Ending, RunLog

__all__ = ["RETAIN", "ActiveRun", "Handler", "Runs"]

Handler = Callable[[Turn], AsyncIterator[ModelEvent]]
"""What a gateway serves: the events of one turn. An Engine's `turn` is one."""

RETAIN = 300.0
"""Seconds for which a finished run can still be fetched."""

log = logging.getLogger("openclaw_nb")


ABORTED = Ending("aborted", {"stopReason": "rpc"})

CANCELLED = Ending("error", {"errorMessage": "the turn was cancelled from inside"})

GATEWAY_STOPPED = Ending(
    "error", {"errorMessage": "the gateway was stopped; what came is kept", "errorCode": "GATEWAY_STOPPED"}
)

STOP_TIMEOUT = 2.0
"""Seconds a closing gateway waits for models that ignore their cancellation."""


class ActiveRun:
    """One turn at work: its log, and who is to be told when the log grows."""

    def __init__(self, turn: Turn, handler: Handler) -> None:
        self.turn = turn
        self.log = RunLog(turn.run_id, f"agent:{turn.agent}:{turn.session}")
        self.watchers: set[Callable[[], None]] = set()
        self._handler = handler
        self._stopped: Ending | None = None
        self._task = asyncio.create_task(self._work(), name=f"openclaw run {turn.run_id}")
        self._task.add_done_callback(self._settle)

    @property
    def task(self) -> asyncio.Task[Ending]:
        return self._task

    def stop(self, ending: Ending = ABORTED) -> bool:
        """Close the model's stream and end the run so; whether there was anything to stop."""
        if self._task.done():
            return False
        self._stopped = self._stopped or ending
        return self._task.cancel()

    async def _work(self) -> Ending:
        try:
            async with aclosing(self._handler(self.turn)) as events:  # type: ignore[type-var]
                await self._read(events)
        except OpenClawError as error:
            return Ending("error", {"errorMessage": str(error), "errorCode": error.code})
        except Exception as error:
            log.exception("a turn failed")
            return Ending("error", {"errorMessage": f"the turn failed: {type(error).__name__}: {error}"})
        return Ending("final", {"stopReason": "stop"})

    async def _read(self, events: AsyncIterator[ModelEvent]) -> None:
        clock = asyncio.get_running_loop().time
        began: float | None = None
        async for event in events:
            if isinstance(event, TextDelta):
                if began is not None:
                    self.log.append_step("thinking", "thinking", seconds=clock() - began)
                    began = None
                self.log.append(event.text, event.tokens)
            elif isinstance(event, ThinkingDelta):
                began = clock() if began is None else began
                self.log.append_step("thinking", "thinking", event.text, event.tokens)
            self._tell()
            if self._stopped is not None:  # the model ignored its cancellation
                return

    def _settle(self, task: asyncio.Task[Ending]) -> None:
        ending = self._stopped or (CANCELLED if task.cancelled() else task.result())
        self.log.end(Ending(ending.state, {**ending.facts, **_facts(self.turn)}))
        self._tell()

    def _tell(self) -> None:
        for watcher in tuple(self.watchers):
            watcher()


def _facts(turn: Turn) -> dict[str, Any]:
    outcome = turn.outcome
    facts: dict[str, Any] = {"model": outcome.model, "snapshot": outcome.snapshot, "cost": outcome.cost}
    if outcome.usage is not None:
        usage = outcome.usage
        facts["usage"] = {
            "input": usage.input_tokens, "output": usage.output_tokens, "estimated": usage.estimated,
        }  # fmt: skip
    return {key: value for key, value in facts.items() if value}


class Runs:
    """All runs of one gateway, by id."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._runs: dict[str, ActiveRun] = {}
        self._forget: dict[str, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def start(self, turn: Turn) -> tuple[ActiveRun, bool]:
        """The run of this turn and whether it is new. RequestError if its id stands for another turn."""
        if (known := self._runs.get(turn.run_id)) is not None:
            if known.turn != turn:
                raise RequestError("this idempotency key was already used for another message")
            return known, False
        run = self._runs[turn.run_id] = ActiveRun(turn, self._handler)
        run.task.add_done_callback(lambda _: self._retain(turn.run_id))
        return run, True

    def find(self, run_id: str) -> ActiveRun | None:
        return self._runs.get(run_id)

    def of_session(self, agent: str, session: str) -> list[ActiveRun]:
        """The runs of one agent at work in one session."""
        return [run for run in self._at_work() if (run.turn.agent, run.turn.session) == (agent, session)]

    async def close(self) -> None:
        """Stop what is at work, and wait for it, though not for ever."""
        tasks = [run.task for run in self._at_work() if run.stop(GATEWAY_STOPPED)]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
        for timer in self._forget.values():
            timer.cancel()
        self._forget.clear()
        self._runs.clear()

    def _at_work(self) -> list[ActiveRun]:
        return [run for run in self._runs.values() if not run.task.done()]

    def _retain(self, run_id: str) -> None:
        if run_id in self._runs:
            loop = asyncio.get_running_loop()
            self._forget[run_id] = loop.call_later(RETAIN, self._drop, run_id)

    def _drop(self, run_id: str) -> None:
        self._runs.pop(run_id, None)
        self._forget.pop(run_id, None)
