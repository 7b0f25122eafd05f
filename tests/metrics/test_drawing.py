"""The picture of what was measured: it lasts, it says all in words too, and nothing in it is anybody's markup."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from openclaw_nb.metrics.drawing import banner, bundle
from openclaw_nb.metrics.history import Window
from tests.metrics.test_history import sample

POOL = {"thread_pool_active": 4.0, "thread_pool_size": 10.0}


def _drawn(seconds: float = 300, *, live: bool = True, **options: object) -> dict[str, str]:
    half = sample(seconds / 2, fast=40, slow=1, written=500)
    last = sample(seconds, fast=90, slow=10, failed=2, written=1500, **POOL)
    window = Window([sample(0), half, last], seconds)
    return bundle(window, window, window, live=live, **options)  # type: ignore[arg-type]


def _picture(html: str) -> ElementTree.Element:
    [svg] = re.findall(r"<svg.*</svg>", html, re.DOTALL)
    return ElementTree.fromstring(svg)


def test_what_it_shows() -> None:
    shown = _drawn(limit=0.5, served="served at http://127.0.0.1:9090/metrics")
    words = " ".join("".join(node.itertext()) for node in _picture(shown["text/html"]).iter() if node.text)
    for figure in ("first token", "P50", "P99", "2.4 s", "tokens per second", "100", "2 failed", "4 of 10", "limit"):
        assert figure in words, figure
    assert "served at http://127.0.0.1:9090/metrics" in shown["text/html"]


def test_in_words() -> None:
    assert _drawn(alerts=["first tokens are slow"], served="not served")["text/plain"] == "\n".join([
        "requests        100 requests · 98 done · 2 failed",
        "errors          2 × MODEL",
        "first token     P50 2.8 ms, P99 2.4 s over the last 5 minutes",
        "now             0 at work, 0 in the queue",
        "tokens          1,500 tokens written, 0 read",
        "levels          90 × level 1, 10 × level 2",
        "pool            4 of 10 agents at work",
        "recovery        nothing to recover from",
        "look            first tokens are slow",
        "for Prometheus  not served",
    ])  # fmt: skip


def test_equal_runs_give_equal_bytes() -> None:
    assert _drawn(300, live=False) == _drawn(411, live=False)
    assert "P99" not in str(_drawn(live=False))


def test_before_anything_was_asked() -> None:
    window = Window([sample(0), sample(10)], 300)
    shown = bundle(window, window, window, served="not served")
    assert shown["text/plain"].splitlines()[0] == "requests        nothing was asked yet"
    assert "<svg" not in shown["text/html"]


def test_nothing_in_it_is_markup() -> None:
    hostile = '<script>alert(1)</script><img src=x onerror="x()">'
    for shown in (_drawn(alerts=[hostile], served=hostile), banner([("warn", hostile)])):
        assert "<script" not in shown["text/html"]
        assert "<img" not in shown["text/html"]
        assert "&lt;script&gt;" in shown["text/html"]


def test_every_colour_has_one_for_pages_without_the_theme() -> None:
    html = _drawn(limit=0.5, alerts=["x"])["text/html"]
    assert "var(--jp-" in html
    assert not re.findall(r"var\(--[a-z0-9-]+\)", html)
    assert "<style" not in html


def test_the_curve_is_whole() -> None:
    """All tokens are under it, wherever samples lie."""
    from openclaw_nb.metrics.drawing import CURVE, _rates

    window = Window([sample(0), sample(7, written=70), sample(593.5, written=70), sample(600, written=135)], 600)
    rates = _rates(window)
    assert len(rates) == CURVE
    assert round(sum(rates) * 600 / CURVE) == 135
    assert rates[0] > 0
    assert rates[30] == 0


def test_a_banner() -> None:
    shown = banner([("warn", "first tokens are slow"), ("ok", "requests succeed again")])
    assert shown["text/plain"] == "first tokens are slow\nrequests succeed again"
    assert shown["text/html"].count("●") == 2
