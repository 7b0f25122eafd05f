"""OpenClaw's own programs as clients of another gateway: run to their end, driven by a pty, or spoken to by lines."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

from tests.conformance import install
from tests.conformance.gateways import private_env

__all__ = ["PATIENCE", "Program", "Terminal", "ask"]

PATIENCE = 240.0
"""Seconds that a program may take: three to thirteen where nothing else is at work, forty where all else is."""

ESCAPE = re.compile(r"\x1b\[[0-9;?>=]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]|[\r\x00]")


class Program:
    """The program of one version, configured for a gateway at ``url``."""

    def __init__(self, version: str, folder: Path, url: str, token: str) -> None:
        self.version = version
        self.url = url
        self.token = token
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.env = private_env(folder, install.node())
        self._words = [str(install.node()), str(install.program(version))]
        config = {"gateway": {"mode": "remote", "remote": {"url": url, "token": token}}}
        (folder / "openclaw.json").write_text(json.dumps(config), encoding="utf-8")

    @property
    def there(self) -> list[str]:
        """The options that say which gateway."""
        return ["--url", self.url, "--token", self.token]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._words, *words], env=self.env, cwd=self.folder, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False,
        )  # fmt: skip

    def terminal(self, *words: str) -> Terminal:
        return Terminal([*self._words, *words], self.env, self.folder)

    def lines(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self._words, *words], env=self.env, cwd=self.folder, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip


class Terminal:
    """A program at a terminal of its own. ``shown`` is all that it has written, without what only moves and colours."""

    def __init__(self, command: list[str], env: dict[str, str], folder: Path) -> None:
        self.shown = ""
        self._half = b""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execve(command[0], command, env | {"TERM": "xterm-256color"})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._fd)

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def wait_for(self, words: str) -> str:
        """All that was shown when these words were there."""
        until = time.monotonic() + PATIENCE
        while words not in self.shown:
            assert time.monotonic() < until, f"{words!r} was not shown, but {self.shown[-2000:]!r}"
            self.look(0.1)
        return self.shown

    def look(self, seconds: float) -> None:
        """Read what comes within so many seconds."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._fd], [], [], left)[0]:
                data = os.read(self._fd, 65_536)
                for question, answer in ((b"\x1b[6n", b"\x1b[1;1R"), (b"\x1b[c", b"\x1b[?62c")):
                    if question in data:
                        os.write(self._fd, answer)
                self.shown += ESCAPE.sub("", data.decode(errors="replace"))


def ask(process: subprocess.Popen[str], id: int, method: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Call a method by a line of JSON-RPC; what came up to its answer, which is the last."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}) + "\n")
    process.stdin.flush()
    came: list[dict[str, Any]] = []
    for line in process.stdout:
        if line.startswith("{"):
            came.append(json.loads(line))
            if came[-1].get("id") == id and "method" not in came[-1]:
                return came
    raise AssertionError(f"it ended before it answered {method}")
