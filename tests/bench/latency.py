"""What gateway and client add to a model's first token, idle, beside websockets and json doing the same.

From the request to the first text in the caller's hand, less what the bare model needs; one request at a time, with
pauses. Once with all on one loop, and once as in a notebook: the caller in one thread, the loop in another.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import queue
import statistics
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import serve

from openclaw_nb import models
from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import AgentSpec
from openclaw_nb.gateway import Gateway
from openclaw_nb.runtime import Runtime

from .servers import SLOW, model, plain

__all__ = ["main"]

SAMPLES = 300
WARM = 20
PAUSE = 0.005
"""Seconds between two requests, so that every one finds idle loops."""

LIMIT = 1.0
"""Milliseconds that half of the requests may need beyond the model itself."""

PROMPT = SLOW.format(3)

sessions = map(str, itertools.count())


def report(name: str, seconds: list[float], bare: float) -> None:
    added = sorted((second - bare) * 1000 for second in seconds[WARM:])
    p50, p99 = statistics.median(added), added[int(len(added) * 0.99)]
    print(f"  {name:38} P50 {p50:6.3f}   P99 {p99:6.3f}")


# -- all on one loop ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def ours() -> AsyncIterator[Callable[[], AsyncIterator[str]]]:
    async with Gateway(model=model) as gateway, OpenClawClient(token=gateway.token) as client:
        await client.connect(gateway.url)
        yield lambda: aiter(client.send(PROMPT, session=next(sessions)))


@asynccontextmanager
async def theirs() -> AsyncIterator[Callable[[], AsyncIterator[str]]]:
    async with serve(plain, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", compression=None) as ws:
            yield lambda: ask(ws)


async def ask(ws: ClientConnection) -> AsyncIterator[str]:
    """The deltas of one request, as one reads them with websockets and json."""
    params = {"sessionKey": "agent:main:main", "message": PROMPT, "idempotencyKey": "k", "pace": {"size": 1}}
    await ws.send(json.dumps({"type": "req", "id": "1", "method": "chat.send", "params": params}))
    async for message in ws:
        payload = json.loads(message)["payload"]
        if "deltaText" in payload:
            yield payload["deltaText"]
        elif payload.get("state") == "final":
            return


async def sample(asked: Callable[[], AsyncIterator[str]]) -> list[float]:
    seconds = []
    for _ in range(SAMPLES + WARM):
        await asyncio.sleep(PAUSE)
        began = time.perf_counter()
        stream = asked()
        await anext(stream)
        seconds.append(time.perf_counter() - began)
        async for _ in stream:
            pass
    return seconds


async def on_one_loop() -> float:
    bare = await sample(lambda: model(PROMPT))
    needs = statistics.median(bare[WARM:])
    print(f"\nfirst token on one loop, ms beyond the {needs * 1000:.3f} of the bare model")
    for name, made in (("openclaw_nb, gateway and client", ours), ("websockets + json", theirs)):
        async with made() as asked:
            report(name, await sample(asked), needs)
    return needs


# -- the caller in a thread of its own ---------------------------------------------------------------------------------


@contextmanager
def our_runtime() -> Iterator[Callable[[], Iterator[str]]]:
    with closing(Runtime()) as runtime:
        agent = runtime.register(AgentSpec("bench", models.resolve(model)))
        client = runtime.client("agent://local")
        yield lambda: iter(client.send(PROMPT, agent=agent, session=next(sessions)))


@contextmanager
def their_thread() -> Iterator[Callable[[], Iterator[str]]]:
    loop, ready, done = uvloop.new_event_loop(), queue.SimpleQueue[Callable[[], Iterator[str]]](), asyncio.Event()

    async def work() -> None:
        async with theirs() as asked:
            ready.put(lambda: in_thread(loop, asked))
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[work()])
    thread.start()
    yield ready.get()
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


def in_thread(loop: asyncio.AbstractEventLoop, asked: Callable[[], AsyncIterator[str]]) -> Iterator[str]:
    """The deltas, handed over from the loop's thread by a queue."""
    deltas: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    async def read() -> None:
        async for delta in asked():
            deltas.put(delta)
        deltas.put(None)

    asyncio.run_coroutine_threadsafe(read(), loop)
    while (delta := deltas.get()) is not None:
        yield delta


def from_another_thread(bare: float) -> None:
    print("\nfirst token in another thread than the loop's, ms beyond the bare model")
    for name, made in (("openclaw_nb, Runtime", our_runtime), ("websockets + json, queue.SimpleQueue", their_thread)):
        seconds = []
        with ExitStack() as stack:
            asked = stack.enter_context(made())
            for _ in range(SAMPLES + WARM):
                time.sleep(PAUSE)
                began = time.perf_counter()
                stream = asked()
                next(stream)
                seconds.append(time.perf_counter() - began)
                for _ in stream:
                    pass
        report(name, seconds, bare)


def main() -> None:
    print(f"\n{SAMPLES} requests, one at a time, idle; half of ours may need {LIMIT:g} ms")
    from_another_thread(uvloop.run(on_one_loop()))


if __name__ == "__main__":
    main()
