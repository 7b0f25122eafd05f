"""Flight, one run between its sending and its end, as the client sees it, and how its end reads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from .errors import ModelError, OpenClawError, RunError, RunTimeout
from .protocol.session import message_text
from .run import Delta, End, Run, State, Status, Usage

__all__ = ["Flight", "answer_of", "failed", "last_answer", "lost", "read_end"]

T = TypeVar("T")

NOT_OF_THE_MODEL = frozenset({"GATEWAY_STOPPED", "RUN_LOST", "SNAPSHOT"})
"""Codes of failures that the model had no part in."""


class Flight:
    """A run, what was asked for it, whether the gateway has it, and how it is to end if it is stopped.

    Without ``streaming`` its text is held back, to come in one piece at the end.
    """

    def __init__(self, run: Run, params: dict[str, Any], *, streaming: bool, timeout: float | None) -> None:
        self.run = run
        self.params = params
        self.streaming = streaming
        self.timeout = timeout
        self.accepted = False
        self.timed_out = False
        self.stopping = False
        self.timers: list[asyncio.TimerHandle] = []
        self._held: list[Delta] = []

    @property
    def text(self) -> str:
        """The answer so far, held back or not."""
        return self.run.text + "".join(delta.text for delta in self._held)

    def reached(self) -> None:
        """The gateway has it (again)."""
        self.accepted = True
        if self.run.status is Status.RECONNECTING:
            self.run.push(State(Status.STREAMING if self.run.tokens else Status.WAITING))

    def take(self, delta: Delta) -> None:
        if self.streaming:
            self.run.push(delta)
        else:
            self._held.append(delta)

    def end(self, end: End) -> None:
        for timer in self.timers:
            timer.cancel()
        if self._held:
            text = "".join(delta.text for delta in self._held)
            self.run.push(Delta(self._held[0].offset, text, self._held[-1].tokens))
        if self.timed_out and end.status is Status.STOPPED:
            sentence = f"the time limit of {self.timeout:g} s was reached"
            end = replace(end, status=Status.FAILED, error=RunTimeout(sentence))
        self.run.push(end)


def failed(error: OpenClawError) -> End:
    return End(Status.FAILED, error=error if isinstance(error, RunError) else RunError(str(error), code=error.code))


def lost(why: str) -> End:
    """Nobody can say any more how it went on."""
    return failed(RunError(why, code="RUN_LOST"))


def read_end(state: str, facts: Mapping[str, Any]) -> End:
    """The end that a gateway told: ``state`` is final, aborted or error."""
    end = End(
        Status.DONE, usage=_read_usage(facts.get("usage")), model=str(facts.get("model", "")),
        snapshot=_read(facts, "snapshot", str), cost=_read(facts, "cost", float),
    )  # fmt: skip
    match state:
        case "final":
            return end
        case "aborted":
            return replace(end, status=Status.STOPPED)
        case _:
            code = str(facts.get("errorCode", ModelError.code))
            kind = RunError if code in NOT_OF_THE_MODEL else ModelError
            error = kind(str(facts.get("errorMessage", "the run failed")), code=code)
            return replace(end, status=Status.FAILED, error=error)


def _read(facts: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """A fact of the kind that ours are of; another gateway's may be something else."""
    value = facts.get(name)
    return value if isinstance(value, kind) else None


def _read_usage(usage: Any) -> Usage | None:
    match usage:
        case {"input": int(asked), "output": int(answered)}:
            return Usage(asked, answered, bool(usage.get("estimated", False)))
        case _:
            return None


def last_answer(history: Any) -> str | None:
    """The text of the answer that a session's history ends with, as a gateway tells it."""
    match history:
        case {"messages": [*_, {"role": "assistant"} as message]}:
            return message_text(message)
        case _:
            return None


def answer_of(run_id: str, history: Any) -> tuple[str, str] | None:
    """The answer of one run in a session's history, and the state it ended in, where the gateway still has both."""
    messages = history.get("messages") if isinstance(history, dict) else None
    for message in reversed(messages if isinstance(messages, list) else []):
        match message:
            case {"role": "assistant", "runId": str(id)} if id == run_id:
                return message_text(message), str(message.get("state", "final"))
    return None
