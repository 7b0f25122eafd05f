"""Gateway, the WebSocket server that speaks the OpenClaw protocol and runs turns for its clients."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from types import TracebackType
from typing import Any

from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from . import models, outputs
from .connection import LINGER, Connection
from .door import Door, is_loopback
from .engine import Engine, Turn
from .errors import ConfigError, RequestError
from .logs import WithoutFrames
from .models.base import Model, Output
from .prompts.images import in_short, received
from .protocol.frames import (
    MAX_FRAME,
    TICK,
    BadFrame,
    ChatAbort,
    ChatHistory,
    ChatSend,
    Partial,
    Request,
    RunLevel,
    RunResume,
    read_params,
)
from .protocol.server import ServerSession
from .reasoning.levels import level_of_thinking
from .runs import Handler, Runs
from .secret import reveal
from .snapshots import SnapshotStore
from .tokens import TokenFile, Tokens
from .version import __version__

__all__ = ["PING", "Gateway"]

PING = 60.0
"""Seconds of silence before a ping, and again for its answer: a slow reader gets to it after all that came before."""

UPGRADE = 5.0
"""Seconds a client may take to ask for a WebSocket, and before that to agree on TLS."""

STRANGERS = 256
"""Connections that have not authenticated at most; for one more the oldest is hung up on."""

LOOK = 1.0
"""Seconds between two looks at a token file."""


_sockets_log = WithoutFrames(logging.getLogger("openclaw_nb.picows"))


class Gateway:
    """``async with Gateway(model="offline") as gateway: …``; clients connect to ``gateway.url`` with ``gateway.token``.

    ``model`` is a name, a Model or an async generator function; ``port`` 0 takes a free one. ``token`` None makes a
    random one, or takes those in ``token_file`` (see `TokenFile`; made where there is none). Sessions are kept in
    ``store``; without one they end with the gateway. ``handler`` serves turns in place of the Engine made of these two.

    It listens on loopback only: any other ``host`` is a ConfigError, unless ``tls``, a server's SSLContext, encrypts
    what is sent, or ``insecure=True`` says that something else does. ``names`` are the hosts it is reached by from
    elsewhere; those of loopback, ``host`` and addresses need not be named.
    """

    def __init__(
        self,
        model: str | Model | Callable[..., Any] = "offline",
        token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token_file: str | os.PathLike[str] | None = None,
        names: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
        insecure: bool = False,
        store: SnapshotStore | None = None,
        engine: Engine | None = None,
        handler: Handler | None = None,
    ) -> None:
        _check_reach(host, tls, insecure)
        if token is not None and token_file is not None:
            raise ConfigError("the token is given, or kept in token_file; not both")
        self.host = host.strip("[]")
        self.port = port
        self._tls = tls
        self.engine = engine or Engine(store or SnapshotStore(), models.resolve(model))
        self._tokens = Tokens(reveal(token)) if token_file is None else TokenFile.ensure(token_file)
        self._door = Door(self._tokens.current(), self.host, names)
        self._runs = Runs(handler or self.engine.turn)
        self._goes_on = handler is None
        self._connections: set[Connection] = set()
        self._strangers: dict[Connection, None] = {}
        self._alone = asyncio.Event()
        self._alone.set()
        self._server: asyncio.Server | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._looker: asyncio.TimerHandle | None = None
        self._methods: dict[str, tuple[str, Callable[[Connection, Request], Any]]] = {
            "chat.abort": ("operator.write", self._abort),
            "chat.history": ("operator.read", self._history),
            "chat.send": ("operator.write", self._send),
            "health": ("operator.read", self._health),
            "run.level": ("operator.write", self._level),
            "run.resume": ("operator.read", self._resume),
        }

    @property
    def url(self) -> str:
        """Where it listens, as ``ws://127.0.0.1:PORT``, or ``wss://`` with TLS; the token is not in it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws{'s' if self._tls else ''}://{host}:{self.port}"

    @property
    def token(self) -> str:
        """The newest token that it opens for."""
        return self._tokens.current()[0]

    def rotate_token(self) -> None:
        """Make a new token; the one before stays valid until it is revoked. ConfigError as the token file has it."""
        self._tokens.rotate()
        self._take_tokens()

    def revoke_tokens(self) -> None:
        """Open for the newest token only, and close who came in with another; ConfigError where there is no other."""
        self._tokens.revoke()
        self._take_tokens()

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
        limits: dict[str, Any] = {"ssl_handshake_timeout": UPGRADE, "ssl_shutdown_timeout": LINGER} if self._tls else {}
        try:
            self._server = await ws_create_server(
                self._admit, self.host, self.port, max_frame_size=MAX_FRAME, enable_auto_ping=True,
                auto_ping_idle_timeout=PING, auto_ping_reply_timeout=PING, use_aiofastnet=False,
                websocket_handshake_timeout=UPGRADE, logger_name=_sockets_log, ssl=self._tls, **limits,
            )  # fmt: skip
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(f"cannot listen on {self.host}:{self.port}: {why}") from None
        self.port = self._server.sockets[0].getsockname()[1]
        self._tick()
        if isinstance(self._tokens, TokenFile):
            self._look()

    async def close(self) -> None:
        """Stop listening, end what is at work, tell the clients, and hang up on those who do not answer."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for timer in (self._ticker, self._looker):
            if timer is not None:
                timer.cancel()
        await self._runs.close()
        self.engine.memory.close()
        for connection in tuple(self._connections):
            connection.send_event("shutdown", {"reason": "gateway stopping"})
            connection.close(1012, "service restart")
        await self._alone.wait()
        with suppress(TimeoutError):  # a client that never asked for a WebSocket is picows' to hang up on
            await asyncio.wait_for(server.wait_closed(), LINGER)

    # -- connections -----------------------------------------------------------------------------

    def _admit(self, request: WSUpgradeRequest) -> Connection | WSUpgradeResponseWithListener:
        if self._server is None:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "this gateway is closing")
        origins, hosts = (request.headers.getall(name, []) for name in ("Origin", "Host"))
        if (why := self._door.refuses(origins, hosts, request.path)) is not None:
            return _refusal(HTTPStatus.FORBIDDEN, why)
        session = ServerSession(
            conn_id=secrets.token_hex(8), nonce=secrets.token_hex(16), version=__version__,
            methods=sorted(self._methods), authorize=lambda token: self._authorize(connection, token),
        )  # fmt: skip
        connection = Connection(session, self)
        return connection

    def _authorize(self, connection: Connection, token: str | None) -> bool:
        self._take_tokens()
        connection.key = self._door.admits(token, connection.peer, time.monotonic())
        if connection.key is None:
            return False
        self._strangers.pop(connection, None)
        return True

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._alone.clear()
        self._strangers[connection] = None
        if len(self._strangers) > STRANGERS:
            # A client of ours is a stranger for milliseconds only, so the oldest is the least likely to be one.
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.abort()

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._strangers.pop(connection, None)
        if not self._connections:
            self._alone.set()

    def _tick(self) -> None:
        for connection in self._connections:
            if connection.session.authenticated:
                connection.send_event("tick", {"ts": int(time.time() * 1000)})
        self._ticker = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _look(self) -> None:
        self._take_tokens()
        self._looker = asyncio.get_running_loop().call_later(LOOK, self._look)

    def _take_tokens(self) -> None:
        """Open for the tokens that are valid now, and close who came in with one that is not any more."""
        if not self._door.accept(self._tokens.current()):
            return
        for connection in tuple(self._connections):
            if connection.key is not None and not self._door.opens_for(connection.key):
                connection.close(1008, "the token was revoked")

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
        if self._server is None:
            raise RequestError("this gateway is closing", code="GATEWAY_STOPPED")
        agent, session = _read_session_key(params.session_key)
        level = int(level_of_thinking(params.thinking))
        turn = Turn(params.idempotency_key, params.message, agent, session, level, params.model)
        turn.base, turn.budget, turn.beside = params.base, params.budget, params.busy == "branch"
        turn.retry, turn.isolated = params.retry, params.isolated
        turn.images = received((one.file_name, one.mime_type, one.content) for one in params.attachments)
        if (output := params.output) is not None:
            outputs.check(output.name, output.schema)
            turn.output = Output(output.name, output.schema)
        if params.partial is not None:
            self._take_partial(turn, params.partial)
        run, new = self._runs.start(turn)
        if not new:
            run.turn.changed = level  # it may be another since the request before
        connection.watch(run, offset=len(turn.partial), steps=None, pace=params.pace)
        status = "started" if new else "ok" if run.done else "in_flight"
        return {"runId": turn.run_id, "status": status}

    def _take_partial(self, turn: Turn, partial: Partial) -> None:
        """The client has a part of an answer that this gateway knows nothing of, or knows from before."""
        known = self._runs.find(turn.run_id)
        so_far = str(known.log.text) if known else partial.text
        if known and not known.done and len(so_far) < len(partial.text) and partial.text.startswith(so_far):
            raise RequestError("another client with less of that answer asked first", code="RUN_BEHIND")
        if not self._goes_on or not so_far.startswith(partial.text):
            raise RequestError("this gateway cannot go on with that answer; what came is kept", code="RUN_LOST")
        turn.partial, turn.partial_tokens = partial.text, partial.tokens

    def _resume(self, connection: Connection, request: Request) -> Any:
        params = read_params(request, RunResume)
        run = self._runs.find(params.run_id)
        if run is None or run.log.text.length < params.offset:  # or known from what another client had of it
            raise RequestError(f"run {params.run_id} is not known here any more", code="NOT_FOUND")
        connection.watch(run, offset=params.offset, steps=params.steps, pace=params.pace)
        return {"runId": params.run_id, "status": "ok" if run.done else "in_flight"}

    def _level(self, connection: Connection, request: Request) -> Any:
        params = read_params(request, RunLevel)
        run = self._runs.find(params.run_id)
        if run is None:
            raise RequestError(f"run {params.run_id} is not known here any more", code="NOT_FOUND")
        run.turn.changed = int(level_of_thinking(params.thinking))
        return {"runId": params.run_id, "status": "ok" if run.done else "in_flight"}

    def _abort(self, connection: Connection, request: Request) -> Any:
        params = read_params(request, ChatAbort)
        runs = self._runs.of_session(*_read_session_key(params.session_key))
        stopped = [run for run in runs if params.run_id in (None, run.turn.run_id) and run.stop()]
        return {"ok": True, "aborted": bool(stopped), "runIds": [run.turn.run_id for run in stopped]}

    def _history(self, connection: Connection, request: Request) -> Any:
        params = read_params(request, ChatHistory)
        _, session = _read_session_key(params.session_key)
        messages = _spoken(self.engine.messages(session))[-(params.limit or 0) :]
        return {"sessionKey": params.session_key, "messages": [_shown(message) for message in messages]}

    def _health(self, connection: Connection, request: Request) -> Any:
        return {"ok": True, "ts": int(time.time() * 1000), "runs": len(self._runs)}


def _check_reach(host: str, tls: ssl.SSLContext | None, insecure: bool) -> None:
    """ConfigError unless nobody can listen in on who comes to this host."""
    if not (is_loopback(host) or (host and (tls or insecure))):
        raise ConfigError(
            f"host {host!r} is not this machine; a gateway listens on loopback only, as 127.0.0.1, unless it has TLS "
            "(tls=, --tls-cert) or something before it has (insecure=True, --insecure)"
        )
    if tls is not None and (tls.protocol is ssl.PROTOCOL_TLS_CLIENT or tls.minimum_version < ssl.TLSVersion.TLSv1_2):
        raise ConfigError("tls must be a server's SSLContext for TLS 1.2 or newer, as ssl.create_default_context makes")


def _refusal(status: HTTPStatus, why: str) -> WSUpgradeResponseWithListener:
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(status, why.encode()), None)


def _spoken(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was said, an answer as one message: a run that used tools, or was cut, has several."""
    spoken: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "tool":
            continue
        if spoken and "run" in message and spoken[-1].get("run") == message["run"]:
            message = {**message, "content": spoken.pop()["content"] + message["content"]}
        spoken.append(message)
    return spoken


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    """A message as `chat.history` tells it, images in words; of an answer also its run, and how that ended."""
    texts = (message["content"], *map(in_short, message.get("images", ())))
    shown = {"role": message["role"], "content": [{"type": "text", "text": text} for text in texts]}
    if "run" in message:
        shown |= {"runId": message["run"], "state": _state(message)}
    return shown


def _state(message: dict[str, Any]) -> str:
    return "aborted" if message.get("stopped") else "error" if message.get("failed") else "final"


def _read_session_key(key: str) -> tuple[str, str]:
    """(agent, session) of ``agent:ID:SESSION``, or of a bare session of the main agent."""
    match key.split(":", 2):
        case ["agent", agent, session] if agent and session:
            return agent, session
        case _ if key:
            return "main", key
        case _:
            raise RequestError("sessionKey must not be empty")
