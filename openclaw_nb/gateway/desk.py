"""Desk, where runs begin and end for all methods: cards are kept, and who listens to a session is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from inspect import isawaitable
from typing import Any
from uuid import uuid4

from ..engine import Engine, Turn
from ..errors import RequestError
from .audience import Audience
from .cards import Card, Cards
from .catalog import THINKING, row_of, split_model
from .runs import STOP_TIMEOUT, ActiveRun, Runs
from .shared_runs import SharedRuns
from .slash import Command, help_text

__all__ = ["Desk"]

ALSO = ("minimal", "xhigh", "max", "adaptive")
"""Other words for thinking that OpenClaw has, and that mean one of ours."""


class Desk:
    """The runs of a gateway, the cards of its sessions, and its audience."""

    def __init__(self, engine: Engine, runs: Runs, audience: Audience) -> None:
        self.engine = engine
        self.runs = runs
        self.audience = audience
        self.cards = Cards(engine.memory)
        self.closing = False
        self.shared = runs if isinstance(runs, SharedRuns) else None

    @property
    def model(self) -> str:
        """The name of the gateway's own model."""
        return self.engine.default.name

    def new_id(self) -> str:
        return str(uuid4())

    # -- runs ------------------------------------------------------------------------------------

    def start(self, turn: Turn) -> tuple[ActiveRun, bool]:
        """As `Runs.start`, and whoever is to hear of a new one does."""
        self._check_open(turn)
        run, new = self.runs.start(turn)
        if new:
            self._began(run)
        return run, new

    def begin(self, turn: Turn, then: Callable[[ActiveRun, bool], Any]) -> Any:
        """What ``then`` makes of the run and whether it is new; where runs are shared, something to wait for."""
        return then(*self.start(turn)) if self.shared is None else self._begin(self.shared, turn, then)

    def seek(self, run_id: str, then: Callable[[ActiveRun | None], Any]) -> Any:
        """What ``then`` makes of the run of this id; where that may be another instance's, something to wait for."""
        run = self.runs.find(run_id)
        return then(run) if self.shared is None or run is not None else self._seek(self.shared, run_id, then)

    async def _begin(self, shared: SharedRuns, turn: Turn, then: Callable[[ActiveRun, bool], Any]) -> Any:
        self._check_open(turn)
        run, new = await shared.claim(turn)
        if new:
            self._began(run)
        return then(run, new)

    async def _seek(self, shared: SharedRuns, run_id: str, then: Callable[[ActiveRun | None], Any]) -> Any:
        answer = then(await shared.fetch(run_id))
        return await answer if isawaitable(answer) else answer

    def abort(self, agent: str, session: str, run_id: str | None, then: Callable[[list[str]], Any]) -> Any:
        """Stop the runs at work in a session, or one of them; what ``then`` makes of their ids."""
        stopped = [run.turn.run_id for run in self.stop(agent, session, run_id)]
        if self.shared is None or (run_id is not None and stopped):
            return then(stopped)
        return self._abort(self.shared, agent, session, run_id, stopped, then)

    async def _abort(
        self, shared: SharedRuns, agent: str, session: str, run_id: str | None, stopped: list[str],
        then: Callable[[list[str]], Any],
    ) -> Any:  # fmt: skip
        if run_id is None:
            return then([*stopped, *await shared.stop_all(session)])
        run = await shared.fetch(run_id)
        if run is not None and (run.turn.agent, run.turn.session) == (agent, session) and run.stop():
            stopped.append(run_id)
        return then(stopped)

    def caught_up(self, session: str, then: Callable[[], Any]) -> Any:
        """What ``then`` gives once all that was said in a session is here."""
        return then() if self.shared is None else self._caught_up(self.shared, session, then)

    async def _caught_up(self, shared: SharedRuns, session: str, then: Callable[[], Any]) -> Any:
        await shared.catch_up(session)
        return then()

    def _check_open(self, turn: Turn) -> None:
        known = self.runs.find(turn.run_id) if self.closing else None
        if self.closing and (known is None or (known.done and turn.retry)):  # what is at work here is told of
            raise RequestError("this gateway is closing", code="GATEWAY_STOPPED")

    def _began(self, run: ActiveRun) -> None:
        card = self.cards.began(run)
        self.audience.follow(run)
        if self.audience.listening:
            self._tell_message(card, run, "user", run.turn.message)
            self.tell_changed(card, phase="start", runId=run.turn.run_id)

    def ended(self, run: ActiveRun) -> None:
        """A run has ended: its card says so, and who listens is told."""
        card = self.cards.ended(run)
        if self.audience.listening:
            text, state = str(run.log.text), run.log.ending.state if run.log.ending else "error"
            if text:
                self._tell_message(card, run, "assistant", text)
            self.tell_changed(card, phase="error" if state == "error" else "end", runId=run.turn.run_id)

    def stop(self, agent: str, session: str, run_id: str | None = None) -> list[ActiveRun]:
        """Stop the runs at work in a session, or one of them; which those were."""
        runs = self.runs.of_session(agent, session)
        return [run for run in runs if run_id in (None, run.turn.run_id) and run.stop()]

    # -- sessions --------------------------------------------------------------------------------

    def running(self, card: Card) -> list[ActiveRun]:
        return self.runs.of_session(card.agent, card.session)

    def row(self, card: Card) -> dict[str, Any]:
        return row_of(card, self.model, running=bool(self.running(card)))

    def about(self, agent: str, session: str) -> dict[str, Any]:
        """What a client learns of a session with its history: settings, and what is at work in it."""
        card = self.cards.find(agent, session) or Card(agent, session)
        about: dict[str, Any] = {"sessionId": card.id, "sessionInfo": self.row(card)}
        if card.thinking:
            about["thinkingLevel"] = card.thinking
        if "verboseLevel" in card.shown:
            about["verboseLevel"] = card.shown["verboseLevel"]
        if runs := self.running(card):
            about["inFlightRun"] = {"runId": runs[-1].turn.run_id, "text": str(runs[-1].log.text)}
        return about

    async def forget(self, agent: str, session: str, reason: str) -> Card:
        """Begin a session anew: what is at work in it is stopped, and what was said is no part of it any more."""
        stopped = self.stop(agent, session)
        if self.shared is not None:
            await self.shared.stop_all(session)
        if stopped:
            await asyncio.wait([asyncio.ensure_future(run.over()) for run in stopped], timeout=STOP_TIMEOUT)
        memory = self.engine.memory
        if memory.begun(session):
            await memory.do(memory.point, session, None)
        if self.shared is not None:
            self.shared.begin_anew(session)
        card = self.cards.begin_anew(agent, session)
        self.tell_changed(card, reason=reason)
        return card

    def set_thinking(self, card: Card, word: str | None) -> None:
        if word is not None and word not in (*THINKING, *ALSO):
            raise RequestError(f"invalid thinkingLevel (use {'|'.join(THINKING)})")
        card.thinking = word

    def set_model(self, card: Card, name: str | None) -> None:
        """Take a model for a session, written as PROVIDER/ID or as this gateway names it."""
        provider, id = split_model(self.model)
        if name is None or name in (self.model, id, f"{provider}/{id}"):
            card.model = None
            return
        head, slash, rest = name.partition("/")
        name = rest if head == "openclaw-nb" else f"{head}:{rest}" if slash and ":" not in head else name
        self.engine.check_model(name)
        card.model = name

    # -- commands --------------------------------------------------------------------------------

    async def obey(self, command: Command, agent: str, session: str, run_id: str) -> dict[str, Any]:
        """Carry out a slash command, and answer it as a run of this id."""
        if command.name == "new" and command.rest:
            await self.forget(agent, session, "new")
            begun = self.begin(Turn(run_id, command.rest, agent, session), lambda *_: None)
            if isawaitable(begun):
                await begun
            return {"runId": run_id, "status": "started"}
        try:
            words = await self._obey(command, agent, session)
        except RequestError as error:
            words = str(error)
        card = self.cards.of(agent, session)
        message = {
            "role": "assistant", "content": [{"type": "text", "text": words}], "command": True,
            "timestamp": int(time.time() * 1000),
        }  # fmt: skip
        payload = {"runId": run_id, "sessionKey": card.key, "seq": 1, "state": "final", "message": message}
        # The answer to the request is to come first.
        asyncio.get_running_loop().call_soon(self.audience.tell_all, "chat", payload)
        return {"runId": run_id, "status": "started"}

    async def _obey(self, command: Command, agent: str, session: str) -> str:
        card = self.cards.of(agent, session)
        match command:
            case ("new", _):
                await self.forget(agent, session, "new")
                return f"session {card.key} begins anew"
            case ("stop", _):
                return "stopped" if self.stop(agent, session) else "nothing is at work in this session"
            case ("think", word) if word:
                self.set_thinking(card, word)
                return f"thinking set to {word}"
            case ("think", _):
                return f"thinking is {card.thinking or 'as the gateway has it'}"
            case ("model", name) if name:
                self.set_model(card, name)
                return f"model set to {name}"
            case ("model", _):
                return f"model is {card.model or self.model}"
            case ("status", _):
                return self._status(card)
            case _:
                return help_text()

    def _status(self, card: Card) -> str:
        read, written = card.tokens
        lines = [
            f"Model: {card.model or self.model}", f"Thinking: {card.thinking or 'as the gateway has it'}",
            f"Tokens: {read} in / {written} out", f"Session: {card.key}", f"At work: {len(self.running(card))}",
        ]  # fmt: skip
        if card.cost:
            lines.insert(3, f"Cost: ${card.cost:.4f}")
        return "\n".join(lines)

    # -- telling ---------------------------------------------------------------------------------

    def tell_changed(self, card: Card, **facts: Any) -> None:
        """Tell who listens that something about a session is another now."""
        self.audience.tell("sessions.changed", {
            "sessionKey": card.key, "agentId": card.agent, "ts": int(time.time() * 1000), "session": self.row(card),
            "sessionId": card.id, "updatedAt": card.updated or None, **facts,
        })  # fmt: skip

    def _tell_message(self, card: Card, run: ActiveRun, role: str, text: str) -> None:
        now = int(time.time() * 1000)
        key = f"{run.turn.run_id}:{role}"
        message = {
            "role": role, "content": [{"type": "text", "text": text}], "timestamp": now, "idempotencyKey": key,
            "__openclaw": {"id": key, "idempotencyKey": key, "runId": run.turn.run_id, "recordTimestampMs": now},
        }  # fmt: skip
        self.audience.tell("session.message", {
            "sessionKey": card.key, "agentId": card.agent, "message": message, "messageId": key,
            "session": self.row(card), "sessionId": card.id, "updatedAt": card.updated,
        })  # fmt: skip
