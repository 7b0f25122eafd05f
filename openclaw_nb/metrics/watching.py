"""Watching, how metrics learn of clients: their runs at gateways elsewhere, and how often they had to recover."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ..config import AgentURI
from ..events import Delta, End, RunEvent, Status, Step
from ..run import Run
from .instruments import DONE, FAILED, STOPPED
from .metrics import Metrics

if TYPE_CHECKING:
    from ..client import OpenClawClient

__all__ = ["Watching"]

OUTCOME = {Status.DONE: DONE, Status.STOPPED: STOPPED, Status.FAILED: FAILED}

COUNTED = {
    "reconnect": "openclaw_reconnects_total", "gap": "openclaw_gaps_total", "restore": "openclaw_restores_total",
    "degrade": "openclaw_degradations_total",
}  # fmt: skip
"""The events of a client that are counted, and as what."""


class Watching:
    """Has ``metrics`` count what clients on ``loop`` do. Runs of the gateway in this process are counted by itself."""

    def __init__(self, metrics: Metrics, loop: asyncio.AbstractEventLoop) -> None:
        self._metrics = metrics
        self._loop = loop
        self._runs: dict[Run, None] = {}
        metrics.read("openclaw_runs_active", lambda: len(self._runs))
        metrics.read("openclaw_tokens_total", lambda: sum(run.tokens for run in tuple(self._runs)))

    def client(self, client: OpenClawClient) -> None:
        """Count how often it has to recover."""
        for event, name in COUNTED.items():
            client.on(event, partial(self._happened, name))

    def run(self, run: Run, uri: str) -> None:
        """Count a run that is about to be sent there."""
        if AgentURI.parse(uri).is_local:
            return
        self._runs[run] = None
        forget: list[Callable[[], None]] = []

        def heard(event: RunEvent) -> None:
            if isinstance(event, Delta | Step) and event.tokens:
                forget.pop()()
                self._metrics.first_token(run.level or 2, run.seconds)

        forget.append(run.subscribe(heard))
        run.before_end(lambda end: self._ended(run, end))
        with suppress(RuntimeError):  # the loop has ended, and the run will not begin
            self._loop.call_soon_threadsafe(self._metrics.began)

    def _ended(self, run: Run, end: End) -> None:
        self._runs.pop(run, None)
        self._metrics.ended(
            OUTCOME[end.status], run.level or 2, run.seconds, read=end.usage.input_tokens if end.usage else 0,
            written=run.tokens, cost=end.cost or 0.0, code=end.error.code if end.error else "",
        )  # fmt: skip

    def _happened(self, name: str, *_: object) -> None:
        self._metrics.count(name)
