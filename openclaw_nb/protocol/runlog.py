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
from typing import Any, Literal

__all__ = ["LONGEST_DELTA", "Cursor", "Ending", "RunLog", "SpokenText", "StepLog"]

LONGEST_DELTA = 1_000_000
"""Code points told in one frame: in JSON they take 12 bytes each at worst, and a frame has 25 MiB."""


class SpokenText:
    """Text that only grows, sliced anywhere in time proportional to the slice."""

    __slots__ = ("_parts", "_starts", "length")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._starts: list[int] = []
        self.length = 0

    def append(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._starts.append(self.length)
            self.length += len(text)

    def since(self, offset: int, limit: int = sys.maxsize) -> str:
        """The text from ``offset`` on, ``limit`` code points of it at most."""
        if offset >= self.length:
            return ""
        first, last = bisect_right(self._starts, offset) - 1, bisect_left(self._starts, offset + limit)
        skip = offset - self._starts[first]
        return "".join(self._parts[first:last])[skip : skip + limit]

    def __str__(self) -> str:
        if len(self._parts) > 1:
            self._parts, self._starts = ["".join(self._parts)], [0]
        return self._parts[0] if self._parts else ""


@dataclass(slots=True)
class StepLog:
    """One reasoning step: its text, tokens, and seconds once it is over; ``version`` counts its changes."""

    title: str
    text: SpokenText = field(default_factory=SpokenText)
    tokens: int = 0
    seconds: float | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended. ``facts`` are further payload keys: usage, model, snapshot, errorMessage, stopReason."""

    state: Literal["final", "aborted", "error"]
    facts: Mapping[str, Any] = field(default_factory=dict)


class RunLog:
    """The answer, the reasoning steps and the ending of one run."""

    def __init__(self, run_id: str, session_key: str) -> None:
        self.run_id = run_id
        self.session_key = session_key
        self.text = SpokenText()
        self.tokens = 0
        self.steps: dict[str, StepLog] = {}
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

    def end(self, ending: Ending) -> None:
        """Close the log; the first ending stands."""
        self.ending = self.ending or ending


class Cursor:
    """What one connection knows of a run. ``cumulative`` sends the whole text each time, as OpenClaw does."""

    def __init__(
        self, log: RunLog, *, offset: int = 0, steps: Mapping[str, int] | None = None, cumulative: bool = False
    ) -> None:
        self.log = log
        self.cumulative = cumulative
        self.offset = min(max(offset, 0), log.text.length)
        self.tokens = log.tokens if self.offset == log.text.length else 0
        self._steps = {key: (max(at, 0), -1) for key, at in (steps or {}).items()}
        self._seq = 0
        self.ended = False

    @property
    def urgent(self) -> bool:
        """Whether what is untold is the first of a run, the first of its answer, or its end."""
        first = self._seq == 0 or (self.offset == 0 and self.log.text.length > 0)
        return first or self.log.ending is not None

    @property
    def waiting(self) -> int:
        """Tokens of the answer not told yet."""
        return self.log.tokens - self.tokens

    @property
    def behind(self) -> bool:
        """Whether anything at all is untold."""
        if self.offset < self.log.text.length or (self.log.ending is not None and not self.ended):
            return True
        return any(self._steps.get(key, (0, -1))[1] != step.version for key, step in self.log.steps.items())

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """What is untold, as (event name, payload); from now on it counts as told. Of a long text it is a part."""
        told = [("agent", payload) for payload in self._take_steps()]
        if self.offset < self.log.text.length:
            told.append(("chat", self._take_text()))
        if self.log.ending is not None and not self.ended and self.offset == self.log.text.length:
            self.ended = True
            told.append(("chat", self._take_ending(self.log.ending)))
        return told

    def _payload(self, **facts: Any) -> dict[str, Any]:
        self._seq += 1
        return {"runId": self.log.run_id, "sessionKey": self.log.session_key, "seq": self._seq, **facts}

    def _message(self) -> dict[str, Any]:
        return {"role": "assistant", "content": [{"type": "text", "text": str(self.log.text)}]}

    def _take_text(self) -> dict[str, Any]:
        offset, length = self.offset, self.log.text.length
        delta = self.log.text.since(offset, length if self.cumulative else LONGEST_DELTA)
        self.offset += len(delta)
        self.tokens = self.log.tokens * self.offset // length
        if self.cumulative:
            return self._payload(state="delta", deltaText=delta, message=self._message())
        return self._payload(state="delta", deltaText=delta, offset=offset, tokens=self.tokens)

    def _take_steps(self) -> list[dict[str, Any]]:
        told = []
        for key, step in self.log.steps.items():
            offset, version = self._steps.get(key, (0, -1))
            if version == step.version:
                continue
            self._steps[key] = (step.text.length, step.version)
            data: dict[str, Any] = {"delta": step.text.since(offset)}
            if self.cumulative:
                data["text"] = str(step.text)
            else:
                data |= {"key": key, "title": step.title, "offset": offset, "tokens": step.tokens}
                if step.seconds is not None:
                    data["seconds"] = step.seconds
            told.append(self._payload(stream="thinking", data=data))
        return told

    def _take_ending(self, ending: Ending) -> dict[str, Any]:
        if self.cumulative:
            return self._payload(state=ending.state, message=self._message(), **ending.facts)
        return self._payload(state=ending.state, length=self.log.text.length, tokens=self.log.tokens, **ending.facts)
