"""Approvals: asked once, decided once by whoever is first, and settled; nothing is allowed by itself."""

from __future__ import annotations

import pytest

from openclaw_nb.approvals import Approvals, Unsettled
from openclaw_nb.errors import ConfigError
from openclaw_nb.events import Approval, Delta, End, RunEvent, Status, Step
from openclaw_nb.run import Run

ECHO = Approval("a1", "exec wants to run", "echo hi", expires=60)


class Asked:
    """One approval, with what it told and what was decided."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[RunEvent] = []
        self.decided: list[bool] = []
        self.approvals = Approvals(self.told.append, lambda: self.now)
        self.approvals.ask(ECHO, self.decided.append)


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_it_is_told_once_and_waits_for_ever(asked: Asked) -> None:
    asked.approvals.ask(ECHO, asked.decided.append)
    asked.now += 1e6
    assert asked.told == [ECHO]
    assert asked.approvals.pending == (ECHO,)
    assert asked.approvals.unsettled == (Unsettled(ECHO, 0.0, None),)
    assert asked.decided == []


def test_the_time_that_is_left(asked: Asked) -> None:
    asked.now += 12
    asked.approvals.ask(Approval("a2", "t", "c"), asked.decided.append)
    assert [one.left for one in asked.approvals.unsettled] == [48.0, None]


@pytest.mark.parametrize("allow", [True, False])
def test_the_first_decision_counts(asked: Asked, allow: bool) -> None:
    asked.approvals.decide("a1", allow)
    with pytest.raises(ConfigError, match="decided already"):
        asked.approvals.decide("a1", not allow)
    assert asked.decided == [allow]
    assert asked.approvals.pending == ()
    assert [one.chosen for one in asked.approvals.unsettled] == [allow]


def test_what_is_settled_is_an_event_and_a_step(asked: Asked) -> None:
    asked.approvals.decide("a1", True)
    asked.approvals.settle("a1", "allow-once")
    asked.approvals.settle("a1", "deny")
    _, settled, step = asked.told
    assert isinstance(settled, Approval)
    assert (settled.id, settled.decision, settled.by) == ("a1", "allow-once", "")
    assert step == Step("approval:a1", "allowed once", 0, "echo hi")
    assert asked.approvals.unsettled == ()


def test_it_may_be_decided_elsewhere(asked: Asked) -> None:
    asked.approvals.settle("a1", "deny", "another operator")
    with pytest.raises(ConfigError, match="decided already"):
        asked.approvals.decide("a1", True)
    assert asked.decided == []
    assert asked.told[-1] == Step("approval:a1", "denied elsewhere", 0, "echo hi")


def test_what_did_not_get_through_waits_again(asked: Asked) -> None:
    asked.approvals.again("a1")
    assert asked.told == [ECHO]
    asked.approvals.decide("a1", True)
    asked.approvals.again("a1")
    assert asked.told == [ECHO, ECHO]
    asked.approvals.decide("a1", False)
    assert asked.decided == [True, False]


def test_a_way_to_decide_that_fails_leaves_it_waiting() -> None:
    def fail(allow: bool) -> None:
        raise OSError("the loop is closed")

    approvals = Approvals(lambda event: None)
    approvals.ask(ECHO, fail)
    with pytest.raises(OSError, match="closed"):
        approvals.decide("a1", True)
    assert approvals.pending == (ECHO,)


def test_the_end_settles_what_waits(asked: Asked) -> None:
    asked.approvals.ask(Approval("a2", "t", "c"), asked.decided.append)
    asked.approvals.decide("a2", True)
    asked.approvals.end()
    steps = [event for event in asked.told if isinstance(event, Step)]
    assert [(step.key, step.title) for step in steps] == [("approval:a1", "expired"), ("approval:a2", "expired")]
    with pytest.raises(ConfigError, match="its run has ended"):
        asked.approvals.decide("a1", True)


def test_a_run_has_them_among_its_events_and_steps() -> None:
    run, told = Run("r"), list[RunEvent]()
    run.subscribe(told.append)
    run.push(Delta(0, "text", 1))
    run.approvals.ask(ECHO, lambda allow: run.approvals.settle("a1", "allow-once" if allow else "deny"))
    run.approvals.decide("a1", True)
    run.push(End(Status.DONE))
    assert [type(event) for event in told] == [Delta, Approval, Approval, Step, End]
    assert run.result(0).steps == (Step("approval:a1", "allowed once", 0, "echo hi"),)
