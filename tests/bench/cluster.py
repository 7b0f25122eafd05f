"""Ten instances behind haproxy under a load in an open loop: ours, and the same on plain websockets and json.

All of it, load and balancer included, runs on this machine's cores, so what one uses the others lack.
"""

from __future__ import annotations

from typing import Any

from .fleet import SECONDS, Fleet, Used, fleet
from .loads import connected, ended, keep, start

__all__ = ["head", "main", "measure", "row"]

INSTANCES = 10
CONNECTIONS = 500
RATE = 10_000

P99 = 150.0
"""Milliseconds that 99 of 100 requests may take at most, from when they were due to their last word."""

ANSWERED = 0.9999

ROWS = (
    ("gateway, turns by a function", "handler", RATE),
    ("websockets + json", "plain", RATE),
    ("gateway with Engine and sessions", "engine", 4_000),
    ("websockets + json", "plain", 4_000),
    ("gateway with Engine, shared by Redis", "shared", 1_000),
)


def measure(fleet: Fleet, connections: int, rate: float, seconds: float, **settings: Any) -> dict[str, Any]:
    """What a load gave, with the CPU microseconds that one request cost each part."""
    used: list[Used] = []
    process = start(fleet.ports, connections, rate, seconds, **settings)
    connected(process)
    used.append(fleet.used())
    measured = ended(process, lambda: used.append(fleet.used()))
    before, after = used
    cpu = {
        "instances": after.instances - before.instances, "balancer": after.balancer - before.balancer,
        "load": measured["cpu"],
    }  # fmt: skip
    measured["resident"] = fleet.resident / len(fleet.instances)
    measured["us"] = {part: seconds / max(measured["sent"], 1) * 1e6 for part, seconds in cpu.items()}
    return measured


def head() -> str:
    return (
        f"{'':40} {'sent':>8} {'answered':>9} {'P50':>8} {'P90':>8} {'P99':>8} {'P99.9':>8} {'max ms':>8} "
        f"{'us: servers':>11} {'balancer':>8} {'load':>5} {'MB each':>8}"
    )


def row(name: str, measured: dict[str, Any]) -> str:
    ms, us = measured["whole_ms"], measured["us"]
    whole = " ".join(f"{ms[name]:8.1f}" for name in ("p50", "p90", "p99", "p999", "max"))
    wrong = {kind: count for kind, count in measured["errors"].items() if count}
    return (
        f"{name:40} {measured['sent']:8} {measured['availability']:9.3%} {whole} "
        f"{us['instances']:11.0f} {us['balancer']:8.0f} {us['load']:5.0f} "
        f"{measured['resident'] / 1e6:8.0f}{f'  {wrong}' if wrong else ''}"
    )


def main() -> None:
    print(f"\n{INSTANCES} instances behind haproxy, {CONNECTIONS} connections, {SECONDS:g} s, requests in an open loop")
    print("Latency: from when a request was due to its last word. CPU us of a request, user and system.")
    print(head())
    figures = {}
    for name, kind, rate in ROWS:
        with fleet(kind, INSTANCES) as servers:
            measured = measure(servers, CONNECTIONS, rate, SECONDS, plain=int(kind == "plain"))
        figures[f"{kind} {rate}"] = measured
        print(row(f"{name}, {rate:,}/s", measured), flush=True)
    ours = figures[f"handler {RATE}"]
    kept = ours["whole_ms"]["p99"] < P99 and ours["availability"] >= ANSWERED
    print(f"bound: at {RATE:,}/s P99 below {P99:g} ms, {ANSWERED:.2%} answered: {'kept' if kept else 'MISSED'}")
    keep("cluster", figures)
