"""doctor: what works is said to work, what does not comes with what would help."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openclaw_nb import Runtime
from openclaw_nb.doctor import examine


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    runtime = Runtime.shared()
    yield runtime
    runtime.close()


def test_all_is_well(runtime: Runtime) -> None:
    assert [(name, fine) for name, fine, _ in examine(runtime)] == [("gateway", True), ("model", True)]


def test_no_gateway(runtime: Runtime) -> None:
    name, fine, words = examine(runtime, "ws://127.0.0.1:9")[0]
    assert (name, fine) == ("gateway", False)
    assert "connection refused" in words
    assert "%openclaw connect agent://local" in words


def test_no_such_model(runtime: Runtime) -> None:
    _, fine, words = examine(runtime, None, "offlin")[1]
    assert not fine
    assert "offlin" in words
