"""Instruments, all that is measured, in one table: from it comes what is exported, what the dashboard shows, and words.

Labels take the values that stand here and no other: a name, a message or a model never is one, as whoever may read
metrics need not be allowed to read those, and each value is a series that is kept for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "CODES", "DONE", "FAILED", "INSTRUMENTS", "LATENCY", "LEVELS", "OTHER", "OUTCOMES", "REQUEST", "STOPPED",
    "Instrument",
]  # fmt: skip

DONE, STOPPED, FAILED = "done", "stopped", "failed"

OUTCOMES = (DONE, STOPPED, FAILED)
"""How a run may end. One that was stopped, by whomever, is no error."""

LEVELS = (1, 2, 3, 4)

OTHER = "OTHER"
"""Stands for every code that is not in CODES: a model of the user's own may fail with any word."""

CODES = (
    "AUTH_RATE_LIMITED", "BUDGET", "CONFIG", "DEADLOCK", "ERROR", "FORBIDDEN", "GATEWAY_STOPPED", "INVALID_REQUEST",
    "MODEL", "MODEL_UNAVAILABLE", "NOT_FOUND", "NOT_STARTED", "NO_AGENT", "NO_ANSWER", "NO_MODEL", "NO_SCOPES",
    "OUTPUT", "OVERLOADED", "PROTOCOL", "REFUSED", "RUN_BEHIND", "RUN_FAILED", "RUN_LOST", "SNAPSHOT",
    "STREAM_DISCONNECTED", "TIMEOUT", "TOOL_ROUNDS", "UNAUTHORIZED", "WORKER", "WORKERS_LOST", OTHER,
)  # fmt: skip
"""The codes of errors that are told apart."""

LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds to the first token, as buckets: from a model in this process to one that has to wake up first."""

REQUEST = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds that a request takes, as buckets."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric. ``values`` are those each of its labels may have; with ``lazy`` a series is there once it is used."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    unit: Literal["s", "USD", "tokens", "tokens/s", ""] = ""
    lazy: bool = False


_LEVEL = {"level": tuple(map(str, LEVELS))}

INSTRUMENTS: Mapping[str, Instrument] = {
    instrument.name: instrument
    for instrument in (
        Instrument(
            "openclaw_latency_seconds", "histogram", "From a request to its first token, by level.",
            _LEVEL, LATENCY, "s",
        ),
        Instrument(
            "openclaw_request_seconds", "histogram", "From a request to its end, by level and outcome.",
            _LEVEL | {"outcome": OUTCOMES}, REQUEST, "s", lazy=True,
        ),
        Instrument("openclaw_tokens_per_second", "gauge", "Tokens written per second, over the last ten seconds.",
                   unit="tokens/s"),
        Instrument("openclaw_tokens_total", "counter", "Tokens that models were told (input) and wrote (output).",
                   {"kind": ("input", "output")}, unit="tokens"),
        Instrument("openclaw_thread_pool_active", "gauge", "Agents of thread pools at work."),
        Instrument("openclaw_thread_pool_size", "gauge", "Agents of thread pools that may work at once."),
        Instrument("openclaw_thread_pool_waiting", "gauge", "Agents of thread pools that wait for a slot."),
        Instrument(
            "openclaw_reasoning_level", "histogram", "The reasoning levels, 1 to 4, that runs ended at.",
            buckets=(1.0, 2.0, 3.0, 4.0),
        ),
        Instrument("openclaw_requests_total", "counter", "Requests that have ended, by outcome.",
                   {"outcome": OUTCOMES}),
        Instrument("openclaw_errors_total", "counter", "Requests that failed, by the code of the error.",
                   {"code": CODES}),
        Instrument("openclaw_runs_active", "gauge", "Requests at work."),
        Instrument("openclaw_queue", "gauge", "Requests that wait for another one of their session."),
        Instrument("openclaw_connections", "gauge", "Clients that are connected."),
        Instrument("openclaw_reconnects_total", "counter", "Attempts of clients to come back after a cut."),
        Instrument("openclaw_gaps_total", "counter", "Answers fetched whole, as their client was away for too long."),
        Instrument("openclaw_restores_total", "counter", "Attempts to take up a run again that had failed."),
        Instrument("openclaw_degradations_total", "counter", "Times that a client went on with simpler runs."),
        Instrument("openclaw_degraded", "gauge", "Clients that ask for simpler runs now, as theirs go badly."),
        Instrument("openclaw_snapshots_total", "counter", "Snapshots kept."),
        Instrument("openclaw_cost_usd_total", "counter", "US dollars that requests have cost, where prices are known.",
                   unit="USD"),
        Instrument("openclaw_shared", "gauge", "Whether runs are shared with other instances; absent where none are.",
                   lazy=True),
        Instrument("openclaw_draining", "gauge", "Whether this instance is about to end, and takes no more requests."),
    )
}  # fmt: skip
"""All of them by name, in the order in which they are told."""
