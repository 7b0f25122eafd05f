"""Draining, how a gateway lets its clients go: who has nothing at work leaves at once, the others when they have."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from .connection import Connection
from .runs import Runs

__all__ = ["DRAIN", "MOVING", "let_go"]

DRAIN = 30.0
"""Seconds that runs at work have to end, unless told otherwise."""

MOVING: dict[str, Any] = {"reason": "gateway restarting", "restartExpectedMs": 1500}
"""What the event `shutdown` tells clients, with the time that a real gateway gives."""

ABREAST = 200
"""Connections that are closed in one go: those who left come back elsewhere, and that one has to let them in."""

LOOK = 0.025
"""Seconds between two looks at who has nothing at work any more."""


async def let_go(connections: Collection[Connection], runs: Runs, seconds: float) -> None:
    """Tell the clients that it ends here, and close each that has all it asked for, until nothing is at work.

    After ``seconds`` who is left is left to the caller.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    leaving: set[Connection] = set()
    for connection in tuple(connections):
        connection.send_event("shutdown", MOVING)
    while loop.time() < until:
        idle = [connection for connection in connections if connection.idle and connection not in leaving][:ABREAST]
        for connection in idle:
            connection.close(1012, "service restart")
        leaving.update(idle)
        if not idle and not runs.at_work() and all(connection.idle for connection in connections):
            break
        await asyncio.sleep(LOOK)
