"""A gateway of this process that ends as one does that is killed."""

from __future__ import annotations

from openclaw_nb.gateway import Gateway

__all__ = ["kill"]


async def kill(gateway: Gateway) -> None:
    """End it as SIGKILL would: it listens no more and tells nobody anything."""
    assert gateway._server is not None
    gateway._server.close()
    for connection in tuple(gateway._connections):
        connection.abort()
    await gateway._alone.wait()
    await gateway.close()
