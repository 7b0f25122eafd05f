"""The Grafana dashboard: its shape, and that Prometheus can read every question in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from openclaw_nb.config import AlertThresholds, Monitoring
from openclaw_nb.metrics.dashboard import COLUMNS, SCHEMA, dashboard
from openclaw_nb.metrics.instruments import INSTRUMENTS
from tests.metrics.promtool import accepts


def made(thresholds: AlertThresholds | None = None) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(dashboard(Monitoring(alert_thresholds=thresholds or AlertThresholds())))
    return told


def queries() -> list[str]:
    """All of them, with the variables filled in as Grafana does."""
    asked = [target["expr"] for panel in made()["panels"] for target in panel["targets"]]
    filled = {"$__rate_interval": "1m", "$job": "openclaw", "$instance": ".*"}
    for name, value in filled.items():
        asked = [query.replace(name, value) for query in asked]
    return asked


def test_its_shape() -> None:
    board = made()
    assert board["schemaVersion"] == SCHEMA
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "job", "instance"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        assert panel["type"] in ("timeseries", "heatmap", "stat")
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs) > 0


def test_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in made()["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & taken
        assert max(x for x, _ in cells) < COLUMNS
        taken |= cells


def test_every_instrument_has_its_place() -> None:
    asked = " ".join(queries())
    assert [name for name in INSTRUMENTS if name not in asked] == []


def test_thresholds_are_lines_in_it() -> None:
    def lines(board: dict[str, Any]) -> dict[str, float]:
        steps = {panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"] for panel in board["panels"]}
        return {title: known[1]["value"] for title, known in steps.items() if len(known) > 1}

    assert lines(made()) == {"First token": 0.5, "Error rate": 0.01, "Thread pool utilization": 0.9}
    assert lines(made(AlertThresholds(2.0, None, None))) == {"First token": 2.0}


def test_prometheus_can_read_every_question(tmp_path: Path) -> None:
    rules = [{"record": f"asked:{number}", "expr": query} for number, query in enumerate(queries())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    accepts("check", "rules", "rules.yml", folder=tmp_path)
