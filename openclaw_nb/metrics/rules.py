"""What Prometheus is to be given as files: alert rules, and where to scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from .alerts import HOLD, WINDOW, promtime
from .alerts import rules as rules_of

if TYPE_CHECKING:
    from ..config import Monitoring

__all__ = ["alert_rules", "scrape_config"]

JOB = "openclaw"


def alert_rules(monitoring: Monitoring, *, window: float = WINDOW, hold: float = HOLD) -> str:
    """A rules file (YAML): those of the thresholds, and what no threshold is needed for.

    ``window`` is what rates look back, ``hold`` how long something must be so, both in seconds.
    """
    told = [
        _alert(rule.name, rule.expr, rule.hold, "warning", rule.summary, rule.action)
        for rule in rules_of(monitoring.alert_thresholds, window, hold)
    ]
    told += [
        _alert(
            "OpenClawDown", f'up{{job="{JOB}"}} == 0', hold / 2, "critical",
            "{{ $labels.instance }} does not answer Prometheus.",
            "Clients have moved on to other instances by themselves. Look at its log, and start it again.",
        ),
        _alert(
            "OpenClawDegraded", "openclaw_degraded > 0", hold, "info",
            "{{ $value }} clients of {{ $labels.instance }} ask for simpler runs, as theirs go badly.",
            "They go back to what was asked for by themselves; openclaw_errors_total says what went wrong.",
        ),
        _alert(
            "OpenClawNotShared", "openclaw_shared == 0", hold, "warning",
            "{{ $labels.instance }} cannot reach Redis, and its runs are its own.",
            "Were it to end now, its runs would have to be asked for again. Look whether Redis is up and reachable.",
        ),
    ]  # fmt: skip
    return _yaml({"groups": [{"name": "openclaw", "rules": told}]})


def scrape_config(monitoring: Monitoring, workers: int = 1, interval: float = 15.0) -> str:
    """What goes under Prometheus' own configuration (YAML): a target for each worker."""
    host = f"[{monitoring.host}]" if ":" in monitoring.host else monitoring.host
    if host in ("0.0.0.0", "[::]"):  # noqa: S104 - what is listened on is no place to go to
        host = "localhost"
    targets = [f"{host}:{monitoring.port + worker}" for worker in range(workers)]
    job = {
        "job_name": JOB, "metrics_path": monitoring.metrics_path, "scrape_interval": promtime(interval),
        "static_configs": [{"targets": targets}],
    }  # fmt: skip
    return _yaml({"scrape_configs": [job]})


def _alert(name: str, expr: str, hold: float, severity: str, summary: str, action: str) -> dict[str, Any]:
    return {
        "alert": name, "expr": expr, "for": promtime(hold), "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": action},
    }  # fmt: skip


def _yaml(value: object) -> str:
    written: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1_000)
    return written
