"""Fleet, several gateways of one cluster in this process, each of which may be killed and started again on its port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from openclaw_nb.client import OpenClawClient
from openclaw_nb.config import Cluster, Endpoint
from openclaw_nb.gateway import Gateway
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta
from tests.faults.killed import held, kill

__all__ = ["TOKEN", "Fleet", "Storyteller", "fleet", "meeting"]

TOKEN = "a token of the fleet"


class Storyteller:
    """A Model that says the same pieces each time, and goes on from a part of them where it is asked to."""

    name = "storyteller"

    def __init__(self, *pieces: str, pause: float = 0.0) -> None:
        self.pieces = pieces
        self.pause = pause
        self.calls = 0
        self.partials: list[str] = []
        self.gate: asyncio.Event | None = None
        """Where it waits before its last piece."""

    def continued(self, request: ModelRequest, partial: str) -> ModelRequest:
        self.partials.append(partial)
        return replace(request, messages=(*request.messages, {"role": "assistant", "content": partial}))

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.calls += 1
        last = request.messages[-1]
        said, whole = len(last["content"]) if last["role"] == "assistant" else 0, 0
        for piece in self.pieces:
            whole += len(piece)
            if whole <= said:
                continue
            if self.gate is not None and piece is self.pieces[-1]:
                await self.gate.wait()
            yield TextDelta(piece)
            await asyncio.sleep(self.pause)


class Fleet:
    """``gateways`` by number; None where one is away. ``urls`` stay what they are."""

    def __init__(self, models: Sequence[Any], token: str) -> None:
        self.models = models
        self.token = token
        self.gateways: list[Gateway | None] = []
        self.urls: list[str] = []
        self._ports = ExitStack()

    async def start(self) -> None:
        for model in self.models:
            gateway = Gateway(model=model, token=self.token, port=self._ports.enter_context(held()))
            await gateway.start()
            self.gateways.append(gateway)
            self.urls.append(gateway.url)

    def at(self, number: int) -> Gateway:
        gateway = self.gateways[number]
        assert gateway is not None
        return gateway

    def place(self, client: OpenClawClient) -> int:
        """By number where a client is."""
        return self.urls.index(client.dialled[0])

    async def kill(self, number: int) -> None:
        gateway = self.at(number)
        self.gateways[number] = None
        await kill(gateway)

    async def restart(self, number: int) -> None:
        port = int(self.urls[number].rpartition(":")[2])
        gateway = Gateway(model=self.models[number], token=self.token, port=port)
        await gateway.start()
        self.gateways[number] = gateway

    async def close(self) -> None:
        for gateway in self.gateways:
            if gateway is not None:
                await gateway.close()
        self._ports.close()

    def cluster(self, name: str = "fleet", weights: Sequence[int] = (), **settings: Any) -> Cluster:
        """As a client is to know it."""
        endpoints = [Endpoint(url, weights[at] if weights else 1) for at, url in enumerate(self.urls)]
        return Cluster(name, tuple(endpoints), **settings)


@asynccontextmanager
async def fleet(count: int, model: Callable[[], Any], token: str = TOKEN) -> AsyncIterator[Fleet]:
    """So many gateways, each with a model of its own."""
    one = Fleet([model() for _ in range(count)], token)
    await one.start()
    try:
        yield one
    finally:
        await one.close()


@asynccontextmanager
async def meeting(one: Fleet, weights: Sequence[int] = (), **options: Any) -> AsyncIterator[OpenClawClient]:
    """A client of a fleet, by one connection unless more are named; options of a Cluster are among its own."""
    named = {"connections": 1} | {name: options.pop(name) for name in ("connections", "balance") if name in options}
    options = {"token_batch_size": 1, "reconnect_delay": 0.05, "token": one.token} | options
    async with OpenClawClient(**options) as client:
        await client.connect(one.cluster(weights=weights, **named))
        yield client
