"""Few clients at once, each in its time, whoever they are."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from openclaw_nb.metrics import server
from openclaw_nb.metrics.server import AT_ONCE, Server
from tests.pool.teams import soon


def _hello(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def _broken(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    raise ZeroDivisionError("secret-in-a-traceback")


@contextmanager
def served(application: Any = _hello) -> Iterator[int]:
    """The port of a server that is at work."""
    with Server("127.0.0.1", 0, application) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield made.server_port
        made.shutdown()
        thread.join()


def asked(port: int, request: bytes = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") -> bytes:
    """All that is answered."""
    with socket.create_connection(("127.0.0.1", port), 60) as link:
        parts = []
        with suppress(ConnectionError):
            link.sendall(request)
            while part := link.recv(65_536):
                parts.append(part)
        return b"".join(parts)


def test_it_answers_and_hangs_up() -> None:
    with served() as port:
        assert asked(port).startswith(b"HTTP/1.0 200 OK")


def test_no_more_than_so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE", 600)
    with served() as port, ExitStack() as stack:
        before = threading.active_count() + AT_ONCE
        for _ in range(AT_ONCE):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        soon(lambda: threading.active_count() == before)  # each has its thread
        for _ in range(50):
            assert asked(port) == b""
        assert threading.active_count() <= before
    with served() as port:
        assert asked(port).endswith(b"hello")


@pytest.mark.parametrize("drip", [b"", b"G"])
def test_who_is_slow_is_hung_up_on(drip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing at all, or a byte now and then: the time is for the whole of it."""
    monkeypatch.setattr(server, "PATIENCE", 0.4)
    with served() as port, socket.create_connection(("127.0.0.1", port), 10) as link:
        link.settimeout(0.05)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if drip:
                    link.sendall(drip)
                if link.recv(10) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
    pytest.fail("still served")


def test_what_fails_is_told_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    with served(_broken) as port:
        answer = asked(port)
    assert b"500" in answer.splitlines()[0]
    assert b"secret" not in answer
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("request_", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9.9\r\n\r\n", b"A" * 70_000])
def test_what_is_no_request(request_: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with served() as port:
        asked(port, request_)
        assert asked(port).endswith(b"hello")
    assert capfd.readouterr().err == ""
