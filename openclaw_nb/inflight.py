"""InFlight, the runs a client has under way at its gateway: asked for, resumed after a cut, stopped, ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from .errors import ConfigError, ConnectionLost, ModelError, OpenClawError, RequestError, RunError, is_retryable
from .events import Delta, End, Level, State, Status, Step
from .flights import Flight, Restore, answer_of, failed, last_answer, lost, read_end
from .link import Link
from .protocol.session import ClientSession, Gap, Happened, Reply, RunCursor, RunEnded, RunStep, RunText
from .reasoning.levels import ReasoningLevel
from .run import Run
from .stability import Stability

__all__ = ["STOP_TIMEOUT", "InFlight"]

HISTORY = 200
"""Messages of a session among which the answer of a run is looked for."""

BEHIND = 0.05
"""Seconds until a restarted gateway is asked again, where it has less of a run than we do."""

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
    ) -> None:
        self._uri = uri
        self._session = session
        self._link = link
        self._redial = redial
        self._pace = pace
        self._emit = emit
        self._stability = stability
        self._restore = restore
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
        if flight.partial is not None and flight.partial[0]:
            flight.take(Delta(0, *flight.partial))
            self._session.runs[flight.run.id] = flight.cursor()
        if flight.timeout is not None:
            flight.timers.append(asyncio.get_running_loop().call_later(flight.timeout, self._time_out, flight))
        if self._link().up:
            self._ask(flight)

    def stop(self, run: Run) -> None:
        """Have it stopped; what came is kept."""
        if (flight := self._flights.get(run.id)) is None:
            return
        flight.stopping = True
        if flight.pausing is not None and not flight.accepted:  # nobody is at work on it
            self.end(flight, End(Status.STOPPED))
            return
        self._abort(run.id, {"sessionKey": flight.params["sessionKey"], "runId": run.id})
        wait = STOP_TIMEOUT if self._link().up else 0.0
        flight.timers.append(asyncio.get_running_loop().call_later(wait, self._stop_here, flight))

    def change(self, run: Run, level: int) -> None:
        """Have it go on at another level; where it is asked for once more, it is at that one."""
        if (flight := self._flights.get(run.id)) is None:
            return
        flight.params["thinking"] = ReasoningLevel(level).thinking
        run.push(Level(level, "changed by you"))
        if flight.accepted and self._link().up:
            self._tell_level(flight)

    def wait(self, words: str) -> None:
        """The link is gone and may come back."""
        for flight in tuple(self._flights.values()):
            flight.run.push(State(Status.RECONNECTING, words))

    def up(self) -> None:
        """There is a link again: say what could not be said, and go on with every run where it stands here."""
        for run_id, params in tuple(self._unstopped.items()):
            self._abort(run_id, params)
        for flight in tuple(self._flights.values()):
            if flight.pausing is None:
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
            case RunEnded(run_id, state, facts):
                self._flights[run_id].went_to(facts.get("session"))
                self._over(self._flights[run_id], read_end(state, facts))
            case Gap(run_id):
                self._resume(self._flights[run_id])

    def end(self, flight: Flight, end: End) -> None:
        """It is over. One that was taken up again in vain ends as it would have, unless its model failed once more."""
        self._flights.pop(flight.run.id, None)
        self._session.runs.pop(flight.run.id, None)
        if flight.failure is not None and end.error is not None and not isinstance(end.error, ModelError):
            end = flight.failure
        self._stability.ended(flight.end(end))
        self._call_next(flight.run.session)

    def fail(self, error: OpenClawError) -> None:
        """All of them end here."""
        for flight in tuple(self._flights.values()):
            self.end(flight, failed(error))

    def lose(self, error: OpenClawError) -> None:
        """The link has given up. Once more it is dialled for the runs that the gateway has, after a pause."""
        for flight in tuple(self._flights.values()):
            if flight.pausing is not None and is_retryable(error):
                continue
            end = failed(error)
            pause = self._restore.pause(end.error, flight.attempts + 1) if flight.accepted else None
            if pause is None or flight.stopping:
                self.end(flight, end)
            else:
                self._pause(flight, end, pause)

    # -- taken up again --------------------------------------------------------------------------

    def _over(self, flight: Flight, end: End) -> None:
        """It has ended, or it failed in a way that may pass: then it goes on, after a pause, from what is here."""
        pause = self._restore.pause(end.error, flight.attempts + 1)
        if pause is None or flight.stopping or not self._session.can("nb.session"):
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
        self._emit("restore", flight.run, flight.attempts)

    def _take_up(self, flight: Flight) -> None:
        flight.pausing = None
        self._session.runs.setdefault(flight.run.id, flight.cursor())
        if self._link().up:
            self._go_on(flight)
        elif self._link().ended:
            self._redial()

    def _go_on(self, flight: Flight) -> None:
        if flight.accepted and self._session.can("nb.resume"):
            self._resume(flight)
        else:
            self._ask(flight)

    # -- one after the other ---------------------------------------------------------------------

    def _hear(self, flight: Flight) -> None:
        """The first sign of its answer. What it waited for before, it did not wait for its model."""
        flight.heard, run = True, flight.run
        if not flight.waited and not flight.attempts:
            self._stability.heard(run.seconds, (run.agent, run.model, run.level))

    def _queue(self, flight: Flight) -> None:
        """Say whom it waits for: a gateway of ours has the runs of one session work one after the other."""
        session = flight.run.session
        waits = not (flight.beside or flight.text or self._first(session) is flight)
        if waits and self._session.can("nb.session"):
            flight.waited = True
            flight.run.push(State(Status.WAITING, f"waiting for the run before it in session {session}"))

    def _call_next(self, session: str) -> None:
        """One of this session has ended, so another one's turn may have come."""
        first = self._first(session)
        if first is not None and first.run.status is Status.WAITING and first.run.words:
            first.run.push(State(Status.WAITING))

    def _first(self, session: str) -> Flight | None:
        flights = tuple(self._flights.values())
        return next((flight for flight in flights if flight.run.session == session and not flight.beside), None)

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
            payload = reply.payload if isinstance(reply.payload, dict) else {}
            flight.reached()
            flight.told = asked["thinking"]
            self._tell_level(flight)
            flight.session.pop("base", None)
            flight.waited |= payload.get("status") != "started"  # what comes was said before
            if payload.get("status") == "ok" and not self._session.can("nb.resume"):
                self._miss(flight)
            elif flight.run.id in self._flights:
                self._queue(flight)

        if (error := self._impossible(flight)) is not None:
            self.end(flight, failed(error))
            return
        asked = {**flight.params, **self._batches(flight)}
        if self._session.can("nb.session"):
            again = flight.attempts > 0 or flight.partial is not None
            asked |= flight.session | ({"retry": True} if again else {})
        if flight.text and self._session.can("nb.resume"):
            asked["partial"] = {"text": flight.text, "tokens": self._session.runs[flight.run.id].tokens}
        self._post("chat.send", asked, accepted)

    def _tell_level(self, flight: Flight) -> None:
        """Say its level where that was changed since the gateway last heard of it."""
        thinking = flight.params["thinking"]
        if flight.told == thinking:
            return

        def told(reply: Reply) -> None:
            if reply.error is None:
                flight.told = thinking

        self._post("run.level", {"runId": flight.run.id, "thinking": thinking}, told)

    def _impossible(self, flight: Flight) -> OpenClawError | None:
        """Why this gateway cannot be asked for it."""
        if "model" in flight.params and not self._session.can("nb.model"):
            sentence = f"the gateway at {self._uri} chooses the model itself; leave the model out"
            return RequestError(sentence, code="NO_MODEL")
        if "output" in flight.params and not self._session.can("nb.level"):
            return RequestError(f"the gateway at {self._uri} gives no structured answers; leave the type out")
        if flight.partial is not None and flight.partial[0] and not self._session.can("nb.resume"):
            sentence = f"the gateway at {self._uri} cannot go on with a part of an answer; ask it anew"
            return RunError(sentence, code="RUN_LOST")
        return self.keeps_sessions(flight.session)

    def keeps_sessions(self, wishes: Mapping[str, Any]) -> ConfigError | None:
        """Why what is wished for the session of a run is not to be had at the gateway that is there."""
        unmet = [name for name in ("busy", "base", "isolated") if name in wishes]
        if self._session.hello is None or self._session.can("nb.session"):
            return None
        if "budget" in wishes:
            words = "does not say what its model costs, so no budget can be kept there"
            return ConfigError(f"the gateway at {self._uri} {words}; leave it out, or say %openclaw budget off")
        if not unmet:
            return None
        return ConfigError(f"the gateway at {self._uri} keeps its sessions itself; leave {', '.join(unmet)} out")

    def _refused(self, flight: Flight, error: OpenClawError) -> None:
        if flight.run.id not in self._flights:
            return
        if error.code == "RUN_BEHIND":
            flight.timers.append(asyncio.get_running_loop().call_later(BEHIND, self._ask_once_more, flight))
        else:
            self._over(flight, failed(error))

    def _ask_once_more(self, flight: Flight) -> None:
        if self._link().up:
            self._ask(flight)

    def _resume(self, flight: Flight) -> None:
        def resumed(reply: Reply) -> None:
            if reply.error is None:
                flight.reached()
                self._tell_level(flight)
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
            self._emit("gap", flight.run)
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
    return isinstance(reply.error, ConnectionLost)


def _fault(error: OpenClawError | None) -> str:
    """What went wrong, as the beginning of a line that says what is done about it."""
    return f"the model failed ({error})" if isinstance(error, ModelError) else str(error).partition(";")[0]
