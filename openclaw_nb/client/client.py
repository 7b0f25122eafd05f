"""OpenClawClient, one user of one gateway: it connects, sends, listens, and comes back after a cut."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from .. import seams
from ..config import AgentURI, Cluster
from ..errors import ConfigError, ConnectionLost, RequestError
from ..events import Delta, RunEvent
from ..health import Health
from ..protocol.frames import SCOPES
from ..protocol.handshake import Hello
from ..protocol.keys import session_key
from ..protocol.session import APPROVALS
from ..reasoning.budgets import Budget
from ..reasoning.estimates import Experience
from ..reasoning.levels import decide
from ..run import Run, within
from ..secret import reveal
from ..spending import Spending
from ..stability import Stability
from .balancer import EndpointState
from .channel import Channel, Terms
from .channels import Channels
from .destination import Destination
from .flights import Flight, Restore, failed
from .handlers import Handlers
from .home_loop import CLOSED, LOOP_ENDED, NOT_CONNECTED, HomeLoop
from .link import Link, Retry
from .message import check_place, params_of, wishes_of

__all__ = ["OpenClawClient"]

F = TypeVar("F", bound=Callable[..., None])


class OpenClawClient:
    """A client of a gateway or a cluster. ``await client.connect(uri)``, then ``client.send(prompt)`` gives a Run.

    Durations are seconds. ``streaming`` False gives the text in one piece at the end. ``token_interval`` is the
    least time between two updates of a view; it grows with fast text, a busy kernel or a page that is behind. A
    batch leaves the gateway when it holds ``token_batch_size`` tokens or has waited ``token_batch_delay``; the
    first token leaves at once. After a cut it tries ``max_reconnect_attempts`` times: at once, then after
    ``reconnect_delay``, doubling, with jitter, and on loopback as soon as the port opens; of a cluster each time all
    its endpoints. Runs go on at the exact character. ``token`` None takes `known_token` from the environment.

    A run that fails by what may pass (see `is_retryable`) is restored, ``max_restore_attempts`` times at most: after
    a pause it goes on from the state before its question and the text that is here. ``stability`` measures how well
    runs go; while they do not, agents and cells ask for level 1 in one piece, unless ``auto_degrade`` is False.

    Events, by ``client.on(name, function)``: ``token`` (text), ``error`` (OpenClawError), ``reconnect`` (attempt),
    ``reconnected`` (), ``gap`` (Run: it ended while the client was away, for longer than its gateway replays it,
    and its whole text is fetched), ``restore`` (Run, attempt), ``degrade`` (why, in words), ``recover`` ().
    """

    def __init__(
        self,
        streaming: bool = True,
        token_interval: float = 0.05,
        auto_reconnect: bool = True,
        max_reconnect_attempts: int = 5,
        reconnect_delay: float = 1.0,
        token_batch_size: int = 10,
        token_batch_delay: float = 0.02,
        token: str | None = None,
        max_restore_attempts: int = 2,
        auto_degrade: bool = True,
    ) -> None:
        self.streaming = streaming
        self.token_interval = token_interval
        self.auto_reconnect = auto_reconnect
        self.max_reconnect_attempts = max_reconnect_attempts
        self.reconnect_delay = reconnect_delay
        self.token_batch_size = token_batch_size
        self.token_batch_delay = token_batch_delay
        self.max_restore_attempts = max_restore_attempts
        self._handlers = Handlers()
        self._emit = self._handlers.emit
        self.stability = Stability(self._emit, auto=auto_degrade)
        self.spending = Spending()
        self.budget: Budget | None = None
        """What all of its runs may cost together, where its cluster has a limit of its own."""
        self.uri = ""
        self.home = "main"
        """The session of a real gateway that is meant by "main": the notebook's own there."""
        self.instructions = ""
        """What the models of a real gateway are to be told, where they are not offered the functions of a node."""
        self._secret = token
        self._scopes: Sequence[str] = (*SCOPES, APPROVALS)
        self._at = HomeLoop()
        self._channels: Channels | None = None
        self._target: Destination | None = None
        self.beside: Link | None = None
        """The link of the node that this kernel is at the same gateway, if it is one; it ends with this client."""
        self._is_second = False

    def __repr__(self) -> str:
        state = "connected" if self.connected else "not connected"
        return f"<OpenClawClient {self.uri or '(no address)'} {state}, {len(self.flights)} runs in flight>"

    @property
    def connected(self) -> bool:
        return self._channels is not None and self._channels.first.up

    @property
    def is_local(self) -> bool:
        """Whether its gateway is the one in this process, which keeps its sessions here."""
        return self._target is not None and self._target.is_local

    def key_of(self, agent: str, session: str) -> str:
        """What the gateway that is there calls an agent's session."""
        key = session_key(agent, session)
        return key if self._channels is None else self._channels.take(key).runs.key_of(agent, session)

    @property
    def is_open(self) -> bool:
        """Whether it was connected, and not closed since: it may be away for a moment."""
        return self._channels is not None

    @property
    def max_level(self) -> int:
        """The deepest level that its runs take, whatever they ask for, as its cluster has it."""
        return 4 if self._target is None else self._target.max_level

    @property
    def endpoints(self) -> tuple[EndpointState, ...]:
        """How each endpoint of its cluster stands, and of those it falls back to; () before it is connected."""
        return () if self._channels is None else self._channels.states()

    @property
    def is_fed_here(self) -> bool:
        """Whether this is the thread that feeds its runs, which must not wait for them."""
        return self._at.is_here

    @property
    def dialled(self) -> tuple[str, str | None]:
        """The address of the gateway that it is at as it is dialled, and the token that was given for it."""
        if self._target is None:
            return "", None
        place = self._target.places[0] if self._channels is None else self._channels.first.place
        return place.url, self._target.tokens[place]

    @property
    def flights(self) -> tuple[Flight, ...]:
        """What it has in flight, the oldest first."""
        return tuple(flight for channel in self._channels or () for flight in channel.runs.flights)

    @property
    def health(self) -> Health:
        """The errors and latencies of its runs."""
        return self.stability.health

    @property
    def experience(self) -> Experience:
        """What was seen of how long runs are, for estimates."""
        return self.spending.experience

    # -- what users call -------------------------------------------------------------------------

    def on(self, event: str, handler: F) -> F:
        """Call ``handler`` on every ``event``; what it prints goes to the cell that called this."""
        self._handlers.add(event, handler)
        return handler

    async def connect(self, uri: str | Cluster = "agent://local", *fallback: Cluster) -> None:
        """Connect, or raise: AuthError, ConnectionLost, ProtocolError, or ConfigError for the address itself.

        ``uri`` may name a cluster of this process's configuration, as agent://production/cluster-a, or be a Cluster
        that code has made; then those of ``fallback`` take over, in their order, while all its endpoints are away.
        """
        if fallback and isinstance(uri, str):
            raise ConfigError("a fallback stands behind a Cluster, or with the name in the configuration")
        address = uri if isinstance(uri, Cluster) else AgentURI.parse(uri)
        is_one = isinstance(address, AgentURI) and address.url is not None
        target = self._find(address) if is_one else await asyncio.to_thread(self._find, address, *fallback)
        await self.close()
        self._open(target)
        try:
            await self.hello()
        except BaseException:
            await self.close()
            raise

    def _find(self, address: AgentURI | Cluster, *fallback: Cluster) -> Destination:
        """Where that is. It starts this process's runtime for the gateway there, and reads the files of tokens."""
        given = reveal(self._secret)
        if isinstance(address, Cluster):
            return Destination.of([address, *fallback], given)
        return Destination.find(address, given, lambda: seams.local_runtime().gateway_address(), seams.configured)

    def open(self, uri: str, url: str, token: str | None) -> None:
        """Begin to connect to one gateway on the running loop and return at once; what is sent meanwhile waits."""
        self._open(Destination.single(uri, url, token, is_local=AgentURI.parse(uri).is_local))

    async def go(self, target: Destination) -> None:
        """The same, to wherever that is."""
        self._open(target)

    def _open(self, target: Destination) -> None:
        self.uri, self._target = target.uri, target
        self._at.settle()
        terms = Terms(
            target.uri, self._scopes, self._retry, Restore(self.max_restore_attempts), self._pace, self._emit,
            self.stability, lambda: self.home, lambda: self.instructions, self._attend,
        )  # fmt: skip
        self._channels = Channels(terms, target)

    async def hello(self) -> Hello:
        """What the gateway said when it let us in, now or when it does; the error when it does not."""
        return await self._at.do(self._linked().hello())

    async def reconnect(self) -> None:
        """Drop the links that there are, and connect again at once; runs in flight go on."""
        await self._at.do(self._linked().reconnect())

    async def close(self) -> None:
        """Leave. Runs in flight end here as failed; the gateway goes on with them."""
        if self._at.is_running:
            await self._at.do(self._leave())
        elif self._channels is not None:
            channels, self._channels = self._channels, None  # its loop has ended, and their tasks with it
            channels.abandon()

    async def __aenter__(self) -> OpenClawClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def send(
        self,
        prompt: str,
        *,
        session: str = "main",
        level: int | str | None = None,
        idempotency_key: str | None = None,
        attachments: Sequence[Mapping[str, Any]] = (),
        agent: str = "main",
        model: str | None = None,
        timeout: float | None = None,
        level_reason: str = "",
        streaming: bool | None = None,
        partial: tuple[str, int] | None = None,
        busy: str = "wait",
        base: str | None = None,
        budget: float | None = None,
        isolated: bool = False,
        output: Mapping[str, Any] | None = None,
        read: Callable[[str], Any] | None = None,
        hear: Callable[[RunEvent], None] | None = None,
    ) -> Run:
        """Send one message and return its Run at once. From any thread. ConfigError for what cannot be sent.

        ``timeout`` in seconds ends the run with RunTimeout; ``streaming`` None is the client's own. A repeated
        ``idempotency_key`` is the same run: one call of the model, however often it is sent. ``partial`` goes on with a
        run of that key that was cut or has failed: the text of its answer that is here, and how many tokens that is.
        While another run is at work in its session it waits. With ``busy`` "branch", and where that run itself sends
        it, it works beside it, and begins a branch if the session has moved on when it ends. ``base``, a snapshot's id
        or name or another session, is where a new session begins. One that is ``isolated`` changes its session only if
        it ends well. Its gateway stops it with the first delta above ``budget`` (USD). ``output``, a ``name`` and a
        JSON ``schema`` of an object, is what the answer has to be; ``read`` makes the Result's ``value`` of its text,
        or raises the RunError that it ends with; ``hear`` is told of all that happens, from the first event on.
        """
        channels = self._linked()
        check_place(session, agent, timeout, busy)
        decision = decide(level="auto" if level is None else level, max_level=self.max_level)
        run_id = idempotency_key or secrets.token_hex(16)
        if (there := channels.find(run_id)) is not None and (known := there.runs.find(run_id)) is not None:
            if known.prompt != prompt:
                raise RequestError("this idempotency key was already used for another message")
            if hear is not None:
                known.subscribe(hear)
            return known
        run = Run(
            run_id, prompt=prompt, session=session, level=int(decision.level), level_reason=level_reason,
            model=model or "", agent=agent, cancel=self._cancel, change=self._change, feeder=self._at.thread,
            interval=self.token_interval, output=str(output["name"]) if output else "", read=read,
        )  # fmt: skip
        params = params_of(
            prompt, run_id, agent=agent, session=session, thinking=decision.level.thinking, model=model,
            attachments=attachments, output=output,
        )  # fmt: skip
        if session in within.get() and self.is_local:
            busy = "branch"  # of the run that sends this, which would wait for itself
        wishes = wishes_of(busy=busy, base=base, budget=budget, isolated=isolated)
        channel = channels.take(params["sessionKey"])
        if (refusal := channel.runs.keeps_sessions(wishes)) is not None:
            raise refusal
        for listener in filter(None, (self._token, hear)):
            run.subscribe(listener)
        self.spending.watch(run, self.uri)
        flight = Flight(
            run, params, streaming=self.streaming if streaming is None else streaming, timeout=timeout,
            session=wishes, partial=partial,
        )  # fmt: skip
        channel.runs.add(flight)
        if self._at.is_here and self._at.is_running:
            self._launch(channel, flight)
        elif not self._at.call(self._launch, channel, flight):
            channel.runs.end(flight, failed(error := ConnectionLost(LOOP_ENDED)))
            raise error
        return run

    async def request(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Call any method of the gateway; its payload, or RequestError."""
        return await self._at.do(self._request(method, dict(params or {})))

    # -- on the loop this client lives on --------------------------------------------------------

    @asynccontextmanager
    async def elevated(self, *scopes: str) -> AsyncIterator[OpenClawClient]:
        """A second client of the same gateway that asked for more: ``scopes`` such as operator.admin."""
        other = OpenClawClient(auto_reconnect=False)
        other._scopes, other._is_second = (*self._scopes, *scopes), True

        url, token = self.dialled

        async def begin() -> None:
            other.open(self.uri, url, token)

        await self._at.do(begin())
        try:
            await other.hello()
            yield other
        finally:
            await other.close()
            self._forget_models()

    async def _leave(self) -> None:
        channels, self._channels = self._channels, None
        beside, self.beside = self.beside, None
        if channels is not None:
            await channels.close()
        if beside is not None:
            await beside.close()

    async def _request(self, method: str, params: dict[str, Any]) -> Any:
        key = params.get("sessionKey", params.get("key"))
        channels = self._linked()
        channel = channels.take(key) if isinstance(key, str) else channels.first
        payload = await channel.linked().ask(method, params)
        if method.startswith("sessions."):
            self._forget_models()
        return payload

    def _forget_models(self) -> None:
        """That of a session may be another one now."""
        for channel in self._channels or ():
            channel.runs.foreign.forget()

    # -- what the links ask and tell -------------------------------------------------------------

    def _linked(self) -> Channels:
        if self._channels is None:
            raise ConnectionLost(NOT_CONNECTED if self._target is None else CLOSED)
        return self._channels

    def _retry(self) -> Retry:
        return Retry(self.auto_reconnect, self.max_reconnect_attempts, self.reconnect_delay)

    def _attend(self, hello: Hello) -> None:
        if not self._is_second:
            seams.attend(self, hello)

    def _token(self, event: RunEvent) -> None:
        if isinstance(event, Delta):
            self._emit("token", event.text)

    # -- runs in flight --------------------------------------------------------------------------

    def _launch(self, channel: Channel, flight: Flight) -> None:
        if self._channels is None:
            channel.launch(flight)
        else:
            self._channels.launch(channel, flight)

    def _cancel(self, run: Run) -> None:
        self._at.call(self._stop, run)

    def _stop(self, run: Run) -> None:
        if self._channels is not None and (channel := self._channels.find(run.id)) is not None:
            channel.runs.stop(run)

    def _change(self, run: Run, level: int) -> None:
        if self._channels is None or (channel := self._channels.find(run.id)) is None:
            return
        if channel.session.hello is not None and not channel.session.can("nb.level"):
            raise ConfigError(f"the gateway at {self.uri} cannot change the level of a run that is at work")
        self._at.call(channel.runs.change, run, level)

    def _pace(self, streaming: bool) -> dict[str, Any]:
        if not streaming:
            return {"size": sys.maxsize, "delay": 3600.0}
        return {"size": self.token_batch_size, "delay": self.token_batch_delay}
