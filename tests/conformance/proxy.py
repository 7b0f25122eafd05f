"""A proxy that terminates TLS in front of a gateway, which then sees a client from another machine."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["ELSEWHERE", "terminating"]

PROXY = "127.0.0.2"
"""Where it dials gateways from, which trust it there; all that comes from 127.0.0.1 they take for their own."""

ELSEWHERE = "203.0.113.9"
"""Where clients are said to be: an address for documentation (RFC 5737)."""


@contextmanager
def terminating(port: int, context: ssl.SSLContext, host: str = "127.0.0.1") -> Iterator[int]:
    """Serve TLS on a port of loopback in front of the gateway at ``port`` while the context is open; gives the port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy", daemon=True)
    thread.start()

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(lambda *streams: _pass_on(port, *streams), host, 0, ssl=context)

    async def stop(server: asyncio.Server) -> None:
        server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await asyncio.sleep(0)  # in which the sockets are closed

    server = asyncio.run_coroutine_threadsafe(serve(), loop).result(60)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


async def _pass_on(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    ends = [writer]
    try:
        request, _, rest = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        there, back = await asyncio.open_connection("127.0.0.1", port, local_addr=(PROXY, 0))
        ends.append(back)
        back.write(request + f"\r\nX-Forwarded-For: {ELSEWHERE}\r\n".encode() + rest)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        pass
    finally:
        for end in ends:
            end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
