"""A gateway of this process that ends as one does that is killed, and a port that stays its own meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from openclaw_nb.gateway import Gateway

__all__ = ["held", "kill"]


async def kill(gateway: Gateway) -> None:
    """End it as SIGKILL would: it listens no more and tells nobody anything."""
    assert gateway._server is not None
    gateway._server.close()
    for connection in tuple(gateway._connections):
        connection.abort()
    await gateway._alone.wait()
    await gateway.close()


@contextmanager
def held() -> Iterator[int]:
    """A port that no other process of this machine is given: it is refused, and can be listened on again and again.

    A gateway of another test that took it for a moment would refuse our clients for good.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
