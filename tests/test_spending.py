"""What runs used, by model and level, each counted once; and what estimates learn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from openclaw_nb.events import Delta, End, Status, Usage
from openclaw_nb.run import Run
from openclaw_nb.spending import Spending, Used

HERE = "agent://local"


def ended(
    spending: Spending, id: str, *, model: str = "m", level: int = 2, made: int = 10, cost: float | None = 0.5,
    status: Status = Status.DONE, counted: bool = True, session: str = "main",
) -> Run:  # fmt: skip
    run = Run(id, prompt="a question", session=session, level=level)
    spending.watch(run, HERE)
    run.push(Delta(0, "word " * made, made))
    run.push(End(status, usage=Usage(5, made) if counted else None, cost=cost, model=model))
    return run


def test_it_adds_up_by_model_and_level() -> None:
    spending = Spending()
    for number in range(3):
        ended(spending, f"a{number}")
    ended(spending, "b", level=4, cost=9.0)
    ended(spending, "c", model="free", cost=None)
    assert spending.rows() == [
        (("m", 4), Used(1, 5, 10, 9.0)),
        (("m", 2), Used(3, 15, 30, 1.5)),
        (("free", 2), Used(1, 5, 10, 0.0)),
    ]
    assert spending.total == Used(5, 25, 50, 10.5)
    assert repr(spending) == "<Spending 5 runs, 10.5 USD>"


def test_a_run_that_is_taken_up_again_counts_once_with_all_it_cost() -> None:
    spending = Spending()
    ended(spending, "a", cost=0.2, made=4, status=Status.STOPPED, level=4)
    ended(spending, "a", cost=0.7, made=12, level=4)
    ended(spending, "a", cost=None, made=1, counted=False)
    assert spending.rows() == [(("m", 4), Used(1, 5, 12, 0.7))]


def test_only_runs_that_came_to_their_end_say_how_long_runs_are() -> None:
    spending = Spending()
    ended(spending, "a", status=Status.STOPPED)
    ended(spending, "b", counted=False)
    assert len(spending.experience) == 0
    ended(spending, "c", made=77)
    seen = next(iter(spending.experience))
    assert (seen.model, seen.level, seen.output_tokens, seen.cost) == ("m", 2, 77, 0.5)
    assert 0 < seen.asked < 5
    assert seen.seconds > 0


def test_conversations_grow() -> None:
    spending = Spending()
    assert spending.before(HERE, "main") == 0
    ended(spending, "a", made=100)
    assert 100 < spending.before(HERE, "main") < 160
    ended(spending, "b", made=100)
    assert 200 < spending.before(HERE, "main") < 320
    assert [one.before for one in spending.experience] == [0, spending.before(HERE, "main") // 2]
    assert spending.before(HERE, "other") == spending.before("ws://elsewhere", "main") == 0


def test_it_knows_whom_an_agent_asked_at_last() -> None:
    spending = Spending()
    assert spending.model(HERE, "main") == ""
    ended(spending, "a", model="one")
    ended(spending, "b", model="two")
    assert spending.model(HERE, "main") == "two"


@pytest.mark.parametrize("grow", [lambda n: {"id": f"{n}"}, lambda n: {"id": "same", "session": f"{n}"}])
def test_it_does_not_grow_for_ever(grow: Callable[[int], dict[str, Any]]) -> None:
    spending = Spending()
    for number in range(1_100):
        ended(spending, **grow(number))
    assert len(spending._of) <= 1_000
    assert len(spending._said) <= 1_000


def test_a_budget_counts_what_was_spent_before_it() -> None:
    spending = Spending()
    ended(spending, "a", cost=0.25)
    spending.limit(1.0)
    assert spending.budget is not None
    assert (spending.budget.name, spending.budget.spent, spending.budget.left) == ("notebook", 0.25, 0.75)
    spending.limit(2.0)
    assert (spending.budget.limit, spending.budget.spent) == (2.0, 0.25)
    spending.limit(None)
    assert spending.budget is None
