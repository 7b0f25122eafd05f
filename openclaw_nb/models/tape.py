"""Tapes: answers recorded as JSON Lines, played again with the same text and timing, without any model.

One line is one turn: ``{"prompt": str | null, "deltas": [[seconds, text], …], "thinking": [[seconds, text], …],
"calls": [[name, {arguments}], …], "usage": {"input_tokens": n, "output_tokens": n}}``. Seconds count from the start of
the turn; ``prompt`` null or left out fits any prompt; only ``deltas`` is needed. A model that calls tools is asked
again: each of its answers is a line of its own, with the same prompt.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from ..errors import ConfigError, ModelError
from ..events import Usage
from .base import Model, ModelEvent, ModelRequest, TextDelta, ThinkingDelta, ToolCall

__all__ = ["Recorder", "TapeModel"]

Timed = list[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class _Turn:
    line: int
    prompt: str | None
    deltas: Timed
    thinking: Timed
    calls: list[ToolCall]
    usage: Usage


class TapeModel:
    """Plays the tape in ``path``: the first turn left whose prompt is exactly this one, else the next without one.

    Each turn is played once. Raises ConfigError, with file and line, where the tape is missing or malformed, and
    ModelError in ``stream`` where no turn is left for a prompt.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).expanduser()
        self.name = f"tape:{path}"
        self._left = _read(self._path)
        self._last_line = self._left[-1].line if self._left else 0

    def __repr__(self) -> str:
        return f"TapeModel({str(self._path)!r}, {len(self._left)} turns left)"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """The recorded deltas at their recorded times, then the recorded calls and usage."""
        turn = self._take(request.prompt)
        loop = asyncio.get_running_loop()
        start = loop.time()
        events: list[tuple[float, ModelEvent]] = [(seconds, ThinkingDelta(text)) for seconds, text in turn.thinking]
        events += [(seconds, TextDelta(text)) for seconds, text in turn.deltas]
        for seconds, event in sorted(events, key=itemgetter(0)):
            if (wait := start + seconds - loop.time()) > 0:
                await asyncio.sleep(wait)
            yield event
        for call in turn.calls:
            yield call
        yield turn.usage

    def _take(self, prompt: str) -> _Turn:
        for wanted in (prompt, None):
            for turn in self._left:
                if turn.prompt == wanted:
                    self._left.remove(turn)
                    return turn
        raise ModelError(
            f"the tape {self._path} has no answer left for this prompt (it ends at line {self._last_line})"
        )


class Recorder:
    """A Model that passes another one through and adds each complete turn to the tape in ``path`` (mode 0600).

    Raises ConfigError where the file cannot be written. A turn that fails or is stopped is not recorded.
    """

    def __init__(self, model: Model, path: str | os.PathLike[str]) -> None:
        self._model = model
        self._path = Path(path).expanduser()
        self.name = model.name
        try:
            self._append(b"")
        except OSError as error:
            raise ConfigError(f"the tape {self._path} cannot be written: {error.strerror}") from None

    def __repr__(self) -> str:
        return f"Recorder({self._model!r}, {str(self._path)!r})"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        turn: dict[str, Any] = {"prompt": request.prompt, "deltas": [], "thinking": [], "usage": None}
        async with aclosing(self._model.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Usage):
                    turn["usage"] = asdict(event)
                elif isinstance(event, ToolCall):
                    turn.setdefault("calls", []).append([event.name, event.arguments])
                else:
                    track = turn["deltas" if isinstance(event, TextDelta) else "thinking"]
                    track.append([round(loop.time() - start, 3), event.text])
                yield event
        try:
            self._append(json.dumps(turn).encode() + b"\n")
        except OSError as error:
            raise ModelError(f"the tape {self._path} cannot be written: {error.strerror}") from None

    async def aclose(self) -> None:
        """Close the recorded model, where it has something to close."""
        if (close := getattr(self._model, "aclose", None)) is not None:
            await close()

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with open(descriptor, "ab", buffering=0) as file:
            file.write(line)


def _read(path: Path) -> list[_Turn]:
    try:
        if not path.is_file():
            raise ConfigError(f"there is no tape {path}")
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigError(f"the tape {path} cannot be read: {error.strerror}") from None
    turns = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                turns.append(_turn(number, line))
            except (ValueError, TypeError, RecursionError) as error:
                raise ConfigError(f"the tape {path} is malformed in line {number}: {error}") from None
    return turns


def _turn(number: int, line: bytes) -> _Turn:
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("a turn is an object")
    if unknown := value.keys() - {"prompt", "deltas", "thinking", "calls", "usage"}:
        raise ValueError(f"a turn has no {min(unknown)!r}")
    prompt = value.get("prompt")
    if not isinstance(prompt, str | None):
        raise ValueError("prompt is a string or null")
    deltas = _timed("deltas", value.get("deltas"))
    thinking = _timed("thinking", value.get("thinking") or [])
    return _Turn(number, prompt, deltas, thinking, _calls(value.get("calls") or []), _usage(value, deltas))


def _calls(value: object) -> list[ToolCall]:
    if not isinstance(value, list):
        raise ValueError("calls is a list of [name, {arguments}]")
    calls = []
    for pair in value:
        match pair:
            case [str() as name, dict() | str() as arguments]:
                calls.append(ToolCall("", name, arguments))
            case _:
                raise ValueError("calls has something that is not [name, {arguments}]")
    return calls


def _timed(name: str, value: object) -> Timed:
    if not isinstance(value, list):
        raise ValueError(f"{name} is a list of [seconds, text]")
    for pair in value:
        match pair:
            case [int() | float() as seconds, str()] if 0 <= seconds < math.inf and not isinstance(seconds, bool):
                continue
        raise ValueError(f"{name} has something that is not [seconds, text]")
    return [(float(seconds), text) for seconds, text in value]


def _usage(value: dict[str, Any], deltas: Timed) -> Usage:
    usage = value.get("usage")
    if usage is None:
        return Usage(output_tokens=len(deltas), estimated=True)
    try:
        return Usage(int(usage["input_tokens"]), int(usage["output_tokens"]), bool(usage.get("estimated", False)))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError("usage is {input_tokens, output_tokens}") from None
