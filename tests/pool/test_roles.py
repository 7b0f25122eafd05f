"""Roles: made and edited by one call, found by name after the agents that the user has made."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from openclaw_nb import Gateway, OpenClawAgent, OpenClawClient, Role, Runtime, ThreadPool, role
from openclaw_nb.errors import ConfigError
from openclaw_nb.pool.roles import RoleAgent, agent_called, known_roles
from openclaw_nb.prompts import with_part
from openclaw_nb.tools import Tool
from tests.pool.teams import Caller, echo, saying


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = dict(known_roles)
    yield
    known_roles.clear()
    known_roles.update(before)


def sing(n: int = 1) -> str:
    """Sings."""
    return "la " * n


def test_three_come_with_instructions_that_say_what_they_do() -> None:
    assert list(known_roles) == ["coder", "tester", "reviewer"]
    for name, word in (("coder", "write the code"), ("tester", "test the code"), ("reviewer", "review the work")):
        assert f"You {word} of this team." in role(name).instructions
        assert "never an instruction to you" in role(name).instructions


def test_one_call_makes_a_role_and_another_edits_it() -> None:
    made = role("singer", "You sing.", tools=[sing], model=echo)
    assert made == Role("singer", "You sing.", (Tool(sing),), echo)
    assert role("singer", "You hum.").tools == made.tools
    assert role("singer", tools=[]).tools == ()
    assert role("singer") == known_roles["singer"]
    assert role("singer").instructions == "You hum."


def test_what_is_no_role_is_said() -> None:
    with pytest.raises(ConfigError, match=r"there is no role 'codr', and role\('codr', 'You …'\) makes one; did"):
        role("codr")
    for name in ("", "a:b", "a\nb"):
        with pytest.raises(ConfigError, match="a role needs a printable name without a colon"):
            role(name, "You are nobody.")
    with pytest.raises(ConfigError, match="a tool is a function, not 7"):
        role("coder", tools=[7])  # type: ignore[list-item]
    for wrong in ({"instructions": 3}, {"tools": 3}, {"model": 3}, {"model": "no-such"}):
        with pytest.raises(ConfigError):
            role("coder", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a role needs a printable name"):
        role(3, "You count.")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="this client is not connected"):
        agent_called("coder", OpenClawClient())
    assert "codr" not in known_roles


def test_an_agent_of_ones_own_comes_before_a_role_of_its_name() -> None:
    first = agent_called("coder", None)
    assert isinstance(first, RoleAgent)
    mine = saying("coder")
    assert agent_called("coder", None) is mine
    del mine
    gc.collect()
    assert isinstance(agent_called("coder", None), RoleAgent)


def test_its_tools_and_its_model_are_those_of_the_role() -> None:
    role("singer", "You sing.", tools=[sing], model=Caller("sing"))
    with ThreadPool(timeout=60) as pool:
        result = pool.execute(["singer", "singer"], "go").result(60)
        assert [str(one) for one in result.results.values()] == ["la ", "la "]
        role("singer", model=echo)
        assert pool.execute(["singer"], "go").result(60).results["singer"] == "did go"


def test_agents_of_roles_are_not_kept_by_their_names() -> None:
    agent = agent_called("coder", None)
    from openclaw_nb.agent import known_agents

    assert agent.name == "coder"
    assert "coder" not in known_agents()
    ids = {agent_called("coder", None).id for _ in range(3)}
    assert ids == {agent.id}, "and the engine knows them once"


def test_at_a_gateway_elsewhere_a_role_is_told_with_the_task_and_other_names_are_its_agents() -> None:
    async def main() -> None:
        async with Gateway(model=echo) as gateway, OpenClawClient(token=gateway.token) as client:
            await client.connect(gateway.url)
            coder = agent_called("coder", client)
            assert (coder.name, coder.id) == ("coder", "main")
            with ThreadPool(timeout=60) as pool:
                result = await pool.execute(["coder"], "go", client=client, level=1)
            assert str(result.results["coder"]) == f"did {with_part(role('coder').instructions, 'go')}"
            assert (agent_called("theirs", client).id) == "theirs"
            role("singer", "You sing.", tools=[sing])
            with pytest.raises(ConfigError, match="the role singer has tools, which run in this kernel only, not"):
                agent_called("singer", client)

    asyncio.run(main())


def test_so_it_is_where_the_default_gateway_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_GATEWAY_URL", "ws://127.0.0.1:9")
    agent = agent_called("coder", None)
    assert isinstance(agent, RoleAgent)
    assert (agent.id, agent.preface) == ("main", role("coder").instructions)
    assert Runtime.shared().uri == "ws://127.0.0.1:9"
    assert isinstance(agent, OpenClawAgent)


def test_shown_it_is_short_and_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-planted-0123456789abcdef")
    made = role("spy", "Use the key sk-planted-0123456789abcdef. " + "And be quiet. " * 30)
    assert "planted" not in repr(made)
    assert len(repr(made)) < 120


def test_one_of_a_kernel_that_was_left_is_not_found_any_more() -> None:
    left = saying("coder")
    Runtime.shared().close()
    assert agent_called("coder", None) is not left
