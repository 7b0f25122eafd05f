"""RunLog, everything one run has said so far, and Cursor, how far one connection has been told of it.

A connection never queues frames: when it can take more, its cursor takes whatever the log has beyond what was
told. So a slow reader gets fewer, larger deltas, a resumed one starts at its own offset, and memory is the text
itself, once. Offsets count Unicode code points.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Literal

import msgspec

__all__ = ["LONGEST_DELTA", "ChatDelta", "Cursor", "Ending", "RunLog", "SpokenText", "StepLog"]

LONGEST_DELTA = 65_536
"""Code points told in one frame: what a reader that is too slow costs beyond the text itself."""

PART = 1_024
"""Code points after which a part is complete; until then every token copies it."""

_start = itemgetter(0)


class SpokenText:
    """Text that only grows, sliced anywhere in time proportional to the slice; it takes little more than its text."""

    __slots__ = ("_parts", "_tail", "_tail_start", "length")

    def __init__(self) -> None:
        self._parts: list[tuple[int, str]] = []
        """Where each part that is complete begins, and the part."""
        self._tail = ""
        self._tail_start = 0
        self.length = 0

    def append(self, text: str) -> None:
        self._tail += text
        self.length += len(text)
        if self.length - self._tail_start >= PART:
            self._parts.append((self._tail_start, self._tail))
            self._tail, self._tail_start = "", self.length

    def since(self, offset: int, limit: int = sys.maxsize) -> str:
        """The text from ``offset`` on, ``limit`` code points of it at most."""
        if offset >= self._tail_start:  # where a reader that keeps up always is
            offset -= self._tail_start
            return self._tail[offset : offset + limit]
        first = bisect_right(self._parts, offset, key=_start) - 1
        last = bisect_left(self._parts, offset + limit, key=_start)
        skip = offset - self._parts[first][0]
        return self._join(self._parts[first:last])[skip : skip + limit]

    def __str__(self) -> str:
        if self._parts:
            self._tail, self._tail_start = self._join(self._parts), 0
            self._parts.clear()
        return self._tail

    def _join(self, parts: list[tuple[int, str]]) -> str:
        return "".join([*(part for _, part in parts), self._tail])


class ChatDelta(msgspec.Struct, rename="camel", gc=False):
    """More of an answer, as one `chat` event tells it."""

    run_id: str
    session_key: str
    seq: int
    state: str
    delta_text: str
    offset: int
    tokens: int


@dataclass(slots=True)
class StepLog:
    """One reasoning step: its text, tokens, and seconds once it is over; ``version`` counts its changes."""

    title: str
    text: SpokenText = field(default_factory=SpokenText)
    tokens: int = 0
    seconds: float | None = None
    version: int = 0


class Ending(msgspec.Struct, frozen=True, gc=False):
    """How a run ended. ``facts`` are further payload keys: usage, model, snapshot, errorMessage, stopReason."""

    state: Literal["final", "aborted", "error"]
    facts: dict[str, Any] = {}


class RunLog:
    """The answer, the reasoning steps and the ending of one run; ``stepped`` counts the changes of its steps."""

    __slots__ = ("ending", "run_id", "session_key", "stepped", "steps", "text", "tokens")

    def __init__(self, run_id: str, session_key: str) -> None:
        self.run_id = run_id
        self.session_key = session_key
        self.text = SpokenText()
        self.tokens = 0
        self.steps: dict[str, StepLog] = {}
        self.stepped = 0
        self.ending: Ending | None = None

    def append(self, text: str, tokens: int = 1) -> None:
        self.text.append(text)
        self.tokens += tokens

    def append_step(self, key: str, title: str, text: str = "", tokens: int = 0, seconds: float | None = None) -> None:
        step = self.steps.setdefault(key, StepLog(title))
        step.text.append(text)
        step.tokens += tokens
        step.seconds = seconds if seconds is not None else step.seconds
        step.version += 1
        self.stepped += 1

    def end(self, ending: Ending) -> None:
        """Close the log; the first ending stands."""
        self.ending = self.ending or ending


class Cursor:
    """What one connection of a client of ours knows of a run; for OpenClaw's own see `Telling`."""

    __slots__ = ("_seq", "_stepped", "_steps", "ended", "log", "offset", "tokens")

    def __init__(self, log: RunLog, *, offset: int = 0, steps: Mapping[str, int] | None = None) -> None:
        length = log.text.length
        self.log = log
        self.offset = min(max(offset, 0), length) if offset else 0
        self.tokens = log.tokens if self.offset == length else 0
        self._steps = {key: (max(at, 0), -1) for key, at in steps.items()} if steps else {}
        self._stepped = 0
        self._seq = 0
        self.ended = False

    def due(self, size: int) -> bool:
        """Whether to tell at once: the first of a run, the first of its answer, its end, or ``size`` tokens more."""
        log = self.log
        return (
            log.tokens - self.tokens >= size
            or log.ending is not None
            or self._seq == 0
            or (self.offset == 0 and log.text.length > 0)
        )

    @property
    def behind(self) -> bool:
        """Whether anything at all is untold."""
        log = self.log
        return (
            self.offset < log.text.length or self._stepped != log.stepped or (log.ending is not None and not self.ended)
        )

    def take(self) -> list[tuple[str, Any]]:
        """What is untold, as (event name, payload); from now on it counts as told. Of a long text it is a part."""
        log = self.log
        told = self._take_steps() if self._stepped != log.stepped else []
        if self.offset < log.text.length:
            told.append(("chat", self._take_text()))
        behind = self.offset < log.text.length or self._stepped != log.stepped
        if log.ending is not None and not (self.ended or behind):
            self.ended = True
            told.append(("chat", self._take_ending(log.ending)))
        return told

    def _payload(self, **facts: Any) -> dict[str, Any]:
        self._seq += 1
        return {"runId": self.log.run_id, "sessionKey": self.log.session_key, "seq": self._seq, **facts}

    def _take_text(self) -> ChatDelta:
        log, offset = self.log, self.offset
        delta = log.text.since(offset, LONGEST_DELTA)
        self.offset += len(delta)
        self.tokens = log.tokens * self.offset // log.text.length
        self._seq += 1
        return ChatDelta(log.run_id, log.session_key, self._seq, "delta", delta, offset, self.tokens)

    def _take_steps(self) -> list[tuple[str, Any]]:
        told: list[tuple[str, Any]] = []
        self._stepped = self.log.stepped
        for key, step in self.log.steps.items():
            offset, version = self._steps.get(key, (0, -1))
            if version == step.version:
                continue
            delta = step.text.since(offset, LONGEST_DELTA)
            complete = offset + len(delta) >= step.text.length
            if not complete:
                self._stepped = -1
            self._steps[key] = (min(offset + len(delta), step.text.length), step.version if complete else -1)
            data: dict[str, Any] = {
                "delta": delta, "key": key, "title": step.title, "offset": offset, "tokens": step.tokens,
            }  # fmt: skip
            if complete and step.seconds is not None:
                data["seconds"] = step.seconds
            told.append(("agent", self._payload(stream="thinking", data=data)))
        return told

    def _take_ending(self, ending: Ending) -> dict[str, Any]:
        return self._payload(state=ending.state, length=self.log.text.length, tokens=self.log.tokens, **ending.facts)
