"""Exposition: metrics as `prometheus_client` wants them, in a registry of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from ..version import __version__
from .instruments import INSTRUMENTS, Instrument

if TYPE_CHECKING:
    from .metrics import Metrics

__all__ = ["registry_of"]


_Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

_KINDS: Mapping[str, Callable[..., _Family]] = {
    "counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily,
}  # fmt: skip


def registry_of(metrics: Metrics) -> CollectorRegistry:
    """A registry that tells all instruments, and process_* and python_* of this process."""
    registry = CollectorRegistry()
    registry.register(_Collector(metrics))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


class _Collector:
    """Looks at the metrics when it is asked."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterator[Metric]:
        for instrument in INSTRUMENTS.values():
            yield _family(instrument)
        yield _build()

    def collect(self) -> Iterator[Metric]:
        for instrument in INSTRUMENTS.values():
            if family := self._filled(instrument):
                yield family
            # Whoever wants the interpreter, as the loop does, is to have it now and not after a slice of 5 ms.
            time.sleep(0)
        yield _build()

    def _filled(self, instrument: Instrument) -> Metric | None:
        metrics, family = self._metrics, _family(instrument)
        if isinstance(family, HistogramMetricFamily):
            for labels, histogram in metrics.histograms(instrument.name):
                family.add_metric(labels, histogram.buckets, histogram.sum)
        elif instrument.lazy and not metrics.has(instrument.name):
            return None
        else:
            [values] = instrument.labels.values() or [("",)]
            for value in values:
                family.add_metric([value] if value else [], metrics.value(instrument.name, value))
        return family


def _family(instrument: Instrument) -> _Family:
    return _KINDS[instrument.kind](instrument.name, instrument.help, labels=tuple(instrument.labels))


def _build() -> Metric:
    family = GaugeMetricFamily("openclaw_build_info", "The version that runs.", labels=("version",))
    family.add_metric([__version__], 1)
    return family
