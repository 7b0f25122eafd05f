"""Instances in this process that share their runs in a real Redis, each test with keys of its own."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from openclaw_nb.gateway import Gateway
from openclaw_nb.sharing import Sharing
from tests.cluster.daemons import Daemon
from tests.spine import Raw, let_in

__all__ = ["OURS", "address", "instances", "keys", "loud", "send", "text_of", "whole"]

OURS = ("nb.offset", "nb.resume", "nb.batch", "nb.model", "nb.session", "nb.level")


def address(redis: Daemon) -> str:
    return f"redis://127.0.0.1:{redis.port}/0"


@asynccontextmanager
async def instances(redis: Daemon, *models: Any, prefix: str = "", **options: Any) -> AsyncIterator[list[Gateway]]:
    """A gateway for each model."""
    prefix = prefix or f"test-{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        made = []
        for model in models:
            # So long a lease that nobody is taken for dead where the machine lets Redis or us wait for seconds.
            sharing = Sharing(address(redis), prefix=prefix, lease=60.0)
            gateway = Gateway(model=model, token="same", sharing=sharing, **options)
            made.append(await stack.enter_async_context(gateway))
        yield made


@asynccontextmanager
async def loud(*gateways: Gateway) -> AsyncIterator[list[Raw]]:
    """A raw client of ours at each."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(let_in(gateway, caps=OURS)) for gateway in gateways]


async def send(raw: Raw, key: str = "k", message: str = "go", session: str = "main", **more: Any) -> Any:
    return await raw.ask("chat.send", key, sessionKey=session, message=message, idempotencyKey=key, **more)


async def text_of(raw: Raw, key: str = "k", so_far: str = "") -> tuple[str, dict[str, Any]]:
    """The text of a run from what is here on, each piece at its place, and how it ended."""
    while True:
        payload = await raw.event("chat", runId=key)
        if payload["state"] != "delta":
            return so_far, payload
        assert payload["offset"] == len(so_far)
        so_far += payload["deltaText"]


async def whole(raw: Raw, key: str = "k", so_far: str = "") -> str:
    """The same of a run that has to end well."""
    text, end = await text_of(raw, key, so_far)
    assert end["state"] == "final", end
    return text


async def keys(gateway: Gateway) -> dict[str, Any]:
    """All keys of a gateway's cluster, with their types."""
    assert gateway._sharing is not None
    client = gateway._sharing.address.client()
    try:
        found = [key async for key in client.scan_iter(f"{gateway._sharing.prefix}:*")]
        return {key.decode(): (await client.type(key)).decode() for key in found}
    finally:
        await client.aclose()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
