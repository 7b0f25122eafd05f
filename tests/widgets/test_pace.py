"""The pauses of a view, by numbers alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.widgets.pace import BELIEVED, FAST, FLOOR, SLOWEST, Pacer

counts = st.integers(0, 10**9)
moments = st.floats(0, 1e9)
reports = st.integers() | st.booleans() | st.sampled_from([10**400, -(10**400)])


def test_nothing_slow_is_the_interval() -> None:
    assert Pacer(0.05).pause(0, 0.0, 1.0) == Pacer(0.05).pause(FAST, 0.001, 1.0) == 0.05


def test_fast_text_waits_up_to_four_times_as_long() -> None:
    assert Pacer(0.05).pause(2 * FAST, 0.0, 1.0) == 0.1
    assert Pacer(0.05).pause(100 * FAST, 0.0, 1.0) == 0.2


def test_sending_takes_a_tenth_of_the_time() -> None:
    for took in (0.006, 0.02, 0.1):
        pause = Pacer(0.05).pause(0, took, 1.0)
        assert abs(took / (took + pause) - 0.1) < 1e-9


def test_a_page_behind_is_waited_for_and_believed_for_a_while() -> None:
    pacer = Pacer(0.05)
    pacer.hear(500, now=10.0)
    assert pacer.pause(0, 0.0, now=10.0) == pacer.pause(0, 0.0, now=10.0 + BELIEVED - 0.1) == 0.5
    assert pacer.pause(0, 0.0, now=10.0 + BELIEVED) == 0.05
    assert (pacer.behind(10.0), pacer.behind(10.0 + BELIEVED)) == (0.5, 0.0)
    pacer.hear(1000, now=30.0)
    pacer.hear(250, now=31.0)
    assert pacer.pause(0, 0.0, now=31.0) == 0.25
    pacer.hear(0, now=32.0)
    assert pacer.pause(0, 0.0, now=32.0) == 0.05


@given(st.floats(-1, 60), counts, st.floats(0, 1e6), st.lists(reports), moments)
def test_never_less_than_the_interval_nor_above_the_limits(
    interval: float, sent: int, took: float, heard: list[int], now: float
) -> None:
    pacer = Pacer(interval)
    for milliseconds in heard:
        pacer.hear(milliseconds, now)
    least = max(interval, FLOOR)
    assert least <= pacer.pause(sent, took, now) <= max(4 * least, SLOWEST)
