"""Monitor, what a notebook's runtime measures, judges by a configuration's thresholds, and serves where it is asked."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from ..errors import ConfigError
from .alerts import Alerts, rules
from .exporter import Exporter, exporter_of
from .history import Window
from .metrics import Metrics
from .watching import Watching

if TYPE_CHECKING:
    from ..config import ClusterConfig

__all__ = ["Monitor"]

THRESHOLDS = "monitoring.alertThresholds"
ENABLED = "monitoring.prometheusEnabled"


class Monitor:
    """``metrics`` of the clients on ``loop`` and of the gateway beside them; ``alerts`` where limits are configured.

    Nothing is served until `serve` is called, or a configuration says prometheusEnabled. ``trouble`` is a sentence
    where it could not be then.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, config: ClusterConfig) -> None:
        self.metrics = Metrics()
        self.watching = Watching(self.metrics, loop)
        self.alerts = Alerts(())
        self.exporter: Exporter | None = None
        self.trouble = ""
        self._lock = threading.Lock()
        self.metrics.sampled = self._look
        self.configure(config)

    def configure(self, config: ClusterConfig) -> None:
        """Take what a configuration says of monitoring; where it says nothing of limits nobody is told of any."""
        self._config = config
        limited = any(name.startswith(THRESHOLDS) for name in config.given)
        self.alerts = Alerts(rules(config.monitoring.alert_thresholds) if limited else ())
        self.trouble = ""
        if ENABLED in config.given:
            self.stop()
            try:
                self._start(exporter_of(self.metrics, config.monitoring))
            except ConfigError as error:
                self.trouble = str(error)

    def serve(self, port: int | None = None) -> Exporter:
        """Serve metrics, at this port or where the configuration says; ConfigError where that cannot be."""
        exporter = exporter_of(self.metrics, self._config.monitoring, port=port)
        if exporter is None:
            raise ConfigError("prometheusEnabled is false in the configuration; true serves metrics")
        if self.exporter is not None and port in (None, self.exporter.port):
            return self.exporter
        self.stop()
        self._start(exporter)
        self.trouble = ""
        return exporter

    def stop(self) -> None:
        """Serve metrics no more."""
        with self._lock:
            exporter, self.exporter = self.exporter, None
        if exporter is not None:
            exporter.close()

    @property
    def limit(self) -> float | None:
        """Seconds that a first token may take, where that is configured."""
        return self._config.monitoring.alert_thresholds.latency_p99 if self.alerts.rules else None

    def news(self) -> list[tuple[str, str]]:
        """What has come above its limit since this was asked last, or is well again; see `Alerts.news`."""
        if not self.alerts.rules:
            return []
        self._look(self.metrics.window())
        return self.alerts.news()

    def _start(self, exporter: Exporter | None) -> None:
        if exporter is not None:
            exporter.start()
            with self._lock:
                self.exporter = exporter

    def _look(self, window: Window) -> None:
        self.alerts.look(window)
