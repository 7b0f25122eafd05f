"""OpenClawClient, one user of one gateway: it connects, sends, listens, and comes back after a cut."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import secrets
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from . import seams
from .config import AgentURI, known_token
from .errors import ConfigError, ConnectionLost, OpenClawError, RequestError, is_retryable
from .events import Delta, RunEvent
from .flights import Flight, Restore, check_sendable, failed
from .health import Health
from .inflight import InFlight
from .link import Link, Retry
from .protocol.session import ClientSession, Happened, Hello, Reply
from .reasoning.estimates import Experience
from .reasoning.levels import decide
from .run import Run, within
from .secret import reveal
from .spending import Spending
from .stability import Stability
from .version import __version__

__all__ = ["OpenClawClient"]

log = logging.getLogger("openclaw_nb")

F = TypeVar("F", bound=Callable[..., None])
T = TypeVar("T")


class OpenClawClient:
    """A client of one gateway. ``await client.connect(uri)``, then ``client.send(prompt)`` gives a Run.

    Durations are seconds. ``streaming`` False gives the text in one piece at the end. ``token_interval`` is the
    least time between two updates of a view; it grows with fast text, a busy kernel or a page that is behind. A
    batch leaves the gateway when it holds ``token_batch_size`` tokens or has waited ``token_batch_delay``; the
    first token leaves at once. After a cut it tries ``max_reconnect_attempts`` times: at once, then after
    ``reconnect_delay``, doubling, with jitter, and on loopback as soon as the port opens. Runs go on at the exact
    character. ``token`` None takes `known_token` from the environment.

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
        self.stability = Stability(self._emit, auto=auto_degrade)
        self.spending = Spending()
        self.uri = ""
        self._secret = token
        self._url = ""
        self._session = ClientSession(token=None, version=__version__, platform=sys.platform)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: int | None = None
        self._link: Link | None = None
        self._runs = self._none_in_flight()
        self._away = False
        self._handlers: defaultdict[str, list[tuple[contextvars.Context, Callable[..., None]]]] = defaultdict(list)

    def __repr__(self) -> str:
        state = "connected" if self.connected else "not connected"
        return f"<OpenClawClient {self.uri or '(no address)'} {state}, {len(self._runs)} runs in flight>"

    @property
    def connected(self) -> bool:
        return self._link is not None and self._link.up

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
        if event not in _EVENTS:
            raise ConfigError(f"there is no event {event!r}; there are {', '.join(_EVENTS)}")
        self._handlers[event].append((contextvars.copy_context(), handler))
        return handler

    async def connect(self, uri: str = "agent://local") -> None:
        """Connect, or raise: AuthError, ConnectionLost, ProtocolError, or ConfigError for the address itself."""
        address = AgentURI.parse(uri)
        if address.url is None:
            runtime = await asyncio.to_thread(seams.local_runtime)
            url, token = await asyncio.to_thread(runtime.gateway_address)
        else:
            url, token = address.url, reveal(self._secret) or known_token(address.url)
        await self.close()
        self.open(uri, url, token)
        try:
            await self.hello()
        except BaseException:
            await self.close()
            raise

    def open(self, uri: str, url: str, token: str | None) -> None:
        """Begin to connect on the running loop and return at once; what is sent meanwhile waits for it."""
        self.uri, self._url = uri, url
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._session = ClientSession(token=token, version=__version__, platform=sys.platform)
        self._runs = self._none_in_flight()
        self._dial()

    async def hello(self) -> Hello:
        """What the gateway said when it let us in, now or when it does; the error when it does not."""
        return await self._here(self._linked().hello())

    async def reconnect(self) -> None:
        """Drop the link, if there is one, and connect again at once; runs in flight go on."""
        await self._here(self._reconnect())

    async def close(self) -> None:
        """Leave. Runs in flight end here as failed; the gateway goes on with them."""
        if self._loop is not None and self._loop.is_running():
            await self._here(self._leave())
        else:
            self._link = None  # its loop has ended, and its task with it
            self.given_up(ConnectionLost(_CLOSED))

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
        or raises the RunError that it ends with.
        """
        loop = self._loop
        if loop is None or self._link is None:
            raise ConnectionLost(_NOT_CONNECTED)
        if not session or not agent or ":" in agent:
            raise ConfigError(f"a session and an agent need a name, an agent one without a colon, not {agent!r}")
        if timeout is not None and not 0 < timeout < float("inf"):
            raise ConfigError(f"a timeout is a number of seconds above 0, not {timeout!r}")
        if busy not in ("wait", "branch"):
            raise ConfigError(f"busy is 'wait' or 'branch', not {busy!r}")
        decision = decide(level="auto" if level is None else level)
        run_id = idempotency_key or secrets.token_hex(16)
        if (known := self._runs.find(run_id)) is not None:
            if known.prompt != prompt:
                raise RequestError("this idempotency key was already used for another message")
            return known
        run = Run(
            run_id, prompt=prompt, session=session, level=int(decision.level), level_reason=level_reason,
            model=model or "", agent=agent, cancel=self._cancel, change=self._change, feeder=self._thread,
            interval=self.token_interval, output=str(output["name"]) if output else "", read=read,
        )  # fmt: skip
        params: dict[str, Any] = {
            "sessionKey": f"agent:{agent}:{session}", "message": prompt, "idempotencyKey": run_id,
            "thinking": decision.level.thinking,
        }  # fmt: skip
        if attachments:
            params["attachments"] = list(attachments)
        if output is not None:
            params["output"] = dict(output)
        if model is not None:
            params["model"] = model
        if session in within.get() and AgentURI.parse(self.uri).url is None:
            busy = "branch"  # of the run that sends this, which would wait for itself
        beside = busy if busy != "wait" else None
        wishes = {"busy": beside, "base": base, "budget": budget, "isolated": isolated or None}
        wishes = {name: wish for name, wish in wishes.items() if wish is not None}
        check_sendable(params | wishes)
        if (refusal := self._runs.keeps_sessions(wishes)) is not None:
            raise refusal
        run.subscribe(self._token)
        self.spending.watch(run, self.uri)
        flight = Flight(
            run, params, streaming=self.streaming if streaming is None else streaming, timeout=timeout,
            session=wishes, partial=partial,
        )  # fmt: skip
        self._runs.add(flight)
        if threading.get_ident() == self._thread and loop.is_running():
            self._launch(flight)
            return run
        try:
            loop.call_soon_threadsafe(self._launch, flight)
        except RuntimeError:
            self._runs.end(flight, failed(error := ConnectionLost(_LOOP_ENDED)))
            raise error from None
        return run

    async def request(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Call any method of the gateway; its payload, or RequestError."""
        return await self._here(self._request(method, dict(params or {})))

    # -- on the loop this client lives on --------------------------------------------------------

    async def _here(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work`` on that loop, from whichever loop one is on."""
        loop = self._loop
        if loop is asyncio.get_running_loop():
            return await work
        if loop is None or not loop.is_running():
            work.close()
            raise ConnectionLost(_NOT_CONNECTED if loop is None else _LOOP_ENDED)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    async def _reconnect(self) -> None:
        link = self._linked()
        if link.ended:
            link = self._dial()
        else:
            link.again()
        await link.hello()

    async def _leave(self) -> None:
        link, self._link = self._link, None
        self.given_up(ConnectionLost(_CLOSED))
        if link is not None:
            await link.close()

    async def _request(self, method: str, params: dict[str, Any]) -> Any:
        link = self._linked()
        await link.hello()
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        link.post(method, params, lambda reply: None if answer.done() else answer.set_result(reply))
        reply = await answer
        if reply.error is not None:
            raise reply.error
        return reply.payload

    # -- what the link tells ---------------------------------------------------------------------

    def _dial(self) -> Link:
        retry = Retry(self.auto_reconnect, self.max_reconnect_attempts, self.reconnect_delay)
        self._link = Link(self.uri, self._url, self._session, retry, self)
        return self._link

    def _none_in_flight(self) -> InFlight:
        return InFlight(
            self.uri, self._session, self._linked, self._dial, self._pace, self._emit, self.stability,
            Restore(self.max_restore_attempts),
        )  # fmt: skip

    def _linked(self) -> Link:
        if self._link is None:
            raise ConnectionLost(_NOT_CONNECTED)
        return self._link

    def happened(self, event: Happened) -> None:
        if isinstance(event, Hello):
            self._runs.up()
            if self._away:
                self._away = False
                self._emit("reconnected")
        else:
            self._runs.happened(event)

    def cut(self, error: OpenClawError) -> None:
        self.stability.cut()
        self._emit("error", error)

    def retrying(self, attempt: int) -> None:
        self._away = True
        self._runs.wait(f"reconnecting, attempt {attempt} of {self.max_reconnect_attempts}")
        self._emit("reconnect", attempt)

    def given_up(self, error: OpenClawError) -> None:
        if self._away:
            self._away = False
            self._emit("error", error)
        if self._link is None or self._link.closed or not self.auto_reconnect:
            self._runs.fail(error)
            return
        if is_retryable(error):
            self.stability.cut()
        self._runs.lose(error)

    def _token(self, event: RunEvent) -> None:
        if isinstance(event, Delta):
            self._emit("token", event.text)

    def _emit(self, event: str, *arguments: Any) -> None:
        for context, handler in self._handlers.get(event, ()):
            try:
                context.copy().run(handler, *arguments)
            except Exception:
                log.exception("a handler of %r failed", event)

    # -- runs in flight --------------------------------------------------------------------------

    def _launch(self, flight: Flight) -> None:
        if self._link is None:
            self._runs.end(flight, failed(ConnectionLost(_CLOSED)))
            return
        if self._link.ended:
            self._dial()
        self._runs.launch(flight)

    def _cancel(self, run: Run) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended, and the run with it
                self._loop.call_soon_threadsafe(self._runs.stop, run)

    def _change(self, run: Run, level: int) -> None:
        if self._session.hello is not None and not self._session.can("nb.level"):
            raise ConfigError(f"the gateway at {self.uri} cannot change the level of a run that is at work")
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._runs.change, run, level)

    def _pace(self, streaming: bool) -> dict[str, Any]:
        if not streaming:
            return {"size": sys.maxsize, "delay": 3600.0}
        return {"size": self.token_batch_size, "delay": self.token_batch_delay}


_NOT_CONNECTED = "this client is not connected; `await client.connect(uri)` first"
_CLOSED = "the client was closed"
_LOOP_ENDED = "the event loop this client was connected on has ended"

_EVENTS = ("degrade", "error", "gap", "reconnect", "reconnected", "recover", "restore", "token")
