"""What a runtime's monitor does with a configuration: limits, and where metrics are served, or that they are not."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections.abc import Iterator

import pytest

from openclaw_nb.config import ClusterConfig
from openclaw_nb.errors import ConfigError
from openclaw_nb.metrics.instruments import DONE
from openclaw_nb.metrics.monitor import Monitor


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    loop = asyncio.new_event_loop()
    monitor = Monitor(loop, ClusterConfig())
    yield monitor
    monitor.stop()
    loop.close()


def _config(monitoring: str) -> ClusterConfig:
    return ClusterConfig.parse(f"monitoring: {{{monitoring}}}")


def test_nothing_is_served_and_nothing_judged_unless_it_is_asked_for(monitor: Monitor) -> None:
    assert monitor.exporter is None
    assert monitor.alerts.rules == ()
    assert monitor.limit is None
    monitor.metrics.first_token(2, 20.0)
    assert monitor.news() == []


def test_a_configuration_that_wants_it_served(monitor: Monitor) -> None:
    monitor.configure(_config("prometheusEnabled: true, port: 0, metricsPath: /mine"))
    assert monitor.exporter is not None
    with urllib.request.urlopen(monitor.exporter.url) as answer:
        assert b"openclaw_requests_total" in answer.read()
    assert monitor.exporter.url.endswith("/mine")
    assert monitor.alerts.rules == ()
    monitor.configure(_config("prometheusEnabled: false"))
    assert monitor.exporter is None
    with pytest.raises(ConfigError, match="prometheusEnabled is false"):
        monitor.serve()


def test_limits_of_a_configuration(monitor: Monitor) -> None:
    monitor.configure(_config("alertThresholds: {latencyP99: 250ms, errorRate: 2%, threadPoolUtilization: 80%}"))
    assert [rule.limit for rule in monitor.alerts.rules] == [0.25, 0.02, 0.8]
    assert monitor.limit == 0.25
    assert monitor.exporter is None


def test_served_when_it_is_asked_for(monitor: Monitor) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        first = monitor.serve(taken.getsockname()[1])
        assert first.moved
    assert monitor.serve() is first  # it is served already
    other = monitor.serve(0)
    assert monitor.exporter is other
    monitor.stop()
    monitor.stop()
    assert monitor.exporter is None


def test_a_host_that_is_not_here_is_trouble_and_no_end(monitor: Monitor) -> None:
    monitor.configure(_config("prometheusEnabled: true, host: 192.0.2.1, port: 0"))
    assert monitor.exporter is None
    assert monitor.trouble.startswith("cannot serve metrics on 192.0.2.1")


def test_what_is_news(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openclaw_nb.metrics.monitor.rules", lambda limits: _rules(limits))
    from openclaw_nb.metrics.alerts import rules

    def _rules(limits: object) -> object:
        return rules(limits, hold=0)  # type: ignore[arg-type]

    monitor.configure(_config("alertThresholds: {latencyP99: 500ms}"))
    monitor.metrics.first_token(2, 2.0)
    monitor.metrics.ended(DONE, 2, 2.0)
    [(tone, words)] = monitor.news()
    assert tone == "warn"
    assert words.startswith("first tokens are slow: P99 2.5 s")
    assert monitor.news() == []
