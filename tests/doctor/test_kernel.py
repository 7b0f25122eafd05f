"""A kernel that is late: a thread that computes and a loop that is blocked are named, with their line."""

from __future__ import annotations

import threading
import time

import pytest

from openclaw_nb import Runtime
from openclaw_nb.doctor import Patient, State
from openclaw_nb.doctor.kernel import kernel, percentile


@pytest.mark.usefixtures("calm")
def test_a_calm_one(runtime: Runtime) -> None:
    [finding] = kernel(Patient(runtime))
    assert finding.figures["late"] < 1
    assert finding.state is State.OK, finding


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="what a thread computes is not told here")
def test_a_thread_that_computes_is_named(runtime: Runtime) -> None:
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            sum(range(1_000))

    thread = threading.Thread(target=spin, name="my own work", daemon=True)
    thread.start()
    try:
        for _ in range(9):  # where this whole process stood still meanwhile, that is what is seen
            [finding] = kernel(Patient(runtime))
            if "my own work" in finding.words:
                break
    finally:
        over.set()
        thread.join()
    assert finding.state is State.LOOK, finding
    assert "my own work" in finding.words
    assert "in spin, line" in finding.words
    assert "process" in finding.remedy


def test_a_blocked_loop_is_named_with_its_line(runtime: Runtime) -> None:
    begun, over = threading.Event(), threading.Event()

    def model_that_blocks() -> None:
        begun.set()
        over.wait(60)

    runtime.loop.call_soon_threadsafe(model_that_blocks)
    assert begun.wait(60)
    [finding] = kernel(Patient(runtime))
    over.set()
    assert finding.state is State.BROKEN, finding
    assert "in model_that_blocks, line" in finding.words
    assert "to_thread" in finding.remedy
    assert finding.figures["loop_max"] >= 1


def test_percentiles() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([3.0], 0.99)) == (51, 100, 3)
