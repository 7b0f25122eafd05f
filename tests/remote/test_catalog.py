"""catalog: the agents and models of a gateway elsewhere, as much as each protocol tells of them."""

from __future__ import annotations

import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.remote.catalog import check_agents, list_agents, list_models
from tests.household import household
from tests.spine import asynchronous

both = pytest.mark.parametrize("protocol", [3, 4])


@both
@asynchronous
async def test_agents(protocol: int) -> None:
    async with household(protocol) as (_, client):
        main, helper = await list_agents(client)
        assert (main.id, main.default, helper.id, helper.default) == ("main", True, "helper", False)
        assert main.model == ("mock/mock-1" if protocol > 3 else "")


@both
@asynchronous
async def test_an_agent_that_is_not_there_is_named_before_anything_is_sent(protocol: int) -> None:
    async with household(protocol) as (gateway, client):
        await check_agents(client, "helper", "main")
        with pytest.raises(ConfigError, match="has no agent 'helpr'; there are helper, main; did you mean helper"):
            await check_agents(client, "main", "helpr")
        assert "chat.send" not in gateway.methods()


@asynchronous
async def test_models_and_how_deep_they_think() -> None:
    async with household(4) as (_, client):
        one, two = await list_models(client)
        assert (one.id, one.name, one.window, one.default) == ("mock/mock-1", "Mock One", 128_000, True)
        assert one.thinking == ("off", "minimal", "low", "medium", "high")
        assert (two.thinking, two.available, two.reasoning) == (("off",), False, False)


@asynchronous
async def test_protocol_3_tells_no_levels() -> None:
    async with household(3) as (_, client):
        one, two = await list_models(client)
        assert (one.thinking, one.reasoning, one.available) == (None, True, None)
        assert (two.thinking, two.reasoning) == (None, False)
