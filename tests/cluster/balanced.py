"""What both balancers are put through: three real gateways behind the generated configuration, killed and drained."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
from websockets.asyncio.client import connect

from openclaw_nb.cli import main
from openclaw_nb.door import GUESSES
from tests.cluster.daemons import Daemon, free_port
from tests.cluster.workers import Workers, ready, soon, streams
from tests.spine import Raw
from tests.strangers import UPGRADE, log_in

__all__ = ["play"]

CONFIG = """\
monitoring: {{prometheusEnabled: false}}
gateway:
  {{port: {port}, ports: many, workers: 3, names: [gw.example.org], trustedProxies: [127.0.0.1], drain: 120s,
   token: {{file: token}}}}
"""


def play(
    kind: str, start: Callable[[str, int], Daemon], folder: Path, figure: Callable[[str, str], None], *, looks: bool
) -> None:
    """``looks`` says whether this balancer asks gateways whether they are ready."""
    first, listen = free_port(3), free_port()
    config = folder / "gateways.yaml"
    config.write_text(CONFIG.format(port=first))
    with Workers(folder, 3, "--config", str(config), "--port", str(first), model="offline:300") as workers:
        balancer = start(_generated(kind, config, folder, listen), listen)
        ports = [first + index for index in range(3)]
        soon(lambda: ready(listen)[0] == 200, "the balancer's first look")
        _doors(listen)
        url = f"ws://127.0.0.1:{listen}"
        seen: list[int] = []

        def kill() -> None:
            seen.extend(ready(port)[1]["connections"] for port in ports)
            os.kill(workers.pids[2], signal.SIGKILL)
            soon(lambda: _is_dead(workers.pids[2]), "the death of worker 2")  # until then its port takes connections
            for _ in range(6):  # the one that is gone has the fewest clients now
                assert _status(listen, UPGRADE % b"localhost") == b"101", (
                    "another one takes over, with no help of a client"
                )

        notes: list[str] = []
        told = asyncio.run(streams(url, workers.token, 9, kill, notes=notes))
        assert {"reconnect", "restore"} & set(notes)
        assert sum(seen) == 9, seen
        assert min(seen) >= 1, f"all gateways have clients: {seen}"
        figure(f"{kind}: one of 3 killed", f"9 streams ({seen} each), {told:,} deltas, 0 lost, 0 twice")
        workers.until("worker 2 (process")
        soon(lambda: ready(ports[1])[0] == 200, "the return of the one that was killed")
        if looks:
            soon(lambda: "UP" in balancer.words(), "the balancer's notice of that")

        def drain() -> None:
            os.kill(workers.pids[1], signal.SIGTERM)

        notes.clear()
        told = asyncio.run(streams(url, workers.token, 9, drain, notes=notes, more=6))
        assert notes == [], "who was at work has not noticed"
        figure(f"{kind}: one of 3 drained", f"15 streams, {told:,} deltas, 0 lost, 0 reconnects")
        looked = asyncio.run(_guesses(url))
        assert 0 < looked <= 3 * GUESSES, "where a client says that it is does not go through"


def _generated(kind: str, config: Path, folder: Path, listen: int) -> str:
    """What `openclaw-nb deploy` makes, as it stands."""
    assert (
        main(["deploy", kind, "--config", str(config), "--out", str(folder / kind), f"--listen=127.0.0.1:{listen}"])
        == 0
    )
    (made,) = (folder / kind).iterdir()
    return made.read_text()


def _doors(port: int) -> None:
    """The gateway's own door is what decides behind the balancer too: names, and pages of a browser."""
    upgrades = {
        UPGRADE % b"127.0.0.1": b"101", UPGRADE % b"gw.example.org": b"101", UPGRADE % b"evil.example.org": b"403",
        UPGRADE % b"127.0.0.1" + b"Origin: http://127.0.0.1\r\n": b"403",
        UPGRADE % b"gw.example.org" + b"Origin: https://gw.example.org\r\n": b"403",
    }  # fmt: skip
    for request, status in upgrades.items():
        assert _status(port, request) == status, request


async def _guesses(url: str) -> int:
    """How many wrong tokens are looked at of a client that says it is elsewhere each time."""
    looked = 0
    for i in range(3 * GUESSES + 5):
        headers = {"X-Forwarded-For": f"198.51.100.{i}"}
        async with connect(url, additional_headers=headers, proxy=None) as ws:
            raw = Raw(ws)
            await raw.read()
            looked += (await log_in(raw, "a guess"))["error"]["details"]["code"] == "AUTH_TOKEN_MISMATCH"
    return looked


def _is_dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _status(port: int, request: bytes) -> bytes:
    """The HTTP status that a request is answered with."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(request + b"\r\n")
        return client.recv(12, socket.MSG_WAITALL)[9:]
