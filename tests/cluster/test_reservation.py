"""A reserved port: nobody else takes it, who shares it does, and it is free again afterwards."""

from __future__ import annotations

import socket

import pytest

from openclaw_nb.cluster import Reservation, can_share
from openclaw_nb.errors import ConfigError


@pytest.mark.skipif(not can_share(), reason="this system has no port for several processes")
def test_a_reserved_port_is_for_those_who_share_it() -> None:
    with Reservation("127.0.0.1", 0) as held:
        for options in ((), (socket.SO_REUSEADDR,)):
            with socket.socket() as stranger:
                for option in options:
                    stranger.setsockopt(socket.SOL_SOCKET, option, 1)
                with pytest.raises(OSError, match="in use"):
                    stranger.bind(("127.0.0.1", held.port))
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{held.port}: Address already in use"):
            Reservation("127.0.0.1", held.port)
        with socket.socket() as worker:
            worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            worker.bind(("127.0.0.1", held.port))
            worker.listen()
        port = held.port
    Reservation("127.0.0.1", port).__exit__(None, None, None)
    for host, wrong in (("no.such.host.invalid", 1), ("127.0.0.1", 70_000)):
        with pytest.raises(ConfigError, match=f"cannot listen on {host}:{wrong}"):
            Reservation(host, wrong)
