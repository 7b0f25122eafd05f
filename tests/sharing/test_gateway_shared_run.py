"""SharedRun: told only what Redis has, whole in any case, and its tools called at most once whoever goes on with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from openclaw_nb.engine import AgentSpec
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta, ThinkingDelta, ToolCall
from openclaw_nb.tools import Toolbox
from tests.cluster.daemons import Daemon
from tests.sharing.together import instances, loud, send, text_of, whole
from tests.spine import Counted, asynchronous, soon


class Thinking:
    """A Model that thinks, and then answers."""

    name = "thinking"

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        for n in range(20):
            yield ThinkingDelta(f"thought {n} ")
            await asyncio.sleep(0.001)
        yield TextDelta("answer")


@asynchronous
async def test_its_steps_are_told_elsewhere_as_well(redis: Daemon) -> None:
    async with instances(redis, Thinking(), Thinking()) as gateways, loud(*gateways) as (one, other):
        await send(one)
        await other.ask("run.resume", runId="k")
        thought = ""
        while (frame := await other.read())["event"] == "agent":
            data = frame["payload"]["data"]
            assert data["offset"] == len(thought)
            thought += data["delta"]
        assert thought == "".join(f"thought {n} " for n in range(20))
        assert await whole(other, so_far=frame["payload"].get("deltaText", "")) == "answer"


class Caller:
    """A Model that has a tool called, and answers with what it gave."""

    name = "caller"

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        last = request.messages[-1]
        if last["role"] == "tool":
            yield TextDelta(f"it gave {last['content']}")
        else:
            yield ToolCall("", "count", {})


@asynchronous
async def test_a_tool_is_not_called_twice_by_whoever_goes_on(redis: Daemon) -> None:
    called, gate = 0, asyncio.Event()

    async def count() -> int:
        """Count."""
        nonlocal called
        called += 1
        await gate.wait()
        return called

    async with instances(redis, Caller(), Caller()) as gateways, loud(*gateways) as (one, other):
        for gateway in gateways:
            gateway.engine.register(AgentSpec("counter", tools=Toolbox([count])))
        gate.set()
        await send(one, session="agent:counter:s")
        assert await whole(one) == "it gave 1"
        gate.clear()
        await soon(lambda: gateways[0]._sharing.others == 1)  # type: ignore[union-attr]
        await send(one, "k2", session="agent:counter:s2")
        await soon(lambda: called == 2)
        await gateways[0].hand_over()
        await other.ask("run.resume", runId="k2")
        _, end = await text_of(other, "k2")
        assert (end["errorCode"], "what its tools did is not known here" in end["errorMessage"]) == ("RUN_LOST", True)
        gate.set()
        await asyncio.sleep(0.05)
    assert called == 2


@asynchronous
async def test_who_lost_a_run_calls_no_tool_any_more(redis: Daemon) -> None:
    called, asked, gate = 0, asyncio.Event(), asyncio.Event()

    def count() -> int:
        """Count."""
        nonlocal called
        called += 1
        return called

    class Slow(Caller):
        async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
            asked.set()
            await gate.wait()
            async for event in super().stream(request):
                yield event

    async with instances(redis, Slow()) as (gateway,), loud(gateway) as (raw,):
        gateway.engine.register(AgentSpec("counter", tools=Toolbox([count])))
        await send(raw, session="agent:counter:s")
        await asked.wait()
        sharing = gateway._sharing
        assert sharing is not None
        client = sharing.address.client()
        await client.hset(f"{sharing.prefix}:{{k}}:run", mapping={"owner": "another", "epoch": 2})
        await client.aclose()
        gate.set()
        run = gateway._runs.find("k")
        await soon(lambda: run is not None and not run.ours)  # type: ignore[attr-defined]
        await asyncio.sleep(0.05)
    assert called == 0


@asynchronous
async def test_a_long_answer_and_a_reader_that_comes_late(redis: Daemon) -> None:
    text = "".join(f"{i:07} " for i in range(100_000))
    gate = asyncio.Event()
    model = Counted(text, "end", until=gate)
    async with instances(redis, model, model) as gateways, loud(*gateways) as (one, other):
        await send(one)
        await other.ask("run.resume", runId="k", offset=0)
        gate.set()
        assert await asyncio.gather(whole(one), whole(other)) == [f"{text}end"] * 2


@pytest.mark.parametrize("name", ["a b", "é\ud800", "x" * 200, "{k}", "#1"])
def test_any_name_will_do(redis: Daemon, name: str) -> None:
    @asynchronous
    async def ask() -> None:
        model = Counted("one ")
        async with instances(redis, model, model) as gateways, loud(*gateways) as (one, other):
            await send(one, name, session=name)
            assert await whole(one, name) == "one "
            await other.ask("run.resume", runId=name)
            assert await whole(other, name) == "one "

    ask()
