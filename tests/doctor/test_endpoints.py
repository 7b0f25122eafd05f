"""Endpoints: instances that are ready, draining and away, shared or alone, and the Redis between them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from openclaw_nb import Runtime
from openclaw_nb.config import ClusterConfig
from openclaw_nb.doctor import Finding, Patient, State
from openclaw_nb.doctor.endpoints import Ready, endpoints, ready, redis, shared
from openclaw_nb.gateway import Gateway
from tests.cluster.daemons import Missing, redis_server

Start = Callable[[int], list[Gateway]]


@pytest.fixture(autouse=True)
def patient_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances on this very machine may be kept waiting by others."""
    monkeypatch.setattr("openclaw_nb.doctor.endpoints.READY", 60)
    monkeypatch.setattr(Patient.ask, "__defaults__", (60,))


@pytest.fixture
def gateways(runtime: Runtime) -> Iterator[Start]:
    """Starts gateways on the runtime's loop, all with one token."""
    made: list[Gateway] = []

    def start(count: int) -> list[Gateway]:
        for _ in range(count):
            made.append(Gateway(token="a-token-of-these-tests"))
            runtime.call(made[-1].start()).result(60)
        return made

    yield start
    for gateway in made:
        runtime.call(gateway.close()).result(60)


def patient(runtime: Runtime, monkeypatch: pytest.MonkeyPatch, *urls: str) -> Patient:
    monkeypatch.setenv("OPENCLAW_TEST_TOKEN", "a-token-of-these-tests")
    listed = "\n".join(f"      - {url}" for url in urls)
    text = f"clusters:\n  demo/a:\n    token: {{env: OPENCLAW_TEST_TOKEN}}\n    endpoints:\n{listed}\n"
    runtime.configure(ClusterConfig.parse(text))
    made = Patient(runtime, "agent://demo/a")
    made.ask(made.client.hello())
    return made


def test_all_are_ready(runtime: Runtime, gateways: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    found = list(endpoints(patient(runtime, monkeypatch, *(one.url for one in gateways(2)))))
    assert [(one.name, one.state) for one in found] == [
        ("endpoint", State.OK), ("endpoint", State.OK), ("sharing", State.OK), ("connections", State.OK),
    ]  # fmt: skip
    assert "is ready" in found[0].words
    assert "0 runs" in found[0].measured
    assert "each instance stands alone" in found[2].words


def test_one_is_away(
    runtime: Runtime, gateways: Start, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str, str], None]
) -> None:
    [there] = gateways(1)
    with socket.socket() as taken:  # by nobody who listens
        taken.bind(("127.0.0.1", 0))
        away = f"ws://127.0.0.1:{taken.getsockname()[1]}"
        found = list(endpoints(patient(runtime, monkeypatch, there.url, away)))
    assert [one.state for one in found[:2]] == [State.OK, State.LOOK]
    assert found[1].words == "2 of 2 is not ready, connection refused"
    assert away in found[1].measured
    assert "openclaw-nb serve" in found[1].remedy
    figure("doctor, an instance that is away", found[1].sentence())


def test_all_are_away(runtime: Runtime, gateways: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    [there] = gateways(1)
    made = patient(runtime, monkeypatch, there.url)
    runtime.call(there.close()).result(60)
    assert next(iter(endpoints(made))).state is State.BROKEN


def test_one_that_drains(runtime: Runtime, gateways: Start) -> None:
    [one] = gateways(1)
    assert ready(one.url).why == ""
    draining = runtime.call(one.drain(1, 60))
    runtime.call(asyncio.sleep(0)).result(60)
    told = ready(one.url)
    draining.cancel()
    assert told.why == "draining"
    assert told.facts is not None


def test_none_of_this_kernel(runtime: Runtime) -> None:
    assert not list(endpoints(Patient(runtime)))


@contextmanager
def saying(answer: bytes) -> Iterator[int]:
    """Listens, and says this to whoever comes; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link:
                link.recv(1_000)
                with suppress(OSError):  # who has heard enough hangs up
                    link.sendall(answer)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(60)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.1 503 x\r\nContent-Length: 37\r\n\r\n" + b'{"ok": false, "status": "\\u001b[2Jx"}', "x"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000, ""),
        (b"nonsense\r\n\r\n", "nonsense"),
    ],
)
def test_strange_answers(answer: bytes, why: str) -> None:
    with saying(answer) as port:
        told = ready(f"ws://127.0.0.1:{port}")
    assert why in told.why
    assert bool(why) == bool(told.why)
    assert "\x1b" not in told.why


def test_shared_or_alone() -> None:
    def said(*values: object) -> Finding:
        [finding] = shared([Ready("", 0.0, "", {"shared": value}) for value in values])
        return finding

    assert said(True, True).state is State.OK
    assert "goes on at another" in said(True, True).words
    assert "stands alone" in said(None, None).words
    assert (said(True, False).state, said(True, False).measured) == (State.LOOK, "1 of 2")
    assert not list(shared([Ready("", 0.0)]))
    [started_before] = shared([Ready("", 0.0, "", {"shared": None})], wanted=True)
    assert started_before.state is State.LOOK
    assert "serve --config" in started_before.remedy


def configured(runtime: Runtime, port: int) -> Patient:
    runtime.configure(ClusterConfig.parse(f"gateway: {{redis: 'redis://127.0.0.1:{port}/0'}}"))
    return Patient(runtime)


def test_a_redis_that_is_there(runtime: Runtime, tmp_path: Path) -> None:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(redis_server(tmp_path))
        except Missing as missing:
            pytest.skip(str(missing))
        [finding] = redis(configured(runtime, server.port))
    assert finding.state is State.OK
    [gone] = redis(configured(runtime, server.port))
    assert gone.state is State.LOOK
    assert "cannot be reached, connection refused" in gone.words


def test_what_is_no_redis(runtime: Runtime) -> None:
    assert not list(redis(Patient(runtime)))
    with saying(b"220 mail ready\r\n") as port:
        [finding] = redis(configured(runtime, port))
    assert finding.state is State.LOOK
    assert "is no Redis, and says 220 mail ready" in finding.words
