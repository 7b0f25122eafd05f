"""`%openclaw metrics`: a picture of what was measured, served or not, and one line when a limit is passed."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from openclaw_nb import Runtime
from openclaw_nb.commands import complete, execute
from openclaw_nb.config import ClusterConfig
from openclaw_nb.errors import ConfigError
from openclaw_nb.metrics.alerts import Alerts, rules
from openclaw_nb.notebook import Notebook
from openclaw_nb.options import CellOptions


@pytest.fixture
def notebook(shell: InteractiveShell, shown: CapturingDisplayPublisher) -> Iterator[Notebook]:
    notebook = Notebook(shell)
    yield notebook
    notebook.close()


def _say(notebook: Notebook, line: str) -> str:
    publisher = notebook.shell.display_pub
    publisher.outputs.clear()
    execute(notebook, line)
    return str(publisher.outputs[-1]["data"]["text/plain"])


def _ask(notebook: Notebook) -> list[str]:
    """One cell; all that it shows, as text."""
    notebook.shell.display_pub.outputs.clear()
    run = notebook.start(CellOptions(model="offline:0", level=1), "hello")
    notebook.wait(run)
    notebook.finish(run, CellOptions())
    return [output["data"]["text/plain"] for output in notebook.shell.display_pub.outputs]


def test_the_picture(notebook: Notebook) -> None:
    assert "nothing was asked yet" in _say(notebook, "metrics")
    _ask(notebook)
    words = _say(notebook, "metrics")
    assert words.startswith("requests        1 request · 1 done")
    assert "not served; %openclaw metrics on" in words
    assert "<svg" in notebook.shell.display_pub.outputs[-1]["data"]["text/html"]


def test_static(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    _ask(notebook)
    monkeypatch.setenv("OPENCLAW_NB_RENDER", "static")
    words = _say(notebook, "metrics")
    assert "P99" not in words
    assert "served" not in words
    assert words == _say(notebook, "metrics")
    words = _say(notebook, "metrics on --port 0")
    assert words == "metrics  served, on this machine only; %openclaw metrics off ends it"


def test_on_and_off(notebook: Notebook) -> None:
    words = _say(notebook, "metrics on --port 0")
    exporter = notebook.runtime.monitor.exporter
    assert exporter is not None
    assert words == f"metrics  served at {exporter.url}, on this machine only; %openclaw metrics off ends it"
    with urllib.request.urlopen(exporter.url) as answer:
        assert answer.status == 200
    assert exporter.url in _say(notebook, "")  # the card says so too
    assert _say(notebook, "metrics off").startswith("metrics  not served")
    assert notebook.runtime.monitor.exporter is None


def test_it_ends_with_the_runtime(notebook: Notebook) -> None:
    """Nothing is left listening, which the check after every test would see."""
    _say(notebook, "metrics on --port 0")
    notebook.close()
    assert Runtime.running() is None


@pytest.mark.parametrize(
    "line", ["metrics up", "metrics --port 9", "metrics on 9", "metrics off --port 9", "metrics on off"]
)
def test_what_it_does_not_take(notebook: Notebook, line: str) -> None:
    with pytest.raises(ConfigError, match="%openclaw metrics on"):
        execute(notebook, line)


@pytest.mark.parametrize("port", ["65536", "-1", "x", "٣", "9" * 5000])
def test_no_port(notebook: Notebook, port: str) -> None:
    with pytest.raises(ConfigError, match="is no port"):
        execute(notebook, f"metrics on --port {port}")


def test_completion(notebook: Notebook) -> None:
    assert "metrics" in complete(notebook, "%openclaw met")
    assert complete(notebook, "%openclaw metrics o") == ["on", "off", "--port"]


def test_one_line_when_a_limit_is_passed_and_one_when_it_is_well(notebook: Notebook) -> None:
    monitor = notebook.runtime.monitor
    config = ClusterConfig.parse("monitoring: {alertThresholds: {latencyP99: 1ms, errorRate: null}}")
    notebook.runtime.configure(config)
    monitor.alerts = Alerts(rules(config.monitoring.alert_thresholds, hold=0))
    monitor.metrics.first_token(2, 3.0)
    said = _ask(notebook)
    assert sum("first tokens are slow: P99 5.0 s" in words or "are slow" in words for words in said) == 1
    assert said[-1].endswith("limit 1 ms; %openclaw doctor says why")  # below what the cell shows
    assert not any("are slow" in words for words in _ask(notebook))  # once
    assert "first tokens are slow" in _say(notebook, "metrics")
    monitor.alerts.rules = rules(ClusterConfig.parse("monitoring: {port: 1}").monitoring.alert_thresholds, hold=0)
    for _ in range(900):
        monitor.metrics.first_token(2, 0.001)
    said = _ask(notebook)
    assert said[-1].startswith("first tokens are quick again")


def test_no_line_without_limits(notebook: Notebook) -> None:
    notebook.runtime.metrics.first_token(2, 30.0)
    assert _ask(notebook) == []
