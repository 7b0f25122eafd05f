"""Telling, how far one connection has been told of a run in OpenClaw's own shapes: the whole text each time.

It stands where a `Cursor` does for clients that know nothing of offsets. Shapes as recorded from OpenClaw 2026.9.6
(protocol 4) and 2026.3.1 (3, which has no ``deltaText``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .keys import read_session_key
from .runlog import Ending, RunLog, StepLog

__all__ = ["LONGEST_LIVE", "Telling"]

LONGEST_LIVE = 500_000
"""Code points of a text that are told while it grows, its last ones; as a real gateway, it ends with the whole."""

TOLD_AT_THE_END = ("stopReason", "errorMessage")
"""What OpenClaw's clients know of how a run ended; what else is known of it they might refuse."""


class Telling:
    """What one connection knows of a run. With ``live`` only what comes from now on is told, and with ``tools`` the
    calls of tools; ``clock`` gives Unix seconds. ``key`` is the session as this client calls it."""

    __slots__ = ("_clock", "_protocol", "_seq", "_stepped", "_steps", "_tools", "ended", "key", "log", "offset")

    def __init__(
        self, log: RunLog, *, protocol: int = 4, tools: bool = True, live: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.log = log
        self.key = log.session_key
        self.offset = log.text.length if live else 0
        self.ended = False
        self._protocol = protocol
        self._tools = tools
        self._clock = clock
        self._seq = 0
        self._stepped = log.stepped if live else 0
        self._steps: dict[str, tuple[int, int]] = {}
        if live:
            self._steps = {key: (step.text.length, step.version) for key, step in log.steps.items()}

    def due(self, size: int) -> bool:
        """Whether to tell at once: the first of a run, the first of its answer, or its end."""
        log = self.log
        return log.ending is not None or self._seq == 0 or (self.offset == 0 and log.text.length > 0)

    @property
    def behind(self) -> bool:
        """Whether anything at all is untold."""
        log = self.log
        return (
            self._seq == 0
            or self.offset < log.text.length
            or self._stepped != log.stepped
            or (log.ending is not None and not self.ended)
        )

    def take(self) -> list[tuple[str, Any]]:
        """What is untold, as (event name, payload); from now on it counts as told."""
        log, told = self.log, []
        now = int(self._clock() * 1000)
        if self._seq == 0:
            told.append(self._agent("lifecycle", {"phase": "start", "startedAt": now}, now))
        if self._stepped != log.stepped:
            self._stepped = log.stepped
            for key, step in log.steps.items():
                told += self._step(key, step, now)
        if self.offset < log.text.length:
            told += self._text(now)
        if log.ending is not None and not self.ended:
            self.ended = True
            told += self._ending(log.ending, now)
        return told

    def _payload(self, **facts: Any) -> dict[str, Any]:
        self._seq += 1
        payload = {"runId": self.log.run_id, "sessionKey": self.key, "seq": self._seq, **facts}
        if self._protocol >= 4:
            payload["agentId"] = read_session_key(self.log.session_key)[0]
        return payload

    def _agent(self, stream: str, data: dict[str, Any], now: int) -> tuple[str, Any]:
        return "agent", self._payload(stream=stream, data=data, ts=now)

    def _text(self, now: int) -> list[tuple[str, Any]]:
        whole = str(self.log.text)
        delta = whole[self.offset :]
        self.offset = len(whole)
        text = whole[-LONGEST_LIVE:]
        assistant = self._agent("assistant", {"text": text, "delta": delta}, now)
        more = {"deltaText": delta} if self._protocol >= 4 else {}
        return [assistant, ("chat", self._payload(state="delta", **more, message=_message(text, now)))]

    def _step(self, key: str, step: StepLog, now: int) -> list[tuple[str, Any]]:
        offset, version = self._steps.get(key, (0, -1))
        if version == step.version:
            return []
        text = str(step.text)
        self._steps[key] = (len(text), step.version)
        if key.startswith(f"{self.log.run_id}-"):
            return self._call(key, step, text, now, begins=version < 0) if self._tools else []
        if len(text) == offset:
            return []
        return [self._agent("thinking", {"text": text[-LONGEST_LIVE:], "delta": text[offset:]}, now)]

    def _call(self, key: str, step: StepLog, text: str, now: int, *, begins: bool) -> list[tuple[str, Any]]:
        """A call of a tool, which has its key from its run, as it begins and as it ends."""
        name, _, arguments = step.title.partition("(")
        tool = {"name": name, "toolCallId": key}
        item = {"itemId": f"tool:{key}", "kind": "tool", "title": step.title, **tool}
        told: list[tuple[str, dict[str, Any]]] = []
        if begins:
            told.append(("item", {**item, "phase": "start", "status": "running", "startedAt": now}))
            told.append(("tool", {**tool, "phase": "start", "args": {"arguments": arguments.removesuffix(")")}}))
        if step.seconds is not None:
            result = {"content": [{"type": "text", "text": text}]}
            ended = {**tool, "phase": "result", "meta": step.title, "isError": False, "result": result}
            told += [("tool", ended), ("item", {**item, "phase": "end", "status": "completed", "endedAt": now})]
        known = told if self._protocol >= 4 else [one for one in told if one[0] == "tool"]
        return [self._agent(stream, data, now) for stream, data in known]

    def _ending(self, ending: Ending, now: int) -> list[tuple[str, Any]]:
        facts = {key: ending.facts[key] for key in TOLD_AT_THE_END if key in ending.facts}
        if "usage" in ending.facts:
            facts["usage"] = {key: ending.facts["usage"][key] for key in ("input", "output")}
        text = str(self.log.text)
        if text and ending.state != "error":
            facts["message"] = _message(text, now)
        over: dict[str, Any] = {"phase": "end", "endedAt": now}
        if ending.state == "error":
            over |= {"phase": "error", "error": ending.facts.get("errorMessage", "")}
        elif ending.state == "aborted":
            over |= {"aborted": True, "stopReason": "aborted"}
        return [self._agent("lifecycle", over, now), ("chat", self._payload(state=ending.state, **facts))]


def _message(text: str, now: int) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": now}
