"""Metrics by HTTP: on this machine, for who asks it by its own name, and beside whatever is at work."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psutil
import pytest

from openclaw_nb.config import Monitoring
from openclaw_nb.errors import ConfigError
from openclaw_nb.metrics import Exporter, Metrics, exporter_of
from openclaw_nb.metrics.instruments import DONE


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server notices at once that it is to end."""
    monkeypatch.setattr("openclaw_nb.metrics.exporter.LOOK", 0.01)


@contextmanager
def exported(metrics: Metrics | None = None, **options: object) -> Iterator[Exporter]:
    exporter = Exporter(metrics or Metrics(), **{"port": 0, **options})  # type: ignore[arg-type]
    exporter.start()
    try:
        yield exporter
    finally:
        exporter.close()


def asked(
    exporter: Exporter, path: str = "/metrics", method: str = "GET", headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    link = http.client.HTTPConnection(exporter.host, exporter.port, timeout=60)
    try:
        link.request(method, path, headers=dict(headers or {}))
        answer = link.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        link.close()


def test_what_was_measured() -> None:
    metrics = Metrics()
    metrics.ended(DONE, 2, 0.1)
    with exported(metrics) as exporter:
        status, headers, body = asked(exporter)
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    assert b'openclaw_requests_total{outcome="done"} 1.0' in body


def test_as_prometheus_asks() -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    with exported() as exporter:
        _, headers, body = asked(exporter, headers={"Accept": accept, "Accept-Encoding": "gzip"})
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body).endswith(b"# EOF\n")


@pytest.mark.parametrize("host", ["evil.example", "127.evil.com", "metrics.internal:9090", "169.254.169.254", ""])
def test_a_foreign_host_is_refused(host: str) -> None:
    """A page whose name was rebound to 127.0.0.1 still says its own name."""
    with exported() as exporter:
        status, _, body = asked(exporter, headers={"Host": host})
    assert status == 403
    assert b"openclaw_" not in body


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:1"])
def test_its_own_names(host: str) -> None:
    with exported() as exporter:
        assert asked(exporter, headers={"Host": host})[0] == 200


@pytest.mark.parametrize("origin", ["http://localhost:9090", "null", "file://"])
def test_a_page_of_a_browser_is_refused(origin: str) -> None:
    with exported() as exporter:
        assert asked(exporter, headers={"Origin": origin})[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_other_methods_are_refused(method: str) -> None:
    with exported() as exporter:
        status, _, body = asked(exporter, method=method)
    assert status == 405
    assert b"openclaw_" not in body


@pytest.mark.parametrize("path", ["/", "/metrics/", "/favicon.ico", "/metrics/../etc", "//evil.example/metrics"])
def test_there_is_one_path(path: str) -> None:
    with exported() as exporter:
        assert asked(exporter, path)[0] == 404


def test_a_target_that_is_no_path() -> None:
    """It would count more than the Host header (RFC 9112, 3.2.2)."""
    with exported() as exporter:
        assert asked(exporter, "http://127.0.0.1/metrics", headers={"Host": "127.0.0.1"})[0] == 404


def test_what_cannot_be_told_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    with exported(metrics) as exporter:
        metrics.read("openclaw_queue", lambda: 1 // 0)
        status, _, body = asked(exporter)
    assert (status, body) == (500, b"metrics cannot be told; the log says why\n")
    assert "ZeroDivisionError" in caplog.text


def test_a_path_of_ones_own() -> None:
    with exported(path="/internal/figures") as exporter:
        assert exporter.url.endswith("/internal/figures")
        assert asked(exporter, "/internal/figures")[0] == 200
        assert asked(exporter, "/metrics")[0] == 404


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=zzz", "text/plain;version=.", "\xff" * 9])
def test_a_header_that_cannot_be_read(accept: str, capfd: pytest.CaptureFixture[str]) -> None:
    with exported() as exporter:
        assert asked(exporter, headers={"Accept": accept})[0] in (200, 406)
        assert asked(exporter)[0] == 200
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken() -> None:
    with exported() as first, exported(port=first.port) as second:
        assert first.moved == ""
        assert second.port != first.port
        assert second.moved == f"port {first.port} is taken, so metrics are at {second.url}"
        assert asked(second)[0] == 200


def test_on_this_machine_only() -> None:
    with exported() as exporter:
        [listening] = [c for c in psutil.Process().net_connections("tcp") if c.laddr and c.laddr.port == exporter.port]
        assert listening.laddr.ip == "127.0.0.1"


def test_ipv6() -> None:
    with exported(host="::1") as exporter:
        assert exporter.url.startswith("http://[::1]:")
        assert asked(exporter)[0] == 200


def test_a_host_that_is_not_here() -> None:
    exporter = Exporter(Metrics(), "192.0.2.1", 0)
    with pytest.raises(ConfigError, match=r"cannot serve metrics on 192.0.2.1:0"):
        exporter.start()


def test_it_can_be_started_again() -> None:
    exporter = Exporter(Metrics(), port=0)
    for _ in range(3):
        exporter.start()
        exporter.start()
        assert asked(exporter)[0] == 200
        exporter.close()
        exporter.close()


def test_nothing_is_collected_on_the_loop() -> None:
    """What is looked at is looked at by threads of the exporter."""
    threads: set[int] = set()
    metrics = Metrics()
    metrics.read("openclaw_connections", lambda: threads.add(threading.get_ident()) or 0)

    async def main() -> int:
        with exported(metrics) as exporter:
            threads.clear()
            await asyncio.gather(*(asyncio.to_thread(asked, exporter) for _ in range(5)))
        return threading.get_ident()

    assert asyncio.run(main()) not in threads
    assert threads


def test_a_scrape_does_not_hold_up_the_loop(figure: Callable[[str, str], None]) -> None:
    """A loop that ticks each 2 ms beside scrapes without a pause; what is late is late by slices of the interpreter.

    No scrape ends before the loop has ticked beside it, and between any two things that it looks at.
    """
    metrics = Metrics()
    ticked = threading.Event()

    def look() -> float:
        ticked.clear()
        assert ticked.wait(60), "the loop waits for who scrapes"
        return 0.0

    async def main() -> tuple[list[float], list[int]]:
        loop, late = asyncio.get_running_loop(), []
        with exported(metrics) as exporter:
            for name in ("openclaw_connections", "openclaw_queue"):
                metrics.read(name, look)
            scraping = asyncio.to_thread(lambda: [asked(exporter)[0] for _ in range(20)])
            task = asyncio.ensure_future(scraping)
            while not task.done():
                begin = loop.time()
                await asyncio.sleep(0.002)
                late.append(loop.time() - begin - 0.002)
                ticked.set()
        return sorted(late), task.result()

    late, told = asyncio.run(main())
    worst, usual = (late[int(part * len(late))] * 1000 for part in (0.99, 0.5))
    figure(
        "metrics, the loop beside scrapes without a pause",
        f"late by {usual:.1f} ms, P99 {worst:.1f} ms, in {len(late)} ticks",
    )
    assert told == [200] * 20
    assert len(late) >= 2 * len(told)


def test_each_worker_has_its_port() -> None:
    monitoring = Monitoring(port=9090, metrics_path="/m")
    made = [exporter_of(Metrics(), monitoring, worker) for worker in range(3)]
    assert [exporter.port for exporter in made if exporter] == [9090, 9091, 9092]
    assert all(exporter.path == "/m" for exporter in made if exporter)
    assert exporter_of(Metrics(), Monitoring(prometheus_enabled=False)) is None
    free = exporter_of(Metrics(), Monitoring(port=0), 2)
    assert free is not None
    assert free.port == 0
