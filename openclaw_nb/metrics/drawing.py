"""Metrics as a picture that lasts: one bundle of HTML with an SVG in it, and plain text, without a widget or script.

What a page strips is done without: the style, then the picture, then the fold; the rows in it say all in words. There
is no text in it but ours and figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import accumulate

from ..render import SEPARATOR, counted, dollars, timed
from .history import Window
from .instruments import DONE, FAILED, LATENCY, LEVELS, STOPPED

__all__ = ["banner", "bundle"]

WIDTH, HALF, QUARTER = 760, 368, 176  # pixels: of the picture, of its tiles
TOP, BELOW, GAP = 128, 74, 12  # pixels: of the upper tiles, of the lower ones, between them
CURVE = 60  # points

_BRAND = "var(--jp-brand-color1,#3f8fd6)"
_GOOD = "var(--jp-success-color1,#388e3c)"
_BAD = "var(--jp-error-color1,#d13438)"
_WARN = "var(--jp-warn-color1,#e07b00)"
_FONT = "font-family:var(--jp-content-font-family,system-ui,sans-serif);font-variant-numeric:tabular-nums"
_CELL = "padding:2px 16px 2px 0;text-align:left;vertical-align:top;background:none"
_AXIS = {0.005: "5 ms", 0.05: "50 ms", 0.5: "0.5 s", 5.0: "5 s"}
_RECOVERY = (
    ("openclaw_reconnects_total", "reconnect"), ("openclaw_gaps_total", "gap"),
    ("openclaw_restores_total", "restore"),
)  # fmt: skip


def bundle(
    total: Window,
    recent: Window,
    curve: Window,
    *,
    live: bool = True,
    limit: float | None = None,
    alerts: Sequence[str] = (),
    served: str = "",
) -> dict[str, str]:
    """The mimebundle of what was measured: since the beginning, in the last minutes, and as a ``curve``.

    ``limit`` is that of the first token in seconds, ``alerts`` what is above its limit, ``served`` where Prometheus
    finds all this. With ``live=False`` nothing in it depends on the clock, so that equal runs give equal bytes.
    """
    rows = [*_rows(total, recent, live), *(("look", words) for words in alerts), ("for Prometheus", served)]
    rows = [(name, words) for name, words in rows if words]
    width = max(len(name) for name, _ in rows)
    text = "\n".join(f"{name:<{width}}  {words}" for name, words in rows)
    if not total.requests and not total.last.gauges["openclaw_runs_active"]:
        return {"text/html": _page(f"<p>{escape(rows[0][1])}</p>"), "text/plain": text}
    said = "".join(_line(_WARN, words) for words in alerts)
    foot = f'<div style="opacity:.65;margin:2px 0">{escape(served)}</div>' if served else ""
    summary = escape(rows[0][1])
    fold = f"<details><summary>{summary}</summary>{_table(rows[1:])}</details>"
    picture = _picture(total, recent, curve, live, limit, summary)
    return {"text/html": _page(f"{picture}\n{said}{foot}{fold}"), "text/plain": text}


def banner(news: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The mimebundle of (tone, words): what has come above its limit, "warn", or is well again, "ok"."""
    lines = "".join(_line(_WARN if tone == "warn" else _GOOD, words) for tone, words in news)
    return {"text/html": _page(lines), "text/plain": "\n".join(words for _, words in news)}


def _milliseconds(seconds: float | None) -> str:
    """ "84 ms", "1.2 s", or "–" for None."""
    if seconds is None:
        return "–"
    if seconds < 0.00995:
        return f"{seconds * 1000:.2g} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else timed(seconds)


# -- words -----------------------------------------------------------------------------------------------


def _rows(total: Window, recent: Window, live: bool) -> Iterator[tuple[str, str]]:
    last = total.last
    if not total.requests and not last.gauges["openclaw_runs_active"]:
        yield "requests", "nothing was asked yet"
        return
    parts = [counted(total.requests, "request"), *_outcomes(total)]
    yield "requests", SEPARATOR.join(parts)
    if errors := total.errors:
        yield "errors", ", ".join(f"{count} × {code}" for code, count in errors.items())
    if live:
        p50, p99 = recent.latency(0.5), recent.latency(0.99)
        if p99 is not None:
            yield "first token", f"P50 {_milliseconds(p50)}, P99 {_milliseconds(p99)} over the last {_minutes(recent)}"
        yield "now", f"{last.gauges['openclaw_runs_active']:g} at work, {last.gauges['openclaw_queue']:g} in the queue"
    yield "tokens", f"{counted(round(total.written), 'token')} written, {round(total.last.read):,} read"
    yield "levels", ", ".join(f"{count} × level {level}" for level, count in total.levels.items() if count)
    if total.pool[1]:
        yield "pool", _pool_words(total) if live else f"{counted(total.pool[1], 'agent')} at once"
    yield "recovery", _recovery_words(total)
    if total.cost:
        yield "cost", dollars(total.cost)
    if snapshots := total.counted("openclaw_snapshots_total"):
        yield "snapshots", f"{snapshots:,} kept" if live else ""


def _outcomes(total: Window) -> Iterator[str]:
    for outcome in (DONE, STOPPED, FAILED):
        if count := total.outcome(outcome):
            yield f"{count:,} {outcome}"


def _pool_words(total: Window) -> str:
    active, size, waiting = total.pool
    return f"{active} of {counted(size, 'agent')} at work" + (f", {waiting} waiting" if waiting else "")


def _recovery_words(total: Window) -> str:
    parts = [counted(count, noun) for name, noun in _RECOVERY if (count := total.counted(name))]
    if degraded := total.last.gauges["openclaw_degraded"]:
        parts.append(f"{degraded:g} with simpler runs now")
    return ", ".join(parts) or "nothing to recover from"


def _minutes(window: Window) -> str:
    return f"{window.span / 60:g} minutes" if window.span > 60 else "minute"


# -- HTML ------------------------------------------------------------------------------------------------


def _page(body: str) -> str:
    return f'<div style="{_FONT};font-size:13px;line-height:1.5">{body}</div>'


def _line(colour: str, words: str) -> str:
    return f'<div style="margin:2px 0"><span style="color:{colour}">●</span> {escape(words)}</div>'


def _table(rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(
        f'<tr style="background:none"><td style="{_CELL};opacity:.65;white-space:nowrap">{escape(name)}</td>'
        f'<td style="{_CELL}">{escape(words)}</td></tr>'
        for name, words in rows
    )
    return f'<table style="border-collapse:collapse;margin:4px 0">{body}</table>'


# -- SVG -------------------------------------------------------------------------------------------------


def _picture(total: Window, recent: Window, curve: Window, live: bool, limit: float | None, words: str) -> str:
    upper = [(0, 0, _first_token(recent, limit)), (HALF + 24, 0, _tokens(curve))] if live else []
    y = TOP + GAP if live else 0
    lower = [_requests(total), _levels(total), _pool(total, live), _spent(total)]
    tiles = upper + [(column * (QUARTER + 18.7), y, tile) for column, tile in enumerate(lower)]
    height = y + BELOW
    inside = "".join(f'<g transform="translate({x:.0f} {y})">{tile}</g>' for x, y, tile in tiles)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{words}" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" style="max-width:100%;height:auto;display:block;margin:4px 0 8px" '
        f'fill="currentColor" font-family="system-ui,sans-serif">{inside}</svg>'
    )


def _first_token(recent: Window, limit: float | None) -> str:
    """P50 and P99, and how many first tokens took how long; what is above the limit in another colour."""
    p50, p99 = recent.latency(0.5), recent.latency(0.99)
    over = limit is not None and p99 is not None and p99 > limit
    parts = [
        _head("first token", f"last {_minutes(recent)}", HALF),
        _figure(0, 40, _milliseconds(p50), "P50"), _figure(104, 40, _milliseconds(p99), "P99", _WARN if over else ""),
    ]  # fmt: skip
    counts, base, tall = recent.buckets, TOP - 16, 50
    wide, most = HALF / len(counts), max(max(recent.buckets), 1)
    for place, count in enumerate(counts):
        high = max(round(tall * count / most), 3) if count else 1  # a single slow one is to be seen
        late = limit is not None and place > 0 and LATENCY[place - 1] >= limit
        fill = f'fill="{_WARN if late else _BRAND}"' if count else 'fill-opacity=".18"'
        parts.append(_bar(place * wide + 1, base - high, wide - 2, high, fill))
    for bound, words in _AXIS.items():
        parts.append(_text((LATENCY.index(bound) + 1) * wide, TOP - 3, words, "middle", 10, 0.6))
    if limit is not None:
        x = _place(limit) * wide
        parts.append(
            f'<path d="M{x:.1f} {base - tall - 4}V{base}" stroke="{_WARN}" stroke-dasharray="3 3" fill="none"/>'
        )
        parts.append(_text(x + 4, base - tall + 4, f"limit {_milliseconds(limit)}", "start", 10, 0.75))
    return "".join(parts)


def _place(seconds: float) -> float:
    """Where that many seconds are on the axis, in buckets."""
    below = 0.0
    for place, bound in enumerate(LATENCY):
        if seconds <= bound:
            return place + (seconds - below) / (bound - below)
        below = bound
    return len(LATENCY) + 0.5


def _tokens(curve: Window) -> str:
    """Tokens per second over the last minutes, as an area."""
    rates = _rates(curve)
    peak = max(*rates, 1.0)
    base, tall, step = TOP - 16, 58, HALF / (CURVE - 1)
    points = " ".join(f"L{place * step:.1f} {base - tall * rate / peak:.1f}" for place, rate in enumerate(rates))
    parts = [
        _head("tokens per second", f"last {_minutes(curve)}", HALF),
        _figure(0, 40, f"{rates[-1]:,.0f}", "now"), _figure(104, 40, f"{max(rates):,.0f}", "most"),
        f'<path d="M0 {base} {points} L{HALF} {base}Z" fill="{_BRAND}" fill-opacity=".18"/>',
        f'<path d="M{points[1:]}" fill="none" stroke="{_BRAND}" stroke-width="1.6" stroke-linejoin="round"/>',
        f'<path d="M0 {base}H{HALF}" stroke="currentColor" stroke-opacity=".25" fill="none"/>',
        _text(0, TOP - 3, f"{curve.span / 60:g} min ago", "start", 10, 0.6),
        _text(HALF, TOP - 3, "now", "end", 10, 0.6),
    ]  # fmt: skip
    return "".join(parts)


def _rates(curve: Window) -> list[float]:
    """Tokens per second in each of CURVE equal parts of the time that is shown."""
    part, start = curve.span / CURVE, curve.last.at - curve.span
    tokens = [0.0] * CURVE
    for step in curve.steps:
        begin, end = max(step.first.at, start), step.last.at
        rate = step.written / max(end - step.first.at, 1e-9)
        for place in range(max(int((begin - start) / part), 0), min(int((end - start) / part), CURVE - 1) + 1):
            inside = min(end, start + (place + 1) * part) - max(begin, start + place * part)
            tokens[place] += rate * max(inside, 0.0)
    return [count / part for count in tokens]


def _requests(total: Window) -> str:
    parts = [(total.outcome(DONE), _GOOD), (total.outcome(STOPPED), "currentColor"), (total.outcome(FAILED), _BAD)]
    note = SEPARATOR.join(
        f"{total.outcome(outcome)} {outcome}" for outcome in (STOPPED, FAILED) if total.outcome(outcome)
    )
    return _tile("requests", f"{total.requests:,}", note or "all done", _stack(parts))


def _levels(total: Window) -> str:
    counts = total.levels
    every = sum(counts.values())
    mean = sum(level * count for level, count in counts.items()) / every if every else 0.0
    wide, most = QUARTER / len(LEVELS), max(*counts.values(), 1)
    bars = []
    for place, (level, count) in enumerate(counts.items()):
        high = max(round(22 * count / most), 2) if count else 1
        fill = f'fill="{_BRAND}" fill-opacity="{0.4 + 0.2 * place:.1f}"' if count else 'fill-opacity=".18"'
        bars.append(_bar(place * wide + 2, 58 - high, wide - 6, high, fill))
        bars.append(_text((place + 0.5) * wide - 1, 70, str(level), "middle", 10, 0.6))
    return _head("reasoning levels", f"mean {mean:.1f}" if every else "", QUARTER) + "".join(bars)


def _pool(total: Window, live: bool) -> str:
    active, size, waiting = total.pool
    if not size:
        return _tile("thread pool", "–", "not used yet", _stack([(0, _BRAND), (1, "")]))
    if not live:
        return _tile("thread pool", f"{size}", "agents at once", _stack([(0, _BRAND), (1, "")]))
    note = f"at work{f', {waiting} waiting' if waiting else ''}"
    return _tile("thread pool", f"{active} of {size}", note, _stack([(active, _BRAND), (max(size - active, 0), "")]))


def _spent(total: Window) -> str:
    cost = dollars(total.cost) if total.cost else ""
    figure = cost or f"{round(total.written):,}"
    note = f"{round(total.written):,} tokens" if cost else "tokens written, no cost"
    recovered = [(total.counted(name), noun) for name, noun in _RECOVERY]
    words = SEPARATOR.join(counted(count, noun) for count, noun in recovered if count) or "no reconnects, no gaps"
    return _tile("cost and recovery", figure, note, _text(0, 70, words, "start", 10, 0.6))


def _tile(title: str, figure: str, note: str, below: str) -> str:
    number = _text(0, 40, figure, "start", 20, 1, weight=600)
    return f"{_head(title, '', QUARTER)}{number}{_text(0, 56, note, 'start', 10.5, 0.65)}{below}"


def _stack(parts: Sequence[tuple[int, str]]) -> str:
    """A bar of the whole width, in parts."""
    whole = sum(count for count, _ in parts) or 1
    ends = [*accumulate(QUARTER * count / whole for count, _ in parts)]
    drawn = [_bar(0, 64, QUARTER, 6, 'fill-opacity=".14" rx="3"')]
    for end, (count, colour) in zip(ends, parts, strict=True):
        if count and colour:
            wide = QUARTER * count / whole
            shade = ' fill-opacity=".45"' if colour == "currentColor" else ""
            drawn.append(_bar(end - wide, 64, wide, 6, f'fill="{colour}"{shade} rx="3"'))
    return "".join(drawn)


def _head(title: str, note: str, width: int) -> str:
    line = f'<path d="M0 20.5H{width}" stroke="currentColor" stroke-opacity=".15" fill="none"/>'
    right = _text(width, 13, note, "end", 10.5, 0.55) if note else ""
    return f"{_text(0, 13, title, 'start', 11.5, 0.8)}{right}{line}"


def _figure(x: float, y: float, figure: str, note: str, colour: str = "") -> str:
    number = _text(x, y, figure, "start", 18, 1, weight=600, colour=colour)
    return f"{number}{_text(x, y + 13, note, 'start', 10, 0.6)}"


def _bar(x: float, y: float, width: float, height: float, fill: str) -> str:
    round_ = "" if "rx=" in fill else ' rx="1"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{round_} {fill}/>'


def _text(
    x: float, y: float, words: str, anchor: str, size: float, opacity: float, *, weight: int = 400, colour: str = ""
) -> str:
    style = f' fill="{colour}"' if colour else ""
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}" fill-opacity="{opacity:g}"'
        f"{style}{bold}>{escape(words)}</text>"
    )
