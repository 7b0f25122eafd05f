"""Ours, runs at a gateway of this package: asked for, gone on with at the exact character, at another level."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..events import End, State, Status
from ..protocol.happened import Reply, RunCursor, RunEnded
from ..protocol.openclaw import count
from .flights import Flight, answer_of, failed, lost, read_end

if TYPE_CHECKING:
    from .inflight import InFlight

__all__ = ["STOPPED", "Ours"]

HISTORY = 200
"""Messages of a session among which the answer of a run is looked for."""

BEHIND = 0.05
"""Seconds until a restarted gateway is asked again, where it has less of a run than we do."""

STOPPED = "GATEWAY_STOPPED"
"""The refusal of a gateway that goes away: it has not taken the message."""


class Ours:
    """What is said to a gateway of ours about the runs in flight there."""

    def __init__(self, runs: InFlight) -> None:
        self._runs = runs
        self._session = runs.session

    def go_on(self, flight: Flight) -> None:
        """Ask for it, or for what is still to come of it."""
        if flight.accepted:
            self.resume(flight)
        else:
            self.ask(flight)

    def ask(self, flight: Flight) -> None:
        flight.asked = True

        def accepted(reply: Reply) -> None:
            if reply.error is not None:
                self._refused(flight, reply)
                return
            payload = reply.payload if isinstance(reply.payload, dict) else {}
            flight.reached()
            flight.told = asked["thinking"]
            self.tell_level(flight)
            flight.session.pop("base", None)
            self._runs.on_load(count(payload.get("load")))
            flight.waited |= payload.get("status") != "started"  # what comes was said before
            if self._runs.has(flight):
                self._queue(flight)

        again = {"retry": True} if flight.attempts > 0 or flight.partial is not None else {}
        named = {} if self._runs.model is None else {"model": self._runs.model}
        asked: dict[str, Any] = {**named, **flight.params, **flight.session, **again, **self._runs.batches(flight)}
        if flight.text:
            asked["partial"] = {"text": flight.text, "tokens": self._session.runs[flight.run.id].tokens}
        self._runs.post("chat.send", asked, accepted)

    def ended(self, flight: Flight, event: RunEnded) -> None:
        flight.went_to(event.facts.get("session"))
        self._runs.over(flight, read_end(event.state, event.facts))

    def gone(self, flight: Flight) -> None:
        """It has ended: nothing is to be done for the next one, which the gateway takes up by itself."""

    def tell_level(self, flight: Flight) -> None:
        """Say its level where that was changed since the gateway last heard of it."""
        thinking = flight.params["thinking"]
        if flight.told == thinking:
            return

        def told(reply: Reply) -> None:
            if reply.error is None:
                flight.told = thinking

        self._runs.post("run.level", {"runId": flight.run.id, "thinking": thinking}, told)

    def resume(self, flight: Flight) -> None:
        """Have what is not here yet told again."""

        def resumed(reply: Reply) -> None:
            if reply.error is None:
                flight.reached()
                self.tell_level(flight)
            elif self._runs.has(flight):
                self._refetch(flight)

        cursor = self._session.runs[flight.run.id]
        where = {"runId": flight.run.id, "offset": cursor.have, "steps": cursor.steps}
        self._runs.post("run.resume", {**where, **self._runs.batches(flight)}, resumed)

    def _queue(self, flight: Flight) -> None:
        """Say whom it waits for: the runs of one session work one after the other."""
        session = flight.run.session
        if not (flight.beside or flight.text or self._runs.first(session) is flight):
            flight.waited = True
            flight.run.push(State(Status.WAITING, f"waiting for the run before it in session {session}"))

    def _refused(self, flight: Flight, reply: Reply) -> None:
        if not self._runs.has(flight) or reply.error is None:
            return
        if reply.error.code == STOPPED and self._runs.elsewhere(flight):
            return
        if reply.error.code == "RUN_BEHIND":
            flight.timers.append(asyncio.get_running_loop().call_later(BEHIND, self._ask_once_more, flight))
        else:
            self._runs.over(flight, failed(reply.error))

    def _ask_once_more(self, flight: Flight) -> None:
        if self._runs.link().up:
            self.ask(flight)

    def _refetch(self, flight: Flight) -> None:
        """The gateway no longer has it to replay: its history does, or else it was another gateway's life."""

        def told(reply: Reply) -> None:
            if (cursor := self._session.runs.get(flight.run.id)) is None:
                return
            match answer_of(flight.run.id, reply.payload):
                case None:
                    self._ask_again(flight, cursor)
                case text, state if text.startswith(flight.text):
                    self._runs.close_gap(flight, text, read_end(state, {}))
                case _:
                    self._runs.end(flight, lost(f"the gateway at {self._runs.uri} has another answer in its history"))

        self._runs.post("chat.history", {"sessionKey": flight.params["sessionKey"], "limit": HISTORY}, told)

    def _ask_again(self, flight: Flight, cursor: RunCursor) -> None:
        """It was restarted in mid-answer, and the model's stream ended with it: ask for what is still to come."""
        if flight.stopping:
            self._runs.end(flight, End(Status.STOPPED))
            return
        words = f"going on at {self._runs.uri}" if flight.has_moved else "the gateway was restarted; asking it again"
        flight.run.push(State(Status.RECONNECTING, words))
        cursor.steps.clear()
        self.ask(flight)
