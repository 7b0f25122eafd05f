"""What the mocks of providers share: an HTTP server on loopback, scripted per call, that notes what it was asked.

with MockOpenAI(tokens=200, interval=0.01) as mock:      # every call gets this reply
    use(mock.url)
    assert mock.calls == 1 and mock.requests[0].body["stream"]

with MockOpenAI(Reply(status=503), Reply(tokens=5)):     # the n-th call gets the n-th, the last one repeats
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from tests.mock_wire import Answer, Body, Reply, Request, Wire, texts_of

if TYPE_CHECKING:
    import pytest

__all__ = ["Mock", "alone", "starting"]

M = TypeVar("M", bound="Mock")


class Mock:
    """The server, in a thread of its own, while the context is open. Pass replies, or the fields of one."""

    variable: ClassVar[str] = ""  # that tells the provider's client where to ask
    base: ClassVar[str] = ""
    wire: type[Wire]

    def __init__(self, *replies: Reply, **fields: Any) -> None:
        if replies and fields:
            raise TypeError("pass replies or the fields of one, not both")
        self.replies = replies or (Reply(**fields),)
        self.requests: list[Request] = []
        self.open_connections = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="mock-provider", daemon=True)
        self._ready = threading.Event()

    # -- what a provider is known by --------------------------------------------------------------

    def is_call(self, path: str) -> bool:
        raise NotImplementedError

    def limit(self, body: Body) -> int | None:
        """How many tokens the answer may have."""
        raise NotImplementedError

    def refusal(self, request: Request) -> str | None:
        """Why the provider would not take a request: a setting that it, or this model of its, does not know."""
        return None

    def error(self, reply: Reply) -> Body:
        """The body that says so, for a status that is no success."""
        raise NotImplementedError

    def whole(self, request: Request, answer: Answer) -> Body | None:
        """The answer to a request that is not to be streamed, where the mock has one."""
        return None

    # -- what was asked ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base}"

    @property
    def calls(self) -> int:
        """How many times a model was called."""
        return len(self.bodies)

    @property
    def bodies(self) -> list[Body]:
        """What a model was called with, each time."""
        return [request.body for request in self.requests if self.is_call(request.path)]

    def settings(self, body: Body) -> Body:
        """Where a request has its settings."""
        return body

    @property
    def text(self) -> str:
        """The first reply's whole text, for replies that do not depend on the request."""
        return "".join(texts_of(self.replies[0].tokens, {}))

    def answer(self, reply: Reply, body: Body) -> Answer:
        thoughts, texts = texts_of(reply.thinking, body), texts_of(reply.tokens, body)
        calls = list(reply.calls(body) if callable(reply.calls) else reply.calls)
        limit = self.limit(body)
        room = len(thoughts) + len(texts) if limit is None else limit
        kept = thoughts[:room], texts[: max(0, room - len(thoughts))]
        cut = len(thoughts) + len(texts) > room
        return Answer(*kept, [] if cut else calls, reply, cut)

    def reply_for(self, call: int) -> Reply:
        return self.replies[min(call, len(self.replies)) - 1]

    # -- the server -------------------------------------------------------------------------------

    def __enter__(self) -> Any:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)

    def _serve(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(loop.create_server(lambda: _Connection(self), "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            loop.run_forever()
        finally:
            server.close()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.close()


class _Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection: parses requests with a Content-Length, answers them one after another."""

    transport: asyncio.Transport

    def __init__(self, mock: Mock) -> None:
        self.mock = mock
        self.buffer = bytearray()
        self.writable = asyncio.Event()
        self.writable.set()
        self.request: Request | None = None
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.mock.open_connections += 1

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.mock.open_connections -= 1
        if self.request is not None:
            self.request.end(early=True)
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        if not separator:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self.buffer = bytearray(rest[length:])
        method, path, _ = first.split(" ", 2)
        self.request = Request(method, path, headers, json.loads(rest[:length]) if length else {})
        self.mock.requests.append(self.request)
        self.task = asyncio.ensure_future(self.reply(self.request))

    async def reply(self, request: Request) -> None:
        if not self.mock.is_call(request.path):
            self.write_json(200, {"object": "list", "data": [{"id": "mock", "object": "model"}]})
        else:
            await self.call(request, self.mock.reply_for(self.mock.calls))
        request.end(early=False)

    async def call(self, request: Request, reply: Reply) -> None:
        await asyncio.sleep(reply.delay)
        if reply.close:
            self.transport.close()
        elif reply.status != 200:
            retry = f"Retry-After: {reply.retry_after}\r\n" if reply.retry_after else ""
            self.write_json(reply.status, self.mock.error(reply), retry)
        elif refusal := self.mock.refusal(request):
            self.write_json(400, self.mock.error(Reply(status=400, message=refusal)))
        else:
            answer = self.mock.answer(reply, request.body)
            if (whole := self.mock.whole(request, answer)) is not None:
                self.write_json(200, whole)
            else:
                await self.stream(request, answer)

    def write_json(self, status: int, value: Body, headers: str = "") -> None:
        data = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} Mock\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        self.transport.write(f"{head}{headers}\r\n".encode() + data)

    def write(self, data: bytes) -> None:
        if data:
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def stream(self, request: Request, answer: Answer) -> None:
        reply, wire = answer.reply, self.mock.wire(request, answer)
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        self.write(wire.begin())
        for text in answer.thoughts:
            self.write(wire.thought(text))
        for text in answer.texts:
            if await self.misbehave(request.sent, wire):
                return
            self.write(wire.text(text))
            request.sent += 1
            if reply.interval:
                await asyncio.sleep(reply.interval)
            elif request.sent % 16 == 0:
                await asyncio.sleep(0)
            await self.writable.wait()
        if await self.misbehave(request.sent, wire):
            return
        for count, event in enumerate(wire.calls()):
            if count == reply.lose_calls_after:
                self.transport.close()
                return
            self.write(event)
        self.write(wire.end())
        self.transport.write(b"0\r\n\r\n")

    async def misbehave(self, sent: int, wire: Wire) -> bool:
        """Whether the reply is over here, because the script says so."""
        reply = wire.answer.reply
        if sent == reply.reset_after:
            await asyncio.sleep(0.05)  # lets the client read what was sent: a reset throws it away
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        elif sent == reply.end_after:
            self.transport.close()
        elif sent == reply.stop_after:
            self.transport.write(b"0\r\n\r\n")
        elif sent == reply.error_after:
            self.write(wire.error(reply.message))
            self.transport.write(b"0\r\n\r\n")
        elif sent == reply.malformed_after:
            self.write(wire.malformed)
            return False
        elif sent == reply.hang_after:
            await asyncio.get_running_loop().create_future()
        else:
            return False
        return True


def starting(kind: type[M], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., M]]:
    """A way to start mocks, for a fixture: the provider's models are asked of the newest, and all end with it."""
    with ExitStack() as running:

        def start(*replies: Reply, **fields: Any) -> M:
            mock: M = running.enter_context(kind(*replies, **fields))
            monkeypatch.setenv(kind.variable, mock.url)
            return mock

        yield start


def alone(kind: type[Mock]) -> None:
    """The mock as a process of its own: it prints its URL, and ends with its stdin."""
    parser = argparse.ArgumentParser(description=kind.__doc__)
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--token", help="what every token is; numbered words if left out")
    parser.add_argument("--interval", type=float, default=0.0, help="seconds between tokens")
    chosen = parser.parse_args()
    tokens = [chosen.token] * chosen.tokens if chosen.token else chosen.tokens
    with kind(tokens=tokens, interval=chosen.interval) as mock:
        print(mock.url, flush=True)
        sys.stdin.read()
