"""The link: a gateway that answers, one that is away or mute, and one behind a slow network."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from openclaw_nb import OpenClawClient, Runtime
from openclaw_nb.doctor import Finding, Patient, State
from openclaw_nb.doctor import link as links
from openclaw_nb.doctor.link import Trip, gateway, link, measure
from openclaw_nb.gateway import Gateway
from tests.faults.kinds import CLIENT, Delay
from tests.faults.proxy import FaultProxy
from tests.foreign import Foreign
from tests.household import serving
from tests.spine import asynchronous


@contextmanager
def slow_gateway(runtime: Runtime, monkeypatch: pytest.MonkeyPatch, seconds: float) -> Iterator[str]:
    """A gateway behind a proxy that holds each frame back for so long; its address."""
    gateway = Gateway()
    proxy = FaultProxy(0)

    class Constant(random.Random):
        def uniform(self, low: float, high: float) -> float:
            return high

    async def begin() -> None:
        await gateway.start()
        proxy.upstream = gateway.port
        proxy.faults.append(Delay(seconds, Constant(), toward=CLIENT))
        await proxy.__aenter__()

    async def end() -> None:
        await gateway.close()
        await proxy.__aexit__()

    runtime.call(begin()).result(60)
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", gateway.token)
    try:
        yield proxy.url
    finally:
        runtime.call(end()).result(60)


def timed(patient: Patient) -> Trip:
    return measure(patient, patient.ask(patient.client.hello()))


@pytest.mark.usefixtures("calm")
def test_a_near_one(runtime: Runtime) -> None:
    patient = Patient(runtime)
    answers, versions = gateway(patient)
    assert (answers.state, answers.words) == (State.OK, "agent://local answers")
    assert versions.state is State.OK
    near, clocks = link(patient, timed(patient))
    assert (near.state, clocks.state) == (State.OK, State.OK)
    assert near.figures["requests"] == links.PINGS
    assert near.figures["opening"] < 30
    assert "(P50)" in near.measured
    assert "(P99)" in near.measured


def test_none(runtime: Runtime) -> None:
    [finding] = gateway(Patient(runtime, "ws://127.0.0.1:9"))
    assert finding.state is State.BROKEN
    assert "connection refused" in finding.words
    assert "%openclaw connect agent://local" in finding.remedy


def test_one_that_is_mute(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openclaw_nb.doctor.patient.PATIENCE", 0.3)
    monkeypatch.setattr(Patient.ask, "__defaults__", (0.3,))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        [finding] = gateway(Patient(runtime, f"ws://127.0.0.1:{mute.getsockname()[1]}"))
    assert finding.state is State.BROKEN
    assert "does not answer" in finding.words


def test_a_slow_one_is_told_from_a_long_way(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str, str], None]
) -> None:
    monkeypatch.setattr(links, "LONGEST", 0.5)
    with slow_gateway(runtime, monkeypatch, 0.15) as url:
        patient = Patient(runtime, url)
        trip = timed(patient)
        openings = [links._opening(url) or 60 for _ in range(9)]  # what others do here only adds to it
        slow, _ = link(patient, replace(trip, opening=min(openings)))
        runtime.call(patient.client.close()).result(60)
    assert slow.state is State.LOOK
    assert "what stands before it" in slow.words
    assert "--workers" in slow.remedy
    assert trip.usual >= 0.15
    figure("doctor, frames held back for 150 ms", slow.measured)
    long, _ = link(patient, replace(trip, opening=trip.usual))
    assert "the way to the gateway is long" in long.words


def test_clocks(runtime: Runtime) -> None:
    trip = Trip([0.001], 0.001, None, 90.0)
    skewed: Finding = list(link(Patient(runtime), trip))[1]
    assert (skewed.name, skewed.state, skewed.measured) == ("clocks", State.LOOK, "by 90.0 s")
    assert "ahead of" in skewed.words
    assert len(list(link(Patient(runtime), replace(trip, skew=None)))) == 1


class Aged(Foreign):
    """It says what its health was a minute ago, as 2026.9.6 does, and who is there now."""

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "health":
                return {"ok": True, "payload": {"ok": True, "ts": (time.time() - 60) * 1000}}
            case "system-presence":
                there = [
                    {"reason": "connect", "ts": (time.time() - 900) * 1000},
                    {"ts": time.time() * 1000},
                    {"ts": "?"},
                ]
                return {"ok": True, "payload": there}
            case _:
                return super().answer(method, params)


@asynchronous
async def test_clocks_by_what_is_said_now() -> None:
    for kind, known in ((Aged, True), (Foreign, False)):
        async with serving(kind(4)) as url, OpenClawClient(token="t") as client:
            await client.connect(url)
            _, _, skew = await links._trips(client, await client.hello())
        assert (skew is not None) == known
        assert abs(skew or 0) < 30


def test_another_version_on_the_other_side(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = Patient(runtime)
    patient.ask(patient.client.hello())
    monkeypatch.setattr(links, "__version__", "9.9")
    versions = list(gateway(patient))[1]
    assert versions.state is State.LOOK
    assert "9.9 here" in versions.measured


def test_nothing_is_left_of_what_timed_out(runtime: Runtime) -> None:
    patient = Patient(runtime)
    timed(patient)

    async def tasks() -> set[str]:
        return {task.get_name() for task in asyncio.all_tasks() if "trips" in repr(task.get_coro())}

    assert not patient.ask(tasks())
