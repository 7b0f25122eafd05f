"""Succession: which runs of a dead instance are gone on with, and how the others end."""

from __future__ import annotations

import pytest

from openclaw_nb.engine import Engine, Turn
from openclaw_nb.gateway.shared_run import SharedRun
from openclaw_nb.gateway.succession import refusal
from openclaw_nb.models import resolve
from openclaw_nb.models.base import ToolCall
from openclaw_nb.sessions.forks import Fork, Task
from openclaw_nb.snapshots import SnapshotStore
from tests.spine import asynchronous


def run_of(text: str, *calls: str) -> SharedRun:
    run = SharedRun(None, Turn("k", "go", partial=text), "f", "p")  # type: ignore[arg-type]
    for key in calls:
        run.log.append_step(key, "weather()")
    return run


@asynchronous
async def test_gone_on_with_or_not() -> None:
    engine = Engine(SnapshotStore(), resolve("offline"))
    for text in ("", "one "):
        assert refusal(run_of(text, "thinking", "load"), engine, "", None) is None
        assert refusal(run_of(text), engine, "", 5.0) is None
        assert refusal(run_of(text), engine, "rpc", None).facts == {"stopReason": "rpc"}  # type: ignore[union-attr]
        assert refusal(run_of(text), engine, "", 0.0).facts == {"stopReason": "timeout"}  # type: ignore[union-attr]
    assert refusal(run_of(""), None, "", None) is None
    lost = refusal(run_of("one "), None, "", None)
    assert lost is not None
    assert (lost.facts["errorCode"], "cannot go on" in lost.facts["errorMessage"]) == ("RUN_LOST", True)


@pytest.mark.parametrize("shared", [False, True])
def test_one_that_has_called_tools(shared: bool) -> None:
    """Only where its ledger is here, as in a file that instances have in common."""
    engine = Engine(SnapshotStore(), resolve("offline"))
    if shared:
        fork = Fork(engine.memory, Task("k", "go", "main", "main", 2, None), None, 5.0)
        fork.ledger.ask(0, 0, [ToolCall("", "weather", {})])
        fork.step()

    @asynchronous
    async def ask() -> None:
        lost = refusal(run_of("", "k-0-0"), engine, "", None)
        if shared:
            assert lost is None
        else:
            assert lost is not None
            assert "what its tools did is not known here" in lost.facts["errorMessage"]

    ask()
