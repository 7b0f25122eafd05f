"""Going on with an answer whose gateway was killed: at the exact character, or as a continuation, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.answers.continuation import go_on, how_it_goes_on
from openclaw_nb.client import OpenClawClient
from openclaw_nb.engine import Engine, Turn
from openclaw_nb.errors import RunError
from openclaw_nb.events import State, Status, Usage
from openclaw_nb.gateway import Gateway
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta, ThinkingDelta
from openclaw_nb.snapshots import SnapshotStore
from tests.faults.proxy import CutAfter, FaultProxy
from tests.spine import Counted, any_text, asynchronous, let_in, play, soon, taken


class Answers:
    """A Model that gives one answer after the other, each in pieces."""

    name = "answers"

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[ModelRequest] = []
        self.closed = 0

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.asked.append(request)
        try:
            yield ThinkingDelta("hm")
            for piece in self.answers.pop(0):
                yield TextDelta(piece)
            yield Usage(1, 2)
        finally:
            self.closed += 1


class GoesOn(Answers):
    """One that can be asked to go on."""

    def continued(self, request: ModelRequest, partial: str) -> ModelRequest:
        return replace(request, instructions=f"after {partial}")


ASKED = ModelRequest(({"role": "user", "content": "q"},))


async def said_after(model: Any, partial: str) -> list[ModelEvent]:
    async with aclosing(go_on(model, model.stream, ASKED, partial)) as events:
        return [event async for event in events]


def text(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@given(st.lists(any_text, min_size=1), st.data())
def test_a_model_that_says_the_same_goes_on_at_the_exact_character(pieces: list[str], data: st.DataObject) -> None:
    whole = "".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    model = Answers(pieces)
    events = play(said_after(model, whole[:cut]))
    assert text(events) == whole[cut:]
    assert events[0] == ThinkingDelta("hm")
    assert events[-1] == Usage(1, 2)
    assert len(model.asked) == model.closed == 1


@asynchronous
async def test_one_that_can_go_on_is_not_asked_for_what_is_here() -> None:
    model = GoesOn(["three"])
    assert text(await said_after(model, "one two ")) == "three"
    assert [request.instructions for request in model.asked] == ["after one two "]
    assert model.closed == 1
    assert how_it_goes_on(model, 8) == "gone on from character 8"
    assert how_it_goes_on(Answers([]), 8).endswith("character 8; answers had to be asked for all of it again")


@asynchronous
async def test_one_that_says_something_else_and_cannot_go_on() -> None:
    model = Answers(["one ", "three"])
    with pytest.raises(RunError, match="answers, asked again, answers differently; what came is kept") as failure:
        await said_after(model, "one two ")
    assert failure.value.code == "RUN_LOST"
    assert model.closed == 1


@asynchronous
async def test_the_session_keeps_the_whole_answer() -> None:
    model = Answers(["one \ud83d", "\ude00 two"])
    engine = Engine(SnapshotStore(), model)
    turn = Turn("k", "q", partial="one \N{GRINNING FACE} ", partial_tokens=2)
    async with aclosing(engine.turn(turn)) as events:
        assert text([event async for event in events]) == "two"
    assert engine.history("main")[1]["content"] == "one \N{GRINNING FACE} two"


@asynccontextmanager
async def two_lives(
    first: Any, second: Any, **options: Any
) -> AsyncIterator[tuple[FaultProxy, Gateway, OpenClawClient]]:
    """A client of one gateway, and another to take its place, as a gateway that was killed and started again does.

    Each is a model, or a Gateway with the token "same".
    """
    lives = [life if isinstance(life, Gateway) else Gateway(life, "same") for life in (first, second)]
    async with (
        lives[0] as one,
        lives[1] as other,
        FaultProxy(one.port) as proxy,
        OpenClawClient(token="same", token_batch_size=1, **options) as client,
    ):
        await client.connect(proxy.url)
        yield proxy, other, client


def restart(proxy: FaultProxy, gateway: Gateway) -> None:
    proxy.upstream = gateway.port
    proxy.cut()


@pytest.mark.parametrize("streaming", [True, False])
@asynchronous
async def test_a_gateway_killed_in_mid_answer(streaming: bool) -> None:
    first, second = Counted("one ", "two ", until=asyncio.Event()), Counted(*"one two three")
    async with two_lives(first, second, streaming=streaming) as (proxy, other, client):
        run = client.send("go")
        words: list[str] = []
        run.subscribe(lambda event: words.append(event.words) if isinstance(event, State) else None)
        await soon(lambda: run.text == "one two " if streaming else taken(client))
        restart(proxy, other)
        result = await run
        assert result == "one two three"
        assert "the gateway was restarted; asking it again" in words
        assert (first.calls, second.calls) == (1, 1)
        assert other.engine.history("main")[1]["content"] == result
        assert await client.send("go", idempotency_key=run.id) == result
        assert second.calls == 1


@asynchronous
async def test_killed_again_and_again_and_once_before_the_first_token() -> None:
    lives = [Counted(*"one two three four"[:k], until=asyncio.Event()) for k in (0, 4, 8, 8, 14)]
    async with AsyncExitStack() as stack:
        gateways = [
            await stack.enter_async_context(Gateway(model, "same")) for model in [*lives, Counted("one two three four")]
        ]
        proxy = await stack.enter_async_context(FaultProxy(gateways[0].port))
        client = await stack.enter_async_context(OpenClawClient(token="same"))
        await client.connect(proxy.url)
        run = client.send("go")
        for model, following in zip(lives, gateways[1:], strict=True):
            await soon(lambda model=model: model.calls and run.text.startswith("".join(model.pieces)))
            restart(proxy, following)
        assert await run == "one two three four"


@asynchronous
async def test_stopped_while_it_is_killed() -> None:
    first, second = Counted("one ", until=asyncio.Event()), Counted("one ", "two")
    async with two_lives(first, second) as (proxy, other, client):
        run = client.send("go")
        await soon(lambda: run.text)
        proxy.faults.append(CutAfter(0, "connect.challenge"))
        restart(proxy, other)
        await soon(lambda: run.status is Status.RECONNECTING)
        run.cancel()
        assert (await run).status is Status.STOPPED
        await client.request("health")
        assert second.calls == 0


@asynchronous
async def test_another_answer_is_an_error_that_keeps_what_came() -> None:
    async with two_lives(Counted("one ", until=asyncio.Event()), Counted("two ")) as (proxy, other, client):
        run = client.send("go")
        await soon(lambda: run.text)
        restart(proxy, other)
        with pytest.raises(RunError, match="answers differently") as failure:
            await run
        assert (failure.value.code, failure.value.partial) == ("RUN_LOST", "one ")
        assert type(failure.value) is RunError


@asynchronous
async def test_a_handler_of_ones_own_is_not_asked_to_go_on() -> None:
    async def handler(turn: Turn) -> AsyncIterator[ModelEvent]:
        yield TextDelta("one ")
        await asyncio.Event().wait()

    lives = [Gateway("offline", "same", handler=handler) for _ in range(2)]
    async with two_lives(*lives) as (proxy, other, client):
        run = client.send("go")
        await soon(lambda: run.text)
        restart(proxy, other)
        with pytest.raises(RunError, match="cannot go on") as failure:
            await run
        assert (failure.value.code, failure.value.partial) == ("RUN_LOST", "one ")


@asynchronous
async def test_a_part_that_the_gateway_knows_otherwise() -> None:
    async with Gateway(Counted("one ", until=asyncio.Event())) as gateway, let_in(gateway) as raw:

        async def ask_with(text: str | None) -> Any:
            partial = None if text is None else {"text": text}
            return await raw.ask("chat.send", sessionKey="main", message="go", idempotencyKey="k", partial=partial)

        assert (await ask_with(None))["ok"]
        await raw.event("chat", deltaText="one ")
        assert (await ask_with("zero"))["error"]["code"] == "RUN_LOST"
        assert (await ask_with("one two"))["error"]["code"] == "RUN_BEHIND"
        assert (await ask_with("on"))["payload"]["status"] == "in_flight"
        assert (await raw.ask("run.resume", runId="k", offset=5))["error"]["code"] == "NOT_FOUND"
        assert (await raw.ask("run.resume", runId="k", offset=4))["ok"]


@asynchronous
async def test_who_has_more_of_it_waits_for_who_asked_first() -> None:
    gate = asyncio.Event()

    async def second(prompt: str) -> AsyncIterator[str]:
        yield "one "
        await gate.wait()
        yield "two three"

    async with two_lives(Counted("one ", "two ", until=asyncio.Event()), second) as (proxy, other, client):
        run = client.send("go")
        await soon(lambda: run.text == "one two ")
        async with let_in(other) as raw:
            await raw.ask("chat.send", sessionKey="main", message="go", idempotencyKey=run.id, thinking="low")
            restart(proxy, other)
            await asyncio.sleep(0.2)
            assert not run.done()
            gate.set()
            assert await run == "one two three"
