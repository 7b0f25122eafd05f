"""A loopback server that speaks OpenAI's streaming chat completions, scripted per call, and notes what it was asked.

    with MockOpenAI(tokens=200, interval=0.01) as mock:      # every call gets this reply
        use(mock.url)
        assert mock.calls == 1 and mock.requests[0].body["stream"]

    with MockOpenAI(Reply(status=503), Reply(tokens=5)):     # the n-th call gets the n-th, the last one repeats

As a process of its own (for benchmarks): `python tests/mock_openai.py --tokens 4000`, prints its URL, ends with stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

__all__ = ["MockOpenAI", "Reply", "Request", "words"]

Body = dict[str, Any]
Tokens = int | Sequence[str] | Callable[[Body], Sequence[str]]
Calls = Sequence[tuple[str, str]] | Callable[[Body], Sequence[tuple[str, str]]]

CALL_PIECE = 5


def words(count: int) -> list[str]:
    """The default answer, token by token: "token0 token1 …"."""
    return [f"token{index} " for index in range(count)]


@dataclass(frozen=True)
class Reply:
    """How one call is answered. ``tokens`` and ``thinking`` are a count, the texts, or a function of the body.

    ``interval`` is seconds between tokens. A ``status`` other than 200 gives OpenAI's error object instead,
    with ``retry_after`` as the header and ``message`` inside. The ``…_after`` fields count text tokens already
    sent: then the connection is reset, ended early without the last chunk, sent garbage, sent an error event,
    or nothing more is sent until the client leaves. ``delay`` is seconds before the response's head.
    ``calls`` are the tools asked for after the text: (name, arguments as JSON), streamed CALL_PIECE characters at a
    time; with ``lose_calls_after`` the reply ends early after that many of these pieces.
    """

    tokens: Tokens = 20
    thinking: Tokens = 0
    interval: float = 0.0
    delay: float = 0.0
    usage: bool = True
    finish_reason: str = "stop"
    status: int = 200
    retry_after: str | None = None
    message: str = "scripted failure"
    reset_after: int | None = None
    end_after: int | None = None
    malformed_after: int | None = None
    error_after: int | None = None
    hang_after: int | None = None
    calls: Calls = ()
    lose_calls_after: int | None = None

    def tool_calls(self, body: Body) -> list[tuple[str, str]]:
        return list(self.calls(body) if callable(self.calls) else self.calls)

    def texts(self, body: Body) -> list[str]:
        return _texts(self.tokens, body)

    def thoughts(self, body: Body) -> list[str]:
        return _texts(self.thinking, body)


@dataclass
class Request:
    """One request as it came: headers in lower case; ``sent`` text tokens; ``closed`` is set once the reply is over.

    ``closed_early`` says that the client left before the end, at ``closed_at`` (time.monotonic, seconds).
    """

    method: str
    path: str
    headers: dict[str, str]
    body: Body
    sent: int = 0
    closed_early: bool = False
    closed_at: float | None = None
    closed: threading.Event = field(default_factory=threading.Event)

    def end(self, *, early: bool) -> None:
        if not self.closed.is_set():
            self.closed_early = early
            self.closed_at = time.monotonic()
            self.closed.set()


class MockOpenAI:
    """The server, in a thread of its own, while the context is open. Pass replies, or the fields of one."""

    def __init__(self, *replies: Reply, **fields: Any) -> None:
        if replies and fields:
            raise TypeError("pass replies or the fields of one, not both")
        self.replies = replies or (Reply(**fields),)
        self.requests: list[Request] = []
        self.open_connections = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="mock-openai", daemon=True)
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def calls(self) -> int:
        """How many times a model was called."""
        return sum(request.path.endswith("/chat/completions") for request in self.requests)

    @property
    def text(self) -> str:
        """The first reply's whole text, for replies that do not depend on the request."""
        return "".join(self.replies[0].texts({}))

    def reply_for(self, call: int) -> Reply:
        return self.replies[min(call, len(self.replies)) - 1]

    def __enter__(self) -> MockOpenAI:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

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

    def __init__(self, mock: MockOpenAI) -> None:
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
        self.task = asyncio.ensure_future(self.answer(self.request))

    async def answer(self, request: Request) -> None:
        if not request.path.endswith("/chat/completions"):
            self.write_json(200, {"object": "list", "data": [{"id": "mock", "object": "model"}]})
        else:
            reply = self.mock.reply_for(self.mock.calls)
            await asyncio.sleep(reply.delay)
            if reply.status != 200:
                self.write_error(reply)
            elif request.body.get("stream"):
                await self.stream(request, reply)
            else:
                self.write_json(200, _completion(request.body, reply))
        request.end(early=False)

    def write_json(self, status: int, value: Body, headers: str = "") -> None:
        data = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} Mock\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        self.transport.write(f"{head}{headers}\r\n".encode() + data)

    def write_error(self, reply: Reply) -> None:
        error = {"message": reply.message, "type": "mock_error", "param": None, "code": None}
        self.write_json(
            reply.status, {"error": error}, f"Retry-After: {reply.retry_after}\r\n" if reply.retry_after else ""
        )

    async def stream(self, request: Request, reply: Reply) -> None:
        write = self.transport.write
        write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        model = str(request.body.get("model"))
        write(_event(model, {"role": "assistant", "content": ""}))
        for text in reply.thoughts(request.body):
            write(_event(model, {"reasoning_content": text}))
        # Only the text differs from chunk to chunk, so the rest is made once: this loop feeds benchmarks.
        before, after = _payload(model, {"content": "\0"}).split(b'"\\u0000"')
        for text in reply.texts(request.body):
            if await self.misbehave(request.sent, reply):
                return
            write(_chunk(before + json.dumps(text).encode() + after))
            request.sent += 1
            if reply.interval:
                await asyncio.sleep(reply.interval)
            elif request.sent % 16 == 0:
                await asyncio.sleep(0)
            await self.writable.wait()
        if await self.misbehave(request.sent, reply):
            return
        for count, delta in enumerate(_call_deltas(reply.tool_calls(request.body), len(request.body["messages"]))):
            if count == reply.lose_calls_after:
                self.transport.close()
                return
            write(_event(model, delta))
        reason = "tool_calls" if reply.tool_calls(request.body) else reply.finish_reason
        write(_event(model, {}, finish_reason=reason))
        if reply.usage and (request.body.get("stream_options") or {}).get("include_usage"):
            write(_event(model, None, usage=_usage(request.body, reply)))
        write(_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    async def misbehave(self, sent: int, reply: Reply) -> bool:
        """Whether the reply is over here, because the script says so."""
        if sent == reply.reset_after:
            await asyncio.sleep(0.05)  # lets the client read what was sent: a reset throws it away
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        elif sent == reply.end_after:
            self.transport.close()
        elif sent == reply.error_after:
            error = {"error": {"message": reply.message, "type": "server_error", "code": "server_error"}}
            self.transport.write(_chunk(b"data: " + json.dumps(error).encode() + b"\n\n") + b"0\r\n\r\n")
        elif sent == reply.malformed_after:
            self.transport.write(_chunk(b'data: {"id": "x", "choices": [{"delta"\n\n'))
            return False
        elif sent == reply.hang_after:
            await asyncio.get_running_loop().create_future()
        else:
            return False
        return True


def _call_deltas(calls: list[tuple[str, str]], turn: int) -> Iterator[Body]:
    """Calls as the wire has them: the first delta of each has its id and name, the others more of its arguments."""
    for index, (name, arguments) in enumerate(calls):
        function = {"name": name, "arguments": ""}
        yield {"tool_calls": [{"index": index, "id": f"call_{turn}_{index}", "type": "function", "function": function}]}
        for at in range(0, len(arguments), CALL_PIECE):
            piece = {"arguments": arguments[at : at + CALL_PIECE]}
            yield {"tool_calls": [{"index": index, "function": piece}]}


def _texts(tokens: Tokens, body: Body) -> list[str]:
    if isinstance(tokens, int):
        return words(tokens)
    return list(tokens(body) if callable(tokens) else tokens)


def _usage(body: Body, reply: Reply) -> dict[str, int]:
    prompt = sum(len(str(message.get("content") or "").split()) for message in body.get("messages", []))
    completion = len(reply.texts(body)) + len(reply.thoughts(body))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _payload(model: str, delta: Body | None, finish_reason: str | None = None, usage: Body | None = None) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    chunk = {"id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1700000000, "model": model}
    return b"data: " + json.dumps({**chunk, "choices": choices, "usage": usage}).encode() + b"\n\n"


def _event(model: str, delta: Body | None, finish_reason: str | None = None, usage: Body | None = None) -> bytes:
    return _chunk(_payload(model, delta, finish_reason, usage))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _completion(body: Body, reply: Reply) -> Body:
    message = {"role": "assistant", "content": "".join(reply.texts(body))}
    return {
        "id": "chatcmpl-mock", "object": "chat.completion", "created": 1700000000, "model": body.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason}],
        "usage": _usage(body, reply),
    }  # fmt: skip


def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MockOpenAI]]:
    """A way to start mocks, for a fixture: OpenAI's models are asked of the newest, and all end with it."""
    with ExitStack() as running:

        def start(*replies: Reply, **fields: Any) -> MockOpenAI:
            mock = running.enter_context(MockOpenAI(*replies, **fields))
            monkeypatch.setenv("OPENAI_BASE_URL", mock.url)
            return mock

        yield start


def _arguments(arguments: Sequence[str] | None = None) -> Iterator[tuple[str, Any]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--token", help="what every token is; numbered words if left out")
    parser.add_argument("--interval", type=float, default=0.0, help="seconds between tokens")
    chosen = parser.parse_args(arguments)
    yield "tokens", [chosen.token] * chosen.tokens if chosen.token else chosen.tokens
    yield "interval", chosen.interval


if __name__ == "__main__":
    with MockOpenAI(**dict(_arguments())) as mock:
        print(mock.url, flush=True)
        sys.stdin.read()
