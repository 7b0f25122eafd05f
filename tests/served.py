"""`openclaw-nb serve` in a process of its own, which can be killed and started again at the same address."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

__all__ = ["Served"]

ROOT = Path(__file__).parents[1]


class Served:
    """A gateway at one address, with its token in one file, however many processes serve it one after the other."""

    def __init__(self, folder: Path, model: str = "offline", *options: str) -> None:
        # Bound as long as it lasts, and never listened at: nobody else is given the port before a process listens
        # there, nor while none does.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.port: int = self._holder.getsockname()[1]
        if sys.platform != "linux":  # others let no second socket have it
            self._holder.close()
        self.url = f"ws://127.0.0.1:{self.port}"
        self.token_file = folder / "token"
        self._model = model
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Served:
        self.start()
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._holder.close()

    def start(self) -> None:
        """Serve, and return when it listens."""
        options = [
            "--port",
            str(self.port),
            "--model",
            self._model,
            "--token-file",
            str(self.token_file),
            *self._options,
        ]
        command = [sys.executable, "-m", "openclaw_nb.cli", "serve", *options]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        env = {key: value for key, value in os.environ.items() if not key.startswith("OPENCLAW_")}
        self._process = subprocess.Popen(command, env=env | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self.url in self._process.stdout.readline()

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody, nothing written down."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def connect(self) -> str:
        """The code of a cell that sends a notebook's runs here."""
        return f"%load_ext openclaw_nb\n%openclaw connect {self.url} --token-file {self.token_file}"
