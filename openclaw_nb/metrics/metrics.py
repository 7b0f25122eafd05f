"""Metrics, what one gateway or notebook has measured: counted as it happens, read by whoever asks, from any thread.

Nothing is global: several of them live in one process side by side. What is counted costs a run about a microsecond;
what can be looked at instead, such as how many are connected, is looked at when somebody asks.
"""

from __future__ import annotations

import asyncio
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from .histogram import Histogram
from .history import History, Sample, Window
from .instruments import CODES, FAILED, INSTRUMENTS, LATENCY, LEVELS, OTHER, OUTCOMES, REQUEST

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["EVERY", "Metrics"]

EVERY = 2.0
"""Seconds between two samples while runs are at work."""

RATE = 10.0
"""Seconds that `openclaw_tokens_per_second` looks back."""

DRAWN = (60.0, 120.0, 300.0, 600.0)
"""Seconds that are drawn, whichever is enough."""

ATTEMPTS = 3
"""Times that a reader is asked which looked at something while it changed."""

_CODES = frozenset(CODES)

Reader = Callable[[], float]


class Metrics:
    """Counts runs by `began`, `first_token` and `ended`, and what else happens by `count`; `read` tells where to look.

    ``every`` is the time between two samples in seconds; there are none while nothing is at work.
    """

    def __init__(self, *, every: float = EVERY) -> None:
        self._every = every
        self._lock = threading.Lock()
        self._counts: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._latency = [Histogram(LATENCY) for _ in LEVELS]
        self._requests = {(level, outcome): Histogram(REQUEST) for level in LEVELS for outcome in OUTCOMES}
        self._levels = Histogram(INSTRUMENTS["openclaw_reasoning_level"].buckets)
        self._written = 0
        self._highest = 0.0
        self._readers: dict[str, tuple[Reader, ...]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._first = self._sample()
        self.history = History(self._first)
        self.sampled: Callable[[Window], None] | None = None
        """Called after each sample with what there is to judge, on the loop's thread."""

    def __repr__(self) -> str:
        return f"<Metrics {sum(map(sum, (h.counts for h in self._requests.values())))} requests>"

    # -- what happens, on the loop -----------------------------------------------------------------

    def began(self) -> None:
        """A run begins, on the running loop."""
        if self._timer is None:
            self._wake()

    def first_token(self, level: int, seconds: float) -> None:
        """The first token came so many seconds after it was asked for."""
        latency = self._latency[level - 1]
        place = bisect_left(LATENCY, seconds)
        with self._lock:
            latency.counts[place] += 1
            latency.sum += seconds

    def ended(
        self, outcome: str, level: int, seconds: float, *, read: int = 0, written: int = 0, cost: float = 0.0,
        code: str = "",
    ) -> None:  # fmt: skip
        """A run ended. ``read`` and ``written`` are tokens, ``cost`` is USD, ``code`` that of its error, if any."""
        counts = self._counts
        with self._lock:
            self._requests[level, outcome].observe(seconds)
            self._levels.observe(level)
            self._written += written
            if read:
                counts["openclaw_tokens_total", "input"] += read
            if cost:
                counts["openclaw_cost_usd_total", ""] += cost
            if outcome == FAILED:
                counts["openclaw_errors_total", code if code in _CODES else OTHER] += 1

    def close(self) -> None:
        """Take no more samples; on the loop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- from any thread -----------------------------------------------------------------------------

    def count(self, name: str, label: str = "", by: float = 1.0) -> None:
        """Count one of INSTRUMENTS up; ``label`` is the value of its label, if it has one."""
        with self._lock:
            self._counts[name, label] += by

    def read(self, name: str, reader: Reader) -> Callable[[], None]:
        """Look there for one of INSTRUMENTS, whoever asks and on any thread; gives the way to end that.

        Several readers are added up, and so is what was counted. Of `openclaw_tokens_total` it is the output of runs
        that have not ended.
        """
        with self._lock:
            self._readers[name] = (*self._readers.get(name, ()), reader)

        def forget() -> None:
            with self._lock:
                self._readers[name] = tuple(known for known in self._readers.get(name, ()) if known is not reader)

        return forget

    def value(self, name: str, label: str = "") -> float:
        """What a counter or gauge stands at."""
        if name == "openclaw_tokens_per_second":
            return self.tokens_per_second
        if name == "openclaw_tokens_total" and label == "output":
            return self.written
        if name == "openclaw_requests_total":
            with self._lock:
                return self._with_outcome(label)
        return self._counts.get((name, label), 0.0) + self._look(name)

    def has(self, name: str) -> bool:
        """Whether anybody has told where to look for it."""
        return bool(self._readers.get(name))

    @property
    def written(self) -> float:
        """Tokens that models have written so far, those of runs at work included; it never falls."""
        now = self._written + self._look("openclaw_tokens_total")
        with self._lock:  # a run that ends meanwhile may be in neither of the two
            self._highest = max(self._highest, now)
            return self._highest

    @property
    def tokens_per_second(self) -> float:
        """Tokens written per second, over the last RATE seconds."""
        return self.window(RATE).tokens_per_second

    def histograms(self, name: str) -> list[tuple[tuple[str, ...], Histogram]]:
        """Those of an instrument with the values of its labels, as they are now; of a lazy one what there is."""
        with self._lock:
            match name:
                case "openclaw_latency_seconds":
                    return [((str(level),), _copy(self._latency[level - 1])) for level in LEVELS]
                case "openclaw_request_seconds":
                    used = [(key, histogram) for key, histogram in self._requests.items() if any(histogram.counts)]
                    return [((str(level), outcome), _copy(histogram)) for (level, outcome), histogram in used]
                case _:
                    return [((), _copy(self._levels))]

    def window(self, seconds: float = 300.0) -> Window:
        """What happened in the last ``seconds``, up to now."""
        return self.history.window(seconds, self._sample())

    def total(self) -> Window:
        """What happened since the beginning."""
        now = self._sample()
        return Window([self._first, now], now.at - self._first.at)

    def curve(self) -> Window:
        """The last minutes, as many as there is something to draw of."""
        age = time.monotonic() - self.history.oldest.at
        return self.window(next((span for span in DRAWN if span >= age), DRAWN[-1]))

    def snapshot(self) -> None:
        """Add a sample to the history now."""
        self.history.add(self._sample())

    @cached_property
    def registry(self) -> CollectorRegistry:
        """Where `prometheus_client` finds all of it, and what it knows of this process; imported for its time."""
        from .exposition import registry_of

        return registry_of(self)

    # -- inside --------------------------------------------------------------------------------------

    def _look(self, name: str) -> float:
        return sum(_asked(reader) for reader in self._readers.get(name, ()))

    def _sample(self) -> Sample:
        written = self.written
        looks = {name: self._look(name) for name in Sample.GAUGES}
        with self._lock:
            counts = self._counts
            return Sample(
                at=time.monotonic(),
                latency=_sums([histogram.counts for histogram in self._latency]),
                levels=tuple(self._levels.counts[: len(LEVELS)]),
                outcomes={outcome: self._with_outcome(outcome) for outcome in OUTCOMES},
                errors={code: int(count) for (name, code), count in counts.items() if name == "openclaw_errors_total"},
                written=written,
                read=counts["openclaw_tokens_total", "input"],
                cost=counts["openclaw_cost_usd_total", ""],
                counted={name: int(counts[name, ""]) for name in Sample.COUNTED},
                gauges=looks,
            )

    def _with_outcome(self, outcome: str) -> int:
        return sum(sum(self._requests[level, outcome].counts) for level in LEVELS)

    def _wake(self) -> None:
        with suppress(RuntimeError):  # there is no loop, or it ends
            loop = asyncio.get_running_loop()
            if time.monotonic() - self.history.newest.at >= self._every:
                self.snapshot()
            self._timer = loop.call_later(self._every, self._tick)

    def _tick(self) -> None:
        """Sample, and come back while anything is at work; the last one has seen the end of all."""
        self._timer = None
        self.snapshot()
        if self.sampled is not None:
            self.sampled(self.window())
        if self.history.newest.gauges["openclaw_runs_active"]:
            self._timer = asyncio.get_running_loop().call_later(self._every, self._tick)


def _asked(reader: Reader) -> float:
    for _ in range(ATTEMPTS):
        with suppress(RuntimeError):  # a dictionary changed while it was gone through
            return reader()
    return 0.0


def _copy(histogram: Histogram) -> Histogram:
    copied = Histogram(histogram.bounds)
    copied.counts, copied.sum = histogram.counts[:], histogram.sum
    return copied


def _sums(counts: list[list[int]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True)))
