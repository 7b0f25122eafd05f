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

from picows import WSUpgradeRequest, WSUpgradeResponseWithListener, ws_create_server

from .. import models
from ..door import Door, is_loopback
from ..engine import Engine
from ..errors import ConfigError, RequestError
from ..logs import WithoutFrames
from ..metrics import Metrics
from ..models.base import Model
from ..protocol.frames import MAX_FRAME, TICK, BadFrame, Request
from ..protocol.methods import Nothing, read_taken
from ..protocol.server import ServerSession
from ..secret import reveal
from ..sharing import Sharing
from ..snapshots import SnapshotStore
from ..tokens import TokenFile, Tokens
from ..version import __version__
from .audience import Audience
from .catalog import EMPTY, agents_told, config_told, health_told, models_told, status_told
from .chats import Chats
from .connection import LINGER, Connection
from .desk import Desk
from .draining import DRAIN, let_go
from .meters import Meters
from .probes import Standing, answer, asked, refusal
from .runs import ActiveRun, Handler, Runs
from .sessions import Sessions
from .shared_runs import SharedRuns
from .slash import commands_told

__all__ = ["PING", "Gateway"]

PING = 60.0
"""Seconds of silence before a ping, and again for its answer: a slow reader gets to it after all that came before."""

UPGRADE = 5.0
"""Seconds a client may take to ask for a WebSocket, and before that to agree on TLS."""

STRANGERS = 256
"""Connections that have not authenticated at most; for one more the oldest is hung up on."""

BACKLOG = 2_048
"""Connections that may wait to be taken in: after a restart all clients are there at once, and one that finds no room
tries again a second later, or believes that it is in."""

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
    elsewhere; those of loopback, ``host`` and addresses need not be named. ``trusted_proxies`` are the balancers, as
    addresses or networks, whose X-Forwarded-For says where a client is: wrong tokens are counted by that.

    With ``reuse_port`` other processes of the same user may listen at the same port, and the system deals clients out
    to all of them.

    It answers plain GET requests of balancers too: /healthz, /readyz (see `probes`).
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
        trusted_proxies: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
        insecure: bool = False,
        reuse_port: bool = False,
        store: SnapshotStore | None = None,
        engine: Engine | None = None,
        handler: Handler | None = None,
        metrics: Metrics | None = None,
        sharing: Sharing | str | None = None,
    ) -> None:
        _check_reach(host, tls, insecure)
        if token is not None and token_file is not None:
            raise ConfigError("the token is given, or kept in token_file; not both")
        self.host = host.strip("[]")
        self.port = port
        self.instance = secrets.token_hex(4)
        """What tells it from others that serve the same."""
        self._tls = tls
        self._reuse_port = reuse_port
        self.engine = engine or Engine(store or SnapshotStore(), models.resolve(model))
        self._tokens = Tokens(reveal(token)) if token_file is None else TokenFile.ensure(token_file)
        self._door = Door(self._tokens.current(), self.host, names, trusted_proxies)
        self.metrics = metrics or Metrics()
        """What is measured of its runs; that of the notebook where it is the one in a kernel."""
        self._sharing = Sharing(sharing) if isinstance(sharing, str) else sharing
        self._runs = self._make_runs(handler)
        self._audience = Audience()
        self._desk = Desk(self.engine, self._runs, self._audience)
        self._connections: set[Connection] = set()
        self._strangers: dict[Connection, None] = {}
        self._alone = asyncio.Event()
        self._alone.set()
        self._status = "starting"
        self._server: asyncio.Server | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._looker: asyncio.TimerHandle | None = None
        self._meters = Meters(
            self.metrics, self._runs, self._connections, self.engine, lambda: self._status == "draining",
            lambda: self.shared, kept=metrics is None,
        )  # fmt: skip
        self._tellers = self._make_tellers()
        self._methods: dict[str, tuple[str, Callable[[Connection, Request], Any]]] = {
            **Chats(self._desk, self.engine, goes_on=handler is None).methods,
            **Sessions(self._desk).methods,
            **dict.fromkeys((*EMPTY, *self._tellers), ("operator.read", self._tell)),
        }

    @property
    def url(self) -> str:
        """Where it listens, as ``ws://127.0.0.1:PORT``, or ``wss://`` with TLS; the token is not in it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws{'s' if self._tls else ''}://{host}:{self.port}"

    @property
    def shared(self) -> bool | None:
        """Whether other instances find its runs: False while the Redis is away, None where there is none."""
        return None if self._sharing is None else self._sharing.is_up

    @property
    def at_work(self) -> int:
        """Runs that have not ended."""
        return len(self._runs.at_work())

    async def hand_over(self) -> None:
        """Let other instances go on with what is at work here, where runs are shared and there are others."""
        if isinstance(self._runs, SharedRuns) and self._sharing is not None and self._sharing.others:
            await self._runs.hand_over()

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
        """Listen. ConfigError where the port is taken, or the Redis that runs are to be shared by is not there."""
        self._desk.closing = False
        if self._server is not None:
            raise ConfigError(f"this gateway already listens at {self.url}")
        if isinstance(self._runs, SharedRuns):
            await self._runs.start_sharing()
        limits: dict[str, Any] = {"ssl_handshake_timeout": UPGRADE, "ssl_shutdown_timeout": LINGER} if self._tls else {}
        try:
            if not 0 <= self.port <= 65_535:  # uvloop would take the rest of it
                raise OverflowError("a port is a number up to 65535")
            self._server = await ws_create_server(
                self._admit, self.host, self.port, max_frame_size=MAX_FRAME, enable_auto_ping=True,
                auto_ping_idle_timeout=PING, auto_ping_reply_timeout=PING, use_aiofastnet=False,
                websocket_handshake_timeout=UPGRADE, logger_name=_sockets_log, ssl=self._tls,
                reuse_port=self._reuse_port or None, backlog=BACKLOG, **limits,
            )  # fmt: skip
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            await self._runs.close()
            raise ConfigError(f"cannot listen on {self.host}:{self.port}: {why}") from None
        self.port = self._server.sockets[0].getsockname()[1]
        self._tick()
        if isinstance(self._tokens, TokenFile):
            self._look()
        self._meters.start()
        self._status = "ready"

    async def drain(self, seconds: float = DRAIN, grace: float = 0.0) -> None:
        """Close without losing anything: take no new work, give what is at work so many ``seconds``, and close.

        For ``grace`` seconds before that it only says that it is not ready any more, and does all that it is asked
        for, so that a balancer can look elsewhere first. Clients whose work has ended are sent away meanwhile.
        """
        server = self._server
        if server is None or self._status == "draining":
            return
        self._status = "draining"
        await asyncio.sleep(grace)
        if self._server is not server:  # it was closed meanwhile
            return
        self._desk.closing = True
        server.close()
        await let_go(self._connections, self._runs, seconds)
        await self.close()  # where runs are shared, what has not ended goes on elsewhere

    async def close(self) -> None:
        """Stop listening, end what is at work, tell the clients, and hang up on those who do not answer."""
        server, self._server = self._server, None
        if server is None:
            return
        told, self._status = self._status == "draining", "closing"
        self._desk.closing = True
        server.close()
        for timer in (self._ticker, self._looker):
            if timer is not None:
                timer.cancel()
        await self._runs.close()
        self._meters.stop()
        self._audience.close()
        self.engine.memory.close()
        for connection in tuple(self._connections):
            if not told:
                connection.send_event("shutdown", {"reason": "gateway stopping"})
            connection.close(1012, "service restart")
        await self._alone.wait()
        with suppress(TimeoutError):  # a client that never asked for a WebSocket is picows' to hang up on
            await asyncio.wait_for(server.wait_closed(), LINGER)

    # -- connections -----------------------------------------------------------------------------

    def _admit(self, request: WSUpgradeRequest) -> Connection | WSUpgradeResponseWithListener:
        origins, hosts = (request.headers.getall(name, []) for name in ("Origin", "Host"))
        why = self._door.refuses(origins, hosts, request.path)
        if (probe := asked(request)) is not None:
            return answer(probe, self._standing(), whole=why is None)
        if self._server is None:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, "this gateway is closing")
        if why is not None:
            return refusal(HTTPStatus.FORBIDDEN, why)
        forwarded = request.headers.getall("X-Forwarded-For", [])
        session = ServerSession(
            conn_id=secrets.token_hex(8), nonce=secrets.token_hex(16), version=__version__,
            methods=sorted(self._methods), authorize=lambda token: self._authorize(connection, token, forwarded),
            snapshot=lambda: self._audience.snapshot(self._health()),
        )  # fmt: skip
        connection = Connection(session, self)
        return connection

    def _standing(self) -> Standing:
        return Standing(self._status, self.at_work, len(self._connections), self.instance, self.shared)

    def _authorize(self, connection: Connection, token: str | None, forwarded: Sequence[str]) -> bool:
        self._take_tokens()
        address = self._door.came_from(connection.peer, forwarded)
        connection.key = self._door.admits(token, address, time.monotonic())
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

    def welcomed(self, connection: Connection) -> None:
        self._audience.join(connection, self._runs.at_work())

    def closed(self, connection: Connection) -> None:
        self._audience.leave(connection)
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
        if not connection.session.may(scope):
            raise _MissingScope(scope)
        return method(connection, request)

    def _tell(self, connection: Connection, request: Request) -> Any:
        """What this gateway tells of itself, and asks nothing for."""
        read_taken(request, Nothing)
        teller = self._tellers.get(request.method)
        return teller() if teller else EMPTY[request.method]

    def _make_tellers(self) -> dict[str, Callable[[], Any]]:
        engine, desk = self.engine, self._desk
        return {
            "agent.identity.get": lambda: {"agentId": "main", "name": "main"},
            "agents.list": lambda: agents_told(engine.agents, desk.model),
            "commands.list": commands_told,
            "config.get": lambda: config_told(desk.model, engine.agents, tls=self._tls is not None),
            "health": self._health,
            "models.list": lambda: models_told([desk.model]),
            "status": lambda: status_told(desk.cards.all(), engine.agents, desk.model),
            "system-presence": self._audience.presence,
        }

    def _make_runs(self, handler: Handler | None) -> Runs:
        serve = handler or self.engine.turn
        if self._sharing is None:
            return Runs(serve, self._ended, self.metrics)
        return SharedRuns(serve, self._ended, self.metrics, self._sharing, self.engine, goes_on=handler is None)

    def _health(self) -> dict[str, Any]:
        told = health_told(self._desk.cards.all(), self.engine.agents, len(self._runs))
        return told if self._sharing is None else told | {"shared": self.shared}

    def _ended(self, run: ActiveRun) -> None:
        self._desk.ended(run)


class _MissingScope(RequestError):
    """What a client asks for needs a scope that it was not granted."""

    code = "FORBIDDEN"

    def __init__(self, scope: str) -> None:
        super().__init__(f"missing scope: {scope}")
        self.details = {"code": "MISSING_SCOPE", "missingScope": scope, "requiredScopes": [scope]}


def _check_reach(host: str, tls: ssl.SSLContext | None, insecure: bool) -> None:
    """ConfigError unless nobody can listen in on who comes to this host."""
    if not (is_loopback(host) or (host and (tls or insecure))):
        raise ConfigError(
            f"host {host!r} is not this machine; a gateway listens on loopback only, as 127.0.0.1, unless it has TLS "
            "(tls=, --tls-cert) or something before it has (insecure=True, --insecure)"
        )
    if tls is not None and (tls.protocol is ssl.PROTOCOL_TLS_CLIENT or tls.minimum_version < ssl.TLSVersion.TLSv1_2):
        raise ConfigError("tls must be a server's SSLContext for TLS 1.2 or newer, as ssl.create_default_context makes")
