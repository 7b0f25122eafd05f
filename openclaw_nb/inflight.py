"""InFlight, the runs a client has under way at its gateway: asked for, resumed after a cut, stopped, ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .errors import OpenClawError, RequestError, is_retryable
from .flights import Flight, answer_of, failed, last_answer, lost, read_end
from .link import Link
from .protocol.session import ClientSession, Gap, Happened, Reply, RunCursor, RunEnded, RunStep, RunText
from .run import Delta, End, Run, State, Status, Step

__all__ = ["STOP_TIMEOUT", "InFlight"]

HISTORY = 200
"""Messages of a session among which the answer of a run is looked for."""

BEHIND = 0.05
"""Seconds until a restarted gateway is asked again, where it has less of a run than we do."""

STOP_TIMEOUT = 1.0
"""Seconds after which a stopped run ends here although the gateway has not confirmed it."""


class InFlight:
    """The runs in flight at ``uri``, by id. `find` and `add` may be called from any thread."""

    def __init__(
        self,
        uri: str,
        session: ClientSession,
        link: Callable[[], Link],
        pace: Callable[[bool], dict[str, Any]],
        gap: Callable[[Run], None],
    ) -> None:
        self._uri = uri
        self._session = session
        self._link = link
        self._pace = pace
        self._gap = gap
        self._flights: dict[str, Flight] = {}
        self._unstopped: dict[str, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def find(self, run_id: str) -> Run | None:
        flight = self._flights.get(run_id)
        return flight.run if flight else None

    def add(self, flight: Flight) -> None:
        self._flights[flight.run.id] = flight
        self._session.runs[flight.run.id] = RunCursor()  # last: from now on events may come for it

    # -- what its client does --------------------------------------------------------------------

    def launch(self, flight: Flight) -> None:
        """Send it, now or as soon as the link is up."""
        if flight.run.done():
            return
        if flight.timeout is not None:
            flight.timers.append(asyncio.get_running_loop().call_later(flight.timeout, self._time_out, flight))
        if self._link().up:
            self._ask(flight)

    def stop(self, run: Run) -> None:
        """Have it stopped; what came is kept."""
        if (flight := self._flights.get(run.id)) is None:
            return
        flight.stopping = True
        self._abort(run.id, {"sessionKey": flight.params["sessionKey"], "runId": run.id})
        wait = STOP_TIMEOUT if self._link().up else 0.0
        flight.timers.append(asyncio.get_running_loop().call_later(wait, self._stop_here, flight))

    def wait(self, words: str) -> None:
        """The link is gone and may come back."""
        for flight in tuple(self._flights.values()):
            flight.run.push(State(Status.RECONNECTING, words))

    def up(self) -> None:
        """There is a link again: say what could not be said, and go on with every run where it stands here."""
        for run_id, params in tuple(self._unstopped.items()):
            self._abort(run_id, params)
        for flight in tuple(self._flights.values()):
            if flight.accepted and self._session.can("nb.resume"):
                self._resume(flight)
            else:
                self._ask(flight)

    def happened(self, event: Happened) -> None:
        match event:
            case RunText(run_id, offset, text, tokens):
                self._flights[run_id].take(Delta(offset, text, tokens))
            case RunStep(run_id, key, title, offset, text, tokens, seconds):
                self._flights[run_id].run.push(Step(key, title, offset, text, tokens, seconds))
            case RunEnded(run_id, state, facts):
                self.end(self._flights[run_id], read_end(state, facts))
            case Gap(run_id):
                self._resume(self._flights[run_id])

    def end(self, flight: Flight, end: End) -> None:
        self._flights.pop(flight.run.id, None)
        self._session.runs.pop(flight.run.id, None)
        flight.end(end)

    def fail(self, error: OpenClawError) -> None:
        """All of them end here."""
        for flight in tuple(self._flights.values()):
            self.end(flight, failed(error))

    # -- what is said to the gateway -------------------------------------------------------------

    def _post(self, method: str, params: dict[str, Any], settle: Callable[[Reply], None]) -> None:
        """Send a request. A link lost meanwhile settles nothing: what matters is said again when there is one."""
        self._link().post(method, params, lambda reply: None if _is_lost(reply) else settle(reply))

    def _batches(self, flight: Flight) -> dict[str, Any]:
        return {"pace": self._pace(flight.streaming)} if self._session.can("nb.batch") else {}

    def _ask(self, flight: Flight) -> None:
        def accepted(reply: Reply) -> None:
            if reply.error is not None:
                self._refused(flight, reply.error)
                return
            flight.reached()
            over = isinstance(reply.payload, dict) and reply.payload.get("status") == "ok"
            if over and not self._session.can("nb.resume"):
                self._miss(flight)

        asked = {**flight.params, **self._batches(flight)}
        cursor = self._session.runs[flight.run.id]
        if cursor.have and self._session.can("nb.resume"):
            asked["partial"] = {"text": flight.text, "tokens": cursor.tokens}
        if "model" in flight.params and not self._session.can("nb.model"):
            sentence = f"the gateway at {self._uri} chooses the model itself; leave the model out"
            self.end(flight, failed(RequestError(sentence, code="NO_MODEL")))
        else:
            self._post("chat.send", asked, accepted)

    def _refused(self, flight: Flight, error: OpenClawError) -> None:
        if error.code == "RUN_BEHIND" and flight.run.id in self._flights:
            flight.timers.append(asyncio.get_running_loop().call_later(BEHIND, self._ask_once_more, flight))
        else:
            self.end(flight, failed(error))

    def _ask_once_more(self, flight: Flight) -> None:
        if self._link().up:
            self._ask(flight)

    def _resume(self, flight: Flight) -> None:
        def resumed(reply: Reply) -> None:
            if reply.error is None:
                flight.reached()
            elif flight.run.id in self._flights:
                self._refetch(flight)

        cursor = self._session.runs[flight.run.id]
        where = {"runId": flight.run.id, "offset": cursor.have, "steps": cursor.steps}
        self._post("run.resume", {**where, **self._batches(flight)}, resumed)

    def _refetch(self, flight: Flight) -> None:
        """The gateway no longer has it to replay: its history does, or else it was another gateway's life."""

        def told(reply: Reply) -> None:
            if (cursor := self._session.runs.get(flight.run.id)) is None:
                return
            match answer_of(flight.run.id, reply.payload):
                case None:
                    self._ask_again(flight, cursor)
                case text, state if text.startswith(flight.text):
                    self._close_gap(flight, text, read_end(state, {}))
                case _:
                    self.end(flight, lost(f"the gateway at {self._uri} has another answer in its history"))

        self._post("chat.history", {"sessionKey": flight.params["sessionKey"], "limit": HISTORY}, told)

    def _ask_again(self, flight: Flight, cursor: RunCursor) -> None:
        """It was restarted in mid-answer, and the model's stream ended with it: ask for what is still to come."""
        if flight.stopping:
            self.end(flight, End(Status.STOPPED))
            return
        flight.run.push(State(Status.RECONNECTING, "the gateway was restarted; asking it again"))
        cursor.steps.clear()
        self._ask(flight)

    def _miss(self, flight: Flight) -> None:
        """It ended while we were away, at a gateway that replays nothing: its answer stands in the history."""

        def told(reply: Reply) -> None:
            text = last_answer(reply.payload)
            cursor = self._session.runs.get(flight.run.id)
            if cursor is None:
                return
            if text is None or not text.startswith(cursor.text):
                why = "the run ended while the link was down, and the gateway does not say how"
                self.end(flight, lost(why))
                return
            self._close_gap(flight, text, End(Status.DONE))

        self._post("chat.history", {"sessionKey": flight.params["sessionKey"]}, told)

    def _close_gap(self, flight: Flight, text: str, end: End) -> None:
        """It ended while we were away, and cannot be replayed; here is its whole text."""
        if text != flight.text:
            self._gap(flight.run)
        for event in self._session.catch_up(flight.run.id, text):
            self.happened(event)
        self.end(flight, end)

    def _abort(self, run_id: str, params: dict[str, Any]) -> None:
        """Have the gateway stop it, now or as soon as there is a link: until then it costs money."""

        def stopped(_: Reply) -> None:
            self._unstopped.pop(run_id, None)

        self._unstopped[run_id] = params
        self._post("chat.abort", params, stopped)

    def _stop_here(self, flight: Flight) -> None:
        """Nobody confirms it. On a link that is dead one way only, another one must tell the gateway."""
        self.end(flight, End(Status.STOPPED))
        if self._link().up and flight.run.id in self._unstopped:
            self._link().again()

    def _time_out(self, flight: Flight) -> None:
        flight.timed_out = True
        self.stop(flight.run)


def _is_lost(reply: Reply) -> bool:
    return reply.error is not None and is_retryable(reply.error)
