"""Foreign, runs at a real OpenClaw gateway: sent one after the other in a session, found again after a cut.

Such a gateway replays nothing. After a cut its text is told whole (4), or the newest part of it (3); what that leaves
open is looked up in its history when the run has ended.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import OpenClawError, RunError
from ..events import End, Level, State, Status
from ..protocol.handshake import Hello
from ..protocol.happened import Asked, Reply, RunEnded, Settled
from ..protocol.keys import session_key
from ..protocol.openclaw import catch_up, message_text, told_afterwards
from ..protocol.thinking import nearest
from ..reasoning.levels import level_of_thinking
from .flights import Flight, failed, lost, read_end
from .leave import Leave
from .past import Past, outcome_usage, session_facts, thinking_levels

if TYPE_CHECKING:
    from .inflight import InFlight

__all__ = ["Foreign"]

HISTORY = (12, 200)
"""Messages of a session among which those of a run are looked for: at first, and where its question is not there."""

BASIC = ("off", "minimal", "low", "medium", "high")
"""How deep every model of 2026.3.1 may be told to think; others are for some models only."""

OUTCOME = 0.5
"""Seconds that the second answer to `agent`, with what a run used, is waited for after its end."""

LOOK = 5.0
"""Seconds that the history is waited for after an end, where it only has to say what the run used."""

AGAIN = 1.0
"""Seconds until it is looked again: a message that a cut left is sent under the same key, or its session is free."""

BEHIND = 5_000
"""Milliseconds that a gateway is asked to wait at a time for the end of another client's run."""

STOP = "[notebook] /stop"
"""The message by which 2026.3.1 stops what `agent` began: what is in brackets it takes for a channel's envelope."""


class Foreign:
    """What is said to a real gateway about the runs in flight there.

    ``home`` gives the session that is meant by "main", ``instructions`` what its model is to be told of the functions
    that are offered here, "" for nothing.
    """

    def __init__(self, runs: InFlight, home: Callable[[], str], instructions: Callable[[], str]) -> None:
        self._home = home
        self._instructions = instructions
        self._runs = runs
        self._leave = Leave(runs, self._at_work)
        self._models: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._ending: dict[str, tuple[Flight, End]] = {}
        self._life: tuple[Hello, float] | None = None
        self._restarted = False

    def key(self, flight: Flight) -> str:
        return self.key_of(flight.run.agent, flight.run.session)

    def key_of(self, agent: str, session: str) -> str:
        """An agent's session, in small letters as this gateway writes it; "main" is its own default agent."""
        hello = self._runs.session.hello
        agent = hello.default_agent if hello is not None and agent == "main" else agent
        first, slash, rest = session.partition("/")  # behind it is an agent of several side by side
        session = f"{self._home()}{slash}{rest}" if first == "main" else session
        return session_key(agent, session).lower()

    def forget(self) -> None:
        """The models of sessions may be others now."""
        self._models.clear()

    def told(self, event: Asked | Settled) -> None:
        """Something waits for a person's leave, or somebody has decided about it."""
        self._leave.told(event)

    def up(self) -> None:
        """There is a link: is it to the same life of the gateway, and what waits for leave there?"""
        before, now = self._life, self._runs.session.hello
        if now is None:
            return
        clock = asyncio.get_running_loop().time()
        self._life = now, clock
        self._restarted = before is not None and now.is_another_life(before[0], (clock - before[1]) * 1000)
        self._models.clear()
        self._leave.up()

    # -- asking ----------------------------------------------------------------------------------

    def go_on(self, flight: Flight) -> None:
        """Ask for it, or look how it stands where it was asked for."""
        if flight.accepted and flight.run.id in self._ending:
            return  # it is over, but for what it used
        if flight.posted and not flight.accepted:  # it may be about to be taken: until then it would be taken twice
            flight.timers.append(asyncio.get_running_loop().call_later(AGAIN, self._ask_again, flight))
        elif flight.accepted and self._restarted:
            self._look_up(flight, self._found_after_restart)
        elif flight.accepted:
            self._look_up(flight, self._found_after_cut)
        else:
            self._ask(flight)

    def _ask(self, flight: Flight) -> None:
        key = flight.params["sessionKey"] = self.key(flight)
        if self._at_work(key) is not flight:
            flight.waited = True
            flight.run.push(State(Status.WAITING, f"waiting for the run before it in session {flight.run.session}"))
        elif self._protocol == 3:
            self._send(flight, "its model", BASIC)
        elif key in self._models:
            self._send(flight, *self._models[key])
        else:
            self._look_at(flight, key)

    def _at_work(self, key: str) -> Flight | None:
        """The one whose turn it is in a session."""
        return next((flight for flight in self._runs.flights if self.key(flight) == key.lower()), None)

    def gone(self, flight: Flight) -> None:
        """It has ended: the next one of its session may be asked for."""
        self._ending.pop(flight.run.id, None)
        if self._protocol > 3:
            self._leave.ended(flight.run)
        following = self._at_work(self.key(flight))
        if following is not None and not following.asked and self._runs.is_up:
            asyncio.get_running_loop().call_soon(self._ask_if_still, following)

    def _ask_again(self, flight: Flight) -> None:
        if self._runs.has(flight) and not flight.accepted and self._runs.is_up:
            self._ask(flight)

    def _ask_if_still(self, flight: Flight) -> None:
        if self._runs.has(flight) and not flight.asked and self._runs.is_up:
            self._ask(flight)

    def _look_at(self, flight: Flight, key: str) -> None:
        """Learn how deep the model of a session may think, once nobody is at work there."""

        def told(history: Reply) -> None:
            provider, model, at_work = session_facts(history.payload)
            if at_work not in ("", flight.run.id):
                self._wait_behind(flight, at_work)
                return
            self._runs.post(
                "models.list", {}, lambda reply: known(model, thinking_levels(reply.payload, provider, model))
            )

        def known(model: str, allowed: tuple[str, ...]) -> None:
            self._models[key] = model, allowed
            if self._runs.has(flight) and self._runs.is_up:
                self._send(flight, model, allowed)

        flight.asked = True  # whoever comes after it waits
        self._runs.post("chat.history", {"sessionKey": key, "limit": 1}, told)

    def _wait_behind(self, flight: Flight, run_id: str) -> None:
        """Wait for a run of another client, or of a kernel before this one: what is sent now would go into it."""
        flight.waited = True
        flight.run.push(State(Status.WAITING, f"waiting for another client's run in session {flight.run.session}"))
        again = partial(asyncio.get_running_loop().call_later, AGAIN, self._ask_again, flight)
        self._runs.post("agent.wait", {"runId": run_id, "timeoutMs": BEHIND}, lambda _: flight.timers.append(again()))

    @property
    def _protocol(self) -> int:
        hello = self._runs.session.hello
        return hello.protocol if hello else 4

    def _send(self, flight: Flight, model: str, allowed: tuple[str, ...]) -> None:
        """By `chat.send`, or by `agent` where that would not take the text as it is.

        `chat.send` obeys whatever in a message looks like a command, were it a line of data: /exec changes what needs
        leave, /model the model. At 3 it leaves out line breaks as well, and takes a depth for a command. `agent` obeys
        nothing, but at 4 what would need leave is denied there, and files are refused.
        """
        if flight.stopping:
            self._runs.end(flight, End(Status.STOPPED))
            return
        params = {**flight.params, "thinking": self._thinking(flight, model, allowed)}
        if not _is_command(flight) and (self._protocol == 3 or _COMMAND.search(str(params["message"]))):
            self._post_to_agent(flight, params)
            return
        if self._protocol == 3:
            del params["thinking"]
        self._post_send(flight, params)

    def _post_to_agent(self, flight: Flight, params: dict[str, Any]) -> None:
        flight.method = "agent"
        if instructions := self._instructions():
            params = params | {"extraSystemPrompt": instructions}
        self._post_send(flight, params | {"deliver": False})

    def _post_send(self, flight: Flight, params: dict[str, Any]) -> None:
        def accepted(reply: Reply) -> None:
            if not self._runs.has(flight):
                return
            payload = reply.payload if isinstance(reply.payload, dict) else {}
            if reply.error is not None:
                self._fail(flight, reply.error)
            elif flight.accepted:  # how it ended, which `chat` events tell as well
                if "result" in payload:
                    self._outcome(flight, payload["result"])
            else:
                flight.reached()
                self._accepted(flight, payload, params)

        flight.asked = flight.posted = True
        self._runs.post(flight.method, params, accepted)

    def _accepted(self, flight: Flight, payload: dict[str, Any], params: dict[str, Any]) -> None:
        match payload.get("status"):
            case "ok":  # it was asked for before, and has ended
                self._look_up(flight, self._found_after_cut)
            case None if _is_command(flight):
                self._runs.end(flight, End(Status.DONE, words="taken as a command by the gateway"))
            case None:  # a word such as "stop", which stopped what was at work there, and was not meant to
                flight.accepted = False
                self._post_to_agent(flight, params)
            case _ if flight.stopping:  # which may have come too early
                self._runs.abort(flight)

    def _thinking(self, flight: Flight, model: str, allowed: tuple[str, ...]) -> str:
        """How deep its model is told to think; what it cannot is said."""
        wanted = str(flight.params["thinking"])
        thinking = nearest(wanted, allowed)
        if thinking != wanted:
            level = int(level_of_thinking(thinking))
            flight.run.push(Level(level, f"{model} thinks at {thinking}, not {wanted}"))
        return thinking

    def stop_of(self, flight: Flight) -> tuple[str, dict[str, Any]]:
        """How it is stopped."""
        if flight.method == "agent" and self._protocol == 3:
            stop = {"sessionKey": flight.key, "message": STOP, "idempotencyKey": secrets.token_hex(16)}
            return "chat.send", stop
        return "chat.abort", {"sessionKey": flight.key, "runId": flight.run.id}

    # -- how it ends -----------------------------------------------------------------------------

    def ended(self, flight: Flight, event: RunEnded) -> None:
        """It has come to its end, which may be a refusal, and may lack what was lost in a cut."""
        message = event.facts.get("message")
        message = message if isinstance(message, dict) else {}
        text, end, cursor = message_text(message), read_end(event.state, event.facts), event.cursor
        self._runs.session.runs[flight.run.id] = cursor
        if message.get("model") == "gateway-injected":
            self._injected(flight, text, end)
        elif event.state == "error" and end.error is not None:
            self._fail(flight, end.error)
        elif _is_stopped(event) and (flight.stopping or flight.text or event.facts.get("stopReason") != "stop"):
            words = "" if flight.stopping else "stopped by another client"
            self._runs.end(flight, replace(end, status=Status.STOPPED, words=words))
        elif not (text or flight.text):
            self.forget()  # before the next one it is looked whether somebody is at work there
            self._fail(flight, RunError(f"the gateway at {self._runs.uri} {_NO_ANSWER}", code="NO_ANSWER"))
        else:
            cursor.held = cursor.held and not text.startswith(cursor.text)
            if not cursor.held:
                self._grow(flight, text)
                flight.timers.append(asyncio.get_running_loop().call_later(LOOK, self._end, flight, end))
            self._look_up(flight, partial(self._found_at_end, end))

    def _injected(self, flight: Flight, text: str, end: End) -> None:
        """The gateway answers by itself: to a command of its own, such as /status, or to refuse the message."""
        self.forget()  # a depth that its model does not have, or a command that gave it another model
        if _is_command(flight):
            self._grow(flight, text)
            self._runs.end(flight, end)
        else:
            self._fail(flight, RunError(text.strip() or "the gateway refused it", code="REFUSED"))

    def _fail(self, flight: Flight, error: OpenClawError) -> None:
        """It came to nothing, which is what somebody who has stopped it wanted."""
        self._runs.end(flight, End(Status.STOPPED) if flight.stopping else failed(error))

    def _grow(self, flight: Flight, text: str) -> None:
        for event in catch_up(flight.run.id, self._runs.session.runs[flight.run.id], text):
            self._runs.happened(event)

    def _outcome(self, flight: Flight, result: Any) -> None:
        """What it used, which 2026.3.1 tells about when it tells its end."""
        flight.reported = True
        flight.used, model = outcome_usage(result)
        cursor = self._runs.session.runs[flight.run.id]
        cursor.model = cursor.model or model
        if (ending := self._ending.get(flight.run.id)) is not None:
            self._end(*ending)

    def _end(self, flight: Flight, end: End) -> None:
        if self._runs.has(flight):
            model = end.model or self._runs.session.runs[flight.run.id].model
            self._runs.end(flight, replace(end, usage=end.usage or flight.used, model=model))

    # -- what its history says -------------------------------------------------------------------

    def _look_up(self, flight: Flight, found: Callable[[Flight, Past], None], limit: int = HISTORY[0]) -> None:
        def told(reply: Reply) -> None:
            if not self._runs.has(flight):
                return
            past = Past.read(flight.run.id, flight.run.prompt, reply.payload)
            if not past.is_whole and past.so_far is None and limit != HISTORY[1]:
                self._look_up(flight, found, HISTORY[1])
                return
            for event in told_afterwards(flight.run.id, self._runs.session.runs[flight.run.id], past.messages):
                self._runs.happened(event)
            found(flight, past)

        self._runs.post("chat.history", {"sessionKey": flight.key, "limit": limit}, told)

    def _found_at_end(self, end: End, flight: Flight, past: Past) -> None:
        """It is over, and its history says what it used; and its text, where a part of that was missed."""
        cursor = self._runs.session.runs[flight.run.id]
        end = past.end(end, cursor.model)
        if cursor.held:
            self._complete(flight, past.text or "", end)
        elif flight.method == "agent" and end.usage is None and not (flight.reported or cursor.cut):
            self._ending[flight.run.id] = flight, end
            flight.timers.append(asyncio.get_running_loop().call_later(OUTCOME, self._end, flight, end))
        else:
            self._end(flight, end)

    def _found_after_cut(self, flight: Flight, past: Past) -> None:
        """The link was away: it goes on, or has ended meanwhile."""
        flight.reached()
        if past.so_far is not None:
            self._grow(flight, past.so_far)
        elif past.has_ended and self._protocol > 3:
            self._complete(flight, past.text or "", past.end(End(Status.DONE), ""))
        else:
            self._wait_for(flight)

    def _found_after_restart(self, flight: Flight, past: Past) -> None:
        if past.has_ended:
            self._complete(flight, past.text or "", past.end(End(Status.DONE), ""))
        else:
            words = f"the gateway at {self._runs.uri} was restarted while it answered"
            self._fail(flight, RunError(words, code="RUN_LOST"))

    def _wait_for(self, flight: Flight) -> None:
        """Its history does not say whether it is at work: where it is, what is to come of it will be told."""

        def told(reply: Reply) -> None:
            payload = reply.payload if isinstance(reply.payload, dict) else {}
            if self._runs.has(flight) and payload.get("status") not in (None, "timeout"):
                self._look_up(flight, partial(self._ended_meanwhile, payload))

        self._runs.post("agent.wait", {"runId": flight.run.id, "timeoutMs": 1}, told)

    def _ended_meanwhile(self, how: dict[str, Any], flight: Flight, past: Past) -> None:
        error = how.get("error")
        if how.get("status") == "error" and isinstance(error, str):
            self._runs.end(flight, read_end("error", {"errorMessage": error}))
        elif past.text is None:
            self._runs.end(flight, lost("it ended unheard, as while a link is cut, and its history has no answer"))
        else:
            self._complete(flight, past.text, past.end(End(Status.DONE), ""))

    def _complete(self, flight: Flight, text: str, end: End) -> None:
        """Here is its whole text; where that does not go on from what is here, a part is missing, and that is said."""
        cursor = self._runs.session.runs[flight.run.id]
        cursor.held, cursor.part = False, 0
        if text.startswith(cursor.text):
            self._runs.close_gap(flight, text, end)
            return
        self._runs.emit("gap", flight.run)
        self._end(flight, replace(end, words=_GAP))


_COMMAND = re.compile(r"\A\s*!|(?:\A|\s)/[a-z][\w-]*(?![\w/-])", re.IGNORECASE)
"""What 2026.9.6 may take for a command in a message: a word behind a slash, which no path goes on from."""


def _is_command(flight: Flight) -> bool:
    """Whether it is wholly one command of the gateway, such as /status, that its user has typed."""
    prompt = flight.run.prompt.strip()
    return prompt.startswith("/") and "\n" not in prompt


def _is_stopped(event: RunEnded) -> bool:
    return event.state == "aborted" or event.cursor.stopped


_GAP = "what came while the link was cut is not here; %openclaw history shows it"
_NO_ANSWER = (
    "ended it without an answer; where another client is at work in that session, the message went into its run"
)
