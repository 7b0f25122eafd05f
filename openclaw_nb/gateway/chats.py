"""Chats, the methods that begin, follow, change and end runs, and tell what was said: `chat.*`, `agent`, `run.*`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import outputs
from ..engine import Engine, Turn
from ..errors import OpenClawError, RequestError
from ..models.base import Output
from ..prompts.images import in_short
from ..protocol.frames import Partial, Request, Response, RunLevel, RunResume, read_params
from ..protocol.keys import read_session_key
from ..protocol.methods import (
    AgentParams,
    AgentWait,
    SessionsSend,
    TakenAbort,
    TakenHistory,
    TakenSend,
    read_taken,
)
from ..reasoning.levels import level_of_thinking
from .attachments import images_of
from .catalog import split_model
from .connection import Connection
from .desk import Desk
from .runs import ActiveRun
from .slash import read_command

__all__ = ["Chats", "answer_of", "spoken"]

LONGEST_KEY = 512
"""Characters of a session's name, as at a real gateway."""

MOST_MESSAGES = 1000
"""Messages that a client of somebody else's is told of a session at most, as a real gateway would."""


class Chats:
    """The methods by name, each with the scope that it needs; ``goes_on`` says that cut answers can be gone on with."""

    def __init__(self, desk: Desk, engine: Engine, *, goes_on: bool) -> None:
        self._desk = desk
        self._engine = engine
        self._goes_on = goes_on
        self.methods = {
            "agent": ("operator.write", self._agent),
            "agent.wait": ("operator.write", self._wait),
            "chat.abort": ("operator.write", self._abort),
            "chat.history": ("operator.read", self._history),
            "chat.send": ("operator.write", self._send),
            "run.level": ("operator.write", self._level),
            "run.resume": ("operator.read", self._resume),
            "sessions.send": ("operator.write", self._send_to_session),
        }

    # -- messages --------------------------------------------------------------------------------

    def _send(self, connection: Connection, request: Request) -> Any:
        params = read_taken(request, TakenSend)
        agent, session = read_session_key(params.session_key)
        foreign = not connection.session.ours
        command = read_command(params.message) if foreign and not params.suppress_command_interpretation else None
        if command is not None:
            return self._desk.obey(command, agent, session, params.idempotency_key)
        turn = Turn(params.idempotency_key, params.message, agent, session, model=params.model)
        turn.base, turn.budget, turn.beside = params.base, params.budget, params.busy == "branch"
        turn.retry, turn.isolated = params.retry, params.isolated
        turn.images = images_of(params.attachments)
        if (output := params.output) is not None:
            outputs.check(output.name, output.schema)
            turn.output = Output(output.name, output.schema)
        self._set(turn, params.thinking, foreign=foreign)

        def begun(run: ActiveRun, new: bool) -> Any:
            run.stop_after((params.timeout_ms or 0) / 1000)
            if not new:
                run.change(turn.level)  # it may be another since the request before
            if foreign:
                old = connection.session.protocol == 3 and params.session_key != "main"
                connection.listen(run, key=params.session_key if old else "")
            else:
                connection.watch(run, offset=known, steps=None, pace=params.pace)
            load = {} if foreign else {"load": self._desk.runs.load}  # for a client that has several to choose from
            return {"runId": turn.run_id, "status": "started" if new else "ok" if run.done else "in_flight", **load}

        if (partial := params.partial) is None:
            known = 0
            return self._desk.begin(turn, begun)

        def go_on(run: ActiveRun | None) -> Any:
            self._take_partial(turn, partial, run)
            return self._desk.begin(turn, begun)

        known = len(partial.text)
        return self._desk.seek(turn.run_id, go_on)

    def _send_to_session(self, connection: Connection, request: Request) -> Any:
        params = read_taken(request, SessionsSend)
        key = params.idempotency_key or self._desk.new_id()
        turn = Turn(key, params.message, *read_session_key(params.key))
        turn.images = images_of(params.attachments)
        self._set(turn, params.thinking, foreign=True)

        def begun(run: ActiveRun, new: bool) -> Any:
            run.stop_after((params.timeout_ms or 0) / 1000)
            return {"runId": key, "status": "started" if new else "ok" if run.done else "in_flight"}

        return self._desk.begin(turn, begun)

    def _agent(self, connection: Connection, request: Request) -> Any:
        params = read_taken(request, AgentParams)
        agent, session = read_session_key(params.session_key or "main")
        if params.agent_id is not None and not (params.session_key or "").startswith("agent:"):
            agent = params.agent_id
        turn = Turn(params.idempotency_key, params.message, agent, session, model=params.model)
        turn.images = images_of(params.attachments)
        self._set(turn, params.thinking, foreign=True)

        def begun(run: ActiveRun, new: bool) -> Any:
            run.stop_after(params.timeout or 0)
            if not new and not run.done:
                return {"runId": turn.run_id, "status": "in_flight"}
            connection.answer_later(request, self._second_answer(request, run))
            accepted = {"runId": turn.run_id, "status": "accepted", "acceptedAt": int(run.began * 1000)}
            return accepted | {"sessionKey": run.log.session_key, "agentId": agent}

        return self._desk.begin(turn, begun)

    async def _second_answer(self, request: Request, run: ActiveRun) -> Any:
        await run.over()
        card = self._desk.cards.of(run.turn.agent, run.turn.session)
        return answer_of(request.id, run, card.id)

    def _wait(self, connection: Connection, request: Request) -> Any:
        params = read_taken(request, AgentWait)
        return self._desk.seek(params.run_id, lambda run: self._wait_for(run, params))

    async def _wait_for(self, run: ActiveRun | None, params: AgentWait) -> Any:
        if run is not None:
            await run.over(params.timeout_ms / 1000)
        if run is None or run.log.ending is None:
            return {"runId": params.run_id, "status": "timeout"}
        began = int(run.began * 1000)
        facts: dict[str, Any] = {"startedAt": began, "endedAt": began + int(run.lasted * 1000)}
        if run.log.ending.state == "error":
            facts |= {"status": "error", "error": run.log.ending.facts.get("errorMessage", "")}
        elif "stopReason" in run.log.ending.facts:
            facts["stopReason"] = run.log.ending.facts["stopReason"]
        return {"runId": params.run_id, "status": "ok"} | facts

    def _set(self, turn: Turn, thinking: str | None, *, foreign: bool) -> None:
        """Give a turn its level, and what its session was set to where the client is one that sets such things."""
        if not foreign:
            turn.level = int(level_of_thinking(thinking))
            return
        if not turn.message.strip() and not turn.images:
            raise RequestError("message or attachment required")
        if len(turn.session) > LONGEST_KEY:
            raise RequestError(f"sessionKey must NOT have more than {LONGEST_KEY} characters")
        card = self._desk.cards.find(turn.agent, turn.session)
        try:
            if self._goes_on:  # a handler has agents of its own
                self._engine.check_agent(turn.agent)
            turn.level = int(level_of_thinking(thinking or (card.thinking if card else None)))
        except OpenClawError as error:
            raise RequestError(str(error)) from None
        turn.model = turn.model or (card.model if card else None)

    def _take_partial(self, turn: Turn, partial: Partial, known: ActiveRun | None) -> None:
        """The client has a part of an answer that this gateway knows nothing of, or knows from before."""
        so_far = str(known.log.text) if known else partial.text
        if known and not known.done and len(so_far) < len(partial.text) and partial.text.startswith(so_far):
            raise RequestError("another client with less of that answer asked first", code="RUN_BEHIND")
        if not self._goes_on or not so_far.startswith(partial.text):
            raise RequestError("this gateway cannot go on with that answer; what came is kept", code="RUN_LOST")
        turn.partial, turn.partial_tokens = partial.text, partial.tokens

    # -- runs that are there ---------------------------------------------------------------------

    def _resume(self, connection: Connection, request: Request) -> Any:
        params = read_params(request, RunResume)

        def resume(run: ActiveRun | None) -> Any:
            if run is None or run.log.text.length < params.offset:  # it is known from what another client had of it
                raise _unknown(params.run_id)
            connection.watch(run, offset=params.offset, steps=params.steps, pace=params.pace)
            return {"runId": params.run_id, "status": "ok" if run.done else "in_flight"}

        return self._desk.seek(params.run_id, resume)

    def _level(self, connection: Connection, request: Request) -> Any:
        params = read_params(request, RunLevel)

        def change(run: ActiveRun | None) -> Any:
            if run is None:
                raise _unknown(params.run_id)
            run.change(int(level_of_thinking(params.thinking)))
            return {"runId": params.run_id, "status": "ok" if run.done else "in_flight"}

        return self._desk.seek(params.run_id, change)

    def _abort(self, connection: Connection, request: Request) -> Any:
        params = read_taken(request, TakenAbort)
        return self._desk.abort(*read_session_key(params.session_key), params.run_id, _aborted)

    # -- what was said ---------------------------------------------------------------------------

    def _history(self, connection: Connection, request: Request) -> Any:
        params = read_taken(request, TakenHistory)
        agent, session = read_session_key(params.session_key)
        return self._desk.caught_up(session, lambda: self._told(connection, params, agent, session))

    def _told(self, connection: Connection, params: TakenHistory, agent: str, session: str) -> Any:
        messages = spoken(self._engine.messages(session))
        if connection.session.ours:
            told = messages[-(params.limit or 0) :]
            return {"sessionKey": params.session_key, "messages": [_shown(message) for message in told]}
        told = messages[-min(params.limit or MOST_MESSAGES, MOST_MESSAGES) :]
        history: dict[str, Any] = {
            "sessionKey": params.session_key, "messages": [_shown(message) for message in told],
            "hasMore": len(told) < len(messages), "totalMessages": len(messages), **self._desk.about(agent, session),
        }  # fmt: skip
        return history


def answer_of(id: str, run: ActiveRun, session_id: str) -> Any:
    """The second reply to `agent`, once the run has ended."""
    turn, ending = run.turn, run.log.ending
    if ending is None or ending.state == "error":
        why = ending.facts.get("errorMessage", "") if ending else "the gateway was stopped"
        payload = {"runId": turn.run_id, "status": "error", "summary": why}
        return Response(id, False, payload, {"code": "UNAVAILABLE", "message": why})
    provider, model = split_model(ending.facts.get("model", ""))
    meta: dict[str, Any] = {"sessionId": session_id, "provider": provider, "model": model}
    if usage := ending.facts.get("usage"):
        read, written = usage["input"], usage["output"]
        meta["usage"] = {"input": read, "output": written, "total": read + written}
    aborted = ending.state == "aborted"
    text = str(run.log.text)
    return {
        "runId": turn.run_id, "status": "ok", "summary": "aborted" if aborted else "completed",
        "result": {
            "payloads": [{"text": text, "mediaUrl": None}] if text else [],
            "meta": {"durationMs": int(run.lasted * 1000), "agentMeta": meta, "aborted": aborted},
        },
    }  # fmt: skip


def _aborted(stopped: Sequence[str]) -> dict[str, Any]:
    return {"ok": True, "aborted": bool(stopped), "runIds": list(stopped)}


def _unknown(run_id: str) -> RequestError:
    return RequestError(f"run {run_id} is not known here any more", code="NOT_FOUND")


def spoken(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was said, an answer as one message: a run that used tools, or was cut, has several."""
    said: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "tool":
            continue
        if said and "run" in message and said[-1].get("run") == message["run"]:
            message = {**message, "content": said.pop()["content"] + message["content"]}
        said.append(message)
    return said


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    """A message as `chat.history` tells it, images in words; of an answer also its run, and how that ended."""
    texts = (message["content"], *map(in_short, message.get("images", ())))
    shown = {"role": message["role"], "content": [{"type": "text", "text": text} for text in texts]}
    if "run" in message:
        shown |= {"runId": message["run"], "state": _state(message)}
    return shown


def _state(message: dict[str, Any]) -> str:
    return "aborted" if message.get("stopped") else "error" if message.get("failed") else "final"
