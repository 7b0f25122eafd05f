"""A kept state in words, for terminals and tables: who said what, which variables, how big."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from .prompts.images import in_short
from .render import dollars, plain

__all__ = ["exchange", "in_words", "setting", "sized", "variable"]

_LONGEST = 60  # characters of a value that is no text of a conversation


def exchange(messages: Iterable[Any]) -> list[tuple[str, str]]:
    """(who, text) of each message, oldest first; the parts of an answer that was under way are one.

    A message may be anything that a store keeps. The text is whole, and safe for a terminal.
    """
    found: list[tuple[str, str]] = []
    run = None
    for message in messages:
        said = message if isinstance(message, Mapping) else {"content": message}
        content = said.get("content", "")
        text = plain(content if isinstance(content, str) else _json(content)) + _images(said)
        part = said.get("run") if "part" in said else None
        if part is not None and part == run:
            found[-1] = (found[-1][0], found[-1][1] + text)
        else:
            found.append((_who(said), text or _calls(said)))
        run = part
    return found


def _who(said: Mapping[str, Any]) -> str:
    role = said.get("role")
    match role:
        case "user":
            return "you"
        case "assistant":
            state = next((word for word in ("stopped", "failed") if said.get(word)), "")
            return f"agent, {state}" if state else "agent"
        case "tool":
            return f"tool {in_words(said.get('name', ''))}".rstrip()
        case _:
            return in_words(role) if isinstance(role, str) else "message"


def _images(said: Mapping[str, Any]) -> str:
    """What went along with a message, in words; never its bytes."""
    images = said.get("images")
    return "".join(f" {in_short(image)}" for image in images) if isinstance(images, list) else ""


def _calls(said: Mapping[str, Any]) -> str:
    """What a message without text asked for."""
    calls = said.get("calls")
    asked = [call for call in calls if isinstance(call, Mapping)] if isinstance(calls, list) else []
    return "; ".join(f"calls {in_words(call.get('name'))} with {in_words(call.get('arguments'))}" for call in asked)


def variable(kept: Any) -> str:
    """A notebook variable as it is kept: in which format, and how big; never what is in it."""
    if not isinstance(kept, Mapping):
        return "not there"
    return f"{in_words(kept.get('format'))}, {sized(len(_json(kept.get('data'))))}"


def setting(name: str, value: Any) -> str:
    """Any other value of a state by its name."""
    if value is None:
        return "not there"
    return dollars(value) if name == "spent" and isinstance(value, float) else in_words(value)


def in_words(value: Any) -> str:
    """Any plain value in one short line, safe for a terminal."""
    line = " ".join(plain(value if isinstance(value, str) else _json(value)).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def sized(count: float) -> str:
    """ "120 B", "1.2 kB", "3.4 MB"."""
    units = iter(("B", "kB", "MB", "GB"))
    unit = next(units)
    while count >= 999.5 and unit != "GB":
        count, unit = count / 1000, next(units)
    return f"{count:,.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
