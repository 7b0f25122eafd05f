"""Budgets before, while and after a run: the level lowered, the run stopped, the money settled once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from openclaw_nb import BudgetReached, Gateway, OpenClawAgent, OpenClawClient, Runtime
from openclaw_nb.errors import ConfigError, ModelError
from openclaw_nb.events import Status, Step, Usage
from openclaw_nb.front import Front
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta
from openclaw_nb.reasoning.budgets import Budget
from openclaw_nb.reasoning.estimates import Observation
from openclaw_nb.run import Result
from tests.foreign import foreign
from tests.spine import asynchronous, serving

CENT = (0.0, 10_000.0)
"""A token that is made costs a cent."""


class Priced:
    """A Model of fixed words that states its prices, and says nothing of what it used unless it ``counts``."""

    name = "priced"

    def __init__(self, words: int = 10, prices: tuple[float, float] = CENT, *, counts: bool = False) -> None:
        self.prices = prices
        self.words = words
        self.counts = counts
        self.made = 0
        self.asked = 0
        self.levels: list[int] = []
        self.breaks: list[int] = []
        self.gate: threading.Event | None = None

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.asked += 1
        self.levels.append(request.level)
        while self.gate is not None and not self.gate.is_set():  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.001)
        breaks = self.breaks.pop(0) if self.breaks else None
        for n in range(self.words):
            if n == breaks:
                raise ModelError("it broke off", code="MODEL_UNAVAILABLE")
            self.made += 1
            yield TextDelta(f"w{n} ")
            await asyncio.sleep(0)
        if self.counts:
            yield Usage(0, self.words)


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()


def taught(agent: OpenClawAgent, **tokens: int) -> OpenClawAgent:
    """An agent of which is known how many tokens each level makes (``two=10``)."""
    for level, name in enumerate(("one", "two", "three", "four"), 1):
        for _ in range(30):
            agent.client.experience.add(Observation("priced", level, 1, 9, tokens.get(name, 10**level), 1.0))
    return agent


# -- before it is sent -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "level", "words"),
    [
        (50.0, 4, ""),
        (40.0, 3, "the budget of $40.00"),
        (2.0, 2, "the budget of $2.00"),
        (0.5, 1, "the budget of $0.50"),
    ],
)
def test_the_level_is_lowered_to_what_fits(budget: float, level: int, words: str) -> None:
    agent = taught(OpenClawAgent("one", model=Priced()), one=10, two=100, three=1_000, four=4_500)
    run = agent.analyze("q", "complex_task", budget=budget)
    assert run.level == level
    assert run.level_reason == ("tagged complex_task" + (f", limited to {level} by {words}" if words else ""))
    run.result(60)


def test_by_hand_too() -> None:
    agent = taught(OpenClawAgent("one", model=Priced(), budget=2.0))
    agent.set_reasoning_level(4)
    run = agent.analyze("q")
    assert (run.level, run.level_reason) == (2, "limited to 2 by the agent's budget of $2.00")
    run.result(60)


def test_nothing_left_is_one_sentence_and_nothing_is_asked() -> None:
    agent = OpenClawAgent("one", model=(model := Priced()), budget=0.1)
    assert agent.analyze("q").result(60).status is Status.DONE
    with pytest.raises(BudgetReached) as refused:
        agent.analyze("q")
    assert str(refused.value) == (
        "the agent's budget of $0.10 is used up, $0.10 spent; OpenClawAgent(budget=) or agent.budget raises it"
    )
    assert refused.value.code == "BUDGET"
    assert model.asked == 1
    agent.budget = 0.2
    assert agent.analyze("q").result(60).status is Status.DONE


def test_a_question_that_costs_more_than_there_is() -> None:
    agent = OpenClawAgent("one", model=(model := Priced(prices=(1_000.0, 0.0))))
    with pytest.raises(BudgetReached, match=r"question alone costs \$0.\d+, more than the budget of \$0.01; --"):
        agent.analyze("many words " * 10, budget=0.01)
    assert model.asked == 0


def test_a_price_that_nobody_knows() -> None:
    class Unknown(Priced):
        name = "nobody:nothing"

    model = Unknown()
    del model.prices
    agent = OpenClawAgent("one", model=model)
    with pytest.raises(ConfigError, match="the price of nobody:nothing is not known, so a budget cannot be kept"):
        agent.analyze("q", budget=1.0)
    assert agent.analyze("q").result(60).cost is None


def test_what_is_free_is_not_limited() -> None:
    agent = OpenClawAgent("one", model=Priced(prices=(0.0, 0.0)), budget=0.01)
    agent.set_reasoning_level(4)
    run = agent.analyze("q")
    assert (run.level, run.result(60).status) == (4, Status.DONE)


def test_what_is_no_budget() -> None:
    with pytest.raises(ConfigError, match="a sum in USD above 0"):
        OpenClawAgent(budget=0)
    agent = OpenClawAgent("one", model=Priced())
    with pytest.raises(ConfigError, match="a sum in USD above 0"):
        agent.analyze("q", budget=-1.0)


# -- while it is at work ---------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [False, True])
def test_it_stops_with_the_first_token_above(counts: bool) -> None:
    agent = OpenClawAgent("one", model=(model := Priced(words=50, counts=counts)), reasoning_level=1)
    result = agent.analyze("q", budget=0.055).result(60)
    assert (result.status, result.words) == (Status.STOPPED, "stopped at the budget of $0.055")
    assert result.text.split() == ["w0", "w1", "w2", "w3", "w4", "w5"]
    assert result.cost == 0.06
    assert result.usage == Usage(result.usage.input_tokens, 6, estimated=True)
    assert model.made == 6


def test_a_gateway_elsewhere_keeps_it_too() -> None:
    """Its model is its own, and its price is not known here."""

    async def work() -> Result:
        async with Gateway(model=Priced(words=50)) as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            agent = OpenClawAgent(client=client, budget=0.055, reasoning_level=1)
            result = await agent.analyze("q")
            assert agent.budget is not None
            assert agent.budget.spent == pytest.approx(0.06)
            assert agent.budget.held == 0
            with pytest.raises(BudgetReached):
                agent.analyze("q")
            return result

    result = asyncio.run(work())
    assert (result.status, result.words, result.cost) == (Status.STOPPED, "stopped at the budget of $0.055", 0.06)


@asynchronous
async def test_the_first_runs_of_a_cluster_work_beside_each_other() -> None:
    """Nobody has heard yet which model it is, nor what that costs."""
    async with serving(model := Priced(words=3)) as (_, client):
        model.gate = threading.Event()
        client.budget = Budget(1.0, "cluster")
        runs = [Front().send(client, "q", session=name) for name in "abc"]
        assert client.budget.left == 0.125
        model.gate.set()
        assert [(await run).cost for run in runs] == [0.03] * 3
        assert client.budget.spent == pytest.approx(0.09)
        assert client.budget.held == 0


@asynchronous
async def test_a_gateway_that_keeps_none_is_not_asked() -> None:
    async with foreign() as (gateway, client):
        with pytest.raises(ConfigError, match="says what a run cost only when it has ended, so no budget"):
            Front().send(client, "q", budget=1.0)
        assert not gateway.sent


def test_runs_at_once_cannot_spend_the_same_money() -> None:
    agent = taught(OpenClawAgent("one", model=(model := Priced(words=1_000)), budget=1.0, reasoning_level=1), one=4)
    model.gate = threading.Event()
    runs = []
    for number in range(20):
        try:
            runs.append(agent.analyze("q", session=f"s{number}"))
        except BudgetReached as error:
            assert "held by what is at work" in str(error)  # noqa: PT017 - only some are refused
    model.gate.set()
    for run in runs:
        run.result(60)
    assert len(runs) > 1
    assert agent.budget is not None
    assert agent.budget.held == 0
    assert agent.budget.spent == pytest.approx(model.made / 100)
    assert agent.budget.spent <= 1.0 + 0.01 * len(runs)


class Drafting(Priced):
    """Drafts ten words, and finds fault with them at length."""

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        kind = request.stage.kind if request.stage else "answer"
        words = {"plan": 2, "answer": 10, "check": 500}.get(kind, 30)
        for n in range(words):
            yield TextDelta(f"{kind}{n} ")


def test_what_stands_of_the_best_draft_is_given() -> None:
    agent = taught(OpenClawAgent("one", model=Drafting(), reasoning_level=3), three=3)
    result = agent.analyze("q", budget=0.5).result(60)
    assert (result.status, result.words) == (Status.STOPPED, "stopped at the budget of $0.50")
    assert result.text.split() == [f"answer{n}" for n in range(10)]
    assert result.cost == 0.51
    assert result.steps[-1].title == "check"


def test_a_level_that_is_raised_meanwhile_stays_within_the_budget() -> None:
    agent = taught(OpenClawAgent("one", model=Drafting(), reasoning_level=3), three=3)
    run = agent.analyze("q", budget=0.5)
    run.subscribe(lambda event: run.set_level(4) if isinstance(event, Step) and run.level == 3 else None)
    result = run.result(60)
    assert (result.status, result.cost) == (Status.STOPPED, 0.51)


# -- when it has ended -----------------------------------------------------------------------------


def test_what_failed_and_was_asked_again_is_spent_once() -> None:
    """Two attempts break off, and each costs what it made; all of it is the run's."""
    agent = OpenClawAgent("one", model=(model := Priced()), budget=5.0, reasoning_level=1)
    model.breaks = [4, 7]
    result = agent.analyze("q").result(60)
    assert (result.status, model.asked, model.made) == (Status.DONE, 3, 21)
    assert result.cost == pytest.approx(0.21)
    assert agent.budget is not None
    assert agent.budget.spent == pytest.approx(0.21)
    assert agent.budget.held == 0


def test_what_was_stopped_and_resumed_is_spent_once() -> None:
    agent = OpenClawAgent("one", model=(model := Priced()), budget=5.0, reasoning_level=1)
    model.breaks = [4, 4, 4]
    with pytest.raises(ModelError) as failure:
        agent.analyze("q").result(60)
    assert (model.asked, model.made) == (3, 12), failure.value
    assert agent.budget is not None
    assert agent.budget.spent == pytest.approx(0.12)
    assert failure.value.partial is not None
    assert failure.value.partial.cost == pytest.approx(0.12)
    result = agent.resume_from(str(failure.value.partial.snapshot)).result(60)
    assert result.status is Status.DONE
    assert result.cost == pytest.approx(0.22)
    assert agent.budget.spent == pytest.approx(0.22)
    assert agent.client.spending.total.runs == 1
    assert agent.client.spending.total.cost == pytest.approx(0.22)
    again = agent.resume_from(str(result.snapshot)).result(60)
    assert again == result
    assert agent.budget.spent == pytest.approx(0.22), "it was answered from memory"


def failed(agent: OpenClawAgent, model: Priced, **options: Any) -> str:
    """The snapshot of a run that broke off three times, and cost $0.12."""
    model.breaks = [4, 4, 4]
    with pytest.raises(ModelError) as failure:
        agent.analyze("q", **options).result(60)
    assert failure.value.partial is not None
    return str(failure.value.partial.snapshot)


def test_what_a_run_cost_elsewhere_is_no_part_of_a_budget() -> None:
    model = Priced()
    snapshot = failed(OpenClawAgent("one", model=model, reasoning_level=1), model)
    other = OpenClawAgent("one", model=model, budget=0.05, reasoning_level=1)
    stopped = other.resume_from(snapshot).result(60)
    assert stopped.status is Status.STOPPED
    assert stopped.cost == pytest.approx(0.18)
    assert other.budget is not None
    assert other.budget.spent == pytest.approx(0.06)


def test_a_run_s_own_budget_counts_all_its_attempts() -> None:
    agent = OpenClawAgent("one", model=(model := Priced()), reasoning_level=1)
    stopped = agent.resume_from(failed(agent, model, budget=0.15)).result(60)
    assert stopped.status is Status.STOPPED
    assert stopped.cost == pytest.approx(0.16)
    with pytest.raises(BudgetReached, match=r"the budget of \$0.15 is used up"):
        agent.resume_from(str(stopped.snapshot))


def test_a_run_that_was_not_sent_holds_nothing() -> None:
    agent = OpenClawAgent("one", model=Priced(), budget=1.0)
    with pytest.raises(ConfigError):
        agent.analyze("q", timeout=-1)
    assert agent.budget is not None
    assert (agent.budget.held, agent.budget.left) == (0.0, 1.0)


def test_the_notebook_s_budget_is_that_of_all_its_agents() -> None:
    one, two = (OpenClawAgent(name, model=Priced(), reasoning_level=1) for name in ("one", "two"))
    spending = Runtime.shared().spending
    one.analyze("q").result(60)
    spending.limit(0.2)
    assert spending.budget is not None
    assert spending.budget.spent == pytest.approx(0.1), "what was spent before counts"
    two.analyze("q").result(60)
    with pytest.raises(BudgetReached, match=r"the notebook's budget of \$0.20 is used up, \$0.20 spent; %openclaw"):
        one.analyze("q")
    spending.limit(0.5)
    one.analyze("q").result(60)
    assert spending.budget.spent == pytest.approx(0.3)
    spending.limit(None)
    one.analyze("q").result(60)
    assert spending.total.cost == pytest.approx(0.4)
