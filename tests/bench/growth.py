"""How the cost of a request grows with requests a second, and with connections; a table, and plots under build/."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .cluster import head, measure, row
from .fleet import fleet
from .loads import BUILD, connected, ended, keep, start

__all__ = ["draw", "main"]

RATES = (1_000, 2_000, 5_000, 10_000, 15_000, 20_000)
CONNECTIONS = (10, 100, 1_000, 10_000)
SECONDS = 8.0
RATE = 2_000
"""Requests a second while connections are counted."""

INSTANCES = 2
"""As many as there are cores: more of them share these, and are no faster."""

SETTLED = 1.0
"""Seconds after which the memory of connections that do nothing is looked at."""

KINDS = {"handler": "gateway", "plain": "websockets + json"}


@dataclass(frozen=True)
class Theme:
    """The colours of a plot: the page, its letters, its fine lines, and one for each kind of server."""

    page: str
    ink: str
    rule: str
    lines: Mapping[str, str]


THEMES = {
    "light": Theme("#ffffff", "#1f2328", "#d8dee4", {"handler": "#1f6feb", "plain": "#9a6700"}),
    "dark": Theme("#0d1117", "#e6edf3", "#30363d", {"handler": "#58a6ff", "plain": "#d29922"}),
}


def by_rate() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    print(f"\ncost by requests a second: {INSTANCES} instances, no balancer, 500 connections, {SECONDS:g} s each")
    print(head())
    for kind, name in KINDS.items():
        for rate in RATES:
            with fleet(kind, INSTANCES, balanced=False) as servers:
                measured = measure(servers, 500, rate, SECONDS, plain=int(kind == "plain"), grace=2)
            found.setdefault(kind, []).append(measured)
            print(row(f"{name}, {rate:,}/s", measured), flush=True)
    return found


def by_connections() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    print(f"\ncost by connections: {INSTANCES} instances, no balancer, {RATE:,} requests/s, {SECONDS:g} s each")
    print(f"{head()} {'KB a connection':>16}")
    for kind, name in KINDS.items():
        for connections in CONNECTIONS:
            with fleet(kind, INSTANCES, balanced=False) as servers:
                before = servers.resident
                idle = start(servers.ports, connections, 1, 0.1, plain=int(kind == "plain"), idle=2 * SETTLED)
                connected(idle)
                time.sleep(SETTLED)
                memory = (servers.resident - before) / connections
                ended(idle)
                measured = measure(servers, connections, RATE, SECONDS, plain=int(kind == "plain"), grace=2)
            found.setdefault(kind, []).append(measured | {"bytes_a_connection": memory})
            shown = f"{memory / 1000:16.1f}" if connections >= 1_000 else f"{'-':>16}"  # fewer are lost in the noise
            print(row(f"{name}, {connections:,}", measured), shown, flush=True)
    return found


def draw(
    rates: dict[str, list[dict[str, Any]]], connections: dict[str, list[dict[str, Any]]], path: Any, theme: Theme
) -> None:
    """Two plots side by side; a rate that was not answered in time is an open circle."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.4), layout="constrained", dpi=150, facecolor=theme.page)
    left, right = figure.subplots(1, 2, sharey=True)
    for kind, name in KINDS.items():
        for axes, x, found in (
            (left, "rate", rates[kind]), (right, "connections", connections[kind]),
        ):  # fmt: skip
            us = [one["us"]["instances"] for one in found]
            in_time = [one["availability"] >= 0.9999 and one["whole_ms"]["p99"] < 500 for one in found]
            axes.plot([one[x] for one in found], us, color=theme.lines[kind], label=name, linewidth=1.6)
            for one, cost, good in zip(found, us, in_time, strict=True):
                face = theme.lines[kind] if good else theme.page
                axes.plot(one[x], cost, "o", color=theme.lines[kind], markerfacecolor=face, markersize=5)
    left.set(xlabel="requests a second", ylabel="CPU of the servers, µs a request", ylim=(0, None))
    left.set_xticks(range(0, RATES[-1] + 1, 5_000))
    right.set(xlabel=f"connections, at {RATE:,} requests a second", xscale="log", xticks=CONNECTIONS)
    for axes in (left, right):
        axes.set_facecolor(theme.page)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.minorticks_off()
        axes.tick_params(colors=theme.ink)
        axes.xaxis.label.set_color(theme.ink)
        axes.yaxis.label.set_color(theme.ink)
        axes.spines[:].set_color(theme.ink)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color=theme.rule, linewidth=0.6)
    words = "open circle: P99 above 0.5 s, or not all answered"
    legend = left.legend(frameon=False, title=words, title_fontsize=7, fontsize=8, labelcolor=theme.ink)
    legend.get_title().set_color(theme.ink)
    figure.savefig(path)


def main() -> None:
    figures = {"by_rate": by_rate(), "by_connections": by_connections()}
    keep("growth", figures)
    for name, theme in THEMES.items():
        path = BUILD / f"growth-{name}.webp"
        draw(figures["by_rate"], figures["by_connections"], path, theme)
        print(f"drawn in {path.relative_to(BUILD.parent)}")
