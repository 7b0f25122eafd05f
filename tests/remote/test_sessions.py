"""sessions: those of a gateway elsewhere are listed, found, forked and begun anew, on both protocols."""

from __future__ import annotations

import pytest

from openclaw_nb.errors import ConfigError, RequestError
from openclaw_nb.remote.sessions import ADMIN, fork, list_sessions, look, reset, set_model
from tests.household import household
from tests.spine import asynchronous

both = pytest.mark.parametrize("protocol", [3, 4])

USER = {"role": "user", "content": "hello"}


@both
@asynchronous
async def test_the_newest_are_listed_and_all_are_counted(protocol: int) -> None:
    async with household(protocol) as (gateway, client):
        for n in range(30):
            gateway.begin(f"agent:main:s{n}")
        gateway.begin(
            "agent:helper:plan", label="The plan", totalTokens=2986, estimatedCostUsd=0.003, hasActiveRun=True
        )
        found = await list_sessions(client, 5)
        assert [one.name for one in found.sessions] == ["plan", "s29", "s28", "s27", "s26"]
        assert found.total == 31
        one = found.sessions[0]
        assert (one.agent, one.title, one.model, one.tokens, one.window) == (
            "helper", "The plan", "mock/mock-1", 2986, 128_000,
        )  # fmt: skip
        assert (one.cost, one.at_work, one.updated) == (0.003, True, 1_795_391_520.03)
        assert found.sessions[1].at_work is None


@both
@asynchronous
async def test_one_is_found_by_its_key(protocol: int) -> None:
    async with household(protocol) as (gateway, client):
        gateway.begin("agent:main:notes")
        one = await look(client, "agent:main:notes")
        assert one is not None
        assert one.name == "notes"
        assert await look(client, "agent:main:other") is None


@asynchronous
async def test_keys_are_those_of_one_session_in_any_case() -> None:
    async with household(3) as (gateway, client):
        gateway.begin("agent:main:notebook-sales")
        assert await look(client, "agent:main:notebook-Sales") is not None


@asynchronous
async def test_a_fork_begins_with_what_was_said() -> None:
    async with household(4) as (gateway, client):
        gateway.begin("agent:helper:notes", USER)
        assert await fork(client, "agent:helper:notes", "agent:helper:aside") == "agent:helper:aside"
        assert gateway.said["agent:helper:aside"] == [USER]
        wish = gateway.asked[-1][1]
        assert wish["agentId"] == "helper"
        assert wish["fork"] is True


@asynchronous
async def test_a_fork_writes_over_nothing() -> None:
    """2026.9.6 begins a session anew whose key a fork names."""
    async with household(4) as (gateway, client):
        gateway.begin("agent:main:notes", USER)
        gateway.begin("agent:main:aside", USER, USER)
        with pytest.raises(ConfigError, match="there is a session agent:main:aside already"):
            await fork(client, "agent:main:notes", "agent:main:aside")
        with pytest.raises(ConfigError, match="there is no session agent:main:nothing to fork"):
            await fork(client, "agent:main:nothing", "agent:main:new")
        assert "sessions.create" not in gateway.methods()


@asynchronous
async def test_protocol_3_cannot_fork_and_is_not_asked() -> None:
    async with household(3) as (gateway, client):
        gateway.begin("agent:main:notes", USER)
        with pytest.raises(ConfigError, match="speaks protocol 3, which cannot fork a session"):
            await fork(client, "agent:main:notes", "agent:main:aside")
        assert "sessions.create" not in gateway.methods()


@both
@asynchronous
async def test_a_reset_takes_an_administrator_for_as_long_as_it_lasts(protocol: int) -> None:
    async with household(protocol) as (gateway, client):
        gateway.begin("agent:main:notes", USER)
        with pytest.raises(RequestError, match=r"missing scope: operator\.admin"):
            await reset(client, "agent:main:notes")
        assert gateway.said["agent:main:notes"] == [USER]
        async with client.elevated(ADMIN) as admin:
            await reset(admin, "agent:main:notes")
        assert gateway.said["agent:main:notes"] == []
        assert [ADMIN in scopes for scopes in gateway.scopes] == [False, True]


@both
@asynchronous
async def test_a_reset_makes_no_session(protocol: int) -> None:
    async with household(protocol) as (gateway, client), client.elevated(ADMIN) as admin:
        with pytest.raises(ConfigError, match="there is no session agent:main:notes to begin anew"):
            await reset(admin, "agent:main:notes")
        assert not gateway.sessions


@asynchronous
async def test_another_model() -> None:
    async with household(4) as (gateway, client):
        gateway.begin("agent:main:notes")
        assert await set_model(client, "agent:main:notes", "mock/mock-2") == "mock/mock-2"
        one = await look(client, "agent:main:notes")
        assert one is not None
        assert one.model == "mock/mock-2"
        assert await set_model(client, "agent:main:notes", None) == "mock/mock-1"
        with pytest.raises(
            RequestError, match="model not allowed: mock/mock-3; there are mock/mock-1, mock/mock-2; did you mean"
        ):
            await set_model(client, "agent:main:notes", "mock/mock-3")


@asynchronous
async def test_what_cannot_be_read_is_left_out() -> None:
    async with household(4) as (gateway, client):
        gateway.sessions = {"x": {"updatedAt": 0, "label": "no key"}}
        gateway.begin("agent:main:odd", totalTokens="many", contextTokens=None, model=7, hasActiveRun="yes")
        (one,) = (await list_sessions(client)).sessions
        assert (one.tokens, one.window, one.model, one.at_work) == (None, None, "", None)
