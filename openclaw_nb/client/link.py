"""Link, the WebSocket between a client and its gateway: dialled, held, and dialled again after a cut."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, cast
from urllib.parse import SplitResult, urlsplit

from websockets.asyncio.client import connect as dial
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from ..errors import ConnectionLost, OpenClawError, ProtocolError, RequestError, is_retryable
from ..logs import WithoutFrames
from ..protocol.frames import MAX_FRAME
from ..protocol.handshake import Hello
from ..protocol.happened import Happened, Reply, Shutdown
from ..protocol.session import ClientSession
from .pulse import Audible, Pulse
from .reasons import explain, is_refused, says_goodbye
from .route import Route

__all__ = ["Link", "LinkUser", "Retry"]

FRUITLESS = 3
"""Connections in a row that may bring nothing before coming back is slowed down: some gateways let in, and hang up."""

DEFAULT_PORTS = {"ws": 80, "wss": 443}

STARTING = 120.0
"""Seconds that one is waited for: 98 were seen on two busy cores."""

log = logging.getLogger("openclaw_nb")

_frames_log = WithoutFrames(logging.getLogger("openclaw_nb.websockets"))


@dataclass(frozen=True, slots=True)
class Retry:
    """Whether, how often and how soon to come back: at once, then within ``delay`` seconds, doubling."""

    auto: bool = True
    attempts: int = 5
    delay: float = 1.0

    def wait(self, attempt: int) -> float:
        """Seconds before an attempt (from 1): up to half sooner, so that many clients do not return as one."""
        return 0.0 if attempt == 1 else _spread(self.delay * 2.0 ** (attempt - 2))


class LinkUser(Protocol):
    """Who is told what happens on a link."""

    def happened(self, event: Happened) -> None:
        """Something came over the link."""

    def cut(self, error: OpenClawError) -> None:
        """The link had been up and is gone; attempts may follow."""

    def retrying(self, attempt: int) -> None:
        """An attempt to come back is about to begin."""

    def given_up(self, error: OpenClawError) -> None:
        """There will be no further attempt."""


class _Dial(dial):
    """`websockets.connect` without redirects: the token goes to the address the user gave, or nowhere."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class Link:
    """One link, on the running loop, to where ``route`` says; one that ``comes_back`` replaces one that was up."""

    def __init__(
        self, route: Route, session: ClientSession, retry: Retry, user: LinkUser, *, comes_back: bool = False
    ) -> None:
        self.uri = route.uri
        self.route = route
        self._session = session
        self._retry = retry
        self._user = user
        self._comes_back = comes_back
        self._time = asyncio.get_running_loop().time
        self._dialled_at = 0.0
        self._abrupt = False
        self._ws: Audible | None = None
        self._pulse: Pulse | None = None
        self._opening: asyncio.Timeout | None = None
        self._replies: dict[str, Callable[[Reply], None]] = {}
        self._asked = asyncio.Event()
        self._fruitless = 0
        self._unheard = False
        self.ended = False
        """Whether it has given up or was closed."""
        self._await_hello()
        route.begin()
        self._task = asyncio.get_running_loop().create_task(self._keep(), name=f"openclaw link {self.uri}")
        self._task.add_done_callback(self._end)

    @property
    def up(self) -> bool:
        """Whether the gateway has let us in."""
        return self._session.hello is not None and not self.ended

    @property
    def heard(self) -> float | None:
        """When its last byte came, in the loop's seconds."""
        return None if self._ws is None else self._ws.heard

    @property
    def closed(self) -> bool:
        """Whether it was closed, or ended together with its loop."""
        return self._task.cancelled()

    async def hello(self) -> Hello:
        """The gateway's hello, now or when it comes; the error when it will not come."""
        return await asyncio.shield(self._ready)

    def again(self) -> None:
        """Cut it, as a bad network would, and come back at once, whether or not it does so by itself."""
        self._asked.set()
        if self._ready.done():
            self._await_hello()
        if self._ws is not None:
            self._ws.transport.abort()
        elif self._opening is not None and not self._opening.expired():
            self._opening.reschedule(0)

    def leave(self) -> None:
        """Hang up, and go on where its route says."""
        if self._ws is not None:
            self._ws.transport.abort()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    def post(self, method: str, params: dict[str, Any], settle: Callable[[Reply], None] | None = None) -> None:
        """Send a request; ``settle`` gets the reply, or ConnectionLost. Who is not let in yet sends nothing."""
        id, data = self._session.request(method, params)
        settle = settle or _ignore
        if self._ws is None or not self.up:
            settle(Reply(id, error=ConnectionLost(f"there is no link to {self.uri}")))
        elif len(data) > MAX_FRAME:
            settle(Reply(id, error=RequestError(f"{len(data):,} bytes are more than the {MAX_FRAME:,} of one message")))
        else:
            self._replies[id] = settle
            self._ws.post(data)

    async def ask(self, method: str, params: dict[str, Any]) -> Any:
        """The payload of the reply to a request, sent as soon as the gateway has let us in; the error otherwise."""
        await self.hello()
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.post(method, params, lambda reply: None if answer.done() else answer.set_result(reply))
        reply = await answer
        if reply.error is not None:
            raise reply.error
        return reply.payload

    def _await_hello(self) -> None:
        self._ready: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self._ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())

    async def _keep(self) -> OpenClawError:
        """Hold a connection, and come back after a cut, until refused or out of attempts; why it came to its end."""
        attempt, was_up, waited = 0, self._comes_back, 0.0
        while True:
            error = await self._hold()
            cut = self._down(error, cut=True)
            if cut:
                attempt, was_up, waited = 0, True, 0.0
                self._fruitless += 1
                self._user.cut(error)
            elif self.route.proof is not None and self.route.proof.has_more(error):
                continue
            moves_on = self.route.moves_on(error, self._time(), was_up=cut, abrupt=self._abrupt)
            if moves_on and (self._retry.auto or not was_up or self._asked.is_set()):
                if was_up and not attempt:
                    attempt = 1
                    self._user.retrying(attempt)
                continue
            error = self.route.verdict(error)
            if isinstance(error, ConnectionLost) and error.is_starting and not cut and waited < STARTING:
                waited += error.retry_after
                await self._pause(error.retry_after)
                self.route.again(self._time())
                continue
            comes_back = was_up and self._retry.auto and is_retryable(error) and attempt < self._retry.attempts
            if not (comes_back or self._asked.is_set()):
                break
            attempt = 1 if self._asked.is_set() else attempt + 1
            self._user.retrying(attempt)
            slower = min(max(0, self._fruitless - FRUITLESS), self._retry.attempts)
            rest = error.retry_after if isinstance(error, ConnectionLost) else 0.0
            await self._pause(max(self._retry.wait(attempt + slower), rest))
            self.route.again(self._time())
            self._asked.clear()
        if attempt and is_retryable(error):
            return ConnectionLost(f"{error}, after {attempt} {'attempt' if attempt == 1 else 'attempts'} to come back")
        return error

    def _end(self, task: asyncio.Task[OpenClawError]) -> None:
        """It will not come back: closed, given up, or ended together with its loop."""
        if task.cancelled():
            error: OpenClawError = ConnectionLost(f"the link to {self.uri} was closed")
        elif (crash := task.exception()) is not None:
            log.error("the link to %s failed", self.uri, exc_info=crash)
            error = ProtocolError(f"the link to {self.uri} failed: {type(crash).__name__}: {crash}")
        else:
            error = task.result()
        self.ended = True
        self._down(error)
        self.route.end()
        if not self._ready.done():
            self._ready.set_exception(error)
        self._user.given_up(error)

    async def _pause(self, seconds: float) -> None:
        """Wait before an attempt: so long, or until it is asked for, or until the port that was closed opens."""
        if not seconds:
            return
        asked = asyncio.create_task(self._asked.wait())
        ports = {asyncio.create_task(_until_open(urlsplit(place.url))): place for place in self.route.refused}
        try:
            news, _ = await asyncio.wait([asked, *ports], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(asked, *ports)
        for port in ports.keys() & news:
            self.route.opened(ports[port])

    async def _hold(self) -> OpenClawError:
        """One connection, from dialling to its end; the error says how it ended."""
        route, self._abrupt, self._dialled_at = self.route, False, self._time()
        place, seconds = route.place, route.timeout(self._dialled_at)
        route.refused.discard(place)
        try:
            if route.proof is not None:
                self._session.prove_by(route.proof)
                await route.proof.prepare()
            dial = _Dial(
                place.url, compression=None, max_size=MAX_FRAME, open_timeout=None, close_timeout=1,
                ping_interval=None, proxy=None if route.is_loopback else True, logger=_frames_log,
                create_connection=Audible,
            )  # fmt: skip
            async with asyncio.timeout(seconds) as self._opening, dial as ws:
                await self._talk(cast(Audible, ws))
        except OpenClawError as error:
            return error
        except (ConnectionClosed, OSError, InvalidHandshake, InvalidURI, EOFError) as error:
            if is_refused(error) and route.is_loopback:
                route.refused.add(place)
            if says_goodbye(error):
                route.leaves(self._time(), None, "")
            self._abrupt = True
            return explain(error, place.uri, seconds)

    async def _talk(self, ws: Audible) -> NoReturn:
        self._ws = ws
        self._pulse = Pulse(ws)
        try:
            while True:
                raw = await ws.recv(decode=False)
                self._pulse.beat()
                self._receive(raw)
        except OpenClawError:  # a gateway that breaks the protocol is not waited for
            ws.transport.abort()
            raise
        except ConnectionClosed:
            if self._pulse.missed:
                raise ConnectionLost(f"the gateway at {self.route.place.uri} {self._pulse.missed}") from None
            raise
        finally:
            await _cancel(self._pulse.task)

    def _down(self, error: OpenClawError, *, cut: bool = False) -> bool:
        """Forget the connection; whether it had been up."""
        was_up = self._session.hello is not None
        self.route.ended(cut=cut)
        self._ws = self._opening = None
        self._session.disconnected()
        if was_up and self._ready.done():
            self._await_hello()
        unanswered, self._replies = self._replies, {}
        for id, settle in unanswered.items():
            settle(Reply(id, error=ConnectionLost(str(error))))
        return was_up

    def _receive(self, raw: bytes) -> None:
        for item in self._session.receive(raw):
            if isinstance(item, bytes):
                if self._ws is not None:
                    self._ws.post(item)
                continue
            if isinstance(item, Reply):
                if settle := self._replies.pop(item.id, None):
                    if item.is_first:
                        self._replies[item.id] = settle
                    settle(item)
                continue
            if isinstance(item, Hello):
                self.route.up(self._time(), self._time() - self._dialled_at)
                self._unheard = True
            elif self._unheard:
                self.route.heard(self._time())
                self._unheard, self._fruitless = False, 0
            if isinstance(item, Shutdown):
                self.route.leaves(self._time(), item.seconds, item.reason)
            self._user.happened(item)
            if isinstance(item, Hello):
                self._let_in(item)

    def _let_in(self, hello: Hello) -> None:
        if self._pulse is not None and self._opening is not None:
            self._pulse.tick = hello.tick
            self._opening.reschedule(None)
        if not self._ready.done():
            self._asked.clear()
            self._ready.set_result(hello)


async def _until_open(url: SplitResult) -> None:
    """Return when somebody listens at this port again: asked after each tenth of the time it takes."""
    seconds = 0.01
    while True:
        await asyncio.sleep(_spread(seconds))
        seconds *= 1.1
        with suppress(OSError):
            _, writer = await asyncio.open_connection(url.hostname, url.port or DEFAULT_PORTS[url.scheme])
            writer.transport.abort()
            return


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _spread(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


def _ignore(_: Reply) -> None:
    pass
