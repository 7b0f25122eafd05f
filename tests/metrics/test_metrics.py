"""What one gateway or notebook has measured: exact from any thread, and cheap."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import prometheus_client
import pytest

from openclaw_nb.metrics import Metrics
from openclaw_nb.metrics.instruments import DONE, FAILED, OTHER
from tests.spine import soon


def test_what_happened_is_counted() -> None:
    metrics = Metrics()
    metrics.first_token(1, 0.004)
    metrics.first_token(3, 2.0)
    metrics.ended(DONE, 1, 0.1, read=20, written=30, cost=0.5)
    metrics.ended(FAILED, 3, 2.5, code="MODEL")
    metrics.count("openclaw_gaps_total")
    assert metrics.value("openclaw_requests_total", DONE) == 1
    assert metrics.value("openclaw_requests_total", FAILED) == 1
    assert metrics.value("openclaw_errors_total", "MODEL") == 1
    assert metrics.value("openclaw_tokens_total", "input") == 20
    assert metrics.value("openclaw_tokens_total", "output") == 30
    assert metrics.value("openclaw_cost_usd_total") == 0.5
    assert metrics.value("openclaw_gaps_total") == 1
    window = metrics.window()
    assert window.requests == 2
    assert window.levels == {1: 1, 2: 0, 3: 1, 4: 0}
    assert window.latency(1.0) == 2.5
    assert metrics.total().requests == 2


@pytest.mark.parametrize("code", ["sk-live-secret", "MODEL\n", "x" * 10_000, ""])
def test_a_code_that_is_not_ours_is_another(code: str) -> None:
    metrics = Metrics()
    metrics.ended(FAILED, 2, 0.1, code=code)
    assert metrics.value("openclaw_errors_total", OTHER) == 1
    assert metrics.window().errors == {OTHER: 1}


def test_readers_add_up_until_they_end() -> None:
    metrics = Metrics()
    here = metrics.read("openclaw_connections", lambda: 2)
    metrics.read("openclaw_connections", lambda: 3)
    assert metrics.value("openclaw_connections") == 5
    here()
    here()
    assert metrics.value("openclaw_connections") == 3
    assert metrics.has("openclaw_connections")
    assert not metrics.has("openclaw_shared")


def test_a_reader_of_something_that_changes_is_asked_again() -> None:
    metrics = Metrics()
    asked = []

    def look() -> float:
        asked.append(1)
        if len(asked) == 1:
            raise RuntimeError("dictionary changed size during iteration")
        return 7

    metrics.read("openclaw_queue", look)
    assert metrics.value("openclaw_queue") == 7


def test_written_tokens_never_fall() -> None:
    """A run that ends is for a moment neither among those at work nor counted: no reset for Prometheus."""
    metrics = Metrics()
    live = [100.0]
    metrics.read("openclaw_tokens_total", lambda: live[0])
    assert metrics.written == 100
    live[0] = 0.0
    assert metrics.written == 100
    metrics.ended(DONE, 2, 1.0, written=100)
    assert metrics.written == 100
    live[0] = 5.0
    assert metrics.written == 105


def test_threads_lose_nothing() -> None:
    metrics = Metrics()

    def work() -> None:
        for _ in range(2_000):
            metrics.first_token(2, 0.01)
            metrics.ended(DONE, 2, 0.1, written=1)
            metrics.count("openclaw_snapshots_total")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        metrics.window()
    for thread in threads:
        thread.join()
    assert metrics.value("openclaw_requests_total", DONE) == 16_000
    assert metrics.value("openclaw_tokens_total", "output") == 16_000
    assert metrics.value("openclaw_snapshots_total") == 16_000
    [(_, histogram)] = [row for row in metrics.histograms("openclaw_latency_seconds") if row[0] == ("2",)]
    assert sum(histogram.counts) == 16_000


def test_several_side_by_side_and_nothing_global() -> None:
    before = {metric.name for metric in prometheus_client.REGISTRY.collect()}
    one, other = Metrics(), Metrics()
    one.ended(DONE, 2, 0.1)
    for metrics, count in ((one, 1.0), (other, 0.0)):
        assert metrics.registry.get_sample_value("openclaw_requests_total", {"outcome": DONE}) == count
    assert {metric.name for metric in prometheus_client.REGISTRY.collect()} == before


def test_samples_while_at_work_and_none_when_idle() -> None:
    async def main() -> tuple[int, int, int]:
        metrics = Metrics(every=0.02)
        judged: list[int] = []
        metrics.sampled = lambda window: judged.append(window.requests)
        at_work = [1]
        metrics.read("openclaw_runs_active", lambda: at_work[0])
        metrics.began()
        await soon(lambda: len(metrics.history) >= 4 and len(judged) >= 3)
        busy = len(metrics.history)
        at_work[0] = 0
        metrics.ended(DONE, 2, 0.3)
        await soon(lambda: metrics._timer is None)
        quiet = len(metrics.history)
        assert judged[-1] == 1  # the end was seen
        await asyncio.sleep(0.2)
        assert len(metrics.history) == quiet
        return busy, quiet, len(judged)

    busy, quiet, judged = asyncio.run(main())
    assert quiet == busy + 1
    assert judged >= 4


def test_tokens_per_second_over_the_last_seconds() -> None:
    async def main() -> tuple[float, float]:
        begin = time.monotonic()
        metrics = Metrics(every=0.05)
        metrics.read("openclaw_runs_active", lambda: 1)
        metrics.began()
        await asyncio.sleep(1.2)
        metrics.ended(DONE, 2, 1.0, written=600)
        rate = metrics.value("openclaw_tokens_per_second")
        metrics.close()
        return rate, time.monotonic() - begin

    rate, passed = asyncio.run(main())
    assert 600 / passed <= rate <= 500


def test_what_a_request_costs_the_loop(figure: Callable[[str, str], None]) -> None:
    """At most half of what the same takes by prometheus_client itself; the least of rounds, as other work only adds."""
    metrics = Metrics()
    registry = prometheus_client.CollectorRegistry()
    latency, request = (prometheus_client.Histogram(name, name, ["level"], registry=registry) for name in ("l", "r"))
    levels = prometheus_client.Histogram("levels", "levels", registry=registry)
    tokens = prometheus_client.Counter("t", "t", ["kind"], registry=registry)

    def ours() -> None:
        metrics.first_token(2, 0.012)
        metrics.ended(DONE, 2, 0.2, read=20, written=30)

    def plain() -> None:
        latency.labels("2").observe(0.012)
        request.labels("2").observe(0.2)
        levels.observe(2)
        tokens.labels("input").inc(20)
        tokens.labels("output").inc(30)

    def microseconds(one: Callable[[], None], rounds: int = 5_000) -> float:
        begin = time.thread_time()
        for _ in range(rounds):
            one()
        return (time.thread_time() - begin) / rounds * 1e6

    costs = [(microseconds(ours), microseconds(plain)) for _ in range(15)]
    cost, reference = (min(each) for each in zip(*costs, strict=True))
    figure("metrics, CPU of the loop for a request", f"{cost:.2f} µs, {reference:.2f} by prometheus_client itself")
    assert cost < reference / 2
