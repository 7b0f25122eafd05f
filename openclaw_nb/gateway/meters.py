"""Meters, where metrics look at a gateway: what it has under way, who is there, what is kept."""

from __future__ import annotations

from collections.abc import Callable, Sized

from ..engine import Engine
from ..metrics import Metrics
from ..snapshots import Snapshot
from .runs import Runs

__all__ = ["Meters"]


class Meters:
    """From `start` to `stop` metrics look at these parts of a gateway; ``kept`` says whether at its snapshots too."""

    def __init__(
        self, metrics: Metrics, runs: Runs, connections: Sized, engine: Engine, draining: Callable[[], bool],
        shared: Callable[[], bool | None], *, kept: bool,
    ) -> None:  # fmt: skip
        self._metrics = metrics
        self._runs = runs
        self._connections = connections
        self._engine = engine
        self._draining = draining
        self._shared = shared
        self._kept = kept
        self._forget: list[Callable[[], None]] = []

    def start(self) -> None:
        read, runs, engine = self._metrics.read, self._runs, self._engine
        self._forget += [
            read("openclaw_runs_active", lambda: sum(run.here for run in runs.at_work())),
            read("openclaw_queue", lambda: engine.memory.lanes.waiting + sum(run.waits for run in runs.at_work())),
            read("openclaw_connections", lambda: len(self._connections)),
            read("openclaw_draining", self._draining),
            read("openclaw_tokens_total", lambda: sum(run.written for run in runs.at_work() if not run.done)),
        ]
        if self._shared() is not None:
            self._forget.append(read("openclaw_shared", lambda: bool(self._shared())))
        if self._kept:
            self._forget.append(engine.memory.store.subscribe(self._count))

    def stop(self) -> None:
        """What was counted stays."""
        while self._forget:
            self._forget.pop()()
        self._metrics.close()

    def _count(self, _: Snapshot) -> None:
        self._metrics.count("openclaw_snapshots_total")
