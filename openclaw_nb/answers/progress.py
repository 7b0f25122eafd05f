"""Progress, what an answer is written down in while it is made, and Answers, what makes one; wherever that is done."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from ..events import Usage
from ..ledger import Ledger
from ..models.base import ModelEvent, StepDelta
from ..sessions.forks import Task

__all__ = ["Answers", "Progress"]


class Answers(Protocol):
    """As of `Answering`."""

    @property
    def usage(self) -> Usage | None: ...

    @property
    def note(self) -> str: ...

    def prepare(self) -> AsyncGenerator[StepDelta, None]: ...

    def events(self) -> AsyncGenerator[ModelEvent, None]: ...


class Progress(Protocol):
    """As of `Fork`, which says what each of these is."""

    task: Task
    ledger: Ledger
    known: str
    stages: dict[str, str]
    answer: list[str]
    tokens: int

    def stage(self, key: str, text: str) -> None: ...

    async def keep_calls(self) -> None: ...
