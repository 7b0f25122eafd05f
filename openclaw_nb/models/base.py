"""Model, the one seam to whatever makes text, and the plain data that crosses it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, Protocol, TypedDict, TypeGuard, runtime_checkable

from msgspec import Struct

from ..events import Usage

__all__ = [
    "AskedCall",
    "Closable",
    "Continuing",
    "Image",
    "Kind",
    "Loading",
    "Message",
    "Model",
    "ModelEvent",
    "ModelRequest",
    "Output",
    "Stage",
    "StepDelta",
    "TextDelta",
    "Thinking",
    "ThinkingDelta",
    "ToolCall",
    "ToolDefinition",
    "is_loading",
    "is_thinking",
]


class AskedCall(TypedDict):
    """One tool call in the message of the model that asked for it; `ToolCall` says what the fields are."""

    key: str
    name: str
    arguments: dict[str, Any] | str
    extra: NotRequired[dict[str, Any]]


class Image(TypedDict):
    """A picture that goes with a message: what the prompt calls it, its media type, and its bytes in base64."""

    name: str
    mime: str
    data: str


class Message(TypedDict):
    """One turn of a conversation, as plain data: it is what the snapshot store keeps.

    An assistant's message may have ``calls``; each is answered by a later message of the role "tool", which has the
    call's ``key``, the tool's ``name``, and in ``content`` what it gave. A user's may have ``images``.
    """

    role: Literal["user", "assistant", "tool"]
    content: str
    calls: NotRequired[list[AskedCall]]
    key: NotRequired[str]
    name: NotRequired[str]
    images: NotRequired[list[Image]]


class ToolDefinition(Struct, frozen=True):
    """A tool as a model is told of it; ``schema`` is the JSON schema of an object, its arguments."""

    name: str
    description: str
    schema: dict[str, Any]


class Output(Struct, frozen=True):
    """What an answer has to be: one JSON object of this ``schema``, which is called ``name``."""

    name: str
    schema: dict[str, Any]


Kind = Literal["plan", "answer", "check", "repair", "join"]


class Stage(Struct, frozen=True):
    """The step of a deliberation that a request is: its last message says all of this in words, too.

    ``question`` is the user's own message, ``found`` what tools gave. ``drafts`` are the answers to check, to repair or
    to join, and ``objections`` what was said against each; ``number`` tells candidates apart, from 1.
    """

    kind: Kind
    question: Message
    plan: str = ""
    found: str = ""
    drafts: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()
    number: int = 1


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of a model: the messages, oldest first, and the tools it may ask for; level 1-4.

    ``again`` says that a client asks once more after a failure and will go on to: a model need not try again inside.
    The last message is the user's, or what a tool gave to a call that the model asked for in answer to it. ``stage``
    is None where the model is just to answer. No more than ``max_tokens`` are to be made, thoughts included.
    """

    messages: tuple[Message, ...]
    instructions: str = ""
    level: int = 2
    tools: tuple[ToolDefinition, ...] = ()
    again: bool = False
    stage: Stage | None = None
    output: Output | None = None
    max_tokens: int | None = None

    @property
    def prompt(self) -> str:
        """The text of the user's last message."""
        asked = (message["content"] for message in reversed(self.messages) if message["role"] == "user")
        return next(asked, self.messages[-1]["content"])


class TextDelta(Struct, frozen=True, gc=False):  # a seventh of a dataclass's time: one is made for every token
    """More of the answer; ``tokens`` is how many tokens it stands for."""

    text: str
    tokens: int = 1


class ThinkingDelta(Struct, frozen=True, gc=False):
    """More of what the model thinks aloud; never part of the answer."""

    text: str
    tokens: int = 1


class ToolCall(Struct, frozen=True):
    """A call of a tool, asked for by the model, which then ends its stream and is asked again with what it gave.

    ``arguments`` are as the model wrote them: by name, or its text where that is no JSON object. ``key`` names the
    call for good and is given by who runs it: a model leaves it empty. ``extra`` is plain data that the model's
    provider wants to have back with the message, such as its signed thoughts.
    """

    key: str
    name: str
    arguments: dict[str, Any] | str
    extra: dict[str, Any] | None = None


class StepDelta(Struct, frozen=True, gc=False):
    """More of a step on the way to the answer that is no thought, such as a tool call; ``seconds`` once it is over."""

    key: str
    title: str
    text: str = ""
    tokens: int = 0
    seconds: float | None = None


ModelEvent = TextDelta | ThinkingDelta | StepDelta | ToolCall | Usage


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
class Loading(Protocol):
    """A Model of which a part, such as its provider's client, is imported when it is first used."""

    def waits_for(self) -> str:
        """What has to be loaded before it can stream, as "the client of anthropic"; "" where nothing has."""

    async def load(self) -> None:
        """Load it, beside the event loop. ModelError where that is not possible."""


@runtime_checkable
class Thinking(Protocol):
    """A Model that may think by itself before it answers, as its request's level says."""

    async def thinks(self) -> bool:
        """Whether it does, from level 2 on; where not, it is asked to think aloud or to plan."""


def is_loading(model: object) -> TypeGuard[Loading]:
    """As isinstance, which before Python 3.12 looks through the protocol each time: 15 µs of every turn."""
    return hasattr(model, "waits_for")


def is_thinking(model: object) -> TypeGuard[Thinking]:
    """As isinstance, in no time."""
    return hasattr(model, "thinks")


@runtime_checkable
class Model(Protocol):
    """Anything that streams: ``name`` says what it is, ``stream`` yields deltas and, at the end, a Usage.

    ``stream`` keeps no state between calls, and closing its iterator closes the model's own stream. It
    raises ModelError, with one sentence, for whatever goes wrong on the way. A model that yielded a ToolCall is
    asked again, with the calls and what they gave as further messages.
    """

    name: str

    def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]: ...
