"""Workers at one port: all get clients, one that dies comes back, a rolling restart and a drain lose no text."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from openclaw_nb.cluster import can_share
from tests.cluster.daemons import Daemon
from tests.cluster.workers import Workers, ready, soon, streams

one_port = pytest.mark.skipif(not can_share(), reason="this system has no port for several processes")


@one_port
def test_three_workers_at_one_port(tmp_path: Path, figure: Callable[[str, str], None]) -> None:
    with Workers(tmp_path, 3, "--drain", "120", model="offline:200") as workers:
        assert len(set(workers.urls.values())) == 1
        got = Counter(ready(workers.port)[1]["instance"] for _ in range(90))
        assert len(got) == 3, "every worker gets clients"
        figure("cluster workers", f"90 connections on 3 workers: {', '.join(map(str, sorted(got.values())))}")

        taken = subprocess.run(
            [sys.executable, "-m", "openclaw_nb.cli", "serve", "--workers", "2", "--port", str(workers.port)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert taken.stderr == f"openclaw-nb: cannot listen on 127.0.0.1:{workers.port}: Address already in use\n"

        killed = workers.pids[2]
        os.kill(killed, signal.SIGKILL)
        assert workers.line() == (f"worker 2 (process {killed}) was ended by SIGKILL; another is started in 0.1 s")
        workers.until("worker 2 (process")
        assert workers.pids[2] != killed

        before = dict(workers.pids)

        def roll() -> None:
            workers.process.send_signal(signal.SIGHUP)
            assert workers.until("replacing") == "replacing 3 workers, one by one"
            workers.until("worker 3 (process")

        told = asyncio.run(streams(workers.url, workers.token, 6, roll))
        figure("cluster rolling restart", f"3 workers replaced under 6 streams: {told:,} deltas, 0 lost, 0 twice")
        soon(lambda: not any(psutil.pid_exists(pid) for pid in before.values()), "the drain of those before")
        assert not set(before.values()) & set(workers.pids.values())
        assert workers.end() == (0, ["draining 3 workers"])
        assert ready(workers.port) == (0, {})
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # those who left hold no port
            probe.bind(("127.0.0.1", workers.port))


def test_workers_at_ports_of_their_own_end_with_their_supervisor(tmp_path: Path) -> None:
    with Workers(tmp_path, 2, "--ports", "many") as workers:
        ports = [int(url.rpartition(":")[2]) for url in workers.urls.values()]
        assert len({ready(port)[1]["instance"] for port in ports}) == 2
        workers.process.kill()
        for pid in workers.pids.values():
            soon(lambda pid=pid: not psutil.pid_exists(pid), "the end of an orphan")  # type: ignore[misc]


def test_what_keeps_one_from_serving_is_said_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "openclaw_nb.cli", "serve", "--workers", "3", "--port", "0", "--model", "nobody:x"]
    refused = subprocess.run(
        [*command, "--token-file", str(tmp_path / "token")], capture_output=True, text=True, timeout=60
    )
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert refused.stderr.startswith("openclaw-nb: ")


@one_port
def test_with_redis_what_does_not_end_in_the_drain_goes_on_elsewhere(
    tmp_path: Path, redis_server: Callable[..., Daemon], figure: Callable[[str, str], None]
) -> None:
    redis = f"redis://127.0.0.1:{redis_server().port}/0"
    with Workers(tmp_path, 2, "--redis", redis, "--drain", "0.1", model="offline:300") as workers:
        assert all(f"runs are shared by {redis}" in line for line in workers.lines)
        assert ready(workers.port)[1]["shared"] is True
        notes: list[str] = []
        told = asyncio.run(
            streams(workers.url, workers.token, 16, lambda: os.kill(workers.pids[1], signal.SIGTERM), notes=notes)
        )
        assert "reconnect" in notes  # that all 16 were at the other worker comes once in 65,536 times
        assert "restore" not in notes, "no answer was asked for again"
        figure("cluster drain of 0.1 s with Redis", f"16 streams, {told:,} deltas, 0 lost, 0 twice, 0 asked again")
