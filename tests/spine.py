"""What the tests of the spine share: asynchronous tests on both loops, a gateway with its client, and a raw client."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect

from openclaw_nb.client import OpenClawClient
from openclaw_nb.gateway import Gateway
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta, ThinkingDelta

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]

LIMIT = 300.0  # seconds: a safety net against hanging, not a measurement

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
if uvloop is not None:
    LOOPS["uvloop"] = uvloop.new_event_loop


def play(work: Coroutine[Any, Any, Any], loop: str = "asyncio") -> Any:
    """Run to the end, and see that no task is left."""

    async def watched() -> Any:
        result = await asyncio.wait_for(work, LIMIT)
        await asyncio.sleep(0)
        left = {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}
        assert not left, f"tasks left: {sorted(left)}"
        return result

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(watched())


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make an ``async def`` a test."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        play(test(*args, **kwargs))

    return run


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make an ``async def`` a test on asyncio's loop and on uvloop."""

    @functools.wraps(test)
    def run(*args: Any, loop: str, **kwargs: Any) -> None:
        play(test(*args, **kwargs), loop)

    known = inspect.signature(test)
    loop = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = known.replace(parameters=[*known.parameters.values(), loop])  # type: ignore[attr-defined]
    marked: Callable[..., None] = pytest.mark.parametrize("loop", LOOPS)(run)
    return marked


async def soon(condition: Callable[[], Any], what: str = "it") -> None:
    """Wait until ``condition`` holds."""
    for _ in range(12_000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{what} did not happen")


def taken(client: OpenClawClient) -> bool:
    """Whether the gateway's word that it has taken the runs of ``client`` in flight is here, of one at least."""
    return bool(client.flights) and all(flight.accepted for flight in client.flights)


any_text = st.lists(
    st.characters(codec=None, exclude_categories=()) | st.sampled_from("aé€😀\0\ud83d\ude00\ud800\udfff")
).map("".join)
"""Every string Python has, lone surrogates more often than chance would."""


class Counted:
    """A model of fixed pieces that knows how often it was called, and whether each call was closed."""

    def __init__(self, *pieces: str, pause: float = 0.0, until: asyncio.Event | None = None) -> None:
        self.pieces = pieces
        self.pause = pause
        self.until = until
        self.calls = 0
        self.closed = 0

    async def __call__(self, prompt: str) -> AsyncIterator[str]:
        self.calls += 1
        try:
            for piece in self.pieces:
                yield piece
                await asyncio.sleep(self.pause)
            if self.until is not None:
                await self.until.wait()
        finally:
            self.closed += 1


class Thinker:
    """A Model that thinks before each of its fixed pieces."""

    name = "thinker"

    def __init__(self, *pieces: str, pause: float) -> None:
        self.pieces = pieces
        self.pause = pause

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        for piece in self.pieces:
            yield ThinkingDelta(f"thought {piece}")
            await asyncio.sleep(self.pause)
            yield TextDelta(piece)


@asynccontextmanager
async def answering(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server on loopback, by its port, that answers each connection so and hangs up; its end waits for them all."""
    answers = set[asyncio.Task[Any]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            answers.add(task)
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*answers)


@asynccontextmanager
async def serving(
    model: Any, wire: Callable[[Gateway], Awaitable[str]] | None = None, **options: Any
) -> AsyncIterator[tuple[Gateway, OpenClawClient]]:
    """A gateway and a client connected to it."""
    async with Gateway(model=model) as gateway, OpenClawClient(token=gateway.token, **options) as client:
        await client.connect(gateway.url)
        yield gateway, client


class Raw:
    """A client that sends whatever one likes, and reads frames as plain data."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws

    async def send(self, frame: Any) -> None:
        await self.ws.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def read(self) -> Any:
        return json.loads(await self.ws.recv())

    async def reply(self, id: str) -> Any:
        """The response of this id, passing over events."""
        while True:
            frame = await self.read()
            if frame["type"] == "res" and frame["id"] == id:
                return frame

    async def event(self, name: str, **payload: Any) -> Any:
        """The payload of the next event of this name that holds these facts."""
        while True:
            frame = await self.read()
            if frame.get("event") == name and payload.items() <= frame["payload"].items():
                return frame["payload"]

    async def ask(self, method: str, id: str = "q", **params: Any) -> Any:
        await self.send({"type": "req", "id": id, "method": method, "params": params})
        return await self.reply(id)


def hello(
    token: str | None, *, low: int = 3, high: int = 4, caps: tuple[str, ...] = (), **facts: Any
) -> dict[str, Any]:
    """A connect request, as a real client sends it."""
    client = {"id": "gateway-client", "version": "0.1.0", "platform": "linux", "mode": "backend"}
    params: dict[str, Any] = {
        "minProtocol": low, "maxProtocol": high, "client": client, "role": "operator",
        "scopes": ["operator.read", "operator.write"], "caps": ["tool-events", *caps],
    }  # fmt: skip
    if token is not None:
        params["auth"] = {"token": token}
    return {"type": "req", "id": "hello", "method": "connect", "params": params | facts}


@asynccontextmanager
async def dialled(gateway: Gateway, **options: Any) -> AsyncIterator[Raw]:
    """A raw client that has not authenticated."""
    options = {"compression": None, "proxy": None, "max_size": None, "max_queue": None, "close_timeout": 1} | options
    async with connect(gateway.url, **options) as ws:
        raw = Raw(ws)
        assert (await raw.read())["event"] == "connect.challenge"
        yield raw


@asynccontextmanager
async def let_in(gateway: Gateway, **facts: Any) -> AsyncIterator[Raw]:
    """A raw client that the gateway has let in."""
    async with dialled(gateway) as raw:
        await raw.send(hello(gateway.token, **facts))
        assert (await raw.reply("hello"))["ok"]
        yield raw
