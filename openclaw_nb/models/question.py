"""Question: what the offline model's skills are asked, with the data, the conversation and the notebook at hand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..prompts import Data, Prompt, parse, take_part
from ..prompts.images import seen
from .base import Message

__all__ = ["Question", "Workspace"]

LONGEST_TEXT = 4_000  # characters that are looked at
MOST_SENTENCES = 8

_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_BREAK = re.compile(r"\n+|(?<=[.!?;])\s+")


class Workspace(Protocol):
    """What the notebook lets the offline model see; it is only read, nothing in it is ever called."""

    def lookup(self, name: str) -> object:
        """The value of a variable; KeyError where there is none of that name."""
        ...

    def last_exception(self) -> BaseException | None:
        """The exception that ended the newest failed cell, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """The user's words without the data in them, the data, and the messages before, oldest first.

    ``instructions`` are what the agent was told of itself, as such or with the message.
    """

    text: str
    data: tuple[Data, ...] = ()
    history: tuple[Message, ...] = ()
    workspace: Workspace | None = None
    instructions: str = ""

    @classmethod
    def of(cls, messages: Sequence[Message], workspace: Workspace | None = None, instructions: str = "") -> Question:
        """The last message as a question, and what came before it."""
        if not messages:
            return cls("", workspace=workspace, instructions=instructions)
        prompt, before = parse(messages[-1]["content"]), tuple(messages[:-1])
        data = (*prompt.data, *_others(messages[-1], prompt))
        part, text = take_part(prompt.text)
        return cls(text.strip(), data, before, workspace, instructions or part)

    @property
    def sentences(self) -> list[str]:
        """The first few sentences outside code blocks, each of which may be a question of its own."""
        plain = _CODE.sub("\n", self.text[:LONGEST_TEXT])
        parts = (part.strip() for part in _BREAK.split(plain))
        return [part for part in parts if part][:MOST_SENTENCES]

    @property
    def asked(self) -> list[str]:
        """What the user wrote before this question, oldest first, without data."""
        asked = (parse(message["content"]).text for message in self.history if message["role"] == "user")
        return [take_part(text)[1].strip() for text in asked]


def _others(message: Message, prompt: Prompt) -> Iterator[Data]:
    """The images that go with a message and have no block in it."""
    known = {data.name for data in prompt.data}
    for number, image in enumerate(message.get("images", ()), 1):
        if image["name"] not in known and (facts := seen(image)) is not None:
            yield Data(image["name"], "image", f"{facts.width}x{facts.height}", f"(image {number})")
