"""Kernels to measure in: plain ones, and ones behind a default jupyter_server, as a front end reaches them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from websockets.asyncio.client import ClientConnection, connect

__all__ = ["Cell", "MeasuredKernel", "kernel", "server"]

ROOT = Path(__file__).parents[2]


@dataclass
class Cell:
    """What one cell cost: iopub messages and their bytes, and the moment of the first visible text."""

    messages: int = 0
    bytes: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    first_text: float | None = None
    seconds: float = 0.0
    printed: str = ""


class MeasuredKernel:
    """A kernel of this environment, with the environment of a plain user."""

    def __init__(self, env: dict[str, str]) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.kernel_cmd = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self._manager.start_kernel(env=env, stderr=subprocess.DEVNULL)
        self._client: BlockingKernelClient = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)

    def run(self, code: str, timeout: float = 120) -> Cell:
        cell, start = Cell(), time.perf_counter()
        id = self._client.execute(code)
        while True:
            message = self._client.get_iopub_msg(timeout=timeout)
            content = message["content"]
            cell.messages += 1
            size = sum(len(json.dumps(message[key], default=str)) for key in ("header", "parent_header", "content"))
            cell.bytes += size
            cell.by_kind[message["msg_type"]] = cell.by_kind.get(message["msg_type"], 0) + size
            if cell.first_text is None and _has_text(message):
                cell.first_text = time.perf_counter() - start
            if message["msg_type"] == "stream":
                cell.printed += content["text"]
            if message["msg_type"] == "error":
                raise RuntimeError("\n".join(content["traceback"]))
            if content.get("execution_state") == "idle" and message["parent_header"].get("msg_id") == id:
                cell.seconds = time.perf_counter() - start
                return cell

    def cpu(self, code: str) -> tuple[Cell, float]:
        """The cell, and the CPU seconds its process used for it."""
        clock = "import time; print(time.process_time())"
        before = float(self.run(clock).printed)
        cell = self.run(code)
        return cell, float(self.run(clock).printed) - before

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


def _has_text(message: dict[str, Any]) -> bool:
    """Whether a person would now see text of the answer."""
    content = message["content"]
    match message["msg_type"]:
        case "stream" | "update_display_data":
            return True
        case "comm_msg":
            data = content["data"]
            return bool(data.get("content", {}).get("text") or data.get("state", {}).get("text"))
        case "display_data":
            return "text/html" in content["data"]
        case _:
            return False


@contextmanager
def kernel(**extra: str) -> Iterator[MeasuredKernel]:
    # Without bytecode every kernel would compile what it imports, which no user's does.
    foreign = ("OPENCLAW_", "PYTHONDONTWRITEBYTECODE")
    env = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    running = MeasuredKernel(env | extra)
    try:
        yield running
    finally:
        running.close()


@dataclass
class Server:
    """A default jupyter_server on loopback."""

    port: int
    token: str

    def new_kernel(self) -> str:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/kernels", b"{}", {"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.load(answer)["id"])

    async def run(self, kernel_id: str, cells: list[str]) -> list[list[dict[str, Any]]]:
        """Send all cells at once; the iopub messages of each until it is idle, and what follows within a second."""
        url = f"ws://127.0.0.1:{self.port}/api/kernels/{kernel_id}/channels?token={self.token}"
        async with connect(url, max_size=None, proxy=None, compression=None) as ws:
            ids = [await self._execute(ws, cell) for cell in cells]
            found: dict[str, list[dict[str, Any]]] = {id: [] for id in ids}
            idle: set[str] = set()
            while len(idle) < len(ids):
                message = json.loads(await asyncio.wait_for(ws.recv(), 120))
                parent = message["parent_header"].get("msg_id")
                if message["channel"] == "iopub":
                    found.setdefault(parent, []).append(message)
                    if message["content"].get("execution_state") == "idle" and parent in ids:
                        idle.add(parent)
            return [found[id] for id in ids]

    async def _execute(self, ws: ClientConnection, code: str) -> str:
        header = {
            "msg_id": uuid4().hex, "msg_type": "execute_request", "username": "", "session": uuid4().hex,
            "date": "", "version": "5.3",
        }  # fmt: skip
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
        request = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        await ws.send(json.dumps(request | {"buffers": []}))
        return header["msg_id"]


@contextmanager
def server(folder: Path, **extra: str) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    env = {key: value for key, value in os.environ.items() if not key.startswith("OPENCLAW_")}
    env |= {"JUPYTER_TOKEN": token, "JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_DATA_DIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter_server", "--no-browser", f"--port={port}", "--ip=127.0.0.1",
         "--allow-root", f"--ServerApp.root_dir={folder}"],
        env=env | extra, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        running = Server(port, token)
        _wait_for(port)
        yield running
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("the server did not come up")
