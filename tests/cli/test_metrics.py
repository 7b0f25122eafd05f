"""`openclaw-nb metrics`: files for Prometheus and Grafana, from a configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from openclaw_nb.cli import main

CONFIG = """
monitoring:
  metricsPath: /figures
  port: 9200
  alertThresholds: {latencyP99: 750ms, errorRate: 2%, threadPoolUtilization: 80%}
gateway: {workers: 4}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "cluster.yaml"
    path.write_text(CONFIG)
    return str(path)


def test_rules(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "rules", "--config", config, "--window", "30", "--hold", "1.5"]) == 0
    [group] = yaml.safe_load(capsys.readouterr().out)["groups"]
    slow = group["rules"][0]
    assert slow["expr"].endswith("[30s]))) > 0.75")
    assert slow["for"] == "1500ms"


def test_rules_of_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "rules"]) == 0
    assert "[5m]))) > 0.5" in capsys.readouterr().out


def test_scrape(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "scrape", "--config", config]) == 0
    [job] = yaml.safe_load(capsys.readouterr().out)["scrape_configs"]
    assert job["metrics_path"] == "/figures"
    assert len(job["static_configs"][0]["targets"]) == 4
    assert main(["metrics", "scrape", "--workers", "2", "--interval", "5"]) == 0
    assert "127.0.0.1:9091" in capsys.readouterr().out


def test_dashboard(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "dashboard", "--config", config]) == 0
    assert json.loads(capsys.readouterr().out)["panels"]


@pytest.mark.parametrize("word", ["0", "-1", "inf", "soon"])
def test_no_duration(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["metrics", "rules", f"--window={word}"])
    assert f"{word!r} is not a number above 0" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["0", "-3", "some"])
def test_no_number_of_workers(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["metrics", "scrape", f"--workers={word}"])
    assert "--workers" in capsys.readouterr().err
