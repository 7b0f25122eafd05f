"""Runs whose snapshots cannot be written just now: another process has the file locked, or the disk is full."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import AgentSpec, Engine
from openclaw_nb.gateway import Gateway
from openclaw_nb.models import resolve
from openclaw_nb.run import Run
from openclaw_nb.sessions.memory import Memory, cut_in
from openclaw_nb.snapshots import SnapshotStore, database
from tests.spine import Thinker, asynchronous, soon

PACE = 0.01
LOCK = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1], isolation_level=None) as db:
    db.execute("BEGIN IMMEDIATE")
    print("locked", flush=True)
    sys.stdin.read()
    db.execute("ROLLBACK")
"""
FULL = """
import asyncio, json, resource, signal, sys
from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import AgentSpec, Engine
from openclaw_nb.gateway import Gateway
from openclaw_nb.sessions.memory import Memory, cut_in
from openclaw_nb.models import resolve
from openclaw_nb.snapshots import SnapshotStore

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
UNLIMITED = resource.RLIM_INFINITY
COUNT = 200

async def count(prompt):
    for n in range(COUNT):
        yield f"{n} ".ljust(200, ".")
        await asyncio.sleep(0.005)

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, UNLIMITED))

async def main():
    store = SnapshotStore(sys.argv[1])
    memory = Memory(store, fresh=True)
    engine = Engine(memory, resolve(count))
    engine._agents["main"] = AgentSpec("main", snapshot_interval=0.02)
    async with Gateway(engine=engine) as gateway, OpenClawClient(token=gateway.token) as client:
        await client.connect(gateway.url)
        run = client.send("count")
        while run.text.count(" ") < 50:
            await asyncio.sleep(0.001)
        limit(0)  # of what is written, inside the files as well
        before = len(store.list())
        while run.text.count(" ") < 150:
            await asyncio.sleep(0.001)
        refused = len(store.list()) - before
        limit(UNLIMITED)
        result = await run
        kept = [cut_in(one) for one in store.list() if one.facts["kind"] == "checkpoint"]
    memory.close()
    whole = "".join(f"{n} ".ljust(200, ".") for n in range(COUNT))
    print(json.dumps({
        "status": result.status, "whole": result.text == whole, "while full": refused,
        "prefixes": all(whole.startswith(cut.text) for cut in kept), "longest": max(len(cut.text) for cut in kept),
        "in memory": memory.head("main").state["messages"][-1]["content"] == whole, "verify": store.verify(),
    }))

asyncio.run(main())
"""


class Lock:
    """Another process has the file locked when this is made, until ``release``."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-c", LOCK, str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "locked\n"

    def release(self) -> None:
        assert self._process.communicate(timeout=60) is not None
        assert self._process.returncode == 0


async def numbers(prompt: str) -> AsyncIterator[str]:
    """About three seconds, if the question is not a short one."""
    for n in range(1 if prompt == "short" else 300):
        yield f"{n} "
        await asyncio.sleep(PACE)


WHOLE = "".join(f"{n} " for n in range(300))


def engine_over(store: SnapshotStore, interval: float = 0.02) -> Engine:
    engine = Engine(Memory(store, fresh=True), resolve(numbers))
    engine._agents["main"] = AgentSpec(snapshot_interval=interval)
    return engine


async def arrivals(run: Run) -> list[float]:
    """When each delta came, seconds on the monotonic clock."""
    return [time.monotonic() async for _ in run]


def longest(moments: list[float], since: float, until: float) -> float:
    """The longest time without a delta between two moments."""
    inside = [since, *(moment for moment in moments if since < moment < until), until]
    return max(b - a for a, b in itertools.pairwise(inside))


@asynchronous
async def test_a_locked_file_holds_up_no_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str, str], None]
) -> None:
    monkeypatch.setattr(database, "_WAIT", 120.0)  # who waited for the lock would say no more until it is given back
    path = tmp_path / "s.db"
    with SnapshotStore(path) as store:
        engine = engine_over(store)
        async with Gateway(engine=engine) as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            await client.send("short")
            runs = [client.send("one"), client.send("two", session="other")]
            listening = [asyncio.create_task(arrivals(run)) for run in runs]
            await soon(lambda: len(store.list()) > 5)
            before = len(store.list())
            lock = await asyncio.to_thread(Lock, path)
            since, then = time.monotonic(), [run.answer_tokens for run in runs]
            await asyncio.sleep(0.2)  # until a checkpoint waits for the lock
            history = await client.request("chat.history", {"sessionKey": "main"})
            assert len(history["messages"]) == 2
            beside = client.send("three", busy="branch")
            wanted = [min(tokens + 150, 290) for tokens in then]
            await soon(lambda: all(run.answer_tokens >= least for run, least in zip(runs, wanted, strict=True)))
            until = time.monotonic()
            await asyncio.to_thread(lock.release)
            heard = [await moments for moments in listening]
            gaps = [longest(moments, since, min(until, moments[-1])) for moments in heard]
            assert [run.text for run in runs] == [WHOLE, WHOLE]
            await beside
            assert beside.session == "main-2"
        engine.memory.close()
        assert len(store.list()) > before
        assert store.verify() == []
    figure(
        f"snapshots, a file locked for {until - since:.1f} s in mid-run",
        f"longest wait for a token {max(gaps) * 1000:.0f} ms",
    )


def test_a_full_disk_ends_no_stream(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "s.db")], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told.pop("longest") > 200 * 150
    assert told.pop("while full") <= 2
    assert told == {"status": "done", "whole": True, "prefixes": True, "in memory": True, "verify": []}


@asynchronous
async def test_each_step_is_a_point_to_return_to(tmp_path: Path) -> None:
    """After what was thought; the interval is longer than the run."""
    with SnapshotStore(tmp_path / "s.db") as store:
        memory = Memory(store, fresh=True)
        engine = Engine(memory, Thinker("one ", "two", pause=0.01))
        async with Gateway(engine=engine) as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            await client.send("q")
        steps = [one for one in store.list() if one.facts["kind"] == "step"]
        assert [cut.text for cut in map(cut_in, steps) if cut] == ["", "one "]
        assert store.list()[-1].facts["kind"] == "turn"
        assert memory.head("main") == store.list()[-1]
