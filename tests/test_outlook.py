"""What is known of a run before it is sent, and the estimator of the document, here and at gateways elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from openclaw_nb import AdaptiveCostEstimator, Gateway, OpenClawAgent, OpenClawClient, Runtime
from openclaw_nb.errors import ConfigError
from openclaw_nb.events import Usage
from openclaw_nb.front import Front
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta
from openclaw_nb.outlook import Outlook, Preview, Target


class Steady:
    """A Model of so many words at a price, which counts what it used."""

    name = "steady"
    prices = (1.0, 1_000.0)

    def __init__(self, words: int = 40) -> None:
        self.words = words

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        for n in range(self.words):
            yield TextDelta(f"w{n} ")
        yield Usage(100, self.words)


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()


def test_the_estimator_of_the_document() -> None:
    """Deeper than it is worth: said before anything is sent."""
    agent = OpenClawAgent("steady", model=Steady(), reasoning_level=4)
    query = "is it worth it?"

    async def document() -> None:
        estimator = AdaptiveCostEstimator(agent)
        estimate = await estimator.estimate(query, reasoning_level=4)
        if estimate > 0.5:
            agent.set_reasoning_level(2)
        assert agent.reasoning_level == 2
        assert estimate.level == 4
        assert estimate.low < estimate < estimate.high

    asyncio.run(document())


def test_it_becomes_better_with_use() -> None:
    agent = OpenClawAgent("steady", model=Steady(), reasoning_level=2)
    estimator = AdaptiveCostEstimator(agent)
    errors, ranges = [], []
    for number in range(30):
        before = asyncio.run(estimator.estimate("how much?", reasoning_level=2))
        result = agent.analyze("how much?", session=f"s{number}").result(60)
        assert result.cost == pytest.approx(0.0401)
        errors.append(abs(before - (result.cost or 0.0)))
        ranges.append(before.high / before.low)
    assert errors[-1] < errors[0] / 10
    assert ranges[-1] < 3 < ranges[0] / 3


def test_auto_is_what_the_agent_would_take() -> None:
    agent = OpenClawAgent("steady", model=Steady())
    estimate = asyncio.run(AdaptiveCostEstimator(agent).estimate("hi"))
    assert estimate.level == agent.front.preview("hi").decision.level
    with pytest.raises(ConfigError, match="level 'deep-ish'"):
        asyncio.run(AdaptiveCostEstimator(agent).estimate("hi", reasoning_level="deep-ish"))


def test_history_instructions_and_tools_are_sent_each_time() -> None:
    def tool(x: int) -> int:
        """Twice as much."""
        return 2 * x

    plain = OpenClawAgent("plain", model=Steady())
    told = OpenClawAgent("told", model=Steady(), instructions="be brief " * 50, tools=[tool])
    one, two = (Outlook("q", Target(agent.client, agent.id)).query for agent in (plain, told))
    assert two.before > one.before + 100
    plain.analyze("a long question " * 20, session="long").result(60)
    later = Outlook("q", Target(plain.client, plain.id, session="long")).query
    assert later.before > one.before + 60 + 40


def test_a_preview_is_auto_s_own_choice_and_fits_the_budget() -> None:
    agent = OpenClawAgent("steady", model=Steady(), reasoning_level=4, max_level=3, budget=1.0)
    preview = agent.front.preview("prove that there are infinitely many primes, and check the proof step by step")
    assert isinstance(preview, Preview)
    assert preview.decision.level <= 3
    assert list(preview.estimates) == [1, 2, 3, 4]
    agent.budget = 0.2
    lower = agent.front.preview("prove that there are infinitely many primes, and check the proof step by step")
    assert lower.decision.level == 1
    assert "by the agent's budget of $0.20" in lower.decision.reason


def test_a_front_of_nothing_shows_what_is_free() -> None:
    preview = Front().preview("q")
    assert {float(estimate) for estimate in preview.estimates.values()} == {0.0}
    assert preview.estimates[2].tokens > 0


def test_a_gateway_elsewhere_knows_its_own_prices() -> None:
    async def work() -> None:
        async with Gateway(model=Steady()) as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            agent = OpenClawAgent(client=client, reasoning_level=1)
            estimator = AdaptiveCostEstimator(agent)
            for _ in range(5):
                estimate = await estimator.estimate("q", reasoning_level=1)
                assert not estimate.known
                await agent.analyze("q")
            assert estimate.tokens == pytest.approx(40, rel=0.5), "but how long its answers are was seen"
            assert Outlook("q", Target(client)).query.before > 100

    asyncio.run(work())


def test_a_provider_s_model_has_its_price_wherever_it_is_asked() -> None:
    async def work() -> None:
        async with Gateway() as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            priced = Outlook("q", Target(client, model="openai-chat:gpt-4o")).estimates
            free = Outlook("q", Target(client, model="ollama:llama3")).estimates
            assert 0 < priced[1] < priced[4]
            assert free[4] == 0.0

    asyncio.run(work())
