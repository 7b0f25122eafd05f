"""Model, the one seam to whatever makes text, and the plain data that crosses it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypedDict, runtime_checkable

from msgspec import Struct

from ..run import Usage

__all__ = ["Closable", "Continuing", "Message", "Model", "ModelEvent", "ModelRequest", "TextDelta", "ThinkingDelta"]


class Message(TypedDict):
    """One turn of a conversation, as plain data: it is what the snapshot store keeps."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of a model: the messages, oldest first, the last one from the user; level 1-4."""

    messages: tuple[Message, ...]
    instructions: str = ""
    level: int = 2

    @property
    def prompt(self) -> str:
        """The last message's text."""
        return self.messages[-1]["content"]


class TextDelta(Struct, frozen=True, gc=False):  # a seventh of a dataclass's time: one is made for every token
    """More of the answer; ``tokens`` is how many tokens it stands for."""

    text: str
    tokens: int = 1


class ThinkingDelta(Struct, frozen=True, gc=False):
    """More of what the model thinks aloud; never part of the answer."""

    text: str
    tokens: int = 1


ModelEvent = TextDelta | ThinkingDelta | Usage


@runtime_checkable
class Closable(Protocol):
    """A Model that holds connections of the running loop until it is closed."""

    async def aclose(self) -> None: ...


@runtime_checkable
class Continuing(Protocol):
    """A Model that can go on from any part of an answer, though it would not give that part again."""

    def continued(self, request: ModelRequest, partial: str) -> ModelRequest:
        """The request that asks for what comes after ``partial``, an answer to ``request`` that was cut."""


@runtime_checkable
class Model(Protocol):
    """Anything that streams: ``name`` says what it is, ``stream`` yields deltas and, at the end, a Usage.

    ``stream`` keeps no state between calls, and closing its iterator closes the model's own stream. It
    raises ModelError, with one sentence, for whatever goes wrong on the way.
    """

    name: str

    def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]: ...
