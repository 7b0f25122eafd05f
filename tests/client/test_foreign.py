"""Foreign: how a real gateway is asked, one run of a session after the other, and what it must never be sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openclaw_nb.client import OpenClawClient
from openclaw_nb.client import foreign as foreigners
from openclaw_nb.errors import ConfigError, ModelError, RunError, RunTimeout
from openclaw_nb.events import Level, RunEvent, Status, Usage
from tests.foreign import Foreign, foreign
from tests.spine import asynchronous, soon

PLAIN = {"sessionKey", "message", "idempotencyKey", "thinking"}


async def answered(gateway: Foreign, run: Any, text: str = "done") -> str:
    """Its answer, which the gateway gives at once."""
    await soon(lambda: run.id in gateway.runs)
    await gateway.say(run.id, text, "final")
    return str(await run)


@pytest.mark.parametrize("protocol", [3, 4])
@asynchronous
async def test_a_run(protocol: int) -> None:
    async with foreign(protocol) as (gateway, client):
        run = client.send("go\n  on", level=3)
        await soon(lambda: gateway.runs)
        asked = {"sessionKey": "agent:main:main", "message": "go\n  on", "idempotencyKey": run.id, "thinking": "medium"}
        assert gateway.asked[-1] == ("chat.send", asked) if protocol == 4 else ("agent", asked | {"deliver": False})
        await gateway.say(run.id, "tok0")
        await gateway.say(run.id, "tok0 tok1")
        await gateway.say("another", "nothing of ours")
        await soon(lambda: run.text == "tok0 tok1")
        await gateway.say(run.id, "tok0 tok1 tok2", "final")
        result = await run
    assert result == "tok0 tok1 tok2"
    assert result.model == "m"
    if protocol == 3:
        assert (result.usage, result.cost) == (Usage(30, 4), None)
    else:
        assert (result.usage, result.cost) == (Usage(16, 2, cached_tokens=5), 0.25)


@asynchronous
async def test_usage_of_this_run_only() -> None:
    async with foreign() as (gateway, client):
        for _ in range(3):
            run = client.send("go")
            assert await answered(gateway, run) == "done"
            assert (await run).usage == Usage(16, 2, cached_tokens=5)


@asynchronous
async def test_a_run_longer_than_the_first_look() -> None:
    """Its question is looked for further back, so that nothing that it used is left out."""
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: gateway.runs)
        gateway.over(run.id, *map(str, range(19)))
        await gateway.say(run.id, "end", "final")
        assert (await run).usage == Usage(20 * 16, 40, cached_tokens=100)


@asynchronous
async def test_its_outcome_may_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openclaw_nb.client.foreign.OUTCOME", 0.02)
    async with foreign(3) as (gateway, client):
        run = client.send("go")
        await soon(lambda: gateway.runs)
        gateway._accepted.clear()
        assert await answered(gateway, run) == "done"
        assert (await run).usage.estimated


@pytest.mark.parametrize(
    "outcome", [None, 7, {}, {"meta": []}, {"meta": {"agentMeta": {"usage": [1]}}}, {"meta": {"agentMeta": 1}}]
)
@asynchronous
async def test_an_outcome_that_cannot_be_read(outcome: Any) -> None:
    async with foreign(3) as (gateway, client):
        gateway.outcome = outcome
        assert await answered(gateway, client.send("go")) == "done"


# -- where ---------------------------------------------------------------------------------------


@asynchronous
async def test_the_session_that_is_meant() -> None:
    async with foreign() as (gateway, client):
        client.home = "notebook-sales"
        for options, key in (
            ({}, "agent:main:notebook-sales"),
            ({"session": "other"}, "agent:main:other"),
            ({"session": "agent:main:main"}, "agent:main:main"),
            ({"agent": "helper"}, "agent:helper:notebook-sales"),
            ({"agent": "helper", "session": "agent:main:main"}, "agent:main:main"),
        ):
            await answered(gateway, client.send("go", **options))
            assert gateway.sent[-1]["sessionKey"] == key


@asynchronous
async def test_the_default_agent_of_the_gateway() -> None:
    async with foreign() as (gateway, client):
        gateway.agent = "boss"
        await client.reconnect()
        await answered(gateway, client.send("go"))
        assert gateway.sent[-1]["sessionKey"] == "agent:boss:main"


# -- one after the other -------------------------------------------------------------------------


@asynchronous
async def test_one_after_the_other() -> None:
    async with foreign() as (gateway, client):
        runs = [client.send(name, session="s") for name in "abc"]
        aside = client.send("d", session="t")
        await soon(lambda: len(gateway.sent) == 2)
        assert [sent["message"] for sent in gateway.sent] == ["a", "d"]
        assert [run.words for run in runs[1:]] == ["waiting for the run before it in session s"] * 2
        for name, run in zip("abc", runs, strict=True):
            assert await answered(gateway, run, name) == name
        assert await answered(gateway, aside, "d") == "d"
    assert [sent["message"] for sent in gateway.sent] == ["a", "d", "b", "c"]


@asynchronous
async def test_behind_the_run_of_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a restart of the kernel: the gateway would take the message into that run, and answer nothing."""
    monkeypatch.setattr(foreigners, "AGAIN", 0.01)
    async with foreign() as (gateway, client):
        gateway.so_far["of-another"] = "tok0"
        run, next_one = client.send("a", session="s"), client.send("b", session="s")
        await soon(lambda: gateway.methods().count("agent.wait") > 2)
        assert (run.status, run.words) == (Status.WAITING, "waiting for another client's run in session s")
        assert not gateway.sent
        gateway.over("of-another", "tok0")
        assert await answered(gateway, run, "a") == "a"
        assert await answered(gateway, next_one, "b") == "b"
        assert [sent["message"] for sent in gateway.sent] == ["a", "b"]


@asynchronous
async def test_stopped_behind_the_run_of_another_client() -> None:
    async with foreign() as (gateway, client):
        gateway.so_far["of-another"] = "tok0"
        run = client.send("a")
        await soon(lambda: "agent.wait" in gateway.methods())
        run.cancel()
        assert (await run).status is Status.STOPPED
        assert not gateway.sent
        assert gateway.so_far, "that one goes on"


@asynchronous
async def test_names_in_large_letters_are_one_session() -> None:
    async with foreign() as (gateway, client):
        first, second = client.send("a", session="Sales"), client.send("b", session="sales")
        await soon(lambda: gateway.sent)
        await asyncio.sleep(0.02)
        assert len(gateway.sent) == 1
        await answered(gateway, first)
        await answered(gateway, second)


@asynchronous
async def test_the_next_one_begins_however_the_one_before_ends() -> None:
    async with foreign() as (gateway, client):
        failing, stopped, late, last = (
            client.send("a"), client.send("b"), client.send("c", timeout=0.05), client.send("d"),
        )  # fmt: skip
        await soon(lambda: gateway.sent)
        stopped.cancel()
        assert (await stopped).status is Status.STOPPED
        with pytest.raises(RunTimeout):
            await late
        await gateway.say(failing.id, "", "error", errorMessage="no credit")
        with pytest.raises(ModelError, match="no credit"):
            await failing
        assert await answered(gateway, last) == "done"
    assert [sent["message"] for sent in gateway.sent] == ["a", "d"], "those that only waited were never sent"
    assert "chat.abort" not in gateway.methods()


@asynchronous
async def test_an_idempotency_key_is_one_run() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go", idempotency_key="k")
        assert client.send("go", idempotency_key="k") is run
        assert await answered(gateway, run) == "done"
        again = client.send("go", idempotency_key="k")
        assert await again == "done", "the gateway says that it has ended, and its history how"
        assert again is not run


# -- levels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "thinking"), [(["off"], "off"), (["off", "low"], "low"), (["off", "high"], "off"), ([], "medium")]
)
@asynchronous
async def test_a_level_that_the_model_does_not_have(allowed: list[str], thinking: str) -> None:
    async with foreign() as (gateway, client):
        gateway.levels = allowed
        run, told = client.send("go", level=3), list[RunEvent]()
        run.subscribe(told.append)
        await answered(gateway, run)
        assert gateway.sent[-1]["thinking"] == thinking
        levels = [event.reason for event in told if isinstance(event, Level)]
    assert levels == ([] if thinking == "medium" else [f"m thinks at {thinking}, not medium"])


@asynchronous
async def test_what_is_known_of_a_session_is_asked_once_until_it_may_have_changed() -> None:
    async with foreign() as (gateway, client):
        for _ in range(2):
            await answered(gateway, client.send("go"))
        assert gateway.methods().count("models.list") == 1
        async with client.elevated("operator.admin"):
            pass
        await answered(gateway, client.send("go"))
        assert gateway.methods().count("models.list") == 2
        await client.reconnect()
        await answered(gateway, client.send("go"))
        assert gateway.methods().count("models.list") == 3


@asynchronous
async def test_the_level_of_a_run_at_work_stays() -> None:
    async with foreign() as (_, client):
        run = client.send("go", level=2)
        with pytest.raises(ConfigError, match="cannot change the level of a run that is at work"):
            run.set_level(3)


# -- commands, refusals, nothing -----------------------------------------------------------------


@pytest.mark.parametrize("protocol", [3, 4])
@asynchronous
async def test_a_command(protocol: int) -> None:
    async with foreign(protocol) as (gateway, client):
        run = client.send("/status")
        await soon(lambda: gateway.runs)
        assert gateway.asked[-1][0] == "chat.send"
        assert ("thinking" in gateway.asked[-1][1]) is (protocol == 4), "2026.3.1 would answer that instead"
        message = {"role": "assistant", "content": "all is well", "model": "gateway-injected"}
        await gateway.say(run.id, "", "final", message=message)
        assert await run == "all is well"


@asynchronous
async def test_a_refusal_that_ends_as_an_answer_does() -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: gateway.runs)
        message = {"role": "assistant", "content": "Thinking is not supported", "model": "gateway-injected"}
        await gateway.say(run.id, "", "final", message=message)
        with pytest.raises(RunError, match="Thinking is not supported") as refused:
            await run
        assert (refused.value.code, refused.value.partial) == ("REFUSED", "")
        await answered(gateway, client.send("go"))
        assert gateway.methods().count("models.list") == 2, "its model may be another one"


@asynchronous
async def test_a_word_that_is_a_command() -> None:
    async with foreign(3) as (gateway, client):
        real = gateway.answer
        gateway.answer = lambda method, params: (  # type: ignore[method-assign]
            {"ok": True, "payload": {"ok": True, "aborted": False}} if method == "chat.send" else real(method, params)
        )
        result = await client.send("/stop")
        assert (result, result.words) == ("", "taken as a command by the gateway")


@pytest.mark.parametrize(
    ("message", "method"),
    [
        ("go", "chat.send"), ("look at /tmp/x and and/or https://a.b/c", "chat.send"), ("a!b", "chat.send"),
        ("data\n/exec host=gateway ask=off\nend", "agent"), ("/status\nand more", "agent"), ("use /Model x", "agent"),
        ("a /think:high b", "agent"), ("!ls", "agent"), ("  ! ls", "agent"), ("\u00a0/exec", "chat.send"),
    ],
)  # fmt: skip
@asynchronous
async def test_what_looks_like_a_command_goes_where_nothing_is_one(message: str, method: str) -> None:
    """`chat.send` of 2026.9.6 obeys /exec, /model and others wherever they stand, in the user's data too."""
    async with foreign() as (gateway, client):
        assert await answered(gateway, client.send(message)) == "done"
        assert [known for known in gateway.methods() if known in ("agent", "chat.send")] == [method]
        assert gateway.sent[-1]["message"] == message


@pytest.mark.parametrize(("state", "more"), [("final", {}), ("aborted", {"stopReason": "stop"})])
@asynchronous
async def test_no_answer(state: str, more: dict[str, Any]) -> None:
    async with foreign() as (gateway, client):
        run = client.send("go")
        await soon(lambda: gateway.runs)
        await gateway.say(run.id, "", state, **more)
        with pytest.raises(RunError, match="ended it without an answer") as nothing:
            await run
        assert nothing.value.code == "NO_ANSWER"


@pytest.mark.parametrize(
    ("method", "protocol"), [("chat.history", 4), ("models.list", 4), ("agent", 3), ("chat.send", 4)]
)
@asynchronous
async def test_a_gateway_that_refuses(method: str, protocol: int) -> None:
    """What is only looked at is not needed: without it the gateway decides by itself."""
    async with foreign(protocol) as (gateway, client):
        gateway.refused[method] = "not today"
        run = client.send("go")
        if method in ("agent", "chat.send"):
            with pytest.raises(RunError, match="not today") as failure:
                await run
            assert failure.value.code == "INVALID_REQUEST"
        else:
            assert await answered(gateway, run) == "done"


@pytest.mark.parametrize("wish", [{"busy": "branch"}, {"base": "main"}, {"isolated": True}])
@asynchronous
async def test_branches(wish: dict[str, Any]) -> None:
    """A gateway that keeps its sessions itself is not sent what it would refuse, and no wish is passed over."""
    async with foreign() as (gateway, client):
        with pytest.raises(ConfigError, match=f"keeps its sessions itself; leave {next(iter(wish))} out"):
            client.send("go", **wish)
        with pytest.raises(ConfigError, match="says what a run cost only when it has ended, so no budget"):
            client.send("go", budget=0.5)
        await answered(gateway, client.send("go"))
        assert gateway.sent[-1].keys() == PLAIN
        early = OpenClawClient(token="t")
        early.open("agent://local", client.dialled[0], "t")
        with pytest.raises(RunError, match="keeps its sessions itself") as failure:
            await early.send("go", **wish)
        assert failure.value.code == "CONFIG"
        await early.close()


@asynchronous
async def test_a_model_by_name() -> None:
    async with foreign() as (gateway, client):
        with pytest.raises(RunError, match="a session has its model; %openclaw model NAME changes it") as failure:
            await client.send("go", model="m")
        assert failure.value.code == "NO_MODEL"
        assert not gateway.sent


@asynchronous
async def test_a_part() -> None:
    """It might be said again there, or something else: nobody could tell, so nobody is asked."""
    async with foreign() as (gateway, client):
        with pytest.raises(RunError, match="cannot go on with a part of an answer; ask it anew") as failure:
            await client.send("go", idempotency_key="cut", partial=("one ", 1))
        assert failure.value.partial == "one "
        assert not gateway.sent


@asynchronous
async def test_what_its_model_is_told_of_a_node() -> None:
    async with foreign(3) as (gateway, client):
        for told in ({}, {"extraSystemPrompt": "call it so"}):
            client.instructions = told.get("extraSystemPrompt", "")
            await answered(gateway, client.send("go"))
            assert gateway.sent[-1].keys() == PLAIN | {"deliver"} | told.keys()


@asynchronous
async def test_in_one_piece() -> None:
    async with foreign() as (gateway, client):
        client.streaming = False
        run = client.send("go")
        await soon(lambda: gateway.runs)
        await gateway.say(run.id, "tok0")
        await gateway.say(run.id, "tok0 tok1")
        await asyncio.sleep(0.01)
        assert run.text == ""
        await gateway.say(run.id, "tok0 tok1", "final")
        assert [delta async for delta in run] == ["tok0 tok1"]
