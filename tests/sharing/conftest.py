"""One Redis for all tests here, each of which has keys of its own; skipped where there is none."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.daemons import Daemon, Missing, redis_server


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that the machine lets wait for seconds is not away."""
    monkeypatch.setattr("openclaw_nb.sharing.link.PATIENCE", 200)
    monkeypatch.setattr("openclaw_nb.sharing.address.OPENING", 60.0)


@pytest.fixture(scope="session")
def redis() -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            daemon = redis_server(Path(folder))
        except Missing as missing:
            pytest.skip(str(missing))
        with daemon:
            yield daemon
