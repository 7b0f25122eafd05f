"""Connection, one client at the gateway: its socket, its session, and the runs it watches.

Frames of one turn of the loop leave in one write. Nothing is queued for a reader that is too slow: while its
buffer is full its cursors wait, and then take all there is in one delta.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable
from typing import Any, Protocol

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from ..errors import OpenClawError, RequestError
from ..protocol.frames import Pace, Request, Response, encode
from ..protocol.runlog import Cursor
from ..protocol.server import Call, Close, Send, ServerSession
from ..protocol.telling import Telling
from .doorkeeper import Doorkeeper
from .runs import ActiveRun

__all__ = ["HIGH_WATER", "LINGER", "LOGIN", "Connection", "Service"]

LOGIN = 15.0
"""Seconds a client may take to authenticate, as at the real gateway."""

LINGER = 1.0
"""Seconds a client has to answer our close; to hang up at once could destroy what it has not read yet."""

HIGH_WATER = 262_144
"""Bytes in the socket's buffer above which cursors wait."""

UNREAD = 1_048_576
"""Bytes in the socket's buffer above which no request is read: its answer could not wait as cursors do."""

PATIENCE = 0.075
"""Seconds between two deltas with the whole text in each, as at a real gateway."""

CODE_POINTS = 1_000_000
"""Code points that such deltas may repeat in a second: those of a longer text are told less often."""

LONGEST_LATER = 4_096
"""Requests of one connection that may wait for their answers."""

log = logging.getLogger("openclaw_nb")

_TEXT = WSMsgType.TEXT


class Service(Protocol):
    """What a connection needs of its gateway."""

    def opened(self, connection: Connection) -> None:
        """The connection is a WebSocket now."""

    def call(self, connection: Connection, request: Request) -> Any:
        """The payload that answers a request, something to wait for that gives it, or an OpenClawError."""

    def welcomed(self, connection: Connection) -> None:
        """The client is let in, and has been told so."""

    def closed(self, connection: Connection) -> None:
        """The connection is gone."""


class _Watch:
    """One connection following one run at a pace; ``due`` while the connection is to take what the cursor has."""

    __slots__ = ("_connection", "_delay", "_size", "_timer", "cursor", "due", "run")

    def __init__(self, connection: Connection, run: ActiveRun, cursor: Cursor | Telling, pace: Pace) -> None:
        self.cursor = cursor
        self.run = run
        self.due = False
        self._size = pace.size
        self._delay = pace.delay
        self._connection = connection
        self._timer: asyncio.TimerHandle | None = None
        run.watchers.append(self)
        if cursor.behind:
            self.grown()

    def grown(self) -> None:
        """The log has more: send at once what is first, full or last, the rest when it has waited long enough."""
        if self.due:
            return
        if self.cursor.due(self._size):
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay, self.flush)

    def flush(self) -> None:
        if self._timer is not None:
            self._stop_timer()
        self.due = True
        self._connection.flush_soon(self)

    def stop(self) -> None:
        self.run.watchers.remove(self)
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _PatientWatch(_Watch):
    """One that repeats the whole text each time, and so waits the longer, the longer it is."""

    __slots__ = ()

    def grown(self) -> None:
        if self._timer is None:
            self._delay = max(PATIENCE, self.run.log.text.length / CODE_POINTS)
        super().grown()


class Connection(WSListener):
    """One WebSocket connection; callbacks come from picows on the loop's thread."""

    def __init__(self, session: ServerSession, service: Service) -> None:
        super().__init__()
        self.session = session
        self.peer = ""
        """The address it comes from."""
        self.key: bytes | None = None
        """What the door gave it for its token."""
        self.listens: set[str] | None = set()
        """The keys of the sessions whose messages it wants to be told; None for all."""
        self._service = service
        self._transport: WSTransport | None = None
        self._doorkeeper: Doorkeeper | None = None
        self._out: list[bytes] = []
        self._due: dict[_Watch, None] = {}
        self._watches: dict[str, _Watch] = {}
        self._later: set[asyncio.Task[None]] = set()
        self._message = bytearray()
        self._fragmented = False
        self._scheduled = False
        self._paused = False
        self._deaf = False
        self._closing = False
        self._deadline: asyncio.TimerHandle | None = None

    # -- called by picows ------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        # Now, as a socket that was reset does not know it any more.
        self.peer = str((transport.underlying_transport.get_extra_info("peername") or [""])[0])
        transport.underlying_transport.set_write_buffer_limits(high=HIGH_WATER)
        self._doorkeeper = Doorkeeper(transport.underlying_transport, self._too_big)
        self._deadline = asyncio.get_running_loop().call_later(LOGIN, self.close, 1008, "no connect in time")
        self._service.opened(self)
        self.send(self.session.challenge(time.time()))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == _TEXT and frame.fin and not (self._fragmented or self._closing):
            self._receive(frame.get_payload_as_bytes())
            return
        match frame.msg_type:
            case WSMsgType.CLOSE:
                self._abort_later()
                transport.send_close(WSCloseCode.OK)
                transport.disconnect()
            case _ if self._closing:
                pass
            case WSMsgType.TEXT | WSMsgType.CONTINUATION:
                self._collect(frame)
            case WSMsgType.BINARY:
                self.close(1003, "text frames only")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        if self._deadline is not None:
            self._deadline.cancel()
        for task in self._later:
            task.cancel()
        for watch in self._watches.values():
            watch.stop()
        self._watches.clear()
        self._due.clear()
        self._service.closed(self)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._deaf and self._transport is not None:
            self._deaf = False
            self._transport.underlying_transport.resume_reading()
        self._schedule()

    # -- called by the gateway -------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether it follows no run, and has all the answers it asked for."""
        return not (self._watches or self._later)

    def send(self, data: bytes) -> None:
        """Send one message with everything else of this turn of the loop."""
        self._out.append(data)
        self._schedule()

    def send_event(self, name: str, payload: Any) -> None:
        self.send(self.session.event(name, payload))

    def close(self, code: int, reason: str) -> None:
        """Send what there is, then close; what comes from now on is not looked at."""
        if self._transport is None or self._closing:
            return
        self._flush()
        self._closing = True
        # 123 bytes are the most that fit, and half a character would not be UTF-8.
        reason = reason.encode(errors="replace")[:123].decode(errors="ignore")
        self._transport.send_close(WSCloseCode(code), reason.encode())
        self._abort_later()

    def abort(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def watch(self, run: ActiveRun, *, offset: int = 0, steps: dict[str, int] | None, pace: Pace | None) -> None:
        """Follow a run from an offset on; a second call starts over from its own offset."""
        if (known := self._watches.get(run.turn.run_id)) is not None:
            self._unwatch(known)
        cursor = Cursor(run.log, offset=offset, steps=steps)
        self._watches[run.turn.run_id] = _Watch(self, run, cursor, pace or Pace())

    def listen(self, run: ActiveRun, *, live: bool = False, key: str = "") -> None:
        """Follow a run as OpenClaw's own clients do, with ``live`` only from now on; a second call starts nothing over.

        ``key`` is the session as this client called it: those of protocol 3 may know an answer by nothing else.
        """
        if (watch := self._watches.get(run.turn.run_id)) is None:
            told = Telling(run.log, protocol=self.session.protocol or 4, tools=self.session.tools, live=live)
            watch = self._watches[run.turn.run_id] = _PatientWatch(self, run, told, Pace())
        if key and isinstance(watch.cursor, Telling):
            watch.cursor.key = key

    def answer_later(self, request: Request, answer: Awaitable[Any]) -> None:
        """Answer a request when that is there; not at all where the client has gone by then."""
        task = asyncio.ensure_future(self._await(request, answer))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def flush_soon(self, watch: _Watch) -> None:
        self._due[watch] = None
        if not self._scheduled:
            self._schedule()

    # -- inside ----------------------------------------------------------------------------------

    def _collect(self, frame: WSFrame) -> None:
        if (frame.msg_type == WSMsgType.CONTINUATION) != self._fragmented:
            self.close(1002, "fragments out of order")
            return
        self._fragmented = not frame.fin
        self._message += frame.get_payload_as_memoryview()
        if len(self._message) > self.session.limit:
            self._too_big()
        elif frame.fin:
            raw, self._message = bytes(self._message), bytearray()
            self._receive(raw)

    def _too_big(self) -> None:
        self._message.clear()
        self.close(1009, f"message above {self.session.limit} bytes")

    def _receive(self, raw: bytes) -> None:
        for instruction in self.session.receive(raw):
            match instruction:
                case Call(request):
                    self._call(request)
                case Send(data):
                    self.send(data)
                case Close(code, reason):
                    self.close(code, reason)
        if self._doorkeeper is not None and self.session.authenticated:
            self._let_in(self._doorkeeper)

    def _abort_later(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(LINGER, self.abort)

    def _let_in(self, doorkeeper: Doorkeeper) -> None:
        doorkeeper.leave()
        self._doorkeeper = None
        if self._deadline is not None:
            self._deadline.cancel()
        self._service.welcomed(self)

    def _call(self, request: Request) -> None:
        try:
            answer = self._service.call(self, request)
        except Exception as error:
            self.send(_refusal(request, error))
            return
        if type(answer) is dict or not inspect.isawaitable(answer):  # mostly it is one, and that is sooner seen
            self.send(_answer(request, answer))
        elif len(self._later) < LONGEST_LATER:
            self.answer_later(request, answer)
        else:
            answer.close()  # type: ignore[attr-defined]
            self.send(_refusal(request, RequestError(f"{LONGEST_LATER} requests wait for their answers already")))

    async def _await(self, request: Request, answer: Awaitable[Any]) -> None:
        try:
            data = _answer(request, await answer)
        except Exception as error:
            data = _refusal(request, error)
        self.send(data)

    def _unwatch(self, watch: _Watch) -> None:
        watch.stop()
        self._due.pop(watch, None)
        del self._watches[watch.run.turn.run_id]

    def _schedule(self) -> None:
        if not self._scheduled and self._transport is not None:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._transport is None or self._closing:
            return
        if self._due and not self._paused:
            self._take_due()
        if self._out:
            data = b"".join(map(_text_frame, self._out))
            self._out.clear()
            self._transport.underlying_transport.write(data)
        if self._paused and not self._deaf and self._transport.underlying_transport.get_write_buffer_size() > UNREAD:
            self._deaf = True
            self._transport.underlying_transport.pause_reading()

    def _take_due(self) -> None:
        """As much as fills a buffer; the rest has its turn when that was taken, first come first served."""
        due, self._due = self._due, {}
        room = HIGH_WATER
        for watch in due:
            if room > 0:
                room -= self._take(watch)
            else:
                self.flush_soon(watch)

    def _take(self, watch: _Watch) -> int:
        """Have it tell what it has; how many bytes that was."""
        cursor, size = watch.cursor, 0
        for name, payload in cursor.take():
            data = self.session.event(name, payload)
            self._out.append(data)
            size += len(data)
        if cursor.ended:
            self._unwatch(watch)
        elif cursor.behind:
            self.flush_soon(watch)
        else:
            watch.due = False
        return size


def _answer(request: Request, payload: Any) -> bytes:
    """The answer to a request; a Response made elsewhere is one already."""
    return encode(payload if isinstance(payload, Response) else Response(request.id, True, payload))


def _refusal(request: Request, error: Exception) -> bytes:
    if isinstance(error, OpenClawError):
        refusal = {"code": error.code, "message": str(error)}
        if details := getattr(error, "details", None):
            refusal["details"] = details
    else:
        log.error("%s failed", request.method, exc_info=error)
        refusal = {"code": "INTERNAL", "message": f"{request.method} failed: {type(error).__name__}"}
    return encode(Response(request.id, False, error=refusal))


def _text_frame(payload: bytes) -> bytes:
    """An unmasked, unfragmented WebSocket text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2) + payload
    return b"\x81\x7f" + size.to_bytes(8) + payload
