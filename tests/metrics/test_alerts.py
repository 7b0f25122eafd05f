"""Alerts in a notebook: when they are told, how often, and in which words."""

from __future__ import annotations

from openclaw_nb.config import AlertThresholds
from openclaw_nb.metrics.alerts import Alerts, promtime, rules
from openclaw_nb.metrics.history import Window
from tests.metrics.test_history import sample

NOTHING = AlertThresholds(None, None, None)


def _window(at: float, *, fast: int = 0, slow: int = 0, failed: int = 0, **gauges: float) -> Window:
    return Window([sample(at - 300), sample(at, fast=fast, slow=slow, failed=failed, **gauges)], 300)


def test_thresholds_that_are_off_have_no_rule() -> None:
    assert rules(NOTHING) == ()
    assert [rule.name for rule in rules(AlertThresholds(error_rate=None))] == [
        "OpenClawFirstTokensSlow", "OpenClawPoolFull",
    ]  # fmt: skip


def test_it_is_told_when_it_has_lasted_and_once() -> None:
    alerts = Alerts(rules(AlertThresholds(), hold=60))
    for at in (1000, 1030, 1059):
        alerts.look(_window(at, fast=50, slow=50))
        assert alerts.news() == []
    for at in (1060, 1070, 2000):
        alerts.look(_window(at, fast=50, slow=50))
    assert alerts.news() == [(
        "warn",
        "first tokens are slow: P99 2.5 s over the last 5 minutes, limit 500 ms; %openclaw doctor says why",
    )]  # fmt: skip
    alerts.look(_window(2010, fast=50, slow=50))
    assert alerts.news() == []
    assert list(alerts.firing) == ["OpenClawFirstTokensSlow"]
    alerts.look(_window(2100, fast=100))
    assert alerts.news() == [("ok", "first tokens are quick again: P99 5 ms over the last 5 minutes")]
    assert not alerts.firing
    assert alerts.news() == []


def test_a_moment_is_no_alert() -> None:
    alerts = Alerts(rules(AlertThresholds(), hold=60))
    for at in range(1000, 2000, 50):
        alerts.look(_window(at, slow=50 if at % 100 else 0, fast=50))
    assert alerts.news() == []


def test_what_came_and_went_unsaid() -> None:
    alerts = Alerts(rules(AlertThresholds(), hold=0))
    alerts.look(_window(1000, slow=50))
    alerts.look(_window(1010, fast=50))
    assert alerts.news() == []


def test_where_nothing_is_asked_nothing_is_slow_and_nothing_is_well() -> None:
    alerts = Alerts(rules(AlertThresholds(), hold=0))
    alerts.look(_window(1000, slow=50))
    assert len(alerts.news()) == 1
    alerts.look(_window(2000))
    assert alerts.news() == []
    assert not alerts.firing


def test_the_other_words() -> None:
    alerts = Alerts(rules(AlertThresholds(latency_p99=None), hold=0))
    full = {"thread_pool_active": 10.0, "thread_pool_size": 10.0, "thread_pool_waiting": 4.0}
    alerts.look(_window(1000, fast=100, failed=4, **full))
    assert alerts.news() == [
        ("warn", "4 % of requests failed over the last 5 minutes (MODEL), limit 1 %; %openclaw doctor says why"),
        (
            "warn",
            "the pool is full: 10 of 10 agents at work, 4 waiting, limit 90 %; %openclaw pool N lets more work at once",
        ),
    ]
    alerts.look(_window(1010, fast=100, thread_pool_active=1, thread_pool_size=10))
    assert alerts.news() == [
        ("ok", "requests succeed again: 0 % failed over the last 5 minutes"),
        ("ok", "the pool has room again: 10 % of it is at work"),
    ]


def test_durations_of_prometheus() -> None:
    assert [promtime(seconds) for seconds in (300, 90, 7200, 1.5, 0.25)] == ["5m", "90s", "2h", "1500ms", "250ms"]
