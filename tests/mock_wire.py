"""What a mock of a provider is told to answer, what comes of it for one request, and how that request came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

__all__ = ["Answer", "Body", "Reply", "Request", "Wire", "pieces", "spoken", "texts_of", "words"]

Body = dict[str, Any]
Tokens = int | Sequence[str] | Callable[[Body], Sequence[str]]
Calls = Sequence[tuple[str, str]] | Callable[[Body], Sequence[tuple[str, str]]]

CALL_PIECE = 5
SAID = {"content", "text", "parts"}


def words(count: int) -> list[str]:
    """The default answer, token by token: "token0 token1 …"."""
    return [f"token{index} " for index in range(count)]


def spoken(value: Any) -> int:
    """How many words a part of a request has: the tokens of a mock."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, dict):
        return sum(spoken(part) for name, part in value.items() if name in SAID)
    return sum(map(spoken, value)) if isinstance(value, list) else 0


def pieces(text: str) -> Iterator[str]:
    """The arguments of a call as they are streamed."""
    return (text[at : at + CALL_PIECE] for at in range(0, len(text), CALL_PIECE))


@dataclass(frozen=True)
class Reply:
    """How one call is answered. ``tokens`` and ``thinking`` are a count, the texts, or a function of the body.

    ``interval`` is seconds between tokens. A ``status`` other than 200 gives the provider's error object instead,
    with ``retry_after`` as the header and ``message`` inside. ``close`` closes the connection in place of an answer.
    The ``…_after`` fields count text tokens already sent: then the connection is reset, ended early without the last
    chunk, or with it (``stop_after``) but without what ends an answer, sent garbage, sent an error event, or nothing
    more is sent until the client leaves. ``delay`` is seconds
    before the response's head. ``calls`` are the tools asked for after the text: (name, arguments as JSON), streamed
    CALL_PIECE characters at a time; with ``lose_calls_after`` the reply ends early after that many of these pieces.
    """

    tokens: Tokens = 20
    thinking: Tokens = 0
    interval: float = 0.0
    delay: float = 0.0
    usage: bool = True
    finish_reason: str = "stop"
    status: int = 200
    retry_after: str | None = None
    message: str = "scripted failure"
    close: bool = False
    reset_after: int | None = None
    end_after: int | None = None
    stop_after: int | None = None
    malformed_after: int | None = None
    error_after: int | None = None
    hang_after: int | None = None
    calls: Calls = ()
    lose_calls_after: int | None = None


@dataclass(frozen=True)
class Answer:
    """What a reply comes to for one request, no longer than it allows: ``cut`` says that there would be more."""

    thoughts: list[str]
    texts: list[str]
    calls: list[tuple[str, str]]
    reply: Reply
    cut: bool

    @property
    def output_tokens(self) -> int:
        return len(self.thoughts) + len(self.texts)


@dataclass
class Request:
    """One request as it came: headers in lower case; ``sent`` text tokens; ``closed`` is set once the reply is over.

    ``closed_early`` says that the client left before the end, at ``closed_at`` (time.monotonic, seconds).
    """

    method: str
    path: str
    headers: dict[str, str]
    body: Body
    sent: int = 0
    closed_early: bool = False
    closed_at: float | None = None
    closed: threading.Event = field(default_factory=threading.Event)

    def end(self, *, early: bool) -> None:
        if not self.closed.is_set():
            self.closed_early = early
            self.closed_at = time.monotonic()
            self.closed.set()


class Wire:
    """One answer as its provider streams it; each method gives the events of one piece. To be filled in."""

    malformed: ClassVar[bytes] = b""

    def __init__(self, request: Request, answer: Answer) -> None:
        self.request = request
        self.answer = answer

    def begin(self) -> bytes:
        return b""

    def thought(self, text: str) -> bytes:
        raise NotImplementedError

    def text(self, text: str) -> bytes:
        raise NotImplementedError

    def calls(self) -> Iterable[bytes]:
        raise NotImplementedError

    def end(self) -> bytes:
        raise NotImplementedError

    def error(self, message: str) -> bytes:
        """An error in the middle of an answer."""
        raise NotImplementedError


def texts_of(tokens: Tokens, body: Body) -> list[str]:
    """The tokens that a reply has for a request."""
    if isinstance(tokens, int):
        return words(tokens)
    return list(tokens(body) if callable(tokens) else tokens)
