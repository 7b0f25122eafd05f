"""One gateway of its own: it says that it serves, hands over the port of its metrics, and ends in all ways."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

from openclaw_nb.cluster import serve_until_told
from openclaw_nb.gateway import Gateway
from openclaw_nb.metrics import Exporter, Metrics
from tests.cluster.daemons import free_port
from tests.spine import Counted, asynchronous, let_in, on_both_loops, soon


def serve(gateway: Gateway, **options: Any) -> tuple[asyncio.Task[None], list[str]]:
    said: list[str] = []
    return asyncio.create_task(serve_until_told(gateway, said.append, "; words", **({"drain": 30.0} | options))), said


@on_both_loops
async def test_it_drains_at_the_first_signal() -> None:
    gate = asyncio.Event()
    gateway = Gateway(model=Counted("one", until=gate))
    task, said = serve(gateway)
    await soon(lambda: said)
    assert said[0].endswith(f" at {gateway.url}; words")
    async with let_in(gateway) as raw:
        await raw.ask("chat.send", sessionKey="s", message="go", idempotencyKey="k")
        os.kill(os.getpid(), signal.SIGINT)
        await raw.event("shutdown")
        assert not task.done()
        assert said[1:] == ["draining: 1 run at work may take 30 s; told once more it ends at once"]
        gate.set()
        await raw.event("chat", runId="k", state="final")
    await task


@asynchronous
async def test_it_ends_at_once_at_the_second() -> None:
    gateway = Gateway(model=Counted("one", until=asyncio.Event()))
    task, said = serve(gateway, grace=3_600.0)
    await soon(lambda: said)
    async with let_in(gateway) as raw:
        await raw.ask("chat.send", sessionKey="s", message="go", idempotencyKey="k")
        os.kill(os.getpid(), signal.SIGTERM)
        await soon(lambda: gateway._status == "draining")
        os.kill(os.getpid(), signal.SIGTERM)
        await task


@asynchronous
async def test_it_drains_when_its_supervisor_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with os.fdopen(read) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        task, said = serve(Gateway(), supervised=True)
        await soon(lambda: said)
        await asyncio.sleep(0.05)
        assert not task.done()
        os.close(write)
        await task


def scraped(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        found: bytes = answer.read()
        return found


@asynchronous
async def test_a_successor_waits_for_the_port_of_metrics() -> None:
    port = free_port()
    before = Exporter(Metrics(), port=port)
    before.start()
    gateway = Gateway()
    task, said = serve(gateway, exporter=Exporter(gateway.metrics, port=port), patience=30.0)
    await soon(lambda: said)
    await asyncio.sleep(0.2)
    assert len(said) == 1, "it serves meanwhile"
    before.close()
    await soon(lambda: len(said) > 1)
    assert said[1] == f"metrics are at http://127.0.0.1:{port}/metrics"
    assert b"openclaw_runs_active 0.0" in await asyncio.to_thread(scraped, port)
    os.kill(os.getpid(), signal.SIGTERM)
    await task


@asynchronous
async def test_without_patience_metrics_go_elsewhere() -> None:
    other = Exporter(Metrics(), port=0)
    other.start()
    gateway = Gateway()
    task, said = serve(gateway, exporter=Exporter(gateway.metrics, port=other.port))
    await soon(lambda: len(said) > 1)
    assert said[1].startswith(f"port {other.port} is taken, so metrics are at http://127.0.0.1:")
    os.kill(os.getpid(), signal.SIGTERM)
    await task
    other.close()


def test_a_process_that_serves_looks_for_garbage_seldom() -> None:
    script = "import gc; from openclaw_nb.cluster import collect_seldom; collect_seldom(); print(gc.get_threshold())"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "(50000, 20, 1000)"
