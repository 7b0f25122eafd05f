"""What the tests of our client share: a client at a real gateway, sessions of their own, and what those remember."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from openclaw_nb.client import OpenClawClient
from openclaw_nb.protocol.keys import session_key
from openclaw_nb.protocol.openclaw import message_text
from tests.conformance.gateways import RealGateway

__all__ = ["Figure", "patiently", "said", "session", "user_of"]

Figure: TypeAlias = Callable[[str, str], None]

_numbers = itertools.count(1)


def session(what: str) -> str:
    """The name of a session that no other test has."""
    return f"{what}-{next(_numbers)}"


@asynccontextmanager
async def user_of(gateway: RealGateway, url: str = "", **options: Any) -> AsyncIterator[OpenClawClient]:
    """A client of ours at a real gateway, or at it by another address."""
    options = {"reconnect_delay": 0.02, "max_restore_attempts": 0} | options
    async with OpenClawClient(token=gateway.token, **options) as client:
        await client.connect(url or gateway.url)
        yield client


async def said(client: OpenClawClient, name: str) -> list[tuple[str, str]]:
    """What a session remembers: (role, text) of each message."""
    history = await client.request("chat.history", {"sessionKey": session_key("main", name)})
    return [(str(message["role"]), message_text(message)) for message in history["messages"]]


async def patiently(condition: Callable[[], Any], what: str) -> None:
    """Wait until it holds: what a real gateway does for the first time may take it long."""
    for _ in range(4_800):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{what} did not happen")
