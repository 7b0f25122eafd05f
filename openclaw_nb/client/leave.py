"""Leave, what at a real gateway waits for a person to allow it: asked in its run, decided there, told back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import ConnectionLost
from ..events import Approval
from ..protocol.happened import Asked, Reply, Settled
from ..protocol.openclaw import told_asked
from ..run import Run

if TYPE_CHECKING:
    from .flights import Flight
    from .inflight import InFlight

__all__ = ["Leave"]

_OVER = ("unknown", "already", "expired", "not found")
"""What stands in the refusal of a decision that comes too late."""


class Leave:
    """The approvals of one gateway; ``of_session`` gives the flight that is at work in a session.

    At protocol 3 a run does not wait for leave: it ends, and what was asked for stays to be decided.
    """

    def __init__(self, runs: InFlight, of_session: Callable[[str], Flight | None]) -> None:
        self._runs = runs
        self._of_session = of_session
        self._waiting: dict[str, tuple[Run, str]] = {}
        self._chosen: dict[str, str] = {}

    def up(self) -> None:
        """There is a link again: a decision that was on its way is told once more, unless it had arrived."""
        hello = self._runs.session.hello
        if hello is not None and hello.protocol > 3:  # at 3 an administrator may ask for it only
            self._runs.post("exec.approval.list", {}, self._listed)
        else:
            self._tell_again()

    def ended(self, run: Run) -> None:
        """What a run waited for is over with it."""
        for id, (of, _) in tuple(self._waiting.items()):
            if of is run:
                self._settle(id, "expired", "")

    def told(self, event: Asked | Settled) -> None:
        if isinstance(event, Asked):
            self._asked(event)
        else:
            ours = event.decision in (self._chosen.get(event.id), "expired")
            self._settle(event.id, event.decision, "" if ours else event.by or "somebody else")

    def _asked(self, event: Asked) -> None:
        flights = self._runs.flights
        named = next((flight for flight in flights if flight.run.id == event.run_id), None)
        asking = named if event.run_id else self._of_session(event.session_key)
        if asking is None or event.id in self._waiting:
            return
        self._waiting[event.id] = asking.run, event.kind
        loop = asyncio.get_running_loop()

        def decide(allow: bool) -> None:
            with suppress(RuntimeError):  # the loop has ended, and the run with it
                loop.call_soon_threadsafe(self._decide, event.id, allow)

        title = f"{event.kind} wants to run"
        asking.run.approvals.ask(Approval(event.id, title, event.command, event.details, event.expires), decide)
        if event.expires is not None:
            loop.call_later(event.expires, self._settle, event.id, "expired", "")

    def _listed(self, reply: Reply) -> None:
        if not isinstance(reply.payload, list):
            return
        rows = [row for row in reply.payload if isinstance(row, dict)]
        still = {row.get("id") for row in rows}
        for id, (_, kind) in tuple(self._waiting.items()):
            if kind == "exec" and id not in still:
                self._settle(id, self._chosen.get(id, "expired"), "")
        self._tell_again()
        for row in rows:
            for event in told_asked("exec", row):
                self._asked(event)

    def _decide(self, id: str, allow: bool) -> None:
        if id in self._waiting:
            self._chosen[id] = "allow-once" if allow else "deny"
            self._tell(id)

    def _tell_again(self) -> None:
        for id in tuple(self._chosen):
            self._tell(id)

    def _tell(self, id: str) -> None:
        (run, kind), decision = self._waiting[id], self._chosen[id]

        def decided(reply: Reply) -> None:
            if reply.error is None:
                self._settle(id, decision, "")
            elif any(word in str(reply.error) for word in _OVER):
                self._settle(id, "expired", "")
            else:
                self._chosen.pop(id, None)
                run.approvals.again(id)

        with suppress(ConnectionLost):  # the client was closed
            self._runs.post(f"{kind}.approval.resolve", {"id": id, "decision": decision}, decided)

    def _settle(self, id: str, decision: str, by: str) -> None:
        self._chosen.pop(id, None)
        if (waiting := self._waiting.pop(id, None)) is not None:
            waiting[0].approvals.settle(id, decision, by)
