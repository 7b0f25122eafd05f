"""InFlight, the runs a client has under way at its gateway: asked for, resumed after a cut, stopped, ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConnectionLost, ModelError, OpenClawError, RunError, is_retryable
from ..events import Delta, End, Level, State, Status, Step
from ..protocol.happened import (
    Asked,
    Gap,
    Happened,
    Reply,
    RunCursor,
    RunEnded,
    RunPhase,
    RunStep,
    RunText,
    Settled,
)  # fmt: skip
from ..protocol.keys import session_key
from ..protocol.session import ClientSession
from ..reasoning.levels import ReasoningLevel
from ..run import Run
from ..stability import Stability
from .flights import At, Flight, Restore, failed, impossible, refusal_of
from .foreign import Foreign
from .link import Link
from .ours import STOPPED, Ours

__all__ = ["STOP_TIMEOUT", "InFlight"]

STOP_TIMEOUT = 1.0
"""Seconds after which a stopped run ends here although the gateway has not confirmed it."""


class InFlight:
    """The runs in flight at ``uri``, by id. `find` and `add` may be called from any thread.

    ``link`` gives the link there is, ``redial`` makes another one in place of one that has given up; ``emit`` tells
    the events ``gap`` (run) and ``restore`` (run, attempt).
    """

    def __init__(
        self,
        uri: str,
        session: ClientSession,
        link: Callable[[], Link],
        redial: Callable[[], object],
        pace: Callable[[bool], dict[str, Any]],
        emit: Callable[..., None],
        stability: Stability,
        restore: Restore,
        home: Callable[[], str],
        instructions: Callable[[], str],
    ) -> None:
        self.uri = uri
        self.session = session
        self.link = link
        self.emit = emit
        self._redial = redial
        self._pace = pace
        self._stability = stability
        self._restore = restore
        self._flights: dict[str, Flight] = {}
        self._unstopped: dict[str, tuple[str, dict[str, Any]]] = {}
        self.elsewhere: Callable[[Flight], bool] = lambda _: False
        """Asks for a run at another place, as its gateway goes away; whether it could."""
        self.on_end: Callable[[], None] = lambda: None
        """Told that a run has ended."""
        self.on_load: Callable[[int | None], None] = lambda _: None
        """Told how many runs the gateway has at work, where it says so."""
        self.where = ""
        """What is said of runs here, where this is not the place that was meant."""
        self.model: str | None = None
        """That of runs which name none."""
        self._ours = Ours(self)
        self.foreign = Foreign(self, home, instructions)

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def _there(self) -> Ours | Foreign:
        """How the gateway that is there is spoken to."""
        hello = self.session.hello
        return self._ours if hello is None or hello.is_ours else self.foreign

    @property
    def flights(self) -> tuple[Flight, ...]:
        """All of them, the oldest first."""
        return tuple(self._flights.values())

    @property
    def is_up(self) -> bool:
        """Whether the gateway can be told anything now."""
        try:
            return self.session.hello is not None and self.link().up
        except ConnectionLost:  # its client was closed
            return False

    def key_of(self, agent: str, session: str) -> str:
        """What the gateway that is there calls an agent's session."""
        return self.foreign.key_of(agent, session) if self._there is self.foreign else session_key(agent, session)

    def has(self, flight: Flight) -> bool:
        return flight.run.id in self._flights

    def find(self, run_id: str) -> Run | None:
        flight = self._flights.get(run_id)
        return flight.run if flight else None

    def add(self, flight: Flight) -> None:
        self._flights[flight.run.id] = flight
        self.session.runs[flight.run.id] = RunCursor()  # last: from now on events may come for it

    def hand_over(self, flight: Flight, other: InFlight) -> None:
        """Have it asked for on another link. Nothing of it was taken here."""
        if flight.stopping:
            self.end(flight, End(Status.STOPPED))
            return
        del self._flights[flight.run.id]
        cursor = self.session.runs.pop(flight.run.id, None) or flight.cursor()
        flight.begin_anew()
        other._flights[flight.run.id] = flight
        other.session.runs[flight.run.id] = cursor
        if other.is_up and not flight.waits_here:
            other._go_on(flight)

    # -- what its client does --------------------------------------------------------------------

    def launch(self, flight: Flight) -> None:
        """Send it, now or as soon as the link is up."""
        if flight.run.done():
            return
        if flight.partial is not None and flight.partial[0]:
            flight.take(Delta(0, *flight.partial))
            self.session.runs[flight.run.id] = flight.cursor()
        if flight.timeout is not None:
            flight.timers.append(asyncio.get_running_loop().call_later(flight.timeout, self._time_out, flight))
        if self.link().up:
            self._go_on(flight)

    def stop(self, run: Run) -> None:
        """Have it stopped; what came is kept."""
        if (flight := self._flights.get(run.id)) is None:
            return
        flight.stopping = True
        if flight.pausing is not None and not flight.accepted:  # nobody is at work on it
            self.end(flight, End(Status.STOPPED))
            return
        if not flight.asked:  # it waits here, for the run before it in its session
            self.end(flight, End(Status.STOPPED))
            return
        self.abort(flight)
        wait = STOP_TIMEOUT if self.link().up else 0.0
        flight.timers.append(asyncio.get_running_loop().call_later(wait, self._stop_here, flight))

    def change(self, run: Run, level: int) -> None:
        """Have it go on at another level; where it is asked for once more, it is at that one."""
        if (flight := self._flights.get(run.id)) is None:
            return
        flight.params["thinking"] = ReasoningLevel(level).thinking
        run.push(Level(level, "changed by you", by_hand=True))
        if flight.accepted and self.link().up:
            self._ours.tell_level(flight)

    def wait(self, words: str) -> None:
        """The link is gone and may come back."""
        for flight in self.flights:
            flight.run.push(State(Status.RECONNECTING, words))

    def up(self) -> None:
        """There is a link again: say what could not be said, and go on with every run where it stands here."""
        for run_id, (method, params) in tuple(self._unstopped.items()):
            self._abort(run_id, method, params)
        if self._there is self.foreign:
            self.foreign.up()
        for flight in self.flights:
            if flight.pausing is not None and self._has_left(flight):
                flight.pausing.cancel()  # the one that was stopped need not be waited for
                self._take_up(flight)
            elif flight.pausing is None and self.has(flight) and not flight.waits_here:
                self._go_on(flight)

    def happened(self, event: Happened) -> None:
        match event:
            case RunText(run_id, offset, text, tokens):
                flight = self._flights[run_id]
                if not flight.heard:
                    self._hear(flight)
                flight.failure = None
                flight.take(Delta(offset, text, tokens))
            case RunStep(run_id, key, title, offset, text, tokens, seconds):
                flight = self._flights[run_id]
                if not flight.heard:
                    self._hear(flight)
                flight.run.push(Step(key, title, offset, text, tokens, seconds))
            case RunPhase(run_id, words):
                self._prepares(self._flights[run_id], words)
            case RunEnded(run_id):
                self._there.ended(self._flights[run_id], event)
            case Gap(run_id):
                self._ours.resume(self._flights[run_id])
            case Asked() | Settled():
                self.foreign.told(event)

    def end(self, flight: Flight, end: End) -> None:
        """It is over. One that was taken up again in vain ends as it would have, unless its model failed once more."""
        self._flights.pop(flight.run.id, None)
        self.session.runs.pop(flight.run.id, None)
        if flight.failure is not None and end.error is not None and not isinstance(end.error, ModelError):
            end = flight.failure
        self._there.gone(flight)
        self._stability.ended(flight.end(end))
        self._call_next(flight.run.session)
        self.on_end()

    def fail(self, error: OpenClawError) -> None:
        """All of them end here."""
        for flight in self.flights:
            self.end(flight, failed(error))

    def lose(self, error: OpenClawError) -> None:
        """The link has given up. Once more it is dialled for the runs that the gateway has, after a pause."""
        for flight in self.flights:
            if flight.pausing is not None and is_retryable(error):
                continue
            end = failed(error)
            known = flight.accepted or flight.attempts > 0
            pause = self._restore.pause(end.error, flight.attempts + 1) if known else None
            if pause is None or flight.stopping:
                self.end(flight, end)
            else:
                self._pause(flight, end, pause)

    # -- taken up again --------------------------------------------------------------------------

    def over(self, flight: Flight, end: End) -> None:
        """It has ended, or it failed in a way that may pass: then it goes on, after a pause, from what is here."""
        pause = self._restore.pause(end.error, flight.attempts + 1)
        if pause is None or flight.stopping or self._there is self.foreign:
            self.end(flight, end)
        else:
            self._stability.ended(end)
            flight.accepted = False
            self._pause(flight, end, pause)

    def _pause(self, flight: Flight, end: End, seconds: float) -> None:
        flight.attempts += 1
        flight.failure = flight.failure or end
        where = f"going on from character {len(flight.text)}" if flight.text else "asking again"
        attempt = f"attempt {flight.attempts} of {self._restore.attempts}"
        flight.run.push(State(Status.RECONNECTING, f"{_fault(end.error)}; {where}, {attempt}"))
        flight.pausing = asyncio.get_running_loop().call_later(seconds, self._take_up, flight)
        flight.timers.append(flight.pausing)
        self.emit("restore", flight.run, flight.attempts)

    def _take_up(self, flight: Flight) -> None:
        flight.pausing = None
        self.session.runs.setdefault(flight.run.id, flight.cursor())
        if self.link().up:
            self._go_on(flight)
        elif self.link().ended:
            self._redial()

    def _go_on(self, flight: Flight) -> None:
        error = impossible(flight, self.uri, self.session.hello) or self._carry_over(flight)
        if error is not None:
            self.end(flight, failed(error))
        else:
            self._there.go_on(flight)

    @property
    def _here(self) -> At:
        hello = self.session.hello
        return At(self.uri, self._there is self._ours, hello.boot if hello else "")

    def _has_left(self, flight: Flight) -> bool:
        """Whether it was stopped with a gateway that is not the one here."""
        error = flight.failure.error if flight.failure else None
        return error is not None and error.code == STOPPED and flight.at is not None and flight.at.uri != self.uri

    def _carry_over(self, flight: Flight) -> OpenClawError | None:
        """Have it asked for anew where the gateway here cannot know of it; why that cannot be done."""
        before, flight.at, flight.where = flight.at, self._here, self.where
        flight.has_moved = before is not None and before.uri != flight.at.uri
        if before is None or not flight.asked or flight.at.knows_of(before):
            return None
        if flight.text and not flight.at.is_ours:
            words = f"{before.uri} is away, and the gateway at {self.uri} cannot go on with a part of an answer"
            return RunError(f"{words}; what came is kept", code="RUN_LOST")
        flight.begin_anew()
        self.session.runs[flight.run.id] = flight.cursor()
        return None

    # -- one after the other ---------------------------------------------------------------------

    def _hear(self, flight: Flight) -> None:
        """The first sign of its answer. What it waited for before, it did not wait for its model."""
        flight.heard, run = True, flight.run
        if not flight.waited and not flight.attempts:
            self._stability.heard(run.seconds, (run.agent, run.model, run.level))

    def _call_next(self, session: str) -> None:
        """One of this session has ended, so another one's turn may have come."""
        first = self.first(session)
        if first is not None and first.run.status is Status.WAITING and first.run.words:
            first.run.push(State(Status.WAITING))

    def first(self, session: str) -> Flight | None:
        """The one whose turn it is in a session."""
        flights = self.flights
        return next((flight for flight in flights if flight.run.session == session and not flight.beside), None)

    # -- what is said to the gateway -------------------------------------------------------------

    def post(self, method: str, params: dict[str, Any], settle: Callable[[Reply], None]) -> None:
        """Send a request. A link lost meanwhile settles nothing: what matters is said again when there is one."""
        self.link().post(method, params, lambda reply: None if _is_lost(reply) else settle(reply))

    def batches(self, flight: Flight) -> dict[str, Any]:
        """How a flight is to be told, where the gateway lets one choose."""
        return {"pace": self._pace(flight.streaming)} if self.session.can("nb.batch") else {}

    def keeps_sessions(self, wishes: Mapping[str, Any]) -> OpenClawError | None:
        """Why what is wished for the session of a run is not to be had at the gateway that is there."""
        return refusal_of(wishes, self.uri, self.session.hello)

    def close_gap(self, flight: Flight, text: str, end: End) -> None:
        """It ended while we were away, and cannot be replayed; here is its whole text."""
        if text != flight.text:
            self.emit("gap", flight.run)
        cursor = self.session.runs[flight.run.id]
        if fresh := text[cursor.have :]:
            self.happened(RunText(flight.run.id, cursor.have, fresh, cursor.tokens + 1))
        self.end(flight, end)

    def abort(self, flight: Flight) -> None:
        """Have the gateway stop it, now or as soon as there is a link: until then it costs money."""
        self._abort(flight.run.id, *self.foreign.stop_of(flight))

    def _abort(self, run_id: str, method: str, params: dict[str, Any]) -> None:
        def stopped(_: Reply) -> None:
            self._unstopped.pop(run_id, None)

        self._unstopped[run_id] = method, params
        self.post(method, params, stopped)

    def _prepares(self, flight: Flight, words: str) -> None:
        """Its gateway begins with it; it may have been told to stop before there was anything to be stopped."""
        if flight.stopping:
            self.abort(flight)
        else:
            flight.prepares(words)

    def _stop_here(self, flight: Flight) -> None:
        """Nobody confirms it. On a link that is dead one way only, another one must tell the gateway."""
        self.end(flight, End(Status.STOPPED))
        if self.link().up and flight.run.id in self._unstopped:
            self.link().again()

    def _time_out(self, flight: Flight) -> None:
        flight.timed_out = True
        if self.has(flight):
            self.stop(flight.run)
        else:
            flight.run.cancel("")  # it is in flight on another link by now


def _is_lost(reply: Reply) -> bool:
    return isinstance(reply.error, ConnectionLost)


def _fault(error: OpenClawError | None) -> str:
    """What went wrong, as the beginning of a line that says what is done about it."""
    return f"the model failed ({error})" if isinstance(error, ModelError) else str(error).partition(";")[0]
