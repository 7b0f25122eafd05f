"""Posts, what a worker tells of a turn: in batches, numbered, so that each is taken once and in its order.

A batch is JSON, as text may hold half a surrogate pair, and as nothing that comes from a worker is to run code here. It
says the order's id, the attempt (each start of the order at a worker has its own), the batch's number from 0, and then
the posts: lists that begin with one of the words below.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..models.base import ModelEvent, StepDelta, TextDelta, ThinkingDelta

__all__ = [
    "BATCH", "CALL", "COUNT", "END", "ERROR", "EVENT", "HELLO", "KEEP", "STAGE", "Outbox", "event_of", "read", "told",
]  # fmt: skip

BATCH = 0.03
"""Seconds in which what comes goes together. What comes after a pause, as a first token does, goes at once."""

HELLO = "hello"
"""The worker's address, the versions of this package and of Python there. It waits for what it is to go on with."""

EVENT = "event"
"""An event of the answer: ``event_of`` reads it."""

CALL = "call"
"""A tool call's place in the ledger, and its entry."""

KEEP = "keep"
"""A number: the calls are to be kept before the worker goes on, and the number told back."""

STAGE = "stage"
"""A step of the deliberation that has come to its end: its key and text."""

COUNT = "count"
"""One request of the model: its place, tokens asked, tokens made, USD or None, and what its provider counted."""

END = "end"
"""It is answered: its note, and the tokens that it went on from."""

ERROR = "error"
"""It failed: the error's class, code, sentence, seconds to wait, and then as ``end``."""

_TEXT, _THOUGHT, _STEP = "text", "thought", "step"


class Outbox:
    """Sends posts of one attempt by ``send``, on the running loop, and with each batch what ``also`` has to say."""

    def __init__(
        self, order: str, attempt: str, send: Callable[[str], None], also: Callable[[], Iterable[Sequence[Any]]] = tuple
    ) -> None:
        self._head = [order, attempt]
        self._send = send
        self._also = also
        self._posts: list[list[Any]] = []
        self._number = 0
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def put(self, *post: Any) -> None:
        """Send a post, soon."""
        if not (self._posts and _joined(self._posts[-1], post)):
            self._posts.append(list(post))
        if self._timer is None:
            self._timer = self._loop.call_at(max(self._due, self._loop.time()), self.flush)

    def flush(self) -> None:
        """Send all there is now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._posts[:0] = map(list, self._also())  # before the end, if that is among them
        if self._posts:
            posts, self._posts = self._posts, []
            self._send(json.dumps([*self._head, self._number, posts]))
            self._number += 1
            self._due = self._loop.time() + BATCH


def _joined(last: list[Any], post: tuple[Any, ...]) -> bool:
    """Whether a post was more of the text of the last one, which it is a part of now."""
    if post[0] != EVENT or last[:2] != [EVENT, post[1]]:
        return False
    text = 2
    if post[1] == _STEP:
        text = 4
        if last[2:4] != list(post[2:4]) or last[6] is not None:
            return False
        last[6] = post[6]
    last[text] += post[text]
    last[text + 1] += post[text + 1]
    return True


def told(event: ModelEvent) -> tuple[Any, ...] | None:
    """An event as a post; None for those of which nobody is told."""
    match event:
        case TextDelta(text=text, tokens=tokens):
            return EVENT, _TEXT, text, tokens
        case ThinkingDelta(text=text, tokens=tokens):
            return EVENT, _THOUGHT, text, tokens
        case StepDelta(key=key, title=title, text=text, tokens=tokens, seconds=seconds):
            return EVENT, _STEP, key, title, text, tokens, seconds
    return None


def event_of(kind: str, *facts: Any) -> TextDelta | ThinkingDelta | StepDelta:
    """What ``told`` made a post of."""
    if kind == _STEP:
        return StepDelta(*facts)
    return TextDelta(*facts) if kind == _TEXT else ThinkingDelta(*facts)


def read(batch: str) -> tuple[str, str, int, list[list[Any]]]:
    """The order's id, the attempt, the batch's number and its posts. ValueError for what is no batch."""
    match json.loads(batch):
        case [str(order), str(attempt), int(number), list(posts)]:
            return order, attempt, number, posts
    raise ValueError("not a batch of posts")
