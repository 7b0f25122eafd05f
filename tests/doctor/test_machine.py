"""What runs need of this machine, each with the trouble that there can be, and what would help."""

from __future__ import annotations

import resource
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from openclaw_nb import Runtime
from openclaw_nb.doctor import Finding, Patient, State
from openclaw_nb.doctor.machine import descriptors, disk, recovery, store, way
from openclaw_nb.errors import ConnectionLost
from openclaw_nb.events import End, Status
from openclaw_nb.sessions.storage import Retention, Storage

Usage = namedtuple("Usage", "total used free")


def test_snapshots_in_memory_as_was_chosen(runtime: Runtime) -> None:
    [finding] = store(Patient(runtime))
    assert (finding.state, finding.remedy) == (State.OK, "")
    assert not list(disk(Patient(runtime)))


def test_snapshots_in_a_file(runtime: Runtime, tmp_path: Path) -> None:
    runtime.keep_in(Storage(tmp_path / "kept.db"))
    [finding] = store(Patient(runtime))
    assert finding.state is State.OK
    assert finding.figures["limit"] == 256e6
    assert [one.state for one in disk(Patient(runtime))] == [State.OK]


def test_a_file_that_is_fuller_than_it_may_be(runtime: Runtime, tmp_path: Path) -> None:
    runtime.keep_in(Storage(tmp_path / "kept.db", Retention(max_bytes=10)))
    [finding] = store(Patient(runtime))
    assert finding.state is State.LOOK
    assert "openclaw-nb snapshots" in finding.remedy


def test_a_place_that_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OPENCLAW_NB_SNAPSHOTS", str(tmp_path / "file"))
    runtime = Runtime()
    try:
        [finding] = store(Patient(runtime))
    finally:
        runtime.close()
    assert finding.state is State.LOOK
    assert "in memory only" in finding.words
    assert "%openclaw keep" in finding.remedy


@pytest.mark.parametrize(("free", "state"), [(10e9, State.OK), (100e6, State.LOOK), (1_000, State.BROKEN)])
def test_room(free: float, state: State, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime.keep_in(Storage(tmp_path / "kept.db"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1e12, 0, free))
    [finding] = disk(Patient(runtime))
    assert finding.state is state
    assert finding.figures == {"free": free}


def test_few_descriptors(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.state for one in descriptors(Patient(runtime))] == [State.OK]
    monkeypatch.setattr(resource, "getrlimit", lambda which: (64, 64))
    [finding] = descriptors(Patient(runtime))
    assert finding.state is State.LOOK
    assert "ulimit -n 4096" in finding.remedy


def test_errors_of_the_last_minute(runtime: Runtime) -> None:
    def look() -> Finding:
        [finding] = recovery(Patient(runtime))
        return finding

    client = runtime.client()
    assert look().words == "no error and no cut in the last minute"
    client.stability.cut()
    assert (look().state, look().figures) == (State.OK, {"errors": 1})
    for _ in range(2):
        client.stability.ended(End(Status.FAILED, error=ConnectionLost("gone", code="MODEL")))
    finding = look()
    assert finding.state is State.LOOK
    assert "level 1 in one piece (3 errors in the last minute)" in finding.words
    assert "auto_degrade=False" in finding.remedy


def test_a_proxy_on_the_way(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not list(way(Patient(runtime)))
    for name in ("no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    patient = Patient(runtime, "wss://gateway.invalid")
    [straight] = way(patient)
    assert (straight.state, straight.words) == (State.OK, "straight to gateway.invalid, with TLS")
    monkeypatch.setenv("https_proxy", "http://user:secret-word@proxy.invalid:3128")
    [through] = way(patient)
    assert through.state is State.LOOK
    assert "proxy.invalid" in through.words
    assert "secret-word" not in through.sentence()
    assert "NO_PROXY=gateway.invalid" in through.remedy
