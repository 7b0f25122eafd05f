"""The methods `sessions.*`: which there are, what was said in them, their settings, and how they begin anew."""

from __future__ import annotations

import time
from collections.abc import Sequence
from inspect import isawaitable
from typing import Any
from uuid import uuid4

from ..engine import Turn
from ..errors import RequestError, SnapshotError
from ..protocol.frames import Request
from ..protocol.keys import read_session_key
from ..protocol.methods import (
    SessionAt,
    SessionsAt,
    SessionsCreate,
    SessionsList,
    SessionsPatch,
    SessionsReset,
    read_taken,
)
from .cards import Card
from .catalog import defaults_told
from .chats import spoken
from .connection import Connection
from .desk import Desk

__all__ = ["Sessions"]

MOST_ROWS = 100
"""Sessions that are told of at once where a client sets no limit, as at a real gateway."""

TITLE = 60
"""Characters of a title that a session has from its first message."""


class Sessions:
    """The methods by name, each with the scope that it needs."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.methods = {
            "sessions.abort": ("operator.write", self._abort),
            "sessions.create": ("operator.write", self._create),
            "sessions.delete": ("operator.admin", self._delete),
            "sessions.describe": ("operator.read", self._describe),
            "sessions.list": ("operator.read", self._list),
            "sessions.messages.subscribe": ("operator.read", self._listen_to_one),
            "sessions.messages.unsubscribe": ("operator.read", self._listen_to_one_no_more),
            "sessions.patch": ("operator.write", self._patch),
            "sessions.preview": ("operator.read", self._preview),
            "sessions.reset": ("operator.admin", self._reset),
            "sessions.resolve": ("operator.read", self._resolve),
            "sessions.subscribe": ("operator.read", self._listen),
            "sessions.unsubscribe": ("operator.read", self._listen_no_more),
        }

    # -- telling of them -------------------------------------------------------------------------

    def _list(self, connection: Connection, request: Request) -> Any:
        params = read_taken(request, SessionsList)
        cards = [card for card in self._desk.cards.all() if _fits(card, params)]
        limit = params.limit or MOST_ROWS
        end = params.offset + limit
        rows = [self._desk.row(card) for card in cards[params.offset : end]]
        if params.include_derived_titles or params.include_last_message:
            for row in rows:
                self._describe_words(row, titles=params.include_derived_titles, last=params.include_last_message)
        more = end < len(cards)
        return {
            "ts": int(time.time() * 1000), "path": "", "count": len(rows), "totalCount": len(cards),
            "limitApplied": limit, "nextOffset": end if more else None, "hasMore": more,
            "defaults": defaults_told(self._desk.model), "sessions": rows,
        }  # fmt: skip

    def _describe(self, connection: Connection, request: Request) -> Any:
        card = self._desk.cards.find(*_key_of(read_taken(request, SessionAt)))
        return {"session": self._desk.row(card) if card else None}

    def _resolve(self, connection: Connection, request: Request) -> Any:
        params = read_taken(request, SessionAt)
        if params.key:
            return {"ok": True, "key": Card(*read_session_key(params.key)).key}
        for card in self._desk.cards.all():
            if (params.session_id and card.id == params.session_id) or (params.label and card.label == params.label):
                return {"ok": True, "key": card.key}
        raise RequestError("no session found", code="NOT_FOUND")

    def _preview(self, connection: Connection, request: Request) -> Any:
        params = read_taken(request, SessionsAt)
        previews = []
        for key in params.keys:
            messages = spoken(self._desk.engine.messages(read_session_key(key)[1]))[-params.limit :]
            items = [{"role": m["role"], "text": m["content"][: params.max_chars]} for m in messages]
            previews.append({"key": key, "status": "ok" if items else "empty", "items": items})
        return {"ts": int(time.time() * 1000), "previews": previews}

    def _describe_words(self, row: dict[str, Any], *, titles: bool, last: bool) -> None:
        """Add what a session's first message, and its last, say of it."""
        messages = self._desk.engine.messages(read_session_key(row["key"])[1])
        if messages and titles:
            row["derivedTitle"] = " ".join(messages[0]["content"][: 4 * TITLE].split())[:TITLE]
        if messages and last:
            row["lastMessagePreview"] = " ".join(messages[-1]["content"][: 4 * TITLE].split())[: 2 * TITLE]

    # -- listening -------------------------------------------------------------------------------

    def _listen(self, connection: Connection, request: Request) -> Any:
        connection.listens = None
        return {"subscribed": True}

    def _listen_no_more(self, connection: Connection, request: Request) -> Any:
        connection.listens = set()
        return {"subscribed": False}

    def _listen_to_one(self, connection: Connection, request: Request) -> Any:
        key = self._key_in(request)
        if connection.listens is not None:
            if len(connection.listens) >= MOST_HEARD:
                raise RequestError(f"a client can listen to {MOST_HEARD} sessions; sessions.subscribe is for all")
            connection.listens.add(key)
        return {"subscribed": True, "key": key}

    def _listen_to_one_no_more(self, connection: Connection, request: Request) -> Any:
        key = self._key_in(request)
        if connection.listens is not None:
            connection.listens.discard(key)
        return {"subscribed": False, "key": key}

    def _key_in(self, request: Request) -> str:
        return Card(*_key_of(read_taken(request, SessionAt))).key

    # -- changing them ---------------------------------------------------------------------------

    def _patch(self, connection: Connection, request: Request) -> Any:
        params = read_taken(request, SessionsPatch)
        given = request.params.keys()
        card = self._desk.cards.of(*read_session_key(params.key))
        if "thinkingLevel" in given:
            self._desk.set_thinking(card, params.thinking_level)
        if "model" in given:
            self._desk.set_model(card, params.model)
        if "label" in given:
            card.label = params.label
        shown = {
            "verboseLevel": params.verbose_level, "reasoningLevel": params.reasoning_level,
            "responseUsage": params.response_usage,
        }  # fmt: skip
        for key in shown.keys() & given:
            card.shown.pop(key, None)
            if (value := shown[key]) is not None:
                card.shown[key] = value
        self._desk.cards.touch(card)
        self._desk.tell_changed(card, reason="patch")
        row = self._desk.row(card)
        resolved = {"modelProvider": row["modelProvider"], "model": row["model"]}
        return {"ok": True, "path": "", "key": card.key, "entry": row, "resolved": resolved}

    async def _reset(self, connection: Connection, request: Request) -> Any:
        params = read_taken(request, SessionsReset)
        card = await self._desk.forget(*read_session_key(params.key), params.reason)
        return {"ok": True, "key": card.key, "entry": self._desk.row(card)}

    async def _delete(self, connection: Connection, request: Request) -> Any:
        agent, session = _key_of(read_taken(request, SessionAt))
        known = self._desk.cards.find(agent, session) is not None
        card = await self._desk.forget(agent, session, "delete")
        self._desk.cards.drop(agent, session)
        return {"ok": True, "key": card.key, "deleted": known, "archived": []}

    async def _create(self, connection: Connection, request: Request) -> Any:
        params = read_taken(request, SessionsCreate)
        agent, session = read_session_key(params.key) if params.key else (params.agent_id or "main", f"new-{uuid4()}")
        if params.fork and params.parent_session_key:
            await self._fork(session, read_session_key(params.parent_session_key)[1])
        card = self._desk.cards.of(agent, session)
        self._desk.set_thinking(card, params.thinking_level or card.thinking)
        if params.model is not None:
            self._desk.set_model(card, params.model)
        card.label = params.label or card.label
        self._desk.cards.touch(card)
        self._desk.tell_changed(card, reason="create")
        made = {"ok": True, "key": card.key, "sessionId": card.id, "entry": self._desk.row(card), "runStarted": False}
        if message := params.message or params.task:
            run_id = params.idempotency_key or self._desk.new_id()
            begun = self._desk.begin(Turn(run_id, message, agent, session), lambda *_: None)
            if isawaitable(begun):
                await begun
            made |= {"runStarted": True, "runId": run_id}
        return made

    async def _fork(self, session: str, parent: str) -> None:
        memory = self._desk.engine.memory
        try:
            await memory.do(memory.branch, session, parent)
        except SnapshotError as error:
            raise RequestError(str(error)) from None

    def _abort(self, connection: Connection, request: Request) -> Any:
        params = read_taken(request, SessionAt)
        if params.key is None and params.run_id is not None and (run := self._desk.runs.find(params.run_id)):
            return _aborted([params.run_id] if run.stop() else [])
        return self._desk.abort(*_key_of(params), params.run_id, _aborted)


MOST_HEARD = 256
"""Sessions that one client can listen to one by one."""


def _aborted(stopped: Sequence[str]) -> dict[str, Any]:
    id = stopped[0] if stopped else None
    return {"ok": True, "abortedRunId": id, "status": "aborted" if stopped else "no-active-run"}


def _key_of(params: SessionAt) -> tuple[str, str]:
    if not params.key:
        raise RequestError("key is required")
    return read_session_key(params.key)


def _fits(card: Card, params: SessionsList) -> bool:
    """Whether a session is one of those that are asked for."""
    if params.agent_id is not None and card.agent != params.agent_id:
        return False
    if params.label is not None and card.label != params.label:
        return False
    if params.active_minutes is not None and card.updated < time.time() * 1000 - params.active_minutes * 60_000:
        return False
    search = (params.search or "").strip().lower()
    return search in f"{card.key}\n{card.label or ''}\n{card.id}".lower()
