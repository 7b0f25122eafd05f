"""The gate before what works side by side in one agent, such as the candidates of level 4: each needs a slot.

One of them always may work in the place of the run itself, so that none waits for a pool whose agents wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from ..models.base import ModelEvent
from ..waits import places
from .lane import Lane
from .slots import SlotQueue, Slots, Ticket

__all__ = ["gated"]

Work = AsyncGenerator[ModelEvent, None]


def gated(run_id: str, works: list[Work], slots: Slots) -> list[Work]:
    """The same, each beginning when it has a slot: of the pool that the run is an agent of, or else of ``slots``.

    The slot that an agent has is the first of these. A run of no pool has none: one of its works begins without where
    all would wait.
    """
    lane = places.get(run_id)
    pool = lane.work.queue.slots if isinstance(lane, Lane) else slots
    gate = _Gate(pool.queue(most=len(works)), has_slot=lane is not None)
    return [gate.through(work) for work in works]


class _Turn:
    """One that works, or waits to."""

    def __init__(self) -> None:
        self.begins = asyncio.Event()
        self.ticket: Ticket | None = None

    @property
    def waits(self) -> bool:
        return self.ticket is None or self.ticket.waits


class _Gate:
    """For one event loop."""

    def __init__(self, queue: SlotQueue, *, has_slot: bool) -> None:
        self._queue = queue
        self._has_slot = has_slot
        self._turns: list[_Turn] = []
        self._in_place: _Turn | None = None  # the one that works in the place of the run

    async def through(self, work: Work) -> Work:
        turn = _Turn()
        self._turns.append(turn)
        self._look()
        if turn is not self._in_place:
            loop = asyncio.get_running_loop()

            def begin(_: Ticket) -> None:
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(turn.begins.set)

            turn.ticket = self._queue.ask(begin)
            self._look()
        try:
            await turn.begins.wait()
            async with aclosing(work) as events:
                async for event in events:
                    yield event
        finally:
            self._turns.remove(turn)
            if turn.ticket is not None:
                turn.ticket.release()
            if turn is self._in_place:
                self._in_place = None
            self._look()

    def _look(self) -> None:
        """Have the first that waits work in the place of the run, if that is free and to be used."""
        waiting = [turn for turn in self._turns if turn.waits]
        asked = all(turn.ticket is not None for turn in waiting)
        if self._in_place is None and waiting and (self._has_slot or (asked and len(waiting) == len(self._turns))):
            self._in_place = turn = waiting[0]
            if turn.ticket is not None:
                turn.ticket.release()
            turn.begins.set()
