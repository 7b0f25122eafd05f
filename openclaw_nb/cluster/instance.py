"""One gateway in a process of its own: it serves until it is told to end, and then drains."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable

from ..gateway import Gateway
from ..metrics import Exporter

__all__ = ["collect_seldom", "serve_until_told"]


def collect_seldom() -> None:
    """Have this process look for garbage less often.

    A gateway keeps what has ended for minutes, which is no garbage, and each look at all of it holds up every stream:
    at 10,000 requests/s, ten gateways on two cores, P99 was 38 to 50 ms with this and 290 or more without.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)


async def serve_until_told(
    gateway: Gateway,
    say: Callable[[str], None],
    words: str = "",
    *,
    drain: float,
    grace: float = 0.0,
    exporter: Exporter | None = None,
    patience: float = 0.0,
    supervised: bool = False,
) -> None:
    """Serve, and ``say`` so with ``words``; at SIGTERM or SIGINT drain, at a second one end at once.

    ``exporter`` serves metrics meanwhile, with ``patience`` for somebody before it at its port, in seconds. A
    ``supervised`` one drains too when its standard input ends: who started it is gone then, in whichever way.
    """
    loop = asyncio.get_running_loop()
    told = (asyncio.Event(), asyncio.Event())

    def tell() -> None:
        told[told[0].is_set()].set()

    def end() -> None:
        loop.remove_reader(sys.stdin)
        told[0].set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, tell)
    async with gateway:
        if supervised:
            loop.add_reader(sys.stdin, end)
        say(f"serving {gateway.engine.default.name} at {gateway.url}{words}")
        export = asyncio.create_task(_export(exporter, say, patience))
        try:
            await told[0].wait()
            if count := gateway.at_work:
                runs = "1 run" if count == 1 else f"{count} runs"
                say(f"draining: {runs} at work may take {grace + drain:g} s; told once more it ends at once")
            leaving, at_once = asyncio.create_task(gateway.drain(drain, grace)), asyncio.create_task(told[1].wait())
            await asyncio.wait((leaving, at_once), return_when=asyncio.FIRST_COMPLETED)
            await _cancel(leaving, at_once)
        finally:
            await _cancel(export)
            if exporter is not None:
                await asyncio.to_thread(exporter.close)


async def _export(exporter: Exporter | None, say: Callable[[str], None], patience: float) -> None:
    """Serve metrics, as soon as their port is free or it was waited for in vain."""
    if exporter is None:
        return
    until = asyncio.get_running_loop().time() + patience
    while asyncio.get_running_loop().time() < until:
        if not await _listens(exporter.host, exporter.port):
            break
        await asyncio.sleep(0.1)
    exporter.start()
    say(exporter.moved or f"metrics are at {exporter.url}")


async def _listens(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.transport.abort()
    return True


async def _cancel(*tasks: asyncio.Task[None] | asyncio.Task[bool]) -> None:
    """Have them end, and raise what one of them has failed with."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
