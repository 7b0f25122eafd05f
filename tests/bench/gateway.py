"""What an agent request and a token cost a gateway's CPU, side by side with a plain server on websockets and json.

Every server is a process of its own on loopback; one client loads them in turn, round by round. What counts is the
CPU time of the server's process, user and system; the model is the same in all, so once its own part is taken off.

The bounds are for a model that gives its tokens in one go. Below them the same for one that lets the loop turn after
each, so that every token leaves in a frame of its own: there both servers pay for as many frames and writes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import msgspec
import uvloop
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from .servers import BURST, SLOW, TOKEN, Server

ROUNDS = 15
ENGINE_ROUNDS = 3
"""Rounds that the one with an Engine takes part in: its snapshots take longer than all the rest."""

WARM = 1
"""Rounds that do not count."""

CONNECTIONS = 2
AT_ONCE = 10
"""Runs at work at once on each connection: the most of a thread pool."""


@dataclass(frozen=True)
class Load:
    """What is asked: ``requests`` in a round, ``size`` tokens to a frame, so many of ``tokens`` each."""

    name: str
    requests: int
    tokens: int
    prompt: str = BURST
    size: int = 1
    at_once: int = AT_ONCE
    each: str = "token"

    @property
    def count(self) -> int:
        """Things paid for in a round."""
        return self.requests if self.each == "request" else self.requests * self.tokens

    @property
    def message(self) -> str:
        return self.prompt.format(self.tokens)

    @property
    def pace(self) -> dict[str, Any]:
        return {"size": self.size, "delay": 0 if self.size == 1 else 1}


REQUEST = Load("agent request of 1 res and 5 events, in one go", 500, 4, each="request")
TOKEN_EACH = Load("token, 100 in one go", 100, 100)
TENS = Load("token, 100 in one go, batches of ten", 100, 100, size=10)
SLOW_REQUEST = Load("agent request, its tokens one by one", 200, 4, SLOW, each="request")
SLOW_EACH = Load("token, one by one, each in a frame of its own", 20, 500, SLOW)
SLOW_TENS = Load("token, one by one, batches of ten", 20, 500, SLOW, size=10)
ALONE = Load("token, one by one, each in a frame and a write of its own", 4, 500, SLOW, at_once=1)

ROWS: tuple[tuple[Load, Load, str], ...] = (
    (REQUEST, REQUEST, "at most 1/3"),
    (TOKEN_EACH, TOKEN_EACH, "at most 1/5"),
    (TENS, TOKEN_EACH, "at most 1/12 of a token in a frame of its own"),
    (SLOW_REQUEST, SLOW_REQUEST, ""),
    (SLOW_EACH, SLOW_EACH, ""),
    (SLOW_TENS, SLOW_EACH, "ratio to a token in a frame of its own"),
    (ALONE, ALONE, "one run at a time on each connection"),
)
"""Each load, what the plain server's cost is taken from, and the bound."""

CONTENDERS = (("plain", "asyncio"), ("handler", "uvloop"), ("handler", "asyncio"), ("engine", "uvloop"))
NAMES = {"plain": "websockets + json", "handler": "gateway", "engine": "gateway + engine"}

HELLO = {
    "minProtocol": 3, "maxProtocol": 4, "client": {"id": "bench"}, "role": "operator",
    "scopes": ["operator.read", "operator.write"], "caps": ["nb.offset", "nb.resume", "nb.batch"],
}  # fmt: skip


class Loader(WSListener):
    """One connection that keeps so many requests under way until its share is answered; it looks that nothing lacks."""

    ids: Iterator[int] = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0
        self._texts: dict[str, str] = {}

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        self.frames += 1
        told = msgspec.json.decode(frame.get_payload_as_bytes())
        payload = told["payload"]
        if told["type"] == "res":
            if payload.get("type") == "hello-ok":
                self._done.set_result(None)
        elif "deltaText" in payload:
            self._texts[payload["runId"]] += payload["deltaText"]
        elif "length" in payload:
            assert self._texts.pop(payload["runId"]) == TOKEN * self._load.tokens
            self._left -= 1
            if self._open:
                self._ask(transport)
            elif not self._left:
                self._done.set_result(None)

    async def login(self, transport: WSTransport, token: str) -> None:
        self._done = asyncio.get_running_loop().create_future()
        params = HELLO | {"auth": {"token": token}}
        self._send(transport, {"type": "req", "id": "hello", "method": "connect", "params": params})
        await self._done

    async def work(self, transport: WSTransport, load: Load) -> None:
        self._load = load
        self._open = self._left = load.requests // CONNECTIONS
        self._done = asyncio.get_running_loop().create_future()
        for _ in range(load.at_once):
            self._ask(transport)
        await self._done

    def _ask(self, transport: WSTransport) -> None:
        self._open -= 1
        id = next(self.ids)
        run = f"run-{id:08}"
        self._texts[run] = ""
        params = {
            "sessionKey": f"agent:main:{id}", "message": self._load.message, "idempotencyKey": run, "thinking": "low",
            "pace": self._load.pace,
        }  # fmt: skip
        self._send(transport, {"type": "req", "id": str(id), "method": "chat.send", "params": params})

    def _send(self, transport: WSTransport, request: dict[str, Any]) -> None:
        transport.send(WSMsgType.TEXT, json.dumps(request).encode())


class Contender:
    """A server with its connections, and what each load has cost it so far, in microseconds of CPU."""

    def __init__(self, kind: str, loop: str, stack: ExitStack) -> None:
        self.kind, self.loop = kind, loop
        self.server = stack.enter_context(closing(Server(kind, loop)))
        self.costs: dict[Load, list[float]] = {}
        self.models: dict[str, list[float]] = {}
        self.frames: dict[Load, float] = {}

    async def connect(self) -> None:
        self._links = []
        for _ in range(CONNECTIONS):
            transport, loader = await ws_connect(Loader, self.server.url)
            self._links.append((transport, loader))
            if self.kind != "plain":
                await loader.login(transport, self.server.token)

    def disconnect(self) -> None:
        for transport, _ in self._links:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    async def round(self, load: Load) -> None:
        for _, loader in self._links:
            loader.frames = 0
        before = self.server.cpu()
        await asyncio.gather(*(loader.work(transport, load) for transport, loader in self._links))
        self.costs.setdefault(load, []).append((self.server.cpu() - before) / load.count * 1e6)
        self.frames[load] = sum(loader.frames for _, loader in self._links) / load.requests

    def bare(self) -> None:
        """See what the model alone costs on this loop."""
        for prompt in (BURST, SLOW):
            self.models.setdefault(prompt, []).append(self.server.model(prompt.format(500)) * 1e6)

    def all(self, load: Load) -> list[float]:
        """What it cost in each round that counts."""
        return self.costs[load][WARM:]

    def own(self, load: Load) -> list[float]:
        """Without what the model alone costs."""
        model = statistics.median(self.models[load.prompt]) * load.requests * load.tokens / load.count
        return [cost - model for cost in self.all(load)]


async def measure(loads: Sequence[Load]) -> list[Contender]:
    with ExitStack() as stack:
        contenders = [Contender(kind, loop, stack) for kind, loop in CONTENDERS]
        for contender in contenders:
            await contender.connect()
        for n in range(WARM + ROUNDS):
            taking_part = [each for each in contenders if each.kind != "engine" or n < WARM + ENGINE_ROUNDS]
            for load, contender in itertools.product(loads, taking_part):
                await contender.round(load)
            for contender in taking_part:
                contender.bare()
        for contender in contenders:
            contender.disconnect()
        return contenders


def report(contenders: Sequence[Contender], load: Load, base: Load, bound: str) -> None:
    print(f"\n{load.name}{f': {bound}' if bound else ''}")
    print(f"  {'':28} {'all':>7} {'ratio':>7} {'less the model':>15} {'ratio':>7} {'frames a request':>17}")
    plain = contenders[0]
    for each in contenders:
        print(
            f"  {NAMES[each.kind]:18} {each.loop:9} "
            f"{statistics.median(each.all(load)):7.2f} {ratio(plain.all(base), each.all(load))} "
            f"{statistics.median(each.own(load)):15.2f} {ratio(plain.own(base), each.own(load))} "
            f"{each.frames[load]:17.1f}"
        )


def ratio(plain: Sequence[float], ours: Sequence[float]) -> str:
    """Round by round, as a machine that is slow for a while is slow for both."""
    return f"1/{statistics.median(p / o for p, o in zip(plain, ours, strict=False)):.1f}".rjust(7)


def main() -> None:
    contenders = uvloop.run(measure([load for load, _, _ in ROWS]))
    print(
        f"\nCPU us of a server's process, {CONNECTIONS} connections, {AT_ONCE} runs on each, medians of {ROUNDS} rounds"
    )
    print("What a model gives in one go a gateway tells joined, in fewer frames; every text arrived whole.")
    for load, base, bound in ROWS:
        report(contenders, load, base, bound)


if __name__ == "__main__":
    main()
