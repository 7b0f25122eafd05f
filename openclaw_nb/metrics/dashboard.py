"""Dashboard, a Grafana dashboard as JSON: every instrument has its place, and thresholds are lines in it.

Whoever imports it chooses the Prometheus that it asks, the job, and the instances that are shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ..config import Monitoring

__all__ = ["SCHEMA", "dashboard"]

SCHEMA = 39
"""The schema of Grafana 10.4 and 11; newer ones read it and bring it up to theirs."""

WHERE = 'job=~"$job", instance=~"$instance"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS, HEIGHT = 24, 8


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    help: str
    unit: str
    queries: Sequence[tuple[str, str]]
    """PromQL, and the legend of its lines."""
    width: int = 8
    kind: Literal["timeseries", "stat", "heatmap"] = "timeseries"
    limit: float | None = None
    stacked: bool = False


def dashboard(monitoring: Monitoring) -> str:
    """The dashboard (JSON), with the limits of that configuration."""
    panels: list[dict[str, Any]] = []
    x = y = 0
    for id, panel in enumerate(_panels(monitoring), 1):
        if x + panel.width > COLUMNS:
            x, y = 0, y + HEIGHT
        panels.append(_drawn(panel, id, {"h": HEIGHT, "w": panel.width, "x": x, "y": y}))
        x += panel.width
    return json.dumps(
        {
            "title": "OpenClaw", "uid": "openclaw-nb", "tags": ["openclaw"], "schemaVersion": SCHEMA, "version": 1,
            "editable": True, "graphTooltip": 1, "refresh": "15s", "timezone": "browser",
            "time": {"from": "now-1h", "to": "now"}, "annotations": {"list": []}, "links": [],
            "templating": {"list": list(_variables())}, "panels": panels,
        },
        indent=2, ensure_ascii=False,
    ) + "\n"  # fmt: skip


def _panels(monitoring: Monitoring) -> Iterator[_Panel]:
    limits = monitoring.alert_thresholds
    latency, rate = "openclaw_latency_seconds_bucket", "[$__rate_interval]"
    yield _Panel(
        "First token", "Seconds from a request to its first token.", "s",
        [(f"histogram_quantile({q}, sum by (le) ({_rate(latency)}))", f"P{q * 100:g}") for q in (0.5, 0.9, 0.99)],
        12, limit=limits.latency_p99,
    )  # fmt: skip
    yield _Panel(
        "First token, P99 by level", "A deeper level thinks before it speaks.", "s",
        [(f"histogram_quantile(0.99, sum by (le, level) ({_rate(latency)}))", "level {{level}}")], 12,
    )  # fmt: skip
    yield _Panel(
        "First tokens", "How many took how long.", "s",
        [(f"sum by (le) (increase({latency}{{{WHERE}}}{rate}))", "{{le}}")], kind="heatmap",
    )  # fmt: skip
    yield _Panel(
        "Requests", "Requests that ended, per second.", "reqps",
        [(f"sum by (outcome) ({_rate('openclaw_requests_total')})", "{{outcome}}")], stacked=True,
    )  # fmt: skip
    failed = _rate("openclaw_requests_total", 'outcome="failed"')
    yield _Panel(
        "Error rate", "The part of requests that failed.", "percentunit",
        [(f"sum({failed}) / sum({_rate('openclaw_requests_total')})", "failed")], limit=limits.error_rate,
    )  # fmt: skip
    yield _Panel("Errors", "Failed requests per second, by code.", "reqps",
                 [(f"sum by (code) ({_rate('openclaw_errors_total')}) > 0", "{{code}}")], stacked=True)  # fmt: skip
    took = _rate("openclaw_request_seconds_bucket")
    yield _Panel(
        "Whole requests", "Seconds from a request to its end.", "s",
        [(f"histogram_quantile({q}, sum by (le) ({took}))", f"P{q * 100:g}") for q in (0.5, 0.99)],
    )  # fmt: skip
    yield _Panel("Tokens per second", "Tokens written, by instance.", "short",
                 [(f"openclaw_tokens_per_second{{{WHERE}}}", "{{instance}}")], stacked=True)  # fmt: skip
    yield _Panel("Tokens", "Tokens that models were told and wrote, per second.", "short",
                 [(f"sum by (kind) ({_rate('openclaw_tokens_total')})", "{{kind}}")])  # fmt: skip
    pool = f"sum(openclaw_thread_pool_active{{{WHERE}}}) / sum(openclaw_thread_pool_size{{{WHERE}}})"
    yield _Panel("Thread pool", "Agents at work, of those that may be, and those that wait.", "short", [
        (f"sum(openclaw_thread_pool_{which}{{{WHERE}}})", words)
        for which, words in (("active", "at work"), ("size", "may work"), ("waiting", "wait"))
    ])  # fmt: skip
    yield _Panel("Thread pool utilization", "The part of its agents that is at work.", "percentunit",
                 [(pool, "at work")], limit=limits.thread_pool_utilization)  # fmt: skip
    yield _Panel(
        "Reasoning levels", "Requests per second, by the level they ended at.", "reqps",
        [(_level(level), f"level {level}") for level in range(1, 5)], stacked=True,
    )  # fmt: skip
    mean = f"sum({_rate('openclaw_reasoning_level_sum')}) / sum({_rate('openclaw_reasoning_level_count')})"
    yield _Panel("Mean level", "A level that jumps is set by levelThresholds, or by hand.", "short",
                 [(mean, "level")])  # fmt: skip
    yield _Panel("At work", "Requests at work, those that wait for their session, and clients.", "short", [
        (f"sum(openclaw_runs_active{{{WHERE}}})", "at work"), (f"sum(openclaw_queue{{{WHERE}}})", "wait"),
        (f"sum(openclaw_connections{{{WHERE}}})", "clients"),
    ])  # fmt: skip
    yield _Panel("Recovery", "Reconnects, gaps, restores and simpler runs, per minute.", "short", [
        (f"60 * sum({_rate(f'openclaw_{name}_total')})", name)
        for name in ("reconnects", "gaps", "restores", "degradations")
    ])  # fmt: skip
    yield _Panel("Snapshots", "Snapshots kept, per second.", "short",
                 [(f"sum({_rate('openclaw_snapshots_total')})", "kept")])  # fmt: skip
    yield _Panel("Cost", "US dollars per hour, as far as prices are known.", "currencyUSD",
                 [(f"3600 * sum({_rate('openclaw_cost_usd_total')})", "per hour")])  # fmt: skip
    yield _Panel("Processes", "Cores in use, by instance.", "short",
                 [(_rate("process_cpu_seconds_total"), "{{instance}}")])  # fmt: skip
    yield _Panel("Memory", "Resident memory, by instance.", "bytes",
                 [(f"process_resident_memory_bytes{{{WHERE}}}", "{{instance}}")])  # fmt: skip
    yield _Panel(
        "Instances", "Which answer, which go away, which share their runs, which ask for simpler ones.", "short",
        [
            (f"count(openclaw_build_info{{{WHERE}}}) by (version)", "up, {{version}}"),
            (f"sum(openclaw_draining{{{WHERE}}})", "draining"), (f"sum(openclaw_shared{{{WHERE}}})", "sharing"),
            (f"sum(openclaw_degraded{{{WHERE}}})", "degraded"),
        ], kind="stat",
    )  # fmt: skip


def _rate(name: str, also: str = "") -> str:
    return f"rate({name}{{{', '.join(filter(None, (WHERE, also)))}}}[$__rate_interval])"


def _level(level: int) -> str:
    """Those of one level: what is not above it, without what is not above the one before."""
    bounds = [f'le="{bound}.0"' for bound in (level, level - 1) if bound]
    return " - ".join(f"sum({_rate('openclaw_reasoning_level_bucket', bound)})" for bound in bounds)


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}}
    for name, source in (("job", "openclaw_build_info"), ("instance", 'openclaw_build_info{job=~"$job"}')):
        query = f"label_values({source}, {name})"
        yield {
            "name": name, "label": name, "type": "query", "datasource": SOURCE, "refresh": 2, "sort": 1,
            "multi": True, "includeAll": True, "allValue": ".*", "definition": query,
            "query": {"query": query, "refId": name}, "current": {"text": ["All"], "value": ["$__all"]},
        }  # fmt: skip


def _drawn(panel: _Panel, id: int, place: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    custom: dict[str, Any] = {"fillOpacity": 12, "lineWidth": 2, "showPoints": "never"}
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
        custom["thresholdsStyle"] = {"mode": "line+area"}
    if panel.stacked:
        custom |= {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 30}
    form = "heatmap" if panel.kind == "heatmap" else "time_series"
    return {
        "id": id, "type": panel.kind, "title": panel.title, "description": panel.help, "gridPos": place,
        "datasource": SOURCE,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps},
                "custom": custom if panel.kind == "timeseries" else {},
            },
            "overrides": [],
        },
        "options": _options(panel),
        "targets": [
            {
                "refId": chr(ord("A") + number), "datasource": SOURCE, "editorMode": "code", "expr": query,
                "legendFormat": legend, "format": form, "range": True,
            }
            for number, (query, legend) in enumerate(panel.queries)
        ],
    }  # fmt: skip


def _options(panel: _Panel) -> dict[str, Any]:
    match panel.kind:
        case "heatmap":
            return {"calculate": False, "yAxis": {"unit": panel.unit}, "color": {"scheme": "Blues", "steps": 64}}
        case "stat":
            return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none", "graphMode": "none"}
        case _:
            legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
