"""Reservation, a port that is held for several processes of this user to listen at, and for nobody else."""

from __future__ import annotations

import socket
import sys
from types import TracebackType

from ..errors import ConfigError

__all__ = ["Reservation", "can_share"]


def can_share() -> bool:
    """Whether the system deals the clients of one port out to all processes that listen at it: Linux since 3.9."""
    return sys.platform == "linux" and hasattr(socket, "SO_REUSEPORT")


class Reservation:
    """``port`` of ``host`` (0: a free one) is ours while this is open; ConfigError where somebody has it already.

    The socket does not listen, so no client ever waits at it.
    """

    def __init__(self, host: str, port: int) -> None:
        if not 0 <= port <= 65_535:  # getaddrinfo would take the rest of it
            raise ConfigError(f"cannot listen on {host}:{port}: a port is a number up to 65535")
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            self._socket = socket.socket(family, kind, protocol)
        except OSError as error:
            raise _taken(host, port, error) from None
        try:
            # Clients that left a moment ago hold no port, another server of this user does: it is bound alone first.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as asyncio listens
            self._socket.bind(address)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise _taken(host, port, error) from None
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()


def _taken(host: str, port: int, error: OSError | OverflowError) -> ConfigError:
    return ConfigError(f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}")
