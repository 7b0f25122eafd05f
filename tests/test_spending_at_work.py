"""Money at work: endless escalation stops at most one delta over any budget, at every provider, and estimates hold."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, suppress
from statistics import fmean
from typing import Any

import pytest

from openclaw_nb import AdaptiveCostEstimator, BudgetReached, OpenClawAgent, Runtime
from openclaw_nb.events import RunEvent, Status, Step, Usage
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta, ThinkingDelta
from openclaw_nb.reasoning.costs import price
from openclaw_nb.reasoning.estimates import Observation
from openclaw_nb.run import Run
from tests.asking import KEY, VENDORS, Vendor
from tests.mock_server import Mock
from tests.mock_wire import spoken

CHECK = "End with a line that is VERDICT"
FAIL = ("nothing ", "holds\n", "VERDICT: ", "fail")
PASS = ("it ", "holds\n", "VERDICT: ", "pass")


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()


class Doubter:
    """A Model whose checks never pass; its deltas are of 1 to 7 tokens, and it knows what it was paid for."""

    name = "doubter"
    prices = (1.0, 1_000.0)

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.cost = 0.0
        self.largest = 0.0

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        asked = sum(len(message["content"].split()) for message in request.messages)
        self.cost += asked / 1e6
        check = request.stage is not None and request.stage.kind == "check"
        texts, made = FAIL if check else ["word "] * self.dice.randint(10, 80), 0
        for text in texts:
            tokens = self.dice.randint(1, 7)
            made += tokens
            self.cost += tokens / 1e3
            self.largest = max(self.largest, tokens / 1e3)
            yield (ThinkingDelta if text == "word " and self.dice.random() < 0.3 else TextDelta)(text, tokens)
            if self.dice.random() < 0.5:
                await asyncio.sleep(0)
        yield Usage(asked, made)


def fooled(agent: OpenClawAgent) -> OpenClawAgent:
    """An agent that has seen runs cost next to nothing, at every level: no estimate keeps it from anything."""
    for level in (1, 2, 3, 4):
        for _ in range(32):
            agent.client.experience.add(Observation("doubter", level, 2, 2, 2 + level, 0.01))
    return agent


def escalating(run: Run) -> Run:
    """A run that is raised to the next level at each of its steps, from 1 to 4."""

    def raised(event: RunEvent) -> None:
        if isinstance(event, Step) and event.seconds is None and (run.level or 4) < 4:
            run.set_level((run.level or 1) + 1)

    run.subscribe(raised)
    return run


def test_endless_escalation_stops_at_most_one_delta_over(figure: Callable[[str, str], None]) -> None:
    """Reliability 36, one run at a time: with many budgets, each raised from whatever level it began at."""
    dice = random.Random(36)
    over, stopped, empty, count = [], 0, 0, 60
    for number in range(count):
        model = Doubter(number)
        agent = fooled(OpenClawAgent(f"doubter {number}", model=model, reasoning_level=dice.randint(1, 4)))
        budget = round(dice.uniform(0.05, 3.0), 4)
        result = escalating(agent.analyze("is it so?", session=f"{number}", budget=budget)).result(30)
        over.append((model.cost - budget) / model.largest)
        stopped += result.status is Status.STOPPED
        empty += not result
        if result.status is Status.STOPPED:
            assert result.words.startswith("stopped at the budget of $")
            assert result.cost is not None
            assert 0.999 * model.cost <= result.cost <= 1.25 * model.cost, "rather too much than too little"
    most = max(over)
    figure("reliability 36", f"{count} budgets, {stopped} runs stopped: at most {max(0.0, most):.2f} of a delta over")
    assert most <= 1
    assert stopped > count / 3
    assert empty < count / 3, "what there was is given"


def test_endless_asking_stops_at_most_one_delta_over_what_all_may_cost(figure: Callable[[str, str], None]) -> None:
    """Reliability 36, run after run, from 1 to 4 and over again, all paid from one purse."""
    over, runs, count = [], 0, 6
    for number in range(count):
        model = Doubter(number)
        agent = fooled(OpenClawAgent(f"asker {number}", model=model, budget=0.5 + number / 4))
        assert agent.budget is not None
        with suppress(BudgetReached):
            while agent.budget.left:
                agent.set_reasoning_level(1 + runs % 4)
                escalating(agent.analyze("and so?", session=f"{number}")).result(30)
                runs += 1
        over.append((model.cost - agent.budget.limit) / model.largest)
        assert agent.budget.spent == pytest.approx(model.cost, rel=0.05)
    figure("reliability 36 (agents)", f"{runs} runs on {count} budgets: at most {max(0.0, *over):.2f} of a delta over")
    assert max(over) <= 1


# -- at every provider -----------------------------------------------------------------------------


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Mock]]:
    """Starts the mock of a vendor, and points its provider there."""
    with ExitStack() as running:

        def start(vendor: Vendor, **fields: Any) -> Mock:
            mock: Mock = running.enter_context(vendor.mock(**fields))
            monkeypatch.setenv(vendor.mock.variable, mock.url)
            monkeypatch.setenv(vendor.key, KEY)
            return mock

        yield start


def charged(mock: Mock, model: str) -> float:
    """USD for all that the mock has sent, read or not."""
    calls = [request for request in mock.requests if mock.is_call(request.path)]
    return sum(price(model, spoken(request.body), request.sent) or 0.0 for request in calls)


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS.keys())
def test_no_provider_is_paid_more(
    vendor: Vendor, answering: Callable[..., Mock], figure: Callable[[str, str], None]
) -> None:
    """Even of what it sends at once, and nobody reads any more."""

    def answer(body: Any) -> list[str]:
        return list(FAIL) if CHECK in str(body) else [f"t{n} " for n in range(1_000)]

    over, one = [], (price(vendor.model, 0, 1_000) or 0.0) / 1_000
    for number, tokens in enumerate((40, 300, 1_500)):
        mock = answering(vendor, tokens=answer)
        agent = OpenClawAgent(f"{number}", model=vendor.model, reasoning_level=number % 4 + 1)
        for level in (1, 2, 3, 4):
            for _ in range(32):
                agent.client.experience.add(Observation(vendor.model, level, 2, 2, 2 + level, 0.01))
        budget = tokens * one
        with suppress(BudgetReached):
            result = escalating(agent.analyze("is it so?", session=f"{number}", budget=budget)).result(60)
            assert result.status is Status.STOPPED
            assert result.words.startswith("stopped at the budget of $")
        over.append((charged(mock, vendor.model) - budget) / one)
    figure(
        f"reliability 36 ({vendor.mock.__name__})", f"3 budgets: at most {max(0.0, *over):.1f} tokens over were sent"
    )
    assert max(over) <= 1


# -- estimates -------------------------------------------------------------------------------------


def test_estimates_hold_on_real_runs(answering: Callable[..., Mock], figure: Callable[[str, str], None]) -> None:
    """200 runs through the engine and a provider's wire, of random lengths, at all levels."""
    dice = random.Random(5)

    def answer(body: Any) -> list[str]:
        if CHECK in str(body):
            return list(FAIL if dice.random() < 0.3 else PASS)
        usual = {"minimal": 12, "low": 20, "medium": 30, "high": 40}[body.get("reasoning_effort") or "low"]
        return ["word "] * max(1, int(dice.lognormvariate(math.log(usual), 0.4)))

    mock = answering(VENDORS["openai"], tokens=answer)
    agent = OpenClawAgent("mocked", model=VENDORS["openai"].model)
    agent.client.stability.auto = False  # a slow machine would have what follows asked at level 1
    estimator = AdaptiveCostEstimator(agent)

    async def work() -> list[tuple[bool, bool, bool, float]]:
        seen = []
        for number in range(200):
            level, query = 4 if number % 20 == 19 else dice.choice((1, 1, 2, 2, 3)), "word " * dice.randint(1, 60)
            agent.session = f"{number // 4}"
            guess = await estimator.estimate(query, reasoning_level=level)
            agent.set_reasoning_level(level)
            result = await agent.analyze(query)
            assert result.cost is not None
            seen.append((
                guess.low <= result.cost <= guess.high,
                guess.tokens.low <= result.usage.output_tokens <= guess.tokens.high,
                guess.seconds.low <= result.seconds <= guess.seconds.high,
                abs(math.log(result.cost / guess)),
            ))  # fmt: skip
        return seen

    seen = asyncio.run(work())
    money, tokens, seconds = (fmean(run[which] for run in seen) for which in range(3))
    early, late = (math.exp(fmean(run[3] for run in part)) for part in (seen[:20], seen[-20:]))
    figure(
        "estimates on real runs",
        f"{len(seen)} runs, {mock.calls} requests: money {money:.1%}, tokens {tokens:.1%}, seconds {seconds:.1%} in "
        f"range; typically wrong by a factor of {early:.2f} in the first 20, {late:.2f} in the last",
    )
    assert money >= 0.9
    assert tokens >= 0.9
    assert late < early
