"""What a real OpenClaw gateway tells, read: cumulative text, tool calls, thoughts, approvals.

Its frames carry keys that their schema lacks and lack some that it has, so all is read leniently; a value that is not
what it should be is as good as none. Seen at 2026.9.6 (protocol 4) and 2026.3.1 (protocol 3).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .handshake import LARGEST, duration
from .happened import Asked, Happened, RunCursor, RunPhase, RunStep, RunText, Settled

__all__ = [
    "catch_up",
    "count",
    "message_text",
    "told_afterwards",
    "told_asked",
    "told_settled",
    "told_whole",
    "told_work",
]

LONGEST_TITLE = 120
"""Characters of a tool's arguments that stand in the title of its step."""

LONGEST_OUTPUT = 20_000
"""Characters of a tool's output that are kept, its end."""

CHARACTERS = 4
"""Of a token, about: real gateways count them at the end only."""

BETWEEN = "\n\n"
"""What 2026.9.6 puts between the parts of an answer that a tool's call divides."""


def count(value: Any) -> int | None:
    """A gateway's word for how many, or None where it is none."""
    return value if type(value) is int and 0 <= value < LARGEST else None


def message_text(message: Mapping[str, Any]) -> str:
    """The text of a message as gateways write it: plain, or in parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


# -- the answer ------------------------------------------------------------------------------------


def told_whole(run_id: str, cursor: RunCursor, payload: dict[str, Any]) -> Iterator[Happened]:
    """A `chat` event: the whole text of the part that is being told, and at 4 what of it is new."""
    phase, message = payload.get("phase"), payload.get("message")
    if payload.get("state") == "status" and isinstance(phase, str):
        yield RunPhase(run_id, phase.replace("_", " ")[:LONGEST_TITLE])
    if not isinstance(message, dict) or message.get("model") == "gateway-injected":
        return
    text, delta = message_text(message), payload.get("deltaText")
    if payload.get("state") == "delta":
        text = _whole(text)
    told = cursor.have - cursor.part
    if isinstance(delta, str) and delta and len(text) == told + len(delta) and not cursor.cut:
        yield from _grow(run_id, cursor, text[told:])
    else:
        yield from catch_up(run_id, cursor, text)


def catch_up(run_id: str, cursor: RunCursor, text: str) -> Iterator[RunText]:
    """The whole text so far, or that of its newest part: what of it is new here."""
    here = cursor.text[cursor.part :]
    if text.startswith(here):
        yield from _grow(run_id, cursor, text[len(here) :])
    elif text.startswith(cursor.text):
        cursor.part = 0
        yield from _grow(run_id, cursor, text[cursor.have :])
    elif here.startswith(text):
        return  # said before
    elif cursor.cut:
        cursor.held = True
    else:
        cursor.part = cursor.have + len(BETWEEN)
        yield from _grow(run_id, cursor, BETWEEN + text)


def _grow(run_id: str, cursor: RunCursor, fresh: str) -> Iterator[RunText]:
    if fresh and not cursor.held:
        at, cursor.have, cursor.text = cursor.have, cursor.have + len(fresh), cursor.text + fresh
        cursor.tokens += -(-len(fresh) // CHARACTERS)
        yield RunText(run_id, at, fresh, cursor.tokens)


def _whole(text: str) -> str:
    """Without the first half of a character, which a gateway that counts in UTF-16 may end with."""
    return text[:-1] if text and "\ud800" <= text[-1] <= "\udbff" else text


# -- what it does on the way -----------------------------------------------------------------------


def told_work(
    run_id: str, cursor: RunCursor, payload: dict[str, Any], data: dict[str, Any], *, in_parts: bool
) -> Iterator[Happened]:
    """An `agent` event: thoughts and tool calls are steps, each told whole.

    Where the answer is told ``in_parts``, as at protocol 3, the end of one may stand here only, and not in `chat`.
    """
    match payload.get("stream"):
        case "assistant" if in_parts and isinstance(data.get("text"), str):
            yield from catch_up(run_id, cursor, _whole(data["text"]))
        case "item" if data.get("kind") == "preamble" and data.get("phase") == "end":
            # Said before a tool's call; `chat` leaves it out where the model thinks. Only its end is told right.
            if isinstance(data.get("progressText"), str):
                yield from catch_up(run_id, cursor, data["progressText"])
        case "thinking" if isinstance(data.get("text"), str):
            yield from _thoughts(run_id, cursor, data["text"])
        case "tool" if isinstance(data.get("toolCallId"), str):
            yield _tool(run_id, cursor, data, count(payload.get("ts")) or 0)
        case "lifecycle":
            yield from _stage(run_id, cursor, data)


def _stage(run_id: str, cursor: RunCursor, data: dict[str, Any]) -> Iterator[RunPhase]:
    """It begins, chooses a model, ends; at 3 the end alone says that it was stopped."""
    match data:
        case {"phase": "start"}:
            yield RunPhase(run_id, "")
        case {"phase": "model", "model": str(model)}:
            cursor.model = model
        case {"phase": "end", "aborted": True}:
            cursor.stopped = True


def _thoughts(run_id: str, cursor: RunCursor, text: str) -> Iterator[RunStep]:
    """They begin anew for each of the model's answers in a run."""
    if cursor.thoughts.startswith(text):
        return  # said before
    number = cursor.steps.setdefault("thinking", 1)
    if not text.startswith(cursor.thoughts):
        number = cursor.steps["thinking"] = number + 1
        cursor.thoughts = ""
    fresh, at, cursor.thoughts = text[len(cursor.thoughts) :], len(cursor.thoughts), text
    if fresh:
        yield RunStep(run_id, _thoughts_key(number), "thinking", at, fresh, -(-len(text) // CHARACTERS), None)


def _tool(run_id: str, cursor: RunCursor, data: dict[str, Any], now: int) -> RunStep:
    id, name = data["toolCallId"], str(data.get("name", "tool"))
    cursor.began.setdefault(id, now)
    ended = data.get("phase") == "result"
    if data.get("phase") == "start":
        cursor.titles[id] = _arguments(data.get("args"))
    title = _title(name, ended and data.get("isError") is True, cursor.titles.get(id, ""))
    given = data.get("result" if ended else "partialResult")
    text = _output(given) if given is not None else ""
    seconds = max(0, now - cursor.began[id]) / 1000 if ended else None
    if ended:
        cursor.results[id] = title, text, seconds
    return RunStep(run_id, f"tool:{id}", title, 0, text, 0, seconds)


def told_afterwards(run_id: str, cursor: RunCursor, messages: Sequence[dict[str, Any]]) -> Iterator[RunStep]:
    """Of the messages of a run in its history: what tools gave, and thoughts, where neither was told with events."""
    for message in messages:
        for part in _parts(message):
            if part.get("type") == "toolCall" and isinstance(part.get("id"), str):
                cursor.titles.setdefault(part["id"], _arguments(part.get("arguments")))
        if message.get("role") == "toolResult":
            yield from _told_late(run_id, cursor, message)
    if "thinking" not in cursor.steps or cursor.late:
        thoughts = [text for message in messages for text in _thoughts_in(message)]
        cursor.late = bool(thoughts)
        for number, text in enumerate(thoughts, 1):
            cursor.steps["thinking"] = number
            yield RunStep(run_id, _thoughts_key(number), "thinking", 0, text, -(-len(text) // CHARACTERS), None)


def _told_late(run_id: str, cursor: RunCursor, message: dict[str, Any]) -> Iterator[RunStep]:
    id, text = message.get("toolCallId"), _output(message)
    if isinstance(id, str) and text:
        failed = message.get("isError") is True
        title = _title(str(message.get("toolName", "tool")), failed, cursor.titles.get(id, ""))
        title, known, seconds = cursor.results.get(id, (title, "", None))
        if not known:
            cursor.results[id] = title, text, seconds
            yield RunStep(run_id, f"tool:{id}", title, 0, text, 0, seconds)


def _thoughts_in(message: dict[str, Any]) -> list[str]:
    return [text for part in _parts(message) if isinstance(text := part.get("thinking"), str) and text]


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _title(tool: str, failed: bool, said: str) -> str:
    title = f"{tool}, failed" if failed else tool
    return f"{title}: {said}" if said else title


def _thoughts_key(number: int) -> str:
    return "thinking" if number == 1 else f"thinking {number}"


def _arguments(args: Any) -> str:
    """What a tool is called with, in short: a command as it is."""
    if not isinstance(args, dict):
        return ""
    command = args.get("command")
    said = command if isinstance(command, str) else ", ".join(f"{name}={_short(value)}" for name, value in args.items())
    return said if len(said) <= LONGEST_TITLE else said[: LONGEST_TITLE - 1] + "…"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _output(result: Any) -> str:
    """What a tool gave: text, or content in parts."""
    text = result if isinstance(result, str) else message_text(result) if isinstance(result, dict) else ""
    return text if len(text) <= LONGEST_OUTPUT else "…" + text[-LONGEST_OUTPUT:]


# -- approvals -------------------------------------------------------------------------------------


def told_asked(kind: str, payload: dict[str, Any]) -> Iterator[Asked]:
    """An approval that is asked for, by its event or in a list of those that wait."""
    id, request = payload.get("id"), payload.get("request")
    if not isinstance(id, str) or not isinstance(request, dict):
        return
    command = request.get("command") or request.get("title") or request.get("description") or ""
    where = [f"{name} {request[key]}" for name, key in _DETAILS if isinstance(request.get(key), str)]
    created, expires = duration(payload.get("createdAtMs")), duration(payload.get("expiresAtMs"))
    left = (expires - created) / 1000 if created is not None and expires is not None else None
    run_id, key = request.get("runId"), request.get("sessionKey")
    yield Asked(
        id, kind, run_id if isinstance(run_id, str) else "", key if isinstance(key, str) else "", str(command),
        " · ".join(where), left,
    )  # fmt: skip


_DETAILS = (("on", "host"), ("in", "cwd"), ("as", "resolvedPath"), ("by agent", "agentId"), ("look:", "warningText"))


def told_settled(payload: dict[str, Any]) -> Iterator[Settled]:
    """An approval that somebody has decided."""
    id, decision = payload.get("id"), payload.get("decision")
    if isinstance(id, str):
        yield Settled(id, str(decision or "expired"), str(payload.get("resolvedBy") or ""))
