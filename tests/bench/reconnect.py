"""How soon a stream goes on: after an abort, and after a gateway was away, beside `websockets.connect` as an iterator.

The gateway is a process of its own on loopback; its model says a token every millisecond, or every five, whether
or not somebody listens: the next one is there. The iterator drives the same client: only what holds its link differs.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import cast
from unittest import mock

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from openclaw_nb.client import OpenClawClient, channel, link
from openclaw_nb.client.destination import Destination
from openclaw_nb.errors import OpenClawError
from openclaw_nb.events import Delta, RunEvent
from openclaw_nb.gateway import Gateway
from openclaw_nb.protocol.frames import MAX_FRAME
from openclaw_nb.run import Run
from tests.faults.killed import kill

ABORTS = 600
EVERY = 10  # tokens between two aborts
RESTARTS = 8
ABREAST = 6  # clients of each kind that wait for a restarted gateway
TOKEN = "bench"


# -- the gateway, a process of its own ---------------------------------------------------------------


async def serve() -> None:
    """Obey lines on standard input: ``away S`` goes away for so many seconds and says when it is back."""
    began: dict[str, float] = {}
    here: list[Gateway] = []

    async def model(prompt: str) -> AsyncIterator[str]:
        start, number, cuts = began.setdefault(prompt, time.monotonic()), 0, 0
        pace = 0.001 if prompt == "abort" else 0.005
        while cuts < ABORTS:
            if (ahead := start + number * pace - time.monotonic()) > 0:
                await asyncio.sleep(ahead)
            watching = [connection for connection in here[0]._connections if connection._watches]
            if prompt == "abort" and number % EVERY == EVERY - 1 and watching:
                yield f"cut {time.monotonic():.6f}\n"
                cuts += 1
                for connection in watching:
                    connection.abort()
            else:
                yield f"{number}\n"
            number += 1

    async def start(port: int) -> None:
        here[:] = [Gateway(model=model, token=TOKEN, port=port)]
        await here[0].start()

    await start(0)
    print(here[0].port, flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        gateway = here[0]
        await kill(gateway)
        await asyncio.sleep(float(line.split()[1]))
        await start(gateway.port)
        print(time.monotonic(), flush=True)


@contextmanager
def gateway() -> Iterator[tuple[int, Callable[[float], float]]]:
    """Its port, and what sends it away for some seconds and tells when it was back."""
    command = [sys.executable, "-m", "tests.bench.reconnect", "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def away(seconds: float) -> float:
            stdin.write(f"away {seconds}\n")
            stdin.flush()
            return float(stdout.readline())

        yield int(stdout.readline()), away
        stdin.close()


# -- the iterator --------------------------------------------------------------------------------------


class IteratorLink(link.Link):
    """A link held by `async for ws in websockets.connect(url)`, and otherwise the same."""

    async def _keep(self) -> OpenClawError:
        async for ws in connect(
            self.route.place.url, compression=None, max_size=MAX_FRAME, proxy=None, create_connection=link.Audible
        ):
            with suppress(ConnectionClosed):
                await self._talk(cast(link.Audible, ws))
            self._down(OpenClawError("cut"))
            self._user.retrying(1)
        raise AssertionError("the iterator never ends")


class IteratorClient(OpenClawClient):
    def _open(self, target: Destination) -> None:
        with mock.patch.object(channel, "Link", IteratorLink):
            super()._open(target)


# -- what is measured ----------------------------------------------------------------------------------


async def after_aborts(port: int) -> list[float]:
    """Seconds from each abort at the gateway to the next token here."""
    back: list[float] = []
    have = 0

    def take(event: RunEvent) -> None:
        nonlocal have
        if isinstance(event, Delta):
            now = time.monotonic()
            assert event.offset == have
            have += len(event.text)
            back.extend(now - float(line[4:]) for line in event.text.split("\n") if line.startswith("cut "))

    async with OpenClawClient(token=TOKEN) as client:
        await client.connect(f"ws://127.0.0.1:{port}")
        run = client.send("abort")
        run.subscribe(take)
        text = str(await run)
    lines = text.splitlines()
    assert all(line in (str(i), f"cut {line[4:]}") for i, line in enumerate(lines)), "lost, or twice"
    assert len(back) == ABORTS
    return back


async def after_restarts(port: int, away: Callable[[float], float]) -> dict[str, list[float]]:
    """Seconds from the moment the gateway listens again to the next token, for our link and for the iterator."""
    back: dict[str, list[float]] = {"openclaw_nb": [], "websockets' iterator": []}
    async with AsyncExitStack() as stack:
        clients = [kind(token=TOKEN) for kind in (OpenClawClient, IteratorClient) for _ in range(ABREAST)]
        for client in clients:
            await stack.enter_async_context(client)
            await client.connect(f"ws://127.0.0.1:{port}")
        for cycle in range(RESTARTS):
            runs = [client.send(f"{cycle} {i}", session=f"{cycle} {i}") for i, client in enumerate(clients)]
            heard = [_listen(run) for run in runs]
            await _until(lambda heard=heard: all(heard))
            opened = await asyncio.to_thread(away, random.uniform(0.3, 1.0))
            await _until(lambda heard=heard, opened=opened: all(times[-1] > opened for times in heard))
            for client, times in zip(clients, heard, strict=True):
                kind = "websockets' iterator" if isinstance(client, IteratorClient) else "openclaw_nb"
                back[kind].append(next(moment for moment in times if moment > opened) - opened)
            for run in runs:
                run.cancel()
                await run
    return back


def _listen(run: Run) -> list[float]:
    """When its deltas come."""
    times: list[float] = []
    run.subscribe(lambda event: times.append(time.monotonic()) if isinstance(event, Delta) else None)
    return times


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nothing here knows when
            await asyncio.sleep(0.01)


def _row(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    p50, p99 = statistics.median(ordered), ordered[len(ordered) * 99 // 100]
    print(f"{name:44} {len(ordered):6} {p50 * 1000:9.1f} {p99 * 1000:9.1f} {ordered[-1] * 1000:9.1f}")


async def measure() -> None:
    print(f"{'':44} {'times':>6} {'P50 ms':>9} {'P99 ms':>9} {'max ms':>9}")
    with gateway() as (port, away):
        _row("abort -> next new token", await after_aborts(port))
        back = await after_restarts(port, away)
    for name, seconds in back.items():
        _row(f"gateway back -> token, {name}", seconds)
    ours, theirs = map(statistics.median, back.values())
    print(f"after a restart {theirs / ours:.0f} times sooner than the iterator (medians)")


def main() -> None:
    asyncio.run(measure())


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        main()
