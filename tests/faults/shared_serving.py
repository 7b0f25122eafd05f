"""`openclaw-nb serve` in processes that are there at once: forked from one that has imported all of it.

Run as a module it is that one: for each line of arguments it forks a child that is `openclaw-nb` with them, and prints
the child's id.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, aclosing
from pathlib import Path
from types import TracebackType

from tests.faults.killed import held

__all__ = ["Fleet", "Instance"]

ROOT = Path(__file__).parents[2]


class Instance:
    """One gateway process at a port of its own, which ``port_held`` holds as long as it lives."""

    def __init__(self, pid: int, port: int, port_held: ExitStack) -> None:
        self.pid = pid
        self._port_held = port_held
        self.port = port
        self.url = f"ws://127.0.0.1:{port}"
        self.token = "same"

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        self.signal(signal.SIGKILL)
        self._port_held.close()


class Fleet:
    """Instances that share runs in the Redis at ``redis``; the token is "same"."""

    def __init__(self, redis: str, model: str) -> None:
        self._model = model
        self._options = f"--model {model} --redis {redis}"
        self._alive: list[Instance] = []
        self._source: subprocess.Popen[str] | None = None

    def __enter__(self) -> Fleet:
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        env = {key: value for key, value in os.environ.items() if not key.startswith("OPENCLAW_")}
        command = [sys.executable, "-m", "tests.faults.shared_serving", self._model]
        self._source = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=env | {"PYTHONPATH": path, "OPENCLAW_GATEWAY_TOKEN": "same"},
        )  # fmt: skip
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for instance in self._alive:
            instance.signal(signal.SIGCONT)
            instance.kill()
        assert self._source is not None
        self._source.communicate(timeout=60)

    def start(self, *options: str) -> Instance:
        """One more, once it listens."""
        holding = ExitStack()
        port = holding.enter_context(held())
        source = self._source
        assert source is not None
        assert source.stdin is not None
        assert source.stdout is not None
        source.stdin.write(f"serve --port {port} {self._options} {shlex.join(options)}\n")
        source.stdin.flush()
        instance = Instance(int(source.stdout.readline()), port, holding)
        self._alive.append(instance)
        deadline = time.monotonic() + 60
        with socket.socket() as probe:
            while probe.connect_ex(("127.0.0.1", port)):
                assert time.monotonic() < deadline, "it does not listen"
                time.sleep(0.01)
        return instance

    def kill_all(self) -> None:
        for instance in tuple(self._alive):
            self.kill(instance)

    def kill(self, instance: Instance) -> None:
        self._alive.remove(instance)
        instance.kill()


def _serve_on_demand() -> None:
    import redis.asyncio  # noqa: F401 - what every child would import
    from websockets.asyncio import server  # noqa: F401

    from openclaw_nb import cli, models
    from openclaw_nb.cli import serve  # noqa: F401
    from openclaw_nb.engine import Engine, Turn
    from openclaw_nb.snapshots import SnapshotStore

    async def warm_up() -> None:
        engine = Engine(SnapshotStore(), models.resolve(sys.argv[1]))
        async with aclosing(engine.turn(Turn("warm", "warm"))) as events:
            async for _ in events:
                pass
        await engine.default.aclose()  # type: ignore[attr-defined]

    asyncio.run(warm_up())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        pid = os.fork()
        if pid:
            sys.stdout.write(f"{pid}\n")
            sys.stdout.flush()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        os._exit(cli.main(shlex.split(line)))


if __name__ == "__main__":
    _serve_on_demand()
