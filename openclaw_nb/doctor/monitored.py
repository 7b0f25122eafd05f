"""What was measured while runs were at work: how they ended, how often links were lost, and who can read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from ..metrics.history import Window
from ..render import counted
from .finding import Finding, State, seconds
from .patient import Patient

__all__ = ["exporter", "requests", "requests_of"]

LAST = 300.0
"""Seconds that are looked back."""

RATE = 0.01
"""The part of requests that may fail, where the configuration says nothing: the document's."""

READ = 3.0
"""Seconds that the exporter may take; a scrape has ten."""

_REMEDIES = {
    "MODEL": "the provider fails: look at its status, or %openclaw model NAME takes another",
    "MODEL_UNAVAILABLE": "the provider is overloaded or limits you: fewer at once (%openclaw pool N), or another model",
    "TIMEOUT": "give runs longer (%%openclaw --timeout S, %openclaw pool --timeout S), or a lower level",
    "UNAUTHORIZED": "look at the token: %openclaw connect URI asks for it",
    "DEADLOCK": "agents would have waited for each other: see what is said of the pool",
    "BUDGET": "%openclaw budget USD allows more",
}
_ANY = "%openclaw runs shows which, and what they say"


def requests(patient: Patient) -> Iterator[Finding]:
    """How the newest requests went, by what this process counted."""
    limit = patient.config.monitoring.alert_thresholds.error_rate
    yield requests_of(patient.runtime.metrics.window(LAST), RATE if limit is None else limit)


def requests_of(window: Window, limit: float = RATE) -> Finding:
    """How many there were, how many failed, by which codes, and how often the link was lost meanwhile."""
    reconnects = window.counted("openclaw_reconnects_total")
    lost = {"reconnects": reconnects, "gaps": window.counted("openclaw_gaps_total")}
    lost["restores"] = window.counted("openclaw_restores_total")
    said = [counted(count, name.removesuffix("s")) for name, count in lost.items() if count]
    figures = {"requests": float(window.requests), **{name: float(count) for name, count in lost.items()}}
    if not window.requests:
        words = "none ended in the last five minutes"
        return Finding("requests", State.OK, words, ", ".join(said), figures=figures)
    rate, p50, p99 = window.error_rate or 0.0, window.latency(0.5), window.latency(0.99)
    figures |= {"error_rate": rate}
    measured = [f"{counted(window.requests, 'request')} in the last five minutes, {rate:.1%} failed", *said]
    if p50 is not None and p99 is not None:
        figures |= {"p50": p50, "p99": p99}
        measured.append(f"first tokens after {seconds(p50)} (P50), {seconds(p99)} (P99)")
    told = ", ".join(measured)
    if rate > limit:
        code = next(iter(window.errors), "")
        words = f"too many fail, most of all by {code}" if code else "too many fail"
        return Finding("requests", State.LOOK, words, told, _REMEDIES.get(code, _ANY), figures)
    if reconnects >= window.requests:
        remedy = "see what is said of the link and of the endpoints"
        return Finding("requests", State.LOOK, "the link is lost again and again", told, remedy, figures)
    return Finding("requests", State.OK, "they end well", told, figures=figures)


def exporter(patient: Patient) -> Iterator[Finding]:
    """Whether what is measured can be read by Prometheus."""
    server, monitoring = patient.runtime.monitor.exporter, patient.config.monitoring
    if server is None:
        trouble = patient.runtime.monitor.trouble
        wanted = bool(trouble) or (
            "monitoring.prometheusEnabled" in patient.config.given and monitoring.prometheus_enabled
        )
        words = trouble or "figures are counted, and not served to Prometheus"
        remedy = "%openclaw metrics on" if wanted else ""
        yield Finding("metrics", State.LOOK if wanted else State.OK, words, remedy=remedy)
        return
    parts = urlsplit(server.url)
    try:
        with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=READ)) as connection:
            connection.request("GET", parts.path)
            answer = connection.getresponse()
            data = answer.read()
    except (OSError, HTTPException) as error:
        words = f"{server.url} gives nothing: {type(error).__name__}"
        yield Finding("metrics", State.LOOK, words, remedy="%openclaw metrics on begins anew")
        return
    size = {"bytes": float(len(data))}
    if answer.status != 200 or b"openclaw_" not in data:
        words = f"{server.url} answers with HTTP {answer.status}"
        yield Finding("metrics", State.LOOK, words, remedy="%openclaw metrics on begins anew", figures=size)
    elif server.moved:
        remedy = f"tell Prometheus that port, or free {monitoring.port}"
        yield Finding("metrics", State.LOOK, server.moved, f"{len(data):,} bytes", remedy, size)
    else:
        yield Finding(
            "metrics", State.OK, f"Prometheus can read them at {server.url}", f"{len(data):,} bytes", "", size
        )
