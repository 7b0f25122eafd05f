"""Alerts, what is worth telling somebody: one table of rules, for Prometheus in its language, for a notebook in ours.

Both judge the same figures: a rule's ``measure`` is its ``value`` over the same buckets and the same window.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..render import counted, timed
from .history import Window

if TYPE_CHECKING:
    from ..config import AlertThresholds

__all__ = ["HOLD", "WINDOW", "Alerts", "Rule", "promtime", "rules"]

WINDOW = 300.0
"""Seconds that a rule looks back."""

HOLD = 60.0
"""Seconds for which something must be so before it is told: Prometheus calls it `for`."""

ASK = "%openclaw doctor says why"


@dataclass(frozen=True, slots=True)
class Rule:
    """Tells when ``measure`` is above ``limit`` for ``hold`` seconds; ``above`` and ``calm`` say so in a notebook.

    ``value`` is what Prometheus measures, in its language; ``summary`` and ``action`` are what its alert says.
    """

    name: str
    limit: float
    hold: float
    value: str
    summary: str
    action: str
    measure: Callable[[Window], float | None]
    above: Callable[[Window, float], str]
    calm: Callable[[float], str]

    @property
    def expr(self) -> str:
        """When it is to be told, for Prometheus."""
        return f"{self.value} > {self.limit:g}"


class Alerts:
    """What is above its limit in a notebook, and what of that was not said yet: each turn once. From any thread."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self.firing: dict[str, str] = {}
        """What is above its limit now, in words."""
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}
        self._unsaid: dict[str, tuple[str, str]] = {}

    def look(self, window: Window) -> None:
        """Judge a window that ends now. Where nothing was measured nothing is wrong, and nothing is well again."""
        with self._lock:
            for rule in self.rules:
                value = rule.measure(window)
                if value is not None and value > rule.limit:
                    self._above(rule, value, window)
                else:
                    self._below(rule, value)

    def news(self) -> list[tuple[str, str]]:
        """(tone, words) of what has turned since this was asked last: tone "warn", or "ok" where it is well again."""
        with self._lock:
            unsaid, self._unsaid = self._unsaid, {}
        return [("ok" if turn == "calm" else "warn", words) for turn, words in unsaid.values() if words]

    def _above(self, rule: Rule, value: float, window: Window) -> None:
        now = window.last.at
        if now - self._since.setdefault(rule.name, now) < rule.hold:
            return
        if rule.name not in self.firing:
            self._turned(rule.name, "above", rule.above(window, value))
        self.firing[rule.name] = rule.above(window, value)

    def _below(self, rule: Rule, value: float | None) -> None:
        self._since.pop(rule.name, None)
        if self.firing.pop(rule.name, None) is not None:
            self._turned(rule.name, "calm", rule.calm(value) if value is not None else "")

    def _turned(self, name: str, turn: str, words: str) -> None:
        if self._unsaid.pop(name, None) is None:  # of what came and went unsaid nothing need be said
            self._unsaid[name] = (turn, words)


def rules(thresholds: AlertThresholds, window: float = WINDOW, hold: float = HOLD) -> tuple[Rule, ...]:
    """The rules of those thresholds that are set."""
    limits = (
        (_slow, thresholds.latency_p99), (_failing, thresholds.error_rate),
        (_full, thresholds.thread_pool_utilization),
    )  # fmt: skip
    return tuple(rule(limit, window, hold) for rule, limit in limits if limit is not None)


def _slow(limit: float, window: float, hold: float) -> Rule:
    last = _last(window)
    return Rule(
        "OpenClawFirstTokensSlow", limit, hold,
        f"histogram_quantile(0.99, sum by (job, le) (rate(openclaw_latency_seconds_bucket[{promtime(window)}])))",
        f"One request in a hundred waits {{{{ $value | humanizeDuration }}}} or longer for its first token; "
        f"the limit is {_time(limit)}.",
        "Ask openclaw-nb doctor what takes the time. Where the model is slow, take a quicker or a local one, or a "
        "lower level; where requests queue, add instances; where updates are late, lower tokenInterval.",
        lambda window: window.latency(0.99),
        lambda _, value: f"first tokens are slow: P99 {_time(value)} {last}, limit {_time(limit)}; {ASK}",
        lambda value: f"first tokens are quick again: P99 {_time(value)} {last}",
    )  # fmt: skip


def _failing(limit: float, window: float, hold: float) -> Rule:
    span, last = promtime(window), _last(window)
    return Rule(
        "OpenClawRequestsFail", limit, hold,
        f'sum by (job) (rate(openclaw_requests_total{{outcome="failed"}}[{span}])) '
        f"/ sum by (job) (rate(openclaw_requests_total[{span}]))",
        f"{{{{ $value | humanizePercentage }}}} of requests fail; the limit is {_share(limit)}.",
        "openclaw_errors_total says by which codes. MODEL and MODEL_UNAVAILABLE come from the provider: look at "
        "its status and its limits; TIMEOUT: give runs more time; UNAUTHORIZED: look at the tokens.",
        lambda window: window.error_rate,
        lambda window, value: (
            f"{_share(value)} of requests failed {last}{_codes(window)}, limit {_share(limit)}; {ASK}"
        ),
        lambda value: f"requests succeed again: {_share(value)} failed {last}",
    )  # fmt: skip


def _full(limit: float, window: float, hold: float) -> Rule:
    return Rule(
        "OpenClawPoolFull", limit, hold, "openclaw_thread_pool_active / openclaw_thread_pool_size",
        f"{{{{ $value | humanizePercentage }}}} of the agents that may work at once do; the limit is {_share(limit)}.",
        "openclaw_thread_pool_waiting says how many wait. Raise maxThreads, add workers, or lower how many agents a "
        "task takes at once; where none of them ends, look for a deadlock with openclaw-nb doctor.",
        lambda window: window.pool[0] / window.pool[1] if window.pool[1] else None,
        lambda window, _: f"the pool is full: {_pool(window)}, limit {_share(limit)}; "
        "%openclaw pool N lets more work at once",
        lambda value: f"the pool has room again: {_share(value)} of it is at work",
    )  # fmt: skip


def _pool(window: Window) -> str:
    active, size, waiting = window.pool
    return f"{active} of {counted(size, 'agent')} at work, {waiting} waiting"


def _codes(window: Window) -> str:
    codes = list(window.errors)[:2]
    return f" ({', '.join(codes)})" if codes else ""


def promtime(seconds: float) -> str:
    """A duration as Prometheus writes it: "5m", "90s", "1500ms"."""
    milliseconds = round(seconds * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def _last(seconds: float) -> str:
    return f"over the last {f'{seconds / 60:g} minutes' if seconds > 60 else timed(seconds)}"


def _time(seconds: float) -> str:
    """ "480 ms", "1.2 s"."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else timed(seconds)


def _share(share: float) -> str:
    """ "4.2 %"."""
    return f"{share * 100:.2g} %" if share < 0.995 else f"{share * 100:.0f} %"
