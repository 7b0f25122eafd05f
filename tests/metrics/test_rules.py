"""Alert rules for Prometheus, judged by promtool, and beside those of the notebook: they say the same at all times."""

from __future__ import annotations

from pathlib import Path

import yaml

from openclaw_nb.config import AlertThresholds, Monitoring
from openclaw_nb.metrics.alerts import Alerts, rules
from openclaw_nb.metrics.history import History, Sample
from openclaw_nb.metrics.instruments import LATENCY
from openclaw_nb.metrics.rules import alert_rules, scrape_config
from tests.metrics.promtool import accepts, promtool
from tests.metrics.test_history import sample

STEP = 15
PLAN = [(20, "calm"), (20, "slow"), (40, "calm"), (20, "failing"), (40, "calm")]
"""How many steps each state lasts."""

LOOKS = [4, 8, 9, 14, 19, 23, 24, 34]
"""Minutes at which both are asked, well inside what the plan does."""


def test_promtool_takes_them(tmp_path: Path) -> None:
    for thresholds in (AlertThresholds(), AlertThresholds(1.5, 0.001, None), AlertThresholds(None, None, None)):
        (tmp_path / "rules.yml").write_text(alert_rules(Monitoring(alert_thresholds=thresholds), window=30, hold=1.5))
        accepts("check", "rules", "rules.yml", folder=tmp_path)


def test_what_they_say() -> None:
    [group] = yaml.safe_load(alert_rules(Monitoring()))["groups"]
    told = {rule["alert"]: rule for rule in group["rules"]}
    assert list(told) == [
        "OpenClawFirstTokensSlow", "OpenClawRequestsFail", "OpenClawPoolFull", "OpenClawDown", "OpenClawDegraded",
        "OpenClawNotShared",
    ]  # fmt: skip
    assert told["OpenClawFirstTokensSlow"]["expr"].endswith("> 0.5")
    assert told["OpenClawRequestsFail"]["expr"].endswith("> 0.01")
    assert told["OpenClawPoolFull"]["expr"].endswith("> 0.9")
    for rule in told.values():
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def _history() -> list[Sample]:
    fast = slow = failed = 0
    samples = [sample(0)]
    for steps, state in PLAN:
        for _ in range(steps):
            fast, slow = fast + (6 if state == "slow" else 10), slow + (4 if state == "slow" else 0)
            failed += 1 if state == "failing" else 0
            samples.append(sample(len(samples) * STEP, fast=fast, slow=slow, failed=failed))
    return samples


def _series(samples: list[Sample]) -> list[dict[str, str]]:
    """What Prometheus would have scraped."""
    rows = {}
    for place, bound in enumerate([*map(repr, LATENCY), "+Inf"]):
        counts = [sum(one.latency[: place + 1]) for one in samples]
        rows[f'openclaw_latency_seconds_bucket{{job="openclaw",level="2",le="{bound}"}}'] = counts
    for outcome in ("done", "failed"):
        counts = [one.outcomes[outcome] for one in samples]
        rows[f'openclaw_requests_total{{job="openclaw",outcome="{outcome}"}}'] = counts
    return [{"series": name, "values": " ".join(map(str, counts))} for name, counts in rows.items()]


def test_notebook_and_prometheus_say_the_same(tmp_path: Path) -> None:
    samples, thresholds = _history(), AlertThresholds()
    alerts, history = Alerts(rules(thresholds)), History(samples[0])
    firing: dict[float, set[str]] = {}
    for one in samples[1:]:
        alerts.look(history.window(300, one))
        history.add(one)
        firing[one.at] = set(alerts.firing)
    assert {name for minute in LOOKS for name in firing[minute * 60]} == {
        "OpenClawFirstTokensSlow", "OpenClawRequestsFail",
    }  # fmt: skip
    tests = [
        {
            "expr": 'ALERTS{alertstate="firing"}', "eval_time": f"{minute}m",
            "exp_samples": [
                {
                    "labels": f'ALERTS{{alertname="{name}", alertstate="firing", job="openclaw", severity="warning"}}',
                    "value": 1,
                } for name in sorted(firing[minute * 60])
            ],
        } for minute in LOOKS
    ]  # fmt: skip
    (tmp_path / "rules.yml").write_text(alert_rules(Monitoring(alert_thresholds=thresholds)))
    test = {
        "rule_files": ["rules.yml"], "evaluation_interval": f"{STEP}s",
        "tests": [{"interval": f"{STEP}s", "input_series": _series(samples), "promql_expr_test": tests}],
    }  # fmt: skip
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))
    done = promtool("test", "rules", "test.yml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_where_to_scrape(tmp_path: Path) -> None:
    text = scrape_config(Monitoring(port=9100, metrics_path="/figures"), workers=10)
    (tmp_path / "prometheus.yml").write_text(text)
    accepts("check", "config", "prometheus.yml", folder=tmp_path)
    [job] = yaml.safe_load(text)["scrape_configs"]
    assert job["job_name"] == "openclaw"
    assert job["metrics_path"] == "/figures"
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{port}" for port in range(9100, 9110)]}]


def test_everywhere_is_no_target() -> None:
    assert "localhost:9090" in scrape_config(Monitoring(host="0.0.0.0"))
    assert "[::1]:9090" in scrape_config(Monitoring(host="::1"))
