"""Several `openclaw-nb serve` processes under one supervisor, which says what happens to them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from openclaw_nb.client import OpenClawClient

__all__ = ["Workers", "counted", "ready", "soon", "streams"]

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


class Workers:
    """``openclaw-nb serve --workers N``; ``pids`` by the number of the worker, ``lines`` all that was said."""

    def __init__(self, folder: Path, workers: int = 3, *options: str, model: str = "offline:0") -> None:
        self.folder = folder
        self.token_file = folder / "token"
        self.lines: list[str] = []
        self.pids: dict[int, int] = {}
        self.urls: dict[int, str] = {}
        self._started = workers
        self._options = [
            "--workers", str(workers), "--port", "0", "--model", model, "--token-file", str(self.token_file), *options,
        ]  # fmt: skip

    def __enter__(self) -> Workers:
        env = {key: value for key, value in os.environ.items() if not key.startswith("OPENCLAW_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "openclaw_nb.cli", "serve", *self._options], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True, env=env | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        while len(self.pids) < self._started:
            self.line()
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        alive = [process for pid in self.pids.values() if (process := _process(pid))]
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.stdout.close()  # type: ignore[union-attr]
            left = psutil.wait_procs(alive, timeout=PATIENCE)[1]
            for process in left:
                process.kill()
        assert not left, f"workers outlived their supervisor: {left}"

    @property
    def url(self) -> str:
        return self.urls[1]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def token(self) -> str:
        return self.token_file.read_text().strip()

    def line(self) -> str:
        """The next line that was said; what it tells of workers is taken down."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().rstrip("\n")
        if not line:
            raise AssertionError(f"the supervisor ended with {self.process.wait(PATIENCE)} after {self.lines}")
        self.lines.append(line)
        if ": serving " in line:
            number = int(line.split()[1])
            self.pids[number] = int(line.split("process ")[1].split(")")[0])
            self.urls[number] = line.split(" at ")[1].split(";")[0]
        return line

    def until(self, words: str) -> str:
        """The next line with these words."""
        while words not in (line := self.line()):
            pass
        return line

    def end(self) -> tuple[int, list[str]]:
        """SIGTERM; the exit code, and what was said until the end."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        rest = self.process.stdout.read().splitlines()
        return self.process.wait(PATIENCE), rest


def ready(port: int, path: str = "/readyz") -> tuple[int, dict[str, Any]]:
    """What a gateway of 127.0.0.1 says of itself; (0, {}) where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)
    except OSError:
        return 0, {}


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def counted(number: int) -> str:
    """What the offline model answers when it is to count so far."""
    return ", ".join(map(str, range(1, number + 1)))


async def streams(
    url: str,
    token: str,
    count: int,
    meanwhile: Callable[[], None],
    *,
    notes: list[str] | None = None,
    more: int = 0,
) -> int:
    """Ask for as many long answers, each over a connection of its own, and see that all come whole and once.

    ``meanwhile`` is called, in a thread, when all of them have begun. What clients tell of reconnecting until their
    answer is there goes into ``notes``. So many ``more`` ask something short then, before their long answer has ended,
    and are not listened to.
    Gives the deltas that were told.
    """
    begun = [asyncio.Event() for _ in range(count + more)]
    happened = asyncio.Event()
    told = 0

    async def one(number: int) -> None:
        nonlocal told
        async with OpenClawClient(token=token) as client:
            await client.connect(url)
            pieces: list[str] = []
            client.on("token", lambda piece: (pieces.append(str(piece)), begun[number].set()))
            run = client.send(f"count to {400 + number}", session=f"s{number}")
            for name in ("reconnect", "restore", "gap"):
                if notes is not None and number < count:
                    client.on(name, lambda *_, name=name: run.done() or notes.append(name))  # type: ignore[misc]
            await happened.wait()
            if number >= count:
                assert "42" in str(await client.send("what is 6*7?", session=f"more {number}"))
            answer = str(await run)
            assert answer.endswith(counted(400 + number)), answer
            assert number >= count or "".join(pieces) == answer, "what was told is what was said, once"
            told += len(pieces)

    runs = [asyncio.create_task(one(number)) for number in range(count + more)]
    try:
        async with asyncio.timeout(150):
            await asyncio.gather(*(event.wait() for event in begun))
            await asyncio.to_thread(meanwhile)
            happened.set()
            await asyncio.gather(*runs)
    finally:
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
    return told


def soon(condition: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)
