"""Budgets that runs share, and what one run has used of its own: to the token, and over many at once."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.errors import ConfigError
from openclaw_nb.events import Usage
from openclaw_nb.reasoning.budgets import Budget, Meter, hold
from openclaw_nb.reasoning.costs import Tariff

CENT = Tariff("cents", (1.0, 10_000.0))
"""A token that is made costs a cent, a million that are asked a dollar."""


# -- budgets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), True, "1", None])
def test_what_is_no_budget(limit: object) -> None:
    with pytest.raises(ConfigError, match="a sum in USD above 0"):
        Budget(limit)  # type: ignore[arg-type]


def test_what_is_held_is_not_left_and_what_is_settled_is_spent() -> None:
    budget = Budget(1.0, "notebook")
    assert (budget.hold(0.4), budget.left, budget.spent) == (0.4, 0.6, 0.0)
    assert budget.hold(0.9) == 0.6
    budget.release(0.4)
    budget.settle("a", 0.25)
    assert (budget.spent, budget.held, budget.left) == (0.25, 0.6, 0.15)
    assert repr(budget) == "<Budget of the notebook: 0.25 of 1 USD spent>"


def test_a_run_that_is_taken_up_again_is_spent_once() -> None:
    budget = Budget(1.0)
    for total in (0.2, 0.3, 0.3, 0.1):
        budget.settle("one", total)
    budget.settle("other", 0.3)
    assert budget.spent == 0.6


def test_its_limit_may_be_raised() -> None:
    budget = Budget(0.1)
    budget.settle("a", 0.1)
    assert budget.left == 0.0
    budget.limit = 0.5
    assert (budget.left, budget.spent) == (0.4, 0.1)
    with pytest.raises(ConfigError, match="a sum in USD above 0"):
        budget.limit = -1


def test_more_than_the_limit_may_be_spent_and_never_less_than_nothing_be_left() -> None:
    budget = Budget(0.1)
    budget.settle("a", 0.11)
    assert budget.left == 0.0
    assert budget.hold(0.01) == 0.0


def test_one_more_run_may_hold_half_but_what_it_needs() -> None:
    budget = Budget(1.0)
    assert budget.share(0.1) == 0.5
    assert budget.share(0.8) == 0.8
    assert budget.share(7.0) == 1.0


def test_a_run_holds_what_its_tightest_budget_allows() -> None:
    own, agent, notebook = Budget(0.3), Budget(1.0, "agent"), Budget(9.0, "notebook")
    first = hold([own, agent, notebook], least=0.01)
    assert (first.amount, first.tightest) == (0.3, own)
    assert [budget.held for budget in (own, agent, notebook)] == [0.3, 0.3, 0.3]
    second = hold([agent, notebook], least=0.01)
    assert (second.amount, second.tightest) == (0.35, agent)
    for held, cost in ((first, 0.1), (second, 0.2), (second, 9.0)):
        held.settle(str(id(held)), cost)
    assert [round(budget.spent, 9) for budget in (own, agent, notebook)] == [0.1, 0.3, 0.3]
    assert [budget.held for budget in (own, agent, notebook)] == [0.0, 0.0, 0.0]


def test_two_runs_at_once_cannot_hold_the_same_money() -> None:
    agent, notebook = Budget(1.0, "agent"), Budget(0.9, "notebook")
    begin = threading.Barrier(8)

    def run(number: int) -> float:
        begin.wait()
        kept = []
        for turn in range(200):
            kept.append(hold([agent, notebook], least=0.3))
            assert agent.held <= 1.0
            assert notebook.held <= 0.9
            if turn % 3 == 0:
                kept.pop().settle(f"{number}.{turn}", 0.0)
        return sum(one.amount for one in kept)

    with ThreadPoolExecutor(8) as pool:
        held = sum(pool.map(run, range(8)))
    assert held == pytest.approx(notebook.held)
    assert held == pytest.approx(agent.held)
    assert held <= 0.9 + 1e-9


class Raced(Budget):
    """Another thread is quicker: it takes most of what was asked about before that is taken."""

    def share(self, least: float) -> float:
        amount = super().share(least)
        self.hold(0.95)
        return amount


def test_where_another_was_quicker_no_budget_holds_more_than_all_of_them_allow() -> None:
    agent, notebook = Budget(1.0, "agent"), Raced(1.0, "notebook")
    assert hold([agent, notebook], 0.8).amount == pytest.approx(0.05)
    assert agent.held == pytest.approx(0.05)
    assert notebook.held == 1.0


# -- meters ----------------------------------------------------------------------------------------


def test_it_is_exceeded_by_the_first_token_above() -> None:
    meter = Meter(CENT, 0.105)
    request = meter.asked(0)
    assert [request.made(1) for _ in range(11)] == [False] * 10 + [True]
    assert meter.exceeded
    assert meter.cost == 0.11
    assert (meter.input_tokens, meter.output_tokens) == (0, 11)


def test_a_question_is_weighed_when_somebody_asks() -> None:
    weighed = []

    def weigh() -> int:
        weighed.append(1)
        return 600_000

    meter = Meter(CENT)
    counted, told = meter.asked(weigh), meter.asked(weigh)
    counted.counted(Usage(100_000, 50))
    assert weighed == []
    assert meter.input_tokens == 700_000
    assert told.input == 600_000
    assert len(weighed) == 1


def test_the_very_limit_is_no_more_than_the_limit() -> None:
    """In floats three tenths are more than 0.3, and ten less than one."""
    meter = Meter(CENT, 0.3)
    request = meter.asked(0)
    assert [request.made(1) for _ in range(31)] == [False] * 30 + [True]


def test_the_question_counts_and_is_corrected() -> None:
    meter = Meter(CENT, 1.0)
    request = meter.asked(600_000)
    assert (meter.cost, meter.exceeded) == (0.6, False)
    assert not request.made(20)
    assert request.made(25)
    request.counted(Usage(100_000, 50))
    assert not meter.exceeded
    assert meter.cost == 0.6
    assert (meter.input_tokens, meter.output_tokens, meter.estimated) == (100_000, 50, False)
    request.counted(Usage(100_000, 51, estimated=True))
    assert (meter.cost, meter.estimated) == (0.61, True)


def test_several_requests_at_once_share_one_limit() -> None:
    meter = Meter(CENT, 0.3)
    requests = [meter.asked(0) for _ in range(3)]
    assert not any(request.made(3) for request in requests for _ in range(2))
    assert meter.room(0) == 12
    assert meter.room(0, among=3) == 4
    requests[0].counted(Usage(0, 40))
    assert meter.exceeded
    assert meter.room(0) == 0
    assert meter.cost == 0.52


def test_a_run_that_goes_on_has_spent_before() -> None:
    meter = Meter(CENT, 0.1, spent=0.095)
    assert meter.asked(0).made(1)
    assert meter.cost == 0.105


def test_a_delta_of_many_tokens_that_says_one_costs_what_its_text_does() -> None:
    meter = Meter(CENT, 100.0)
    request = meter.asked(0)
    request.made(1, " word")
    assert meter.cost == 0.01
    request.made(1, "several words at once, as some providers send them")
    assert meter.cost is not None
    assert 0.11 <= meter.cost <= 0.2
    assert meter.output_tokens == 2
    request.made(500, "short")
    assert 5.11 <= meter.cost <= 5.2
    request.made(1, "这是一个很长的句子")
    assert 5.16 <= meter.cost <= 5.3


def test_while_several_are_at_work_a_delta_of_each_is_kept_free() -> None:
    """Each may bring one more before it is stopped, and all of them together no more than one above the limit."""
    meter = Meter(CENT, 0.3)
    requests = [meter.asked(0) for _ in range(3)]
    made = 0
    over = False
    while not over:
        over = requests[made % 3].made(2)
        made += 1
    for request in requests[:2]:
        request.made(2)
    assert meter.cost is not None
    assert 0.3 < meter.cost <= 0.32
    assert meter.exceeded


def test_one_that_has_ended_keeps_nothing_free_and_is_an_estimate_unless_it_was_counted() -> None:
    meter = Meter(CENT, 0.05)
    first, second = meter.asked(0), meter.asked(0)
    assert not first.made(2)
    first.counted(Usage(0, 2))
    assert (first.estimated, second.estimated) == (False, True)
    assert not second.made(3)
    assert not meter.exceeded
    for _ in range(2):
        second.ended()
    assert meter.estimated
    third = meter.asked(0)
    assert not meter.exceeded
    third.ended()


def test_room_leaves_what_the_question_costs() -> None:
    meter = Meter(CENT, 1.0)
    assert meter.room(500_000) == 50
    assert meter.room(500_000, among=2) == 0
    assert meter.room(2_000_000) == 0
    assert Meter(CENT).room(5) is None
    assert Meter(Tariff("offline"), 1.0).room(5) is None


def test_what_is_free_or_unlimited_never_exceeds() -> None:
    for meter in (Meter(Tariff("offline"), 0.01), Meter(CENT)):
        request = meter.asked(10**9)
        assert not request.made(10**12)
        assert not meter.exceeded
    assert Meter(Tariff("offline"), 0.01).cost == 0.0


def test_without_a_limit_it_is_enough_to_add_up() -> None:
    meter = Meter(CENT)
    assert not meter.limited
    request = meter.asked(1_000_000)
    request.output += 5
    assert (meter.cost, meter.output_tokens, meter.estimated) == (1.05, 5, True)
    request.counted(Usage(1_000_000, 6))
    assert (meter.cost, meter.output_tokens, meter.estimated, meter.requests) == (1.06, 6, False, 1)


def test_without_a_price_tokens_are_counted_and_no_budget_is_kept() -> None:
    meter = Meter(Tariff("nobody:nothing"))
    request = meter.asked(10)
    request.output += 5
    request.counted(Usage(12, 6))
    assert (meter.input_tokens, meter.output_tokens, meter.cost) == (12, 6, None)
    with pytest.raises(ConfigError, match="the price of nobody:nothing is not known"):
        Meter(Tariff("nobody:nothing"), 1.0)


def test_each_request_is_priced_by_its_own_length() -> None:
    """Anthropic's and Google's prices rise with one request's input: two of 150,000 tokens are not one of 300,000."""
    tariff = Tariff("anthropic:claude-sonnet-4-5")
    meter, other = Meter(tariff), Meter(tariff)
    for _ in range(2):
        meter.asked(1).counted(Usage(150_000, 10))
    other.asked(1).counted(Usage(300_000, 20))
    assert meter.cost is not None
    assert other.cost is not None
    assert other.cost > 1.5 * meter.cost


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**5), st.booleans()), max_size=20),
    st.sampled_from([None, 1.0, 1e6]),
)
def test_the_sum_is_that_of_its_requests(requests: list[tuple[int, int, bool]], limit: float | None) -> None:
    meter = Meter(CENT, limit)
    for asked, made, counts in requests:
        request = meter.asked(asked + 7 if counts else asked)
        request.made(made)
        if counts:
            request.counted(Usage(asked, made))
    assert meter.input_tokens == sum(asked for asked, _, _ in requests)
    assert meter.output_tokens == sum(made for _, made, _ in requests)
    assert meter.cost == pytest.approx(sum(asked / 1e6 + made / 100 for asked, made, _ in requests))


def test_no_budget_is_made_of_what_is_no_sum() -> None:
    with pytest.raises(ConfigError, match="a sum in USD above 0"):
        Meter(CENT, 0.0)


def test_those_that_work_beside_each_other_leave_each_other_their_parts() -> None:
    budget = Budget(0.4, "pool")
    budget.parts = 3
    first = hold([budget], math.inf)
    assert [first.amount, hold([budget], 0.0).amount] == pytest.approx([0.4 / 3, 0.4 / 3])
    first.settle("first", 0.01)  # what it did not need goes to those to come
    assert hold([budget], 0.2).amount == pytest.approx(0.4 - 0.4 / 3 - 0.01)
    assert (budget.parts, Budget(1.0, "agent").share(math.inf)) == (1, 1.0)
