"""A Dask scheduler and its workers, in processes of their own, as they would be far away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import openclaw_nb
from openclaw_nb import Runtime
from openclaw_nb.pool import Lane
from tests.cluster.daemons import PATIENCE, free_port, listens

__all__ = ["Workers", "messages"]

IDLE = "300 seconds"
"""After which a scheduler ends that nobody has ended, and its workers with it."""

HERE = Path(openclaw_nb.__file__).parents[1]


class Workers:
    """``count`` workers of ``threads`` each; ``nanny`` starts one anew that was killed. Ended with the block."""

    def __init__(self, count: int = 2, threads: int = 4, *, nanny: bool = False) -> None:
        self.port = free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._env = {**os.environ, "PYTHONPATH": str(HERE)}
        self._count, self._threads, self._nanny = count, threads, nanny
        self._folder = tempfile.TemporaryDirectory(prefix="openclaw-dask-")
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Workers:
        try:
            self.start_scheduler()
            for _ in range(self._count):
                self.start_worker()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_scheduler(self) -> None:
        self.scheduler = self._start(
            "dask_scheduler", "--port", str(self.port), "--no-dashboard", "--idle-timeout", IDLE
        )
        deadline = time.monotonic() + PATIENCE
        while not listens(self.port):
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def start_worker(self) -> subprocess.Popen[bytes]:
        """One more; `wait_for` says when it is there."""
        nanny = "--nanny" if self._nanny else "--no-nanny"
        started = self._start(
            "dask_worker", self.address, "--nthreads", str(self._threads), nanny, "--no-dashboard",
            "--host", "127.0.0.1", "--death-timeout", "120",
        )  # fmt: skip
        self.workers.append(started)
        return started

    @property
    def log(self) -> str:
        """What all of them wrote."""
        return (Path(self._folder.name) / "log").read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        for one in (*self.workers, self.scheduler):
            if one is not None:
                with suppress(ProcessLookupError):
                    os.killpg(one.pid, signal.SIGKILL)
                one.wait()
        self.workers.clear()
        self._folder.cleanup()

    def _start(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        with open(Path(self._folder.name) / "log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{program}", *words], cwd=self._folder.name, env=self._env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip


def messages(lane: Lane) -> list[dict[str, Any]]:
    """What an agent's session has."""
    head = Runtime.shared().memory.head(lane.session)
    return head.state["messages"] if head is not None else []
