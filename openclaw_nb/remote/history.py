"""The conversation in a session of a gateway elsewhere, as messages that are shown like those of our own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..client import OpenClawClient
from .reading import amount, mapping, members, seconds, text

__all__ = ["History", "Message", "history"]

MOST = 1_000
"""Messages that a gateway gives at once."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. ``role`` is "user", "assistant", "tool", or the gateway's own word.

    ``thought`` is what the model thought before it; ``calls`` are the tools it asked for, each by name with its
    arguments; ``tool`` is whose result it is; ``images`` and other ``files`` are counted, named as the gateway does;
    ``at`` is in seconds since the epoch, ``cost`` in USD.
    """

    role: str
    text: str = ""
    thought: str = ""
    calls: tuple[tuple[str, Any], ...] = ()
    tool: str = ""
    files: tuple[str, ...] = ()
    model: str = ""
    tokens: int | None = None
    cost: float | None = None
    at: float | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """The newest messages of a session, oldest first; ``total`` is how many there are, None where that is not told."""

    messages: tuple[Message, ...]
    total: int | None


async def history(client: OpenClawClient, key: str, limit: int = 20) -> History:
    """The ``limit`` newest messages of a session; none of one that has not begun."""
    asked = {"sessionKey": key, "limit": min(limit, MOST)}
    told = mapping(await client.request("chat.history", asked))
    total = amount(told.get("totalMessages"))
    messages = tuple(_message(one) for one in members(told.get("messages")))
    return History(messages, None if total is None else int(total))


def _message(told: Mapping[str, Any]) -> Message:
    parts = list(_parts(told.get("content")))
    role, usage = text(told.get("role")), mapping(told.get("usage"))
    tokens = amount(usage.get("output"))
    return Message(
        role="tool" if role == "toolResult" else role,
        text="\n\n".join(said for part in parts if (said := text(part.get("text"))) and _is(part, "text")),
        thought="\n\n".join(text(part.get("thinking")) for part in parts if _is(part, "thinking")),
        calls=tuple((text(part.get("name")), part.get("arguments")) for part in parts if _is(part, "toolCall")),
        tool=text(told.get("toolName")),
        files=tuple(_file(part) for part in parts if not _is(part, "text", "thinking", "toolCall")),
        model=text(told.get("model")),
        tokens=None if tokens is None else int(tokens),
        cost=amount(mapping(usage.get("cost")).get("total")),
        at=seconds(told.get("timestamp")),
        failed=told.get("isError") is True or told.get("stopReason") == "error",
    )


def _parts(content: object) -> Iterator[Mapping[str, Any]]:
    """The parts of a message, which is one text or several."""
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    else:
        yield from members(content)


def _is(part: Mapping[str, Any], *types: str) -> bool:
    return part.get("type") in types


def _file(part: Mapping[str, Any]) -> str:
    """What went along, in a word: never its bytes."""
    return text(part.get("fileName")) or text(part.get("mimeType")) or text(part.get("type")) or "attachment"
