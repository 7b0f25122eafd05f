"""What was measured: requests that end well or fail, by code, links lost again and again, and who serves figures."""

from __future__ import annotations

import socket

import pytest

from openclaw_nb import Runtime
from openclaw_nb.config import ClusterConfig
from openclaw_nb.doctor import Patient, State
from openclaw_nb.doctor.monitored import exporter, requests, requests_of
from openclaw_nb.metrics import Metrics


def test_of_a_real_run(runtime: Runtime) -> None:
    [none] = requests(Patient(runtime))
    assert (none.state, none.figures["requests"]) == (State.OK, 0)
    runtime.client().send("what is 6*7?", level=1, model="offline:0").result(60)
    [one] = requests(Patient(runtime))
    assert (one.state, one.figures["requests"]) == (State.OK, 1)
    assert "first tokens after" in one.measured


@pytest.mark.parametrize(
    ("code", "remedy"), [("MODEL", "provider"), ("TIMEOUT", "--timeout"), ("OTHER", "%openclaw runs")]
)
def test_those_that_fail(code: str, remedy: str) -> None:
    metrics = Metrics()
    for _ in range(9):
        metrics.ended("done", 2, 0.1)
    metrics.ended("failed", 2, 0.1, code=code)
    finding = requests_of(metrics.window())
    assert finding.state is State.LOOK
    assert finding.figures["error_rate"] == pytest.approx(0.1)
    assert f"by {code}" in finding.words
    assert remedy in finding.remedy
    assert requests_of(metrics.window(), 0.2).state is State.OK


def test_links_that_are_lost() -> None:
    metrics = Metrics()
    metrics.ended("done", 2, 0.1)
    metrics.count("openclaw_reconnects_total", by=3)
    finding = requests_of(metrics.window())
    assert finding.state is State.LOOK
    assert "3 reconnects" in finding.measured


@pytest.mark.usefixtures("calm")
def test_the_exporter(runtime: Runtime) -> None:
    monitor = runtime.monitor
    [none] = exporter(Patient(runtime))
    assert (none.state, none.remedy) == (State.OK, "")
    runtime.configure(ClusterConfig.parse("monitoring: {port: 0, prometheusEnabled: true}"))
    monitor.stop()
    [wanted] = exporter(Patient(runtime))
    assert (wanted.state, wanted.remedy) == (State.LOOK, "%openclaw metrics on")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monitor.serve(taken.getsockname()[1])
        [moved] = exporter(Patient(runtime))
        assert moved.state is State.LOOK
        assert "is taken" in moved.words
        assert moved.figures["bytes"] > 100
    monitor.serve(0)
    [served] = exporter(Patient(runtime))
    assert served.state is State.OK, served
    assert "Prometheus can read them at http://127.0.0.1" in served.words
    monitor.stop()
