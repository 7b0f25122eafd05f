"""What Prometheus reads: clean by promtool, in both formats, and without anything that nobody uses."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read

from openclaw_nb.metrics import Metrics
from openclaw_nb.metrics.instruments import DONE, FAILED, INSTRUMENTS
from tests.metrics.promtool import accepts


def measured() -> Metrics:
    """Metrics in which everything has happened once."""
    metrics = Metrics()
    for level in (1, 2, 3, 4):
        metrics.first_token(level, 0.02 * level)
        metrics.ended(DONE, level, level, read=10, written=5, cost=0.01)
    metrics.ended(FAILED, 2, 0.5, code="MODEL")
    metrics.read("openclaw_shared", lambda: 1)
    return metrics


def test_promtool_finds_nothing() -> None:
    accepts("check", "metrics", given=generate_latest(measured().registry).decode())


def test_every_instrument_is_told_as_its_kind() -> None:
    families = {family.name: family for family in read(generate_latest(measured().registry).decode())}
    for instrument in INSTRUMENTS.values():
        family = families[instrument.name.removesuffix("_total")]
        assert family.type == instrument.kind
        assert family.documentation == instrument.help
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        assert labels == set(instrument.labels)


def test_buckets_add_up() -> None:
    [family] = [f for f in read(generate_latest(measured().registry).decode()) if f.name == "openclaw_latency_seconds"]
    second = {sample.labels.get("le", sample.name): sample.value for sample in family.samples
              if sample.labels["level"] == "2"}  # fmt: skip
    assert second["0.025"] == 0
    assert second["0.05"] == second["+Inf"] == second["openclaw_latency_seconds_count"] == 1
    assert second["openclaw_latency_seconds_sum"] == 0.04


def test_openmetrics_is_whole() -> None:
    text = generate_openmetrics(measured().registry).decode()
    assert {family.name for family in read_openmetrics(text)} >= {
        name.removesuffix("_total") for name in INSTRUMENTS
    }  # fmt: skip


def test_what_nobody_uses_is_absent() -> None:
    text = generate_latest(Metrics().registry).decode()
    assert "openclaw_shared" not in text
    assert "openclaw_request_seconds_bucket" not in text
    assert 'openclaw_errors_total{code="MODEL"} 0.0' in text  # or the first error would raise no rate
    assert "_created" not in text
    assert "process_resident_memory_bytes" in text


def test_names_can_be_asked_for() -> None:
    chosen = measured().registry.restricted_registry(["openclaw_gaps_total", "openclaw_runs_active"])
    assert {metric.name for metric in chosen.collect()} == {"openclaw_gaps", "openclaw_runs_active"}
