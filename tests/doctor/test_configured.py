"""What is configured: a file that is wrong, one that is not in effect, secrets that are not there, extras missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from openclaw_nb import Runtime
from openclaw_nb.config import ClusterConfig
from openclaw_nb.doctor import Patient, State, configured
from openclaw_nb.doctor.configured import configuration, extras, tokens

RIGHT = """
cluster: {tokenInterval: 40}
clusters:
  demo/a: {endpoints: ["ws://127.0.0.1:9"], token: {env: DEMO_TOKEN}}
  demo/b: {endpoints: ["ws://127.0.0.1:9"], token: {file: nowhere}}
gateway: {redis: "redis://127.0.0.1:1/0"}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(RIGHT)
    return path


def test_none(runtime: Runtime) -> None:
    [finding] = configuration(Patient(runtime))
    assert finding.state is State.OK
    assert not list(tokens(Patient(runtime)))
    assert not list(extras(Patient(runtime)))


def test_one_in_effect(runtime: Runtime, file: Path) -> None:
    runtime.configure(ClusterConfig.load(file), str(file))
    [finding] = configuration(Patient(runtime))
    assert finding.state is State.OK
    assert "2 clusters" in finding.measured


def test_one_that_became_wrong(runtime: Runtime, file: Path) -> None:
    runtime.configure(ClusterConfig.load(file), str(file))
    file.write_text(RIGHT.replace("tokenInterval", "tokenIntervall"))
    [finding] = configuration(Patient(runtime))
    assert finding.state is State.LOOK
    assert "tokenInterval" in finding.words
    assert "openclaw-nb config check" in finding.remedy
    file.write_text(RIGHT.replace("40", "30"))
    [finding] = configuration(Patient(runtime))
    assert finding.state is State.LOOK
    assert finding.remedy == f"%openclaw config {file} takes it"


def test_one_that_could_not_be_read_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_NB_CONFIG", str(tmp_path / "missing.yaml"))
    runtime = Runtime()
    try:
        [finding] = configuration(Patient(runtime))
    finally:
        runtime.close()
    assert finding.state is State.BROKEN
    assert "missing.yaml" in finding.words


def test_secrets(runtime: Runtime, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime.configure(ClusterConfig.load(file), str(file))
    monkeypatch.setenv("DEMO_TOKEN", "planted-token-1234567890")
    missing, there = tokens(Patient(runtime, "agent://demo/a"))
    assert (missing.state, there.state) == (State.LOOK, State.OK)
    assert "agent://demo/b" in missing.words
    monkeypatch.delenv("DEMO_TOKEN")
    needed, _ = tokens(Patient(runtime, "agent://demo/a"))
    assert needed.state is State.BROKEN
    assert "DEMO_TOKEN" in needed.sentence()
    assert "planted-token" not in there.sentence()


def test_an_extra_that_is_missing(runtime: Runtime, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime.configure(ClusterConfig.load(file), str(file))
    monkeypatch.setattr(configured, "find_spec", lambda name: None)
    [finding] = extras(Patient(runtime))
    assert finding.state is State.LOOK
    assert "openclaw_nb[redis]" in finding.remedy
    monkeypatch.setattr(configured, "find_spec", importlib.util.find_spec)
    assert (list(extras(Patient(runtime))) == []) == (importlib.util.find_spec("redis") is not None)
