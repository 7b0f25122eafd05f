"""The examination: a healthy setup is ok everywhere, each trouble is named, and nothing makes it hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from openclaw_nb import Runtime
from openclaw_nb.config import ClusterConfig
from openclaw_nb.doctor import Finding, Patient, State, examination, examine
from openclaw_nb.front import Front
from openclaw_nb.sessions.storage import Storage

Named = Callable[[list[Finding], str], Finding]

HEALTHY = [
    "gateway", "versions", "kernel", "model", "link", "clocks", "first token", "text", "recovery", "requests",
    "levels", "pool", "configuration", "metrics", "snapshots", "disk", "descriptors",
]  # fmt: skip


@pytest.mark.usefixtures("calm")
def test_a_healthy_setup_is_ok_everywhere(runtime: Runtime, tmp_path: Path, figure: Callable[[str, str], None]) -> None:
    runtime.keep_in(Storage(tmp_path / "kept.db"))
    front = Front()
    runs = []
    for n in range(5):  # one after the other: none waits
        runs.append(front.send(runtime.client(), f"what is 6*{n}?", model="offline:0"))
        runs[-1].result(60)
    start = time.monotonic()
    found = examine(Patient(runtime, front=front, works=runs))
    figure("doctor, a healthy setup", f"{len(found)} findings in {time.monotonic() - start:.2f} s")
    assert [one.name for one in found] == HEALTHY
    assert [one.sentence() for one in found if one.state is not State.OK] == []
    assert not [one for one in found if one.remedy]


@pytest.mark.usefixtures("calm")
def test_its_static_form_is_the_same_each_time(runtime: Runtime) -> None:
    first, second = (
        [f"{one.state} {one.name} {one.sentence(measured=False)}" for one in examine(Patient(runtime))]
        for _ in range(2)
    )
    assert first == second
    assert not [line for line in first if any(char.isdigit() for char in line)]


@pytest.mark.usefixtures("calm")
def test_no_gateway(runtime: Runtime, named: Named) -> None:
    found = examine(Patient(runtime, "ws://127.0.0.1:9"))
    gateway = named(found, "gateway")
    assert gateway.state is State.BROKEN
    assert "connection refused" in gateway.words
    assert not {"latency", "link"} & {one.name for one in found}, "nothing is timed that is not there"
    assert named(found, "kernel").state is State.OK


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("uri", ["bad address", "agent://no/such-cluster", "wss://user:secret@host"])
def test_a_bad_address(uri: str, runtime: Runtime, named: Named) -> None:
    found = examine(Patient(runtime, uri))
    assert named(found, "gateway").state is State.BROKEN
    assert "secret" not in " ".join(one.sentence() for one in found)


@pytest.mark.usefixtures("calm")
def test_no_such_model(runtime: Runtime, named: Named) -> None:
    model = named(examine(Patient(runtime, model="offlin")), "model")
    assert model.state is State.BROKEN
    assert "offlin" in model.words


@pytest.mark.usefixtures("calm")
def test_tokenInterval_of_the_configuration(runtime: Runtime, named: Named) -> None:
    runtime.configure(ClusterConfig.parse("cluster: {tokenInterval: 2000}"))
    text = named(examine(Patient(runtime)), "text")
    assert text.state is State.LOOK
    assert "because of tokenInterval" in text.words
    assert "%openclaw config" in text.remedy


def test_a_loop_that_is_blocked_for_long_makes_nothing_hang(
    runtime: Runtime, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.client().send("what is 6*7?", model="offline:0").result(60)
    monkeypatch.setattr(Patient.ask, "__defaults__", (1.2,))
    monkeypatch.setattr(examination, "PATIENCE", 30)
    begun, go_on = threading.Event(), threading.Event()

    def model_that_blocks() -> None:
        begun.set()
        go_on.wait(120)

    runtime.loop.call_soon_threadsafe(model_that_blocks)
    assert begun.wait(60)
    start = time.monotonic()
    try:
        found = examine(Patient(runtime))
    finally:
        go_on.set()
    assert time.monotonic() - start < 60
    assert named(found, "gateway").state is not State.OK
    kernel = named(found, "kernel")
    assert kernel.state is State.BROKEN
    assert "model_that_blocks" in kernel.words
