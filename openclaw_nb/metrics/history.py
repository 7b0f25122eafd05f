"""History, samples of what was measured, as many as the last minutes of work need, and Window, what lies between two.

Moments are passed in, as seconds of one clock. A window is judged by alerts, drawn, and asked by the doctor.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

from .histogram import quantile
from .instruments import FAILED, LATENCY, LEVELS

__all__ = ["KEPT", "History", "Sample", "Window"]

KEPT = 450
"""Samples that are kept: 15 minutes of work."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What all counters stood at, and what was looked at, at one moment."""

    COUNTED: ClassVar[tuple[str, ...]] = (
        "openclaw_reconnects_total", "openclaw_gaps_total", "openclaw_restores_total", "openclaw_degradations_total",
        "openclaw_snapshots_total",
    )  # fmt: skip
    GAUGES: ClassVar[tuple[str, ...]] = (
        "openclaw_thread_pool_active", "openclaw_thread_pool_size", "openclaw_thread_pool_waiting",
        "openclaw_runs_active", "openclaw_queue", "openclaw_connections", "openclaw_degraded",
    )  # fmt: skip

    at: float
    latency: tuple[int, ...]
    levels: tuple[int, ...]
    outcomes: Mapping[str, int]
    errors: Mapping[str, int]
    written: float
    read: float
    cost: float
    counted: Mapping[str, int]
    gauges: Mapping[str, float]

    @property
    def requests(self) -> int:
        return sum(self.outcomes.values())


class History:
    """The newest samples, in order, beginning with a first one. Idle time needs none. From any thread."""

    def __init__(self, first: Sample) -> None:
        self._samples: deque[Sample] = deque([first], maxlen=KEPT)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def oldest(self) -> Sample:
        return self._samples[0]

    @property
    def newest(self) -> Sample:
        return self._samples[-1]

    def add(self, sample: Sample) -> None:
        with self._lock:
            self._samples.append(sample)

    def window(self, seconds: float, now: Sample) -> Window:
        """From the sample that stands for ``seconds`` ago up to ``now``."""
        with self._lock:
            samples = [*self._samples, now]
        since = now.at - seconds
        first = next((place for place, sample in enumerate(samples) if sample.at > since), len(samples) - 1)
        return Window(samples[max(first - 1, 0) :], seconds)


@dataclass(frozen=True, slots=True)
class Window:
    """What happened from the first of ``samples`` to the last; a ``span`` in seconds was asked for."""

    samples: list[Sample]
    span: float = field(default=300.0)

    @property
    def first(self) -> Sample:
        return self.samples[0]

    @property
    def last(self) -> Sample:
        return self.samples[-1]

    @property
    def seconds(self) -> float:
        """How long it is: shorter than asked for where there is no history yet."""
        return max(min(self.last.at - self.first.at, self.span), 1e-9)

    @property
    def buckets(self) -> tuple[int, ...]:
        """First tokens by bucket of LATENCY, all levels together."""
        return tuple(b - a for a, b in zip(self.first.latency, self.last.latency, strict=True))

    def latency(self, q: float = 0.99) -> float | None:
        """The ``q``-quantile of seconds to the first token, None where none came."""
        return quantile(q, LATENCY, self.buckets)

    @property
    def requests(self) -> int:
        """Requests that ended."""
        return self.last.requests - self.first.requests

    def outcome(self, outcome: str) -> int:
        """Requests that ended so."""
        return self.last.outcomes[outcome] - self.first.outcomes[outcome]

    @property
    def error_rate(self) -> float | None:
        """The part of requests that failed, None where none ended."""
        return self.outcome(FAILED) / self.requests if self.requests else None

    @property
    def errors(self) -> dict[str, int]:
        """Failed requests by code, the most frequent first."""
        found = {code: count - self.first.errors.get(code, 0) for code, count in self.last.errors.items()}
        return dict(sorted(((c, n) for c, n in found.items() if n), key=lambda item: (-item[1], item[0])))

    @property
    def levels(self) -> dict[int, int]:
        """Requests by the level that they ended at."""
        return {level: self.last.levels[level - 1] - self.first.levels[level - 1] for level in LEVELS}

    @property
    def written(self) -> float:
        """Tokens written."""
        return self.last.written - self.first.written

    @property
    def tokens_per_second(self) -> float:
        # The first sample may be far older: nothing was written between it and the beginning of the window.
        return self.written / max(self.seconds, 1.0)

    @property
    def cost(self) -> float:
        """US dollars."""
        return self.last.cost - self.first.cost

    def counted(self, name: str) -> int:
        """How often what `openclaw_…_total` counts has happened."""
        return self.last.counted[name] - self.first.counted[name]

    @property
    def pool(self) -> tuple[int, int, int]:
        """Agents at work, those that may be, and those that wait, now."""
        active, size, waiting = (
            int(self.last.gauges[f"openclaw_thread_pool_{n}"]) for n in ("active", "size", "waiting")
        )
        return active, size, waiting

    @property
    def steps(self) -> Iterator[Window]:
        """From each sample to the next."""
        return (Window([a, b], b.at - a.at) for a, b in pairwise(self.samples))
