"""Flight, one run between its sending and its end, as the client sees it, and how its end reads."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ..errors import (
    ConfigError,
    DeadlockError,
    ModelError,
    OpenClawError,
    RequestError,
    RunError,
    RunTimeout,
    is_retryable,
)
from ..events import Delta, End, State, Status, Usage
from ..protocol.handshake import Hello
from ..protocol.happened import RunCursor
from ..protocol.keys import session_key
from ..protocol.openclaw import message_text
from ..run import Run

__all__ = ["At", "Flight", "Restore", "answer_of", "failed", "impossible", "lost", "read_end", "refusal_of"]

T = TypeVar("T")

_BRANCH = re.compile(r"-[0-9]{1,9}")
"""What the name of a branch adds to its session's."""

LONGEST_WAIT = 2**53  # milliseconds; beyond it a float is not exact

DELAY = 0.5
"""Seconds until a run that failed is taken up again for the first time, at most."""

PATIENCE = 20.0
"""Seconds that a run waits at most before it is taken up again, where a provider asks for them."""

KINDS: Mapping[str, type[RunError]] = {
    "GATEWAY_STOPPED": RunError, "RUN_LOST": RunError, "SNAPSHOT": RunError, DeadlockError.code: DeadlockError,
}  # fmt: skip
"""What the failures are that the model had no part in, by their codes."""


@dataclass(frozen=True, slots=True)
class Restore:
    """How often a run that failed is taken up again, and how soon: within DELAY seconds, doubling, with jitter."""

    attempts: int = 2

    def pause(self, error: RunError | None, attempt: int) -> float | None:
        """Seconds before an attempt (from 1), a provider's own wish included; None where there is to be none."""
        if error is None or attempt > self.attempts or not is_retryable(error):
            return None
        asked = error.retry_after if isinstance(error, ModelError) else 0.0
        wait = max(asked, DELAY * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        return wait if wait <= PATIENCE else None


@dataclass(frozen=True, slots=True)
class At:
    """A gateway by its address, whether it is one of ours, and the name of its life, "" where it has none."""

    uri: str
    is_ours: bool
    boot: str = ""

    def knows_of(self, other: At) -> bool:
        """Whether it may know what was asked for at the other one, or, if both are ours, can be told."""
        return (self.is_ours and other.is_ours) or self.uri == other.uri or bool(self.boot and self.boot == other.boot)


class Flight:
    """A run, what was asked for it, whether the gateway has it, and how it is to end if it is stopped.

    Without ``streaming`` its text is held back, to come in one piece at the end. ``session`` is what its request says
    beyond ``params`` to a gateway of ours only. ``partial`` is what the caller has of its answer, and its tokens.
    """

    def __init__(
        self,
        run: Run,
        params: dict[str, Any],
        *,
        streaming: bool,
        timeout: float | None,
        session: Mapping[str, Any] | None = None,
        partial: tuple[str, int] | None = None,
    ) -> None:
        self.run = run
        self.params = params
        self.streaming = streaming
        self.timeout = timeout
        self.session = dict(session or {})
        self.partial = partial
        self.accepted = False
        self.asked = False
        """Whether anything was said of it to the gateway."""
        self.posted = False
        """Whether its message was."""
        self.method = "chat.send"
        """By what it is asked for."""
        self.reported = False
        """Whether its gateway said what it used, where that does not stand with its end; and so much that was."""
        self.used: Usage | None = None
        self.told = params.get("thinking")
        """The level that the gateway knows of, in its own word."""
        self.timed_out = False
        self.stopping = False
        self.heard = partial is not None and bool(partial[0])
        """Whether there was a sign of its answer."""
        self.failure: End | None = None
        """How it would have ended, had it not been taken up again."""
        self.attempts = 0
        """How often it was taken up again."""
        self.waited = False
        """Whether it had to wait for another run of its session."""
        self.at: At | None = None
        """The gateway that it was asked for at, or is to be."""
        self.has_moved = False
        """Whether that is another one than before."""
        self.where = ""
        """What is said of it, where it is not the one that was meant."""
        self.waits_here = False
        """Whether it waits for its client, which has enough runs at work."""
        self.pausing: asyncio.TimerHandle | None = None
        """What takes it up again."""
        self.timers: list[asyncio.TimerHandle] = []
        self._held: list[Delta] = []

    @property
    def key(self) -> str:
        """Of its session, as the gateway names it."""
        return str(self.params["sessionKey"])

    @property
    def text(self) -> str:
        """The answer so far, held back or not."""
        return self.run.text + "".join(delta.text for delta in self._held)

    def cursor(self) -> RunCursor:
        """Where it stands here."""
        text = self.text
        return RunCursor(len(text), self._held[-1].tokens if self._held else self.run.answer_tokens, text=text)

    def reached(self) -> None:
        """The gateway has it (again)."""
        self.accepted = True
        if self.run.status is Status.RECONNECTING or (self.where and self.run.status is Status.WAITING):
            self.run.push(State(Status.STREAMING if self.run.tokens else Status.WAITING, self.where))

    def begin_anew(self) -> None:
        """Nobody has it: it is to be asked for, under its own name."""
        self.asked = self.accepted = self.posted = False
        self.params["sessionKey"] = session_key(self.run.agent, self.run.session)

    def prepares(self, words: str) -> None:
        """The gateway does this before its model answers."""
        if self.run.status is Status.WAITING:
            self.run.push(State(Status.WAITING, words))

    def take(self, delta: Delta) -> None:
        if self.streaming:
            self.run.push(delta)
        else:
            self._held.append(delta)

    def went_to(self, session: object) -> None:
        """It has ended, in this session: in a branch of the one asked for, such as main-2, where that had moved on."""
        asked = self.run.session
        if isinstance(session, str) and session.startswith(asked) and _BRANCH.fullmatch(session, len(asked)):
            self.run.branch_of, self.run.session = asked, session

    @property
    def beside(self) -> bool:
        """Whether it works beside the other runs of its session."""
        return self.session.get("busy") == "branch"

    def end(self, end: End) -> End:
        """End the run so, or by its time limit; how it ended."""
        for timer in self.timers:
            timer.cancel()
        if self._held:
            text = "".join(delta.text for delta in self._held)
            self.run.push(Delta(self._held[0].offset, text, self._held[-1].tokens))
        if self.timed_out and end.status is Status.STOPPED:
            sentence = f"the time limit of {self.timeout:g} s was reached"
            end = replace(end, status=Status.FAILED, error=RunTimeout(sentence))
        if self.where and end.status is Status.DONE:
            end = replace(end, words=f"{end.words or 'done'}, {self.where}")
        self.run.push(end)
        return end


def impossible(flight: Flight, uri: str, hello: Hello | None) -> OpenClawError | None:
    """Why the gateway at ``uri`` cannot be asked for it."""
    if hello is None or hello.is_ours:
        return None
    if "model" in flight.params:
        sentence = f"at the gateway at {uri} a session has its model; %openclaw model NAME changes it"
        return RequestError(sentence, code="NO_MODEL")
    if "output" in flight.params:
        return RequestError(f"the gateway at {uri} gives no structured answers; leave the type out")
    if flight.partial is not None and flight.partial[0]:
        return RunError(f"the gateway at {uri} cannot go on with a part of an answer; ask it anew", code="RUN_LOST")
    return refusal_of(flight.session, uri, hello)


def refusal_of(wishes: Mapping[str, Any], uri: str, hello: Hello | None) -> ConfigError | None:
    """Why what is wished for the session of a run is not to be had there."""
    if hello is None or hello.is_ours:
        return None
    if "budget" in wishes:
        words = "says what a run cost only when it has ended, so no budget can be kept there"
        return ConfigError(f"the gateway at {uri} {words}; leave it out, or say %openclaw budget off")
    if unmet := [name for name in ("busy", "base", "isolated") if name in wishes]:
        return ConfigError(f"the gateway at {uri} keeps its sessions itself; leave {', '.join(unmet)} out")
    return None


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
            note = _read(facts, "note", str)
            return replace(end, words=f"done, {note}") if note else end
        case "aborted":
            at_budget = facts.get("stopReason") == "budget"
            words = _read(facts, "note", str) if at_budget else None
            return replace(end, status=Status.STOPPED, words=words or "")
        case _:
            code = str(facts.get("errorCode", ModelError.code))
            kind = KINDS.get(code, ModelError)
            error = kind(str(facts.get("errorMessage", "the run failed")), code=code)
            if isinstance(error, ModelError):
                error.retry_after = _seconds(facts.get("retryAfterMs"))
            return replace(end, status=Status.FAILED, error=error)


def _read(facts: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """A fact of the kind that ours are of; another gateway's may be something else."""
    value = facts.get(name)
    return value if isinstance(value, kind) else None


def _seconds(milliseconds: Any) -> float:
    """A gateway's word for a wait; 0 where it is none."""
    sane = type(milliseconds) in (int, float) and 0 <= milliseconds < LONGEST_WAIT
    return milliseconds / 1000 if sane else 0.0


def _read_usage(usage: Any) -> Usage | None:
    match usage:
        case {"input": int(asked), "output": int(answered)}:
            return Usage(asked, answered, bool(usage.get("estimated", False)))
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
