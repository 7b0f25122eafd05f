"""Records of runs as Redis has them: what was asked, entries of what was said, and what it adds to its session.

All of it is JSON. Questions, sessions and errors are redacted as snapshots are; the text of an answer is not: it is
what clients were told, whose offsets count in it, and is gone RETAIN seconds after the end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

from msgspec import ValidationError, convert, to_builtins

from ..engine import Turn
from ..errors import ProtocolError
from ..models.base import Output
from ..protocol.frames import decode_json, encode
from ..protocol.runlog import ChatDelta, Cursor, Ending, RunLog
from ..redaction import redact

__all__ = [
    "apply", "calls_in", "entries_of", "fingerprints", "name_of", "read", "read_turn", "record_of", "write",
]  # fmt: skip

ASKED = ("run_id", "message", "agent", "session", "level", "model", "base", "beside", "budget", "retry", "isolated")

_PLAIN = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def write(data: Any) -> str:
    """Plain data as the text of an entry."""
    return encode(data).decode()


def read(text: str) -> dict[str, Any]:
    """The data of an entry; nothing where it is none of ours."""
    try:
        data = decode_json(text.encode())
    except ProtocolError:
        return {}
    return data if isinstance(data, dict) else {}


def name_of(text: str) -> str:
    """How a run or a session is called in keys, which are short and plain."""
    return text if _PLAIN.fullmatch(text) else f"#{_digest(text)}"


def fingerprints(turn: Turn) -> tuple[str, str]:
    """What tells a request from any other of the same key, and from one with another message."""
    output = to_builtins(turn.output) if turn.output else None
    images = [image["data"] for image in turn.images]
    return _digest([turn.message, turn.agent, turn.session, turn.model, images, output]), _digest(turn.message)


def record_of(turn: Turn, began: float) -> str:
    """What was asked, for whoever has to go on with it. Began at ``began``, in Unix seconds."""
    asked: dict[str, Any] = {name: getattr(turn, name) for name in ASKED} | {"level": turn.depth}
    asked["message"] = redact(turn.message)
    if turn.images:
        asked["images"] = list(turn.images)
    if turn.output:
        asked["output"] = to_builtins(turn.output)
    return write(asked | {"began": began})


def read_turn(record: str) -> tuple[Turn, float] | None:
    """The turn of a record, and when it began; None where it is none of ours."""
    asked = read(record)
    began = asked.pop("began", time.time())
    output = asked.pop("output", None)
    try:
        turn = Turn(**asked | {"images": tuple(asked.get("images", ()))})
        turn.output = convert(output, Output) if output else None
    except (TypeError, ValidationError):
        return None
    return turn, float(began)


def entries_of(cursor: Cursor, lasted: float) -> Iterator[dict[str, Any]]:
    """What a cursor has that is not written yet, in entries that are not too long; now it counts as written."""
    while cursor.behind:
        entry: dict[str, Any] = {}
        for _, payload in cursor.take():
            if isinstance(payload, ChatDelta):
                entry["text"] = [payload.offset, payload.delta_text, payload.tokens]
            elif (step := payload.get("data")) is not None:
                entry.setdefault("steps", []).append(step)
            elif (ending := cursor.log.ending) is not None:
                entry["end"] = [ending.state, redact(ending.facts), cursor.log.tokens, lasted, cursor.log.text.length]
        yield entry


def apply(entry: Mapping[str, Any], log: RunLog) -> float | None:
    """Let a log grow by an entry, or by what of it is new; how many seconds the run took, where that was its end.

    ValueError where something before it is missing.
    """
    if (text := entry.get("text")) is not None:
        offset, new, tokens = text
        missing = offset - log.text.length
        if missing > 0:
            raise ValueError(f"{missing} characters are missing before an entry")
        log.append(new[-missing:] if missing else new, max(0, tokens - log.tokens))
    for step in entry.get("steps", ()):
        known = log.steps.get(step["key"])
        new = step["delta"][max((known.text.length if known else 0) - step["offset"], 0) :]
        if known is None or new or (known.tokens, known.seconds) != (step["tokens"], step.get("seconds")):
            log.append_step(step["key"], step["title"], new, 0, step.get("seconds"))
            log.steps[step["key"]].tokens = step["tokens"]
    if (end := entry.get("end")) is None:
        return None
    state, facts, tokens, lasted, length = end
    if log.text.length < length:
        raise ValueError(f"{length - log.text.length} characters are missing before the end")
    log.tokens = max(log.tokens, tokens)
    log.end(Ending(state, facts))
    return float(lasted)


def calls_in(log: RunLog) -> set[str]:
    """The keys of the tool calls that a run has begun: those of its steps that are the run's id and a place."""
    return {key for key in log.steps if key.startswith(f"{log.run_id}-")}


def _digest(data: Any) -> str:
    return blake2b(encode(data), digest_size=12).hexdigest()
