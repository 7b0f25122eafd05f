"""Metrics: what is measured of runs, exported for Prometheus, judged by thresholds, and drawn in the notebook."""

from __future__ import annotations

from .exporter import Exporter, exporter_of
from .history import Window
from .metrics import Metrics

__all__ = ["Exporter", "Metrics", "Window", "exporter_of"]
