"""Events of a run: plain data, which statuses are final, and usage that adds up."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from openclaw_nb import events
from openclaw_nb.events import Approval, Delta, End, Level, State, Status, Step, Usage


def test_the_last_three_statuses_are_final() -> None:
    assert [status for status in Status if status.final] == [Status.DONE, Status.STOPPED, Status.FAILED]
    assert [str(status) for status in Status] == ["waiting", "streaming", "reconnecting", "done", "stopped", "failed"]


def test_usage_adds_up() -> None:
    assert Usage(1, 2) + Usage(30, 40) == Usage(31, 42)
    assert (Usage(1, 2) + Usage(3, 4, estimated=True)).estimated, "a sum is as sure as its parts"
    assert (Usage(1, 2, estimated=True) + Usage(3, 4)).estimated
    assert not Usage().estimated


@pytest.mark.parametrize(
    "event", [Delta(0, "a", 1), Step("k", "t"), State(Status.WAITING), End(Status.DONE), Level(3), Usage(1, 2)]
)
def test_what_happened_does_not_change(event: object) -> None:
    (name, *_) = event.__slots__  # type: ignore[attr-defined]
    with pytest.raises((FrozenInstanceError, AttributeError)):
        setattr(event, name, "other")
    assert not hasattr(event, "__dict__"), "one is made for every token"


def test_every_event_of_a_run_is_one() -> None:
    assert set(events.RunEvent.__args__) == {Delta, Step, State, Level, Approval, End}  # type: ignore[attr-defined]
