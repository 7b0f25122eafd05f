"""OpenClawAgent: levels, models and instructions of one's own, at the gateway in this process and elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from openclaw_nb import Gateway, OpenClawAgent, OpenClawClient, Runtime
from openclaw_nb.errors import ConfigError
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta


class Echo:
    """Answers with what it was asked, at which level, and under which instructions."""

    name = "echo"

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        yield TextDelta(f"{request.prompt}|{request.level}|{request.instructions}|{len(request.messages)}")


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    yield
    if (running := Runtime.running()) is not None:
        running.close()


def test_a_model_and_instructions_of_its_own() -> None:
    agent = OpenClawAgent("poet", model=Echo(), instructions="in verse")
    assert agent.analyze("sing").result(10) == "sing|2|in verse|1"


def test_agents_of_one_name_do_not_mix() -> None:
    first = OpenClawAgent("twin", model=Echo(), instructions="one")
    second = OpenClawAgent("twin", model=Echo(), instructions="two")
    answers = [agent.execute("who?", session=str(id(agent))).result(10) for agent in (first, second)]
    assert answers == ["who?|2|one|1", "who?|2|two|1"]


@pytest.mark.parametrize(("tag", "level"), [(None, 2), ("simple", 1), ("complex", 3), ("complex_task", 4), ("own", 1)])
def test_complexity_tags(tag: str | None, level: int) -> None:
    agent = OpenClawAgent("tagged", model=Echo(), level_thresholds={"own": 1})
    run = agent.analyze("q", tag, session=f"tag {tag}")
    assert run.result(10).level == level
    assert f"|{level}|" in run.text


def test_max_level_limits_what_is_chosen_by_hand_too() -> None:
    agent = OpenClawAgent("limited", model=Echo(), reasoning_level=4, max_level=3)
    run = agent.analyze("q")
    assert run.result(10).level == 3
    assert run.level_reason == "limited to 3"


def test_adaptive_off_ignores_tags() -> None:
    agent = OpenClawAgent("fixed", model=Echo(), adaptive_reasoning=False)
    assert agent.analyze("q", "complex_task").result(10).level == 2


def test_level_by_hand() -> None:
    agent = OpenClawAgent("hand", model=Echo())
    agent.set_reasoning_level(1)
    assert agent.analyze("q", "complex").result(10).level == 1


def test_memory_goes_on_within_a_session() -> None:
    agent = OpenClawAgent("memory", model=Echo())
    agent.analyze("one", session="m").result(10)
    assert agent.analyze("two", session="m").result(10).endswith("|3")


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match="level 9"):
        OpenClawAgent(reasoning_level=9)
    with pytest.raises(ConfigError, match="not a level from 1 to 4"):
        OpenClawAgent(level_thresholds={"simple": 0})
    with pytest.raises(ConfigError, match="did you mean 'complex'"):
        OpenClawAgent(model=Echo()).analyze("q", "complx")
    with pytest.raises(ConfigError, match="above 0"):
        OpenClawAgent(budget=-1)


def test_with_a_client_of_ones_own() -> None:
    async def work() -> str:
        async with Gateway(model=Echo()) as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            with pytest.raises(ConfigError, match="with a client of its own"):
                OpenClawAgent(client=client, instructions="x")
            return await OpenClawAgent(client=client).analyze("q", "simple")

    assert asyncio.run(work()) == "q|1||1"


def test_without_streaming_the_text_comes_in_one_piece() -> None:
    async def words(prompt: str) -> AsyncIterator[str]:
        for word in "abcdef":
            yield word + " "
            await asyncio.sleep(0.03)

    agent = OpenClawAgent("still", model=words)
    agent.set_streaming(False)
    assert list(agent.analyze("q")) == ["a b c d e f "]
