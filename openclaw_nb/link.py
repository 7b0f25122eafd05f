"""Link, the WebSocket between a client and its gateway: dialled, held, and dialled again after a cut."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as dial
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI

from .door import is_loopback
from .errors import ConnectionLost, OpenClawError, ProtocolError, RequestError, is_retryable
from .protocol.frames import MAX_FRAME
from .protocol.session import ClientSession, Happened, Hello, Reply

__all__ = ["Link", "LinkUser", "Retry"]

OPEN_TIMEOUT = 10.0
"""Seconds to wait for a gateway's handshake."""

PING = 20.0
"""Seconds of silence before a ping, and again before a link that does not answer it is cut."""

TOO_BIG = 1009
"""The one close code that coming back cannot help: the same message would be as big again."""

log = logging.getLogger("openclaw_nb")

# At DEBUG websockets logs every frame, and one of them holds the token.
_frames_log = logging.getLogger("openclaw_nb.websockets")
_frames_log.setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class Retry:
    """Whether, how often and how soon to come back: at once, then after ``delay`` seconds, doubling."""

    auto: bool = True
    attempts: int = 5
    delay: float = 1.0

    def wait(self, attempt: int) -> float:
        """Seconds before an attempt (from 1), spread by half either way so that many clients do not return as one."""
        if attempt == 1:
            return random.uniform(0, 0.01)  # noqa: S311 - jitter, not a secret
        return self.delay * 2.0 ** (attempt - 2) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret


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
    """One link, on the running loop. ``uri`` is what people see, ``url`` what is dialled."""

    def __init__(self, uri: str, url: str, session: ClientSession, retry: Retry, user: LinkUser) -> None:
        self.uri = uri
        self._url = url
        self._session = session
        self._retry = retry
        self._user = user
        self._ws: ClientConnection | None = None
        self._outbox: asyncio.Queue[bytes] | None = None
        self._replies: dict[str, Callable[[Reply], None]] = {}
        self._asked = asyncio.Event()
        self.ended = False
        """Whether it has given up or was closed."""
        self._await_hello()
        self._task = asyncio.get_running_loop().create_task(self._keep(), name=f"openclaw link {uri}")
        self._task.add_done_callback(self._end)

    @property
    def up(self) -> bool:
        """Whether the gateway has let us in."""
        return self._session.hello is not None and not self.ended

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

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    def post(self, method: str, params: dict[str, Any], settle: Callable[[Reply], None] | None = None) -> None:
        """Send a request; ``settle`` gets the reply, or ConnectionLost. Who is not let in yet sends nothing."""
        id, data = self._session.request(method, params)
        settle = settle or _ignore
        if self._outbox is None or not self.up:
            settle(Reply(id, error=ConnectionLost(f"there is no link to {self.uri}")))
        elif len(data) > MAX_FRAME:
            settle(Reply(id, error=RequestError(f"{len(data):,} bytes are more than the {MAX_FRAME:,} of one message")))
        else:
            self._replies[id] = settle
            self._outbox.put_nowait(data)

    def _await_hello(self) -> None:
        self._ready: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self._ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())

    async def _keep(self) -> OpenClawError:
        """Hold a connection, and come back after a cut, until refused or out of attempts; why it came to its end."""
        attempt, was_up = 0, False
        while True:
            error = await self._hold()
            if self._down(error):
                attempt, was_up = 0, True
                self._user.cut(error)
            comes_back = was_up and self._retry.auto and is_retryable(error) and attempt < self._retry.attempts
            if not (comes_back or self._asked.is_set()):
                break
            attempt = 1 if self._asked.is_set() else attempt + 1
            self._user.retrying(attempt)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._retry.wait(attempt))
            self._asked.clear()
        if attempt and is_retryable(error):
            return ConnectionLost(f"{error}, after {attempt} attempts to come back")
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
        if not self._ready.done():
            self._ready.set_exception(error)
        self._user.given_up(error)

    async def _hold(self) -> OpenClawError:
        """One connection, from dialling to its end; the error says how it ended."""
        loopback = is_loopback(urlsplit(self._url).hostname or "")
        try:
            async with _Dial(
                self._url, compression=None, max_size=MAX_FRAME, open_timeout=OPEN_TIMEOUT, close_timeout=1,
                ping_interval=PING, ping_timeout=PING, proxy=None if loopback else True, logger=_frames_log,
            ) as ws:  # fmt: skip
                await self._talk(ws)
        except OpenClawError as error:
            return error
        except (ConnectionClosed, OSError, InvalidHandshake, InvalidURI, EOFError) as error:
            return _explain(error, self.uri)

    async def _talk(self, ws: ClientConnection) -> NoReturn:
        self._ws = ws
        self._outbox = asyncio.Queue()
        writer = asyncio.create_task(_write(ws, self._outbox), name="openclaw writer")
        try:
            while True:
                self._receive(await ws.recv(decode=False))
        finally:
            writer.cancel()
            await asyncio.wait([writer])

    def _down(self, error: OpenClawError) -> bool:
        """Forget the connection; whether it had been up."""
        was_up = self._session.hello is not None
        self._ws = self._outbox = None
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
                if self._outbox is not None:
                    self._outbox.put_nowait(item)
                continue
            if isinstance(item, Reply):
                if settle := self._replies.pop(item.id, None):
                    settle(item)
                continue
            self._user.happened(item)
            if isinstance(item, Hello) and not self._ready.done():
                self._asked.clear()
                self._ready.set_result(item)


async def _write(ws: ClientConnection, outbox: asyncio.Queue[bytes]) -> None:
    with suppress(ConnectionClosed):
        while True:
            await ws.send(await outbox.get(), text=True)


def _ignore(_: Reply) -> None:
    pass


def _explain(error: Exception, uri: str) -> OpenClawError:
    """What the end of a connection, or a failed try, means: ConnectionLost where coming back can help."""
    match error:
        case ConnectionClosed() if TOO_BIG in {end.code for end in (error.rcvd, error.sent) if end}:
            return ProtocolError(f"a message on the link to {uri} was too big")
        case ConnectionClosed():
            return ConnectionLost(f"the link to {uri} was cut")
        case TimeoutError():
            return ConnectionLost(f"no answer from {uri} within {OPEN_TIMEOUT:g} s")
        case OSError():
            return ConnectionLost(f"no gateway at {uri}: {_reason(error)}")
        case InvalidMessage(__cause__=EOFError() | OSError()):
            return ConnectionLost(f"no gateway at {uri}: it hung up")
        case InvalidStatus(response=response) if response.status_code >= 500:
            return ConnectionLost(f"no gateway at {uri}: HTTP {response.status_code}")
        case InvalidStatus(response=response):
            return ProtocolError(f"{uri} is no gateway: it answers with HTTP {response.status_code}")
        case _:
            return ProtocolError(f"{uri} is no gateway: {error}")


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "connection refused"
    return (error.strerror or str(error) or type(error).__name__).lower()
