"""Servers to measure, each in a process of its own: a plain one on websockets and json, and the gateway.

``python -m tests.bench.servers KIND LOOP`` prints its port and token, then answers every line on its stdin: "cpu" with
the CPU seconds (user and system) it has used, a prompt with those that a token of it costs the model where nobody is
told of any. It ends with its stdin.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import uvloop
from websockets.asyncio.server import ServerConnection, serve

from openclaw_nb.engine import Turn
from openclaw_nb.gateway import Gateway
from openclaw_nb.models.base import ModelEvent, TextDelta

__all__ = ["BURST", "SLOW", "TOKEN", "Server", "model", "plain"]

TOKEN = "tok "  # about what a token of English is
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

BURST = "burst {}"
"""The prompt for so many tokens in one go."""

SLOW = "slow {}"
"""The prompt for so many tokens, the loop turning after each, as it does where they come one by one from a network."""


async def model(prompt: str) -> AsyncIterator[str]:
    pace, tokens = prompt.split()
    for _ in range(int(tokens)):
        yield TOKEN
        if pace == "slow":
            await asyncio.sleep(0)


async def handler(turn: Turn) -> AsyncIterator[ModelEvent]:
    """The same model in the gateway's own terms, served without an Engine and so without sessions."""
    pace, tokens = turn.message.split()
    for _ in range(int(tokens)):
        yield TextDelta(TOKEN)
        if pace == "slow":
            await asyncio.sleep(0)


# -- a plain server, as one writes it with websockets and json ---------------------------------------------------------


async def answer(ws: ServerConnection, request: dict[str, Any]) -> None:
    """``pace.size`` tokens in an event; it divides their number."""
    params = request["params"]
    run, session, size = params["idempotencyKey"], params["sessionKey"], params["pace"]["size"]
    reply = {"type": "res", "id": request["id"], "ok": True, "payload": {"runId": run, "status": "started"}}
    await ws.send(json.dumps(reply))
    seq = tokens = offset = 0
    held = ""
    async for token in model(params["message"]):
        held += token
        tokens += 1
        if tokens % size:
            continue
        seq += 1
        payload = {
            "runId": run, "sessionKey": session, "seq": seq, "state": "delta", "deltaText": held, "offset": offset,
            "tokens": tokens,
        }  # fmt: skip
        await ws.send(json.dumps({"type": "event", "event": "chat", "payload": payload, "seq": seq}))
        offset += len(held)
        held = ""
    payload = {
        "runId": run, "sessionKey": session, "seq": seq + 1, "state": "final", "length": offset, "tokens": tokens,
        "stopReason": "stop",
    }  # fmt: skip
    await ws.send(json.dumps({"type": "event", "event": "chat", "payload": payload, "seq": seq + 1}))


async def plain(ws: ServerConnection) -> None:
    """Requests of one connection are answered side by side, as the gateway answers them."""
    at_work: set[asyncio.Task[None]] = set()

    def ended(task: asyncio.Task[None]) -> None:
        at_work.discard(task)
        task.exception()  # of a client that has gone, which is nobody's trouble

    async for message in ws:
        task = asyncio.create_task(answer(ws, json.loads(message)))
        at_work.add(task)
        task.add_done_callback(ended)


# -- one of them as a process ------------------------------------------------------------------------------------------


async def bare(prompt: str) -> None:
    """The model's own part in what a server costs."""

    async def read() -> None:
        async for _ in model(prompt):
            pass

    before = time.process_time()
    await asyncio.gather(*(read() for _ in range(20)))
    print((time.process_time() - before) / (20 * int(prompt.split()[1])), flush=True)


async def run(kind: str) -> None:
    done = asyncio.Event()
    measured: list[asyncio.Task[None]] = []

    def asked() -> None:
        match sys.stdin.readline().strip():
            case "cpu":
                print(time.process_time(), flush=True)
            case "":
                done.set()
            case prompt:
                measured.append(asyncio.create_task(bare(prompt)))

    asyncio.get_running_loop().add_reader(sys.stdin, asked)
    if kind == "plain":
        async with serve(plain, "127.0.0.1", 0, compression=None) as server:
            print(server.sockets[0].getsockname()[1], "-", flush=True)
            await done.wait()
    else:
        gateway = Gateway(handler=handler) if kind == "handler" else Gateway(model=model)
        async with gateway:
            print(gateway.port, gateway.token, flush=True)
            await done.wait()


class Server:
    """A server's process, as a context manager."""

    def __init__(self, kind: str, loop: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.servers", kind, loop],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        port, self.token = self._line().split()
        self.url = f"ws://127.0.0.1:{port}"

    def cpu(self) -> float:
        """CPU seconds, user and system, it has used so far."""
        return float(self._ask("cpu"))

    def model(self, prompt: str) -> float:
        """CPU seconds for a token of the bare model, on its loop."""
        return float(self._ask(prompt))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)

    def _ask(self, what: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=LOOPS[sys.argv[2]]) as runner:
        runner.run(run(sys.argv[1]))
