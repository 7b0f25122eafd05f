"""Patient: its runs, and checks with a limit of their own, of which one that hangs or fails spoils no other."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeout

import pytest

from openclaw_nb import Runtime, ThreadPool
from openclaw_nb.doctor import Finding, Patient, State
from openclaw_nb.doctor.patient import beside, within
from tests.pool.teams import saying, soon


def fine(_: Patient) -> Iterator[Finding]:
    yield Finding("fine", State.OK, "all is well")


def fails(_: Patient) -> Iterator[Finding]:
    raise OSError("no such thing")


def test_one_that_fails_or_hangs_spoils_no_other(runtime: Runtime) -> None:
    ended = threading.Event()

    def hangs(_: Patient) -> Iterator[Finding]:
        ended.wait(120)
        yield Finding("hangs", State.OK, "too late")

    patient, start = Patient(runtime), time.monotonic()
    for limit in (0.2, 2, 20):  # the others take no time, once they have the processor
        found = beside([("hangs", hangs), ("fails", fails), ("fine", fine)], patient, limit)
        if "in time" not in found[1].sentence() + found[2].sentence():
            break
    assert time.monotonic() - start < 60
    ended.set()
    assert [(one.name, one.state) for one in found] == [
        ("hangs", State.LOOK), ("fails", State.LOOK), ("fine", State.OK),
    ]  # fmt: skip
    assert "in time" in found[0].sentence()
    assert found[1].words == "could not be looked at: OSError: no such thing"
    assert within(60, ("fine", fine), patient) == [Finding("fine", State.OK, "all is well")]


def test_a_question_to_the_loop_has_a_limit(runtime: Runtime) -> None:
    question = asyncio.sleep(120)
    with pytest.raises(FutureTimeout):
        Patient(runtime).ask(question, 0.05)
    soon(lambda: inspect.getcoroutinestate(question) == inspect.CORO_CLOSED)


def test_runs_are_those_of_agents_side_by_side_too(runtime: Runtime) -> None:
    async def echo(prompt: str):  # type: ignore[no-untyped-def]
        yield prompt

    with ThreadPool() as pool:
        alone = runtime.client().send("what is 6*7?", level=1)
        alone.result(60)
        together = pool.execute([saying("a", echo), saying("b", echo)], "go")
        together.result(60)
        runs = Patient(runtime, works=[alone, together]).runs
    assert next(run.prompt for run in runs) == "what is 6*7?"
    assert len(runs) == 3


def test_where_runs_go(runtime: Runtime) -> None:
    assert Patient(runtime).address.is_local
    assert Patient(runtime, "ws://127.0.0.1:9").address.url == "ws://127.0.0.1:9"
    assert Patient(runtime).cluster is None
    assert Patient(runtime, "bad address").cluster is None
