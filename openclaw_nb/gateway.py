"""Gateway, the WebSocket server that speaks the OpenClaw protocol and runs turns for its clients."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from types import TracebackType
from typing import Any

from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from . import models
from .connection import LINGER, Connection
from .door import Door, is_loopback
from .engine import Engine, Turn
from .errors import ConfigError, RequestError
from .models.base import Model
from .protocol.frames import (
    MAX_FRAME,
    TICK,
    BadFrame,
    ChatAbort,
    ChatHistory,
    ChatSend,
    Request,
    RunResume,
    read_params,
)
from .protocol.server import ServerSession
from .reasoning.levels import level_of_thinking
from .runs import Handler, Runs
from .snapshots import SnapshotStore
from .version import __version__

__all__ = ["PING", "Gateway"]

PING = 20.0
"""Seconds of silence before a ping, and again before a client that does not answer it is cut."""


class Gateway:
    """``async with Gateway(model="offline") as gateway: …``; clients connect to ``gateway.url`` with ``gateway.token``.

    ``model`` is a name, a Model or an async generator function; ``token`` None makes a random one; ``port`` 0
    takes a free one. It listens on loopback only: any other ``host`` is a ConfigError. ``handler`` serves turns
    in place of the Engine made of ``model`` and ``store``.
    """

    def __init__(
        self,
        model: str | Model | Callable[..., Any] = "offline",
        token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        engine: Engine | None = None,
        handler: Handler | None = None,
    ) -> None:
        if not is_loopback(host):
            raise ConfigError(f"host {host!r} is not this machine; a gateway listens on loopback only, as 127.0.0.1")
        self.host = host
        self.port = port
        self.engine = engine or Engine(SnapshotStore(), models.resolve(model))
        self._door = Door(token, host)
        self._runs = Runs(handler or self.engine.turn)
        self._connections: set[Connection] = set()
        self._alone = asyncio.Event()
        self._alone.set()
        self._server: asyncio.Server | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._methods: dict[str, tuple[str, Callable[[Connection, Request], Any]]] = {
            "chat.abort": ("operator.write", self._abort),
            "chat.history": ("operator.read", self._history),
            "chat.send": ("operator.write", self._send),
            "health": ("operator.read", self._health),
            "run.resume": ("operator.read", self._resume),
        }

    @property
    def url(self) -> str:
        """Where it listens, as ``ws://127.0.0.1:PORT``; the token is not in it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws://{host}:{self.port}"

    @property
    def token(self) -> str:
        return self._door.token

    def __repr__(self) -> str:
        return f"<Gateway {self.url} {len(self._connections)} connections, {len(self._runs)} runs>"

    async def __aenter__(self) -> Gateway:
        await self.start()
        return self

    async def __aexit__(
        self, type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen. ConfigError where the port is taken."""
        if self._server is not None:
            raise ConfigError(f"this gateway already listens at {self.url}")
        try:
            self._server = await ws_create_server(
                self._admit, self.host, self.port, max_frame_size=MAX_FRAME, enable_auto_ping=True,
                auto_ping_idle_timeout=PING, auto_ping_reply_timeout=PING, use_aiofastnet=False,
            )  # fmt: skip
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(f"cannot listen on {self.host}:{self.port}: {why}") from None
        self.port = self._server.sockets[0].getsockname()[1]
        self._tick()

    async def close(self) -> None:
        """Stop listening, end what is at work, tell the clients, and hang up on those who do not answer."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        if self._ticker is not None:
            self._ticker.cancel()
        await self._runs.close()
        for connection in tuple(self._connections):
            connection.send_event("shutdown", {"reason": "gateway stopping"})
            connection.close(1012, "service restart")
        await self._alone.wait()
        with suppress(TimeoutError):  # a client that never asked for a WebSocket is picows' to hang up on
            await asyncio.wait_for(server.wait_closed(), LINGER)

    # -- connections -----------------------------------------------------------------------------

    def _admit(self, request: WSUpgradeRequest) -> Connection | WSUpgradeResponseWithListener:
        refusal = self._door.refuses(request.headers.get("Origin"), request.headers.get("Host"))
        if refusal is not None:
            response = WSUpgradeResponse.create_error_response(HTTPStatus.FORBIDDEN, refusal.encode())
            return WSUpgradeResponseWithListener(response, None)
        session = ServerSession(
            conn_id=secrets.token_hex(8), nonce=secrets.token_hex(16), version=__version__,
            methods=sorted(self._methods),
            authorize=lambda token: self._door.admits(token, self.host, time.monotonic()),
        )  # fmt: skip
        return Connection(session, self)

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._alone.clear()

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._alone.set()

    def _tick(self) -> None:
        for connection in self._connections:
            if connection.session.authenticated:
                connection.send_event("tick", {"ts": int(time.time() * 1000)})
        self._ticker = asyncio.get_running_loop().call_later(TICK, self._tick)

    # -- methods ---------------------------------------------------------------------------------

    def call(self, connection: Connection, request: Request) -> Any:
        """The payload that answers ``request``; RequestError or BadFrame where it cannot be answered."""
        if request.method not in self._methods:
            raise BadFrame(f"unknown method: {request.method}", request.id)
        scope, method = self._methods[request.method]
        if scope not in connection.session.scopes:
            raise RequestError(f"missing scope: {scope}", code="FORBIDDEN")
        return method(connection, request)

    def _send(self, connection: Connection, request: Request) -> Any:
        params = read_params(request, ChatSend)
        if params.attachments:
            raise RequestError("attachments are not taken here")
        agent, session = _read_session_key(params.session_key)
        turn = Turn(
            params.idempotency_key,
            params.message,
            agent,
            session,
            int(level_of_thinking(params.thinking)),
            params.model,
        )
        run, new = self._runs.start(turn)
        connection.watch(run, steps=None, pace=params.pace)
        status = "started" if new else "ok" if run.task.done() else "in_flight"
        return {"runId": turn.run_id, "status": status}

    def _resume(self, connection: Connection, request: Request) -> Any:
        params = read_params(request, RunResume)
        run = self._runs.find(params.run_id)
        if run is None:
            raise RequestError(f"run {params.run_id} is not known here any more", code="NOT_FOUND")
        connection.watch(run, offset=params.offset, steps=params.steps, pace=params.pace)
        return {"runId": params.run_id, "status": "ok" if run.task.done() else "in_flight"}

    def _abort(self, connection: Connection, request: Request) -> Any:
        params = read_params(request, ChatAbort)
        runs = self._runs.of_session(*_read_session_key(params.session_key))
        stopped = [run for run in runs if params.run_id in (None, run.turn.run_id) and run.stop()]
        return {"ok": True, "aborted": bool(stopped), "runIds": [run.turn.run_id for run in stopped]}

    def _history(self, connection: Connection, request: Request) -> Any:
        params = read_params(request, ChatHistory)
        _, session = _read_session_key(params.session_key)
        messages = self.engine.history(session)[-(params.limit or 0) :]
        shown = [{"role": m["role"], "content": [{"type": "text", "text": m["content"]}]} for m in messages]
        return {"sessionKey": params.session_key, "messages": shown}

    def _health(self, connection: Connection, request: Request) -> Any:
        return {"ok": True, "ts": int(time.time() * 1000), "runs": len(self._runs)}


def _read_session_key(key: str) -> tuple[str, str]:
    """(agent, session) of ``agent:ID:SESSION``, or of a bare session of the main agent."""
    match key.split(":", 2):
        case ["agent", agent, session] if agent and session:
            return agent, session
        case _ if key:
            return "main", key
        case _:
            raise RequestError("sessionKey must not be empty")
