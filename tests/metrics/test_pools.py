"""Thread pools, whoever made them, from their making to their close."""

from __future__ import annotations

import gc

from openclaw_nb import ThreadPool
from openclaw_nb.metrics import Metrics
from openclaw_nb.metrics.pools import look_at_pools


def _figures(metrics: Metrics) -> tuple[float, float, float]:
    names = ("active", "size", "waiting")
    active, size, waiting = (metrics.value(f"openclaw_thread_pool_{name}") for name in names)
    return active, size, waiting


def test_all_that_are_open() -> None:
    gc.collect()
    metrics = Metrics()
    look_at_pools(metrics)
    _, before, _ = _figures(metrics)
    pool = ThreadPool(max_threads=7)
    with ThreadPool(max_threads=3) as other:
        assert _figures(metrics)[1] == before + 10
        other.max_threads = 5
        assert _figures(metrics)[1] == before + 12
        tickets = [pool.slots.queue(most=9).ask(lambda _: None) for _ in range(9)]
        assert (metrics.window().pool[0], metrics.window().pool[2]) == (7, 2)
    assert _figures(metrics)[1] == before + 7
    for ticket in tickets:
        ticket.release()
    pool.close()
    assert _figures(metrics)[1] == before
