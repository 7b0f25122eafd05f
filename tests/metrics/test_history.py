"""Samples and what lies between two of them."""

from __future__ import annotations

from typing import Any

import pytest

from openclaw_nb.metrics.history import KEPT, History, Sample, Window
from openclaw_nb.metrics.instruments import LATENCY


def sample(at: float, *, fast: int = 0, slow: int = 0, failed: int = 0, written: float = 0, **gauges: float) -> Sample:
    """A sample with so many first tokens of 4 ms and of 2 s, each of a request that ended."""
    latency = [0] * (len(LATENCY) + 1)
    latency[0], latency[LATENCY.index(2.5)] = fast, slow
    named: dict[str, Any] = {f"openclaw_{name}": value for name, value in gauges.items()}
    return Sample(
        at=at, latency=tuple(latency), levels=(fast, slow, 0, 0),
        outcomes={"done": fast + slow - failed, "stopped": 0, "failed": failed},
        errors={"MODEL": failed} if failed else {}, written=written, read=0.0, cost=0.0,
        counted=dict.fromkeys(Sample.COUNTED, 0), gauges=dict.fromkeys(Sample.GAUGES, 0.0) | named,
    )  # fmt: skip


def test_a_window_begins_with_what_stood_before_it() -> None:
    history = History(sample(0))
    for at in range(10, 410, 10):
        history.add(sample(at, fast=at))
    window = history.window(100, sample(405, fast=405))
    assert window.first.at == 300  # what it stood at when the 100 s began
    assert window.requests == 105


def test_idle_time_needs_no_samples() -> None:
    history = History(sample(0))
    history.add(sample(10, fast=50))
    window = history.window(60, sample(1000, fast=50))
    assert window.requests == 0
    assert window.latency() is None
    assert window.error_rate is None
    assert window.tokens_per_second == 0


def test_what_a_window_says() -> None:
    now = sample(
        100, fast=98, slow=2, failed=5, written=1000, thread_pool_active=9, thread_pool_size=10, thread_pool_waiting=3
    )
    window = Window([sample(0), now], 300)
    assert window.latency(0.5) == pytest.approx(0.005 * 50 / 98)
    assert window.latency(0.99) == pytest.approx(1.0 + 1.5 * 1 / 2)
    assert window.error_rate == 0.05
    assert window.errors == {"MODEL": 5}
    assert window.levels == {1: 98, 2: 2, 3: 0, 4: 0}
    assert window.tokens_per_second == 10
    assert window.pool == (9, 10, 3)


def test_it_keeps_the_newest() -> None:
    history = History(sample(0))
    for at in range(2 * KEPT):
        history.add(sample(at, fast=at))
    assert len(history) == KEPT
    assert history.newest.at == 2 * KEPT - 1


def test_steps_add_up() -> None:
    window = Window([sample(0), sample(2, written=10), sample(4, written=30)], 4)
    assert [step.written for step in window.steps] == [10, 20]
