"""Copy, how far a turn is, at the worker that answers it: what is noted there is noted where the turn was asked for."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

from msgspec import to_builtins

from ..ledger import Ledger
from ..models.base import StepDelta, TextDelta
from ..sessions.forks import Task
from .orders import Order
from .posts import CALL, KEEP, STAGE, Outbox

__all__ = ["Copy"]


class Copy:
    """Stands for the Fork of the turn. ``state`` is what the one who asked knows: the ``answer`` and its ``tokens``,
    the ``known`` text of a run that was cut, the ``calls`` and ``stages``, and the ``level``."""

    def __init__(self, order: Order, state: dict[str, Any], box: Outbox) -> None:
        self.task = Task(order.run_id, "", "", "", state["level"], None, order.budget)
        self.ledger = Ledger(order.run_id, state["calls"])
        self.known: str = state["known"]
        self.stages: dict[str, str] = dict(state["stages"])
        self.answer: list[str] = [state["answer"]]
        self.tokens: int = state["tokens"]
        self._box = box
        self._numbers = count()
        self._unkept: dict[int, asyncio.Future[None]] = {}
        self._told: list[Any] = to_builtins(self.ledger.entries)

    def take(self, event: object) -> None:
        """The answer's next event, which is posted after this."""
        if isinstance(event, TextDelta):
            self.answer.append(event.text)
            self.tokens += event.tokens
        elif isinstance(event, StepDelta):
            self._tell_calls()

    def stage(self, key: str, text: str) -> None:
        self.stages[key] = text
        self._box.put(STAGE, key, text)

    async def keep_calls(self) -> None:
        """Have the ledger kept there, when this returns."""
        self._tell_calls()
        number = next(self._numbers)
        kept = self._unkept[number] = asyncio.get_running_loop().create_future()
        self._box.put(KEEP, number)
        self._box.flush()
        await kept

    def kept(self, number: int) -> None:
        """It is."""
        if (kept := self._unkept.pop(number, None)) is not None and not kept.done():
            kept.set_result(None)

    def _tell_calls(self) -> None:
        entries = to_builtins(self.ledger.entries)
        for place, entry in enumerate(entries):
            if self._told[place : place + 1] != [entry]:
                self._box.put(CALL, place, entry)
        self._told = entries
