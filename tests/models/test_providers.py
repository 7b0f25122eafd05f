"""ProviderModel against a real provider library and a real server on loopback: answers, and stopping them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from openclaw_nb.events import Usage
from openclaw_nb.models.base import Continuing, Model, ModelEvent, ModelRequest, TextDelta, ThinkingDelta
from openclaw_nb.models.providers import ProviderModel
from tests.asking import HELLO, KEY, ask, collect, failure, provider, text_of
from tests.mock_openai import MockOpenAI, Reply, words
from tests.spine import soon

pytestmark = pytest.mark.usefixtures("environment")


def test_is_a_model() -> None:
    assert isinstance(ProviderModel("openai-chat:gpt-4o"), Model)


def test_text_and_usage(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=200)
    events = ask()
    assert text_of(events) == mock.text
    assert events[-1] == Usage(2, 200)
    assert [type(event) for event in events[:-1]] == [TextDelta] * 200


def test_every_character_arrives(serve: Callable[..., MockOpenAI]) -> None:
    texts = ["\n", " ", "é", "👩‍👩‍👧", "\u202e", "\0", "z", "data: [DONE]\n\n", "\r\n", " "]
    serve(tokens=texts)
    assert text_of(ask()) == "".join(texts)


def test_thinking_is_not_text(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=3, thinking=["let ", "me ", "see"])
    events = ask()
    assert "".join(event.text for event in events if isinstance(event, ThinkingDelta)) == "let me see"
    assert text_of(events) == mock.text
    assert events[-1] == Usage(2, 6)


def test_without_usage_it_is_estimated(serve: Callable[..., MockOpenAI]) -> None:
    serve(tokens=["word"] * 40, usage=False)
    usage = ask()[-1]
    assert usage == Usage(len("hello there") // 4, 40, estimated=True)


def test_history_and_instructions_reach_the_wire(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=1)
    turns: Any = ({"role": "user", "content": "one"}, {"role": "assistant", "content": "two", "stopped": True})
    ask(ModelRequest((*turns, {"role": "user", "content": "three"}), instructions="be brief"))
    sent = [(message["role"], message["content"]) for message in mock.requests[0].body["messages"]]
    assert sent == [("system", "be brief"), ("user", "one"), ("assistant", "two"), ("user", "three")]
    assert mock.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_cut_answer_is_asked_to_go_on(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(tokens=1)
    model = ProviderModel("openai-chat:gpt-4o")
    assert isinstance(model, Continuing)
    ask(model.continued(HELLO, "one two "))
    *before, last = [(message["role"], message["content"]) for message in mock.requests[0].body["messages"]]
    assert before == [("user", "hello there"), ("assistant", "one two ")]
    assert last[0] == "user"
    assert "Go on exactly where it ends" in last[1]


def test_two_streams_on_one_model(serve: Callable[..., MockOpenAI]) -> None:
    def echo(body: dict[str, Any]) -> list[str]:
        return [f"{body['messages'][-1]['content']}{n} " for n in range(30)]

    mock = serve(tokens=echo, interval=0.001)

    async def both() -> list[list[ModelEvent]]:
        async with provider() as model:
            asked = [ModelRequest(({"role": "user", "content": name},)) for name in ("a", "b")]
            both = await asyncio.gather(*(collect(model, request) for request in asked))
        await soon(lambda: not mock.open_connections, "the end of both, as the two that began at once shared a client")
        return both

    texts = [text_of(events) for events in asyncio.run(both())]
    assert texts == ["".join(echo({"messages": [{"content": name}]})) for name in ("a", "b")]
    assert mock.calls == 2


def test_withheld_answer_says_so(serve: Callable[..., MockOpenAI]) -> None:
    serve(tokens=0, finish_reason="content_filter")
    assert "content filter" in str(failure())


# -- stopping --------------------------------------------------------------------------------------


async def _leave(model: ProviderModel, mock: MockOpenAI, count: int) -> None:
    """Read some tokens and close the generator."""
    stream = model.stream(HELLO)
    for _ in range(count):
        await anext(stream)
    await stream.aclose()
    assert mock.requests[0].closed.wait(30)  # holds the loop up: what is not closed by now stays open


async def _cancel(model: ProviderModel, mock: MockOpenAI, count: int) -> None:
    """Read some tokens and cancel the task while it waits for the next."""
    read = 0

    async def reader() -> None:
        nonlocal read
        async for _ in model.stream(HELLO):
            read += 1

    task = asyncio.create_task(reader())
    await soon(lambda: read >= count)
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert mock.requests[0].closed.wait(30)


@pytest.mark.parametrize("stop", [_leave, _cancel])
@pytest.mark.parametrize("count", [1, 3, 17])
def test_stopping_is_seen_by_the_server(
    serve: Callable[..., MockOpenAI], stop: Callable[[ProviderModel, MockOpenAI, int], Awaitable[None]], count: int
) -> None:
    mock = serve(tokens=4000, interval=0.01)

    async def run() -> None:
        async with provider() as model:
            await stop(model, mock, count)

    asyncio.run(run())
    request = mock.requests[0]
    assert request.closed_early
    assert count <= request.sent < 4000


@pytest.mark.parametrize("script", [{"delay": 600.0}, {"tokens": 5, "hang_after": 0}])
def test_cancelled_before_anything_came(serve: Callable[..., MockOpenAI], script: dict[str, Any]) -> None:
    mock = serve(**script)

    async def run() -> None:
        async with provider() as model:
            task = asyncio.create_task(collect(model))
            await soon(lambda: mock.requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(mock.requests[0].closed.wait, 30)

    asyncio.run(run())
    assert mock.requests[0].closed_early
    assert mock.calls == 1


def test_usable_after_a_stop(serve: Callable[..., MockOpenAI]) -> None:
    mock = serve(Reply(tokens=4000, interval=0.01), Reply(tokens=7))

    async def run() -> str:
        async with provider() as model:
            await _leave(model, mock, 2)
            return text_of(await collect(model))

    assert asyncio.run(run()) == "".join(words(7))
    assert mock.calls == 2
