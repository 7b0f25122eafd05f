"""A real OpenClaw gateway as a process on loopback, with a state of its own, in front of a model of ours.

By hand: `python -m tests.conformance.gateways 2026.9.6`, with what `tests.conformance.install` has installed.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from websockets.exceptions import WebSocketException

from tests.cluster.daemons import free_port
from tests.conformance import install
from tests.conformance.model import ModelProcess
from tests.conformance.wire import Wire

__all__ = ["RealGateway", "serving", "side_by_side"]

READY = 180.0
"""Seconds that one takes to start at most: 98 were seen on two busy cores."""


class RealGateway:
    """Where it listens, the token that it opens for, its protocol, and how its own programs are run."""

    def __init__(self, command: list[str], version: str, folder: Path, port: int, env: Mapping[str, str]) -> None:
        self.command = command
        self.version = version
        self.folder = folder
        self.port = port
        self.token = secrets.token_hex(16)
        self.env = dict(env)

    @property
    def protocol(self) -> int:
        return 3 if self.version == "2026.3.1" else 4

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        return self.folder / "openclaw.json"

    def configure(self, model_url: str, **more: Any) -> None:
        """Write its configuration: loopback, a token, a model of ours under two names, and nothing that calls out."""
        free = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}
        told = {"input": ["text", "image"], "contextWindow": 128_000, "maxTokens": 8192}
        config = {
            "gateway": {
                "mode": "local", "port": self.port, "bind": "loopback", "controlUi": {"enabled": False},
                "trustedProxies": ["127.0.0.2"],
                "auth": {"mode": "token", "token": self.token},
            },
            "models": {"mode": "replace", "providers": {"mock": {
                "baseUrl": model_url, "apiKey": "none", "api": "openai-completions", "models": [
                    {"id": "mock-1", "name": "Mock One", "reasoning": True, "cost": {**free, "input": 1, "output": 2},
                     "compat": {"supportsReasoningEffort": True}, **told},
                    {"id": "mock-2", "name": "Mock Two", "reasoning": False, "cost": free, **told},
                ],
            }}},
            "agents": {"defaults": {
                "model": {"primary": "mock/mock-1"}, "workspace": str(self.folder / "workspace"), "skipBootstrap": True,
                "heartbeat": {"every": "0m"}, "models": {"mock/mock-1": {}, "mock/mock-2": {}},
            }, "list": [{"id": "main", "default": True}, {"id": "helper"}, {"id": "careful", "tools": {
                "exec": {"host": "gateway", "security": "allowlist", "ask": "always"},
            }}]},
            "plugins": {"enabled": False}, "browser": {"enabled": False}, "discovery": {"mdns": {"mode": "off"}},
            "update": {"checkOnStart": False},
        }  # fmt: skip
        for name, value in more.items():
            config[name] = {**config.get(name, {}), **value}
        self.config.write_text(json.dumps(config, indent=1), encoding="utf-8")
        self.config.chmod(0o600)

    def run(self, *words: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command of its version's own program, with the state of this gateway."""
        return subprocess.run(
            [*self.command, *words], env=self.env, capture_output=True, text=True, timeout=timeout, check=False,
            cwd=self.folder, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self) -> subprocess.Popen[bytes]:
        log = (self.folder / "gateway.log").open("ab")
        with log:
            return subprocess.Popen(
                [*self.command, "gateway", "run", "--port", str(self.port), "--bind", "loopback"],
                env=self.env, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.folder,
            )  # fmt: skip

    def wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Return when it lets clients in; AssertionError with the end of its log where it does not."""
        until = time.monotonic() + READY
        while time.monotonic() < until and process.poll() is None:
            try:
                asyncio.run(self._let_in())
                return
            except (OSError, AssertionError, WebSocketException):  # 2026.9.6 listens before it is ready
                time.sleep(0.2)
        log = (self.folder / "gateway.log").read_text(encoding="utf-8", errors="replace")
        raise AssertionError(f"OpenClaw {self.version} lets nobody in: {log[-2000:]}")

    async def _let_in(self) -> None:
        async with Wire(self.url, self.token) as wire:
            assert (await wire.let_in())["ok"]

    def warm_up(self) -> None:
        """Send each agent a first message, which takes ten seconds where the others take one."""

        async def send(wire: Wire, agent: str) -> None:
            await wire.chat(f"agent:{agent}:first", "hello [n=1]", f"first-{agent}")
            await wire.ended(f"first-{agent}")

        async def all_of_them() -> None:
            async with Wire(self.url, self.token) as wire:
                await wire.let_in()
                await asyncio.gather(*(send(wire, agent) for agent in ("main", "careful")))

        asyncio.run(all_of_them())


def private_env(folder: Path, node: Path) -> dict[str, str]:
    """What keeps a gateway and its programs within ``folder``."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TERM") if name in os.environ}
    return kept | {
        "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}", "HOME": str(folder),
        "OPENCLAW_STATE_DIR": str(folder / "state"), "OPENCLAW_CONFIG_PATH": str(folder / "openclaw.json"),
        "OPENCLAW_SKIP_CHANNELS": "1", "OPENCLAW_DISABLE_BONJOUR": "1", "OPENCLAW_NO_RESPAWN": "1", "NO_COLOR": "1",
    }  # fmt: skip


@contextmanager
def serving(
    version: str, node: Path, program: Path, folder: Path, model_url: str, port: int = 0, **more: Any
) -> Iterator[RealGateway]:
    """A gateway of this version while the context is open; ``more`` goes into its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(node), str(program)]
    gateway = RealGateway(command, version, folder, port or free_port(), private_env(folder, node))
    gateway.configure(model_url, **more)
    process = gateway.start()
    try:
        gateway.wait_until_ready(process)
        yield gateway
    finally:
        process.terminate()
        try:
            process.wait(5)  # it would let its runs end first, for minutes
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def side_by_side(folder: Path, model_url: str) -> Iterator[dict[str, RealGateway]]:
    """All that are installed, by their version, started at once and warmed up."""
    with ExitStack() as stack:

        def start(version: str) -> RealGateway:
            made = serving(version, install.node(), install.program(version), folder / version, model_url)
            gateway = stack.enter_context(made)
            gateway.warm_up()
            return gateway

        with ThreadPoolExecutor() as beside:
            started = list(beside.map(start, install.GATEWAYS))
        yield {gateway.version: gateway for gateway in started}


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else next(iter(install.GATEWAYS))
    with (
        tempfile.TemporaryDirectory() as state,
        ModelProcess() as model,
        serving(chosen, install.node(), install.program(chosen), Path(state), model.url) as running,
    ):
        print(f"OpenClaw {chosen} at {running.url}, token {running.token}; it ends with its input", flush=True)
        sys.stdin.read()
