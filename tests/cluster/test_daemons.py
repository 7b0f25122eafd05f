"""The starters: each real program listens, dies when told, comes back at its port, and leaves nothing."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable

import pytest

from tests.cluster import daemons
from tests.cluster.daemons import Daemon, Missing, free_port, listens


def test_redis_is_killed_and_comes_back_at_its_port(redis_server: Callable[..., Daemon]) -> None:
    redis = redis_server("--requirepass", "a-password")
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", redis.port)) as client:
            client.sendall(b"PING\r\nAUTH a-password\r\nPING\r\n")
            reply = b""
            while reply.count(b"\r\n") < 3:
                reply += client.recv(100)
        assert reply.startswith(b"-NOAUTH")
        assert reply.endswith(b"+OK\r\n+PONG\r\n")
        redis.kill()
        assert not listens(redis.port)
        redis.start()


def test_balancers_answer_by_themselves(haproxy: Callable[..., Daemon], nginx: Callable[..., Daemon]) -> None:
    one, other = free_port(), free_port()
    haproxy(
        f"defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 1s\n"
        f"frontend here\n  bind 127.0.0.1:{one}\n  http-request return status 200 content-type text/plain string ok\n",
        one,
    )
    nginx(f"server {{ listen 127.0.0.1:{other}; return 200 ok; }}\n", other)
    for port in (one, other):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert answer.read() == b"ok"


def test_prometheus_is_ready(prometheus: Callable[..., Daemon]) -> None:
    watcher = prometheus("global:\n  scrape_interval: 1s\n")
    with urllib.request.urlopen(f"http://127.0.0.1:{watcher.port}/-/healthy") as answer:
        assert answer.status == 200


def test_a_program_that_does_not_start_says_why(haproxy: Callable[..., Daemon]) -> None:
    with pytest.raises(AssertionError, match="unknown keyword 'nonsense'"):
        haproxy("nonsense\n", free_port())


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "_SYSTEM", "")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Missing, match="redis-server is not installed, so nothing was run against the real one"):
        daemons.program("redis-server")
