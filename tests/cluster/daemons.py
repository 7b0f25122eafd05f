"""Real programs around a gateway, in processes of their own on free ports of loopback: Redis, balancers, Prometheus."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

__all__ = [
    "Daemon", "Missing", "free_port", "haproxy", "listens", "nginx", "program", "prometheus", "redis_server", "starter",
]  # fmt: skip

PATIENCE = 60.0  # seconds that a program may take to listen, or to end

_SYSTEM = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))  # not on everybody's PATH, balancers are there


class Missing(Exception):
    """A program is not on this machine; the words are for a skip."""


def program(name: str) -> str:
    """Where a program is; `Missing` says what could not be run."""
    if (found := shutil.which(name) or shutil.which(name, path=_SYSTEM)) is None:
        raise Missing(f"{name} is not installed, so nothing was run against the real one")
    return found


def free_port(count: int = 1) -> int:
    """A port of 127.0.0.1 that nobody has, the first of so many in a row.

    It is below those that systems give to whoever asks for any: nobody gets it before it is listened at.
    """
    while True:
        first = random.SystemRandom().randrange(20_000, 30_000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def listens(port: int) -> bool:
    """Whether somebody takes connections at this port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Daemon:
    """One program that listens at ``port``; started, killed and started again, always at the same place.

    ``folder`` holds its configuration and what it wrote (``log``); the process is ended by its own id.
    """

    def __init__(self, name: str, command: list[str], port: int, folder: Path) -> None:
        self.name = name
        self.port = port
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<{self.name} at {self.port}, process {self.pid}>"

    @property
    def pid(self) -> int | None:
        """The id of its process; None while there is none."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Daemon:
        self.start()
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Run it, and return when it listens; AssertionError with what it wrote, where it ends instead."""
        assert self._process is None, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while not listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self.name} does not listen at {self.port}:\n{self.words()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not end it; nothing where it has ended."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        self._end(signal.SIGKILL)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def words(self) -> str:
        """What it wrote."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def redis_server(folder: Path, *options: str, port: int = 0) -> Daemon:
    """A Redis that keeps nothing on disk; ``options`` as ``"--requirepass", "…"``. It is at redis://127.0.0.1:PORT/0."""
    port = port or free_port()
    command = [
        program("redis-server"), "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no",
        "--dir", str(folder), *options,
    ]  # fmt: skip
    return Daemon("redis-server", command, port, folder)


def haproxy(folder: Path, text: str, port: int) -> Daemon:
    """haproxy with this configuration, whole, which listens at ``port``."""
    command = [program("haproxy"), "-db", "-f", str(_written(folder, "haproxy.cfg", text))]
    return Daemon("haproxy", command, port, folder)


def nginx(folder: Path, text: str, port: int) -> Daemon:
    """nginx with this as what stands within ``http { … }``, which listens at ``port``; one worker process."""
    temporary = "".join(
        f"  {kind}_temp_path {folder / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # A master that is root has its worker become somebody who may not read the folder of a test.
    user = "user root;\n" if os.geteuid() == 0 else ""
    whole = (
        f"{user}daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log info;\n"
        f"events {{ worker_connections 4096; }}\n"
        f"http {{\n{temporary}  access_log off;\n  include {_written(folder, 'openclaw.conf', text)};\n}}\n"
    )
    config = _written(folder, "nginx.conf", whole)
    return Daemon("nginx", [program("nginx"), "-p", str(folder), "-c", str(config), "-e", "stderr"], port, folder)


def prometheus(folder: Path, text: str, port: int = 0, *options: str) -> Daemon:
    """Prometheus with this configuration, whole; its data is in ``folder``, its API at http://127.0.0.1:PORT/api/v1/."""
    port = port or free_port()
    command = [
        program("prometheus"), f"--config.file={_written(folder, 'prometheus.yml', text)}",
        f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}", *options,
    ]  # fmt: skip
    return Daemon("prometheus", command, port, folder)


def starter(make: Callable[..., Daemon], stack: contextlib.ExitStack, folder: Path) -> Callable[..., Daemon]:
    """``make`` without its folder: each daemon has one of its own, and is ended with ``stack``."""

    def start(*arguments: object, **options: object) -> Daemon:
        own = Path(tempfile.mkdtemp(prefix=f"{make.__name__}-", dir=folder))
        return stack.enter_context(make(own, *arguments, **options))

    return start


def _written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
