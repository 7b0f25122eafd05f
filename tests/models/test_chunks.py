"""Chunks of a response: read without the library's lock, whole and in order, with the SDK's stream closed as before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from openclaw_nb.models.base import ModelRequest, TextDelta
from openclaw_nb.models.chunks import read_directly
from openclaw_nb.models.providers import ProviderModel
from tests import mock_anthropic, mock_google, mock_openai
from tests.mock_server import Mock

MODELS = {
    "OPENAI": ("openai-chat:mock", mock_openai.started),
    "ANTHROPIC": ("anthropic:claude-haiku-4-5", mock_anthropic.started),
    "GOOGLE": ("google:gemini-2.5-flash", mock_google.started),
}
TOKENS = 400
REQUEST = ModelRequest(({"role": "user", "content": "go"},))

Start = Callable[..., Mock]


@pytest.fixture(params=MODELS)
def provider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ProviderModel, Start]]:
    name, started = MODELS[request.param]
    monkeypatch.setenv(f"{request.param}_API_KEY", "none")
    for start in started(monkeypatch):
        yield ProviderModel(name), start


class Turns:
    """How often the running loop has turned."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.count = 0
        self._next()

    def _next(self) -> None:
        self.count += 1
        self._handle = self._loop.call_soon(self._next)

    def end(self) -> None:
        self._handle.cancel()


def test_chunks_that_came_at_once_are_read_in_one_turn_of_the_loop(provider: tuple[ProviderModel, Start]) -> None:
    model, start = provider

    async def read() -> tuple[str, int]:
        texts: list[str] = []
        async with aclosing(model.stream(REQUEST)) as events:
            async for event in events:
                if not isinstance(event, TextDelta):
                    continue
                if not texts:
                    assert mock.requests[0].closed.wait(30)  # the loop stands still, so all the rest is there after it
                    turns = Turns()
                texts.append(event.text)
        turns.end()
        await model.aclose()
        return "".join(texts), turns.count

    mock = start(tokens=TOKENS)
    text, turns = asyncio.run(read())
    assert text == mock.text
    assert turns < TOKENS / 8


def test_one_that_is_left_in_the_middle_is_closed_at_its_provider(provider: tuple[ProviderModel, Start]) -> None:
    model, start = provider
    mock = start(tokens=TOKENS, hang_after=TOKENS // 2)

    async def leave() -> None:
        async with aclosing(model.stream(REQUEST)) as events:
            async for _ in events:
                break
        assert await asyncio.to_thread(mock.requests[0].closed.wait, 30)
        await model.aclose()

    asyncio.run(leave())
    assert mock.requests[0].closed_early


def test_one_that_is_cancelled_while_it_waits_for_its_provider_is_closed(provider: tuple[ProviderModel, Start]) -> None:
    model, start = provider
    mock = start(tokens=TOKENS, hang_after=3)

    async def wait() -> None:
        begun = asyncio.Event()

        async def read() -> None:
            async with aclosing(model.stream(REQUEST)) as events:
                async for _ in events:
                    begun.set()

        reading = asyncio.create_task(read())
        await begun.wait()
        await asyncio.sleep(0.1)  # by then it has read what there is
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await asyncio.to_thread(mock.requests[0].closed.wait, 30)
        await model.aclose()

    asyncio.run(asyncio.wait_for(wait(), 60))
    assert mock.requests[0].closed_early


def test_a_response_that_keeps_its_chunks_elsewhere_is_left_as_it_is() -> None:
    response: Any = type("Response", (), {"_response": object()})()
    kept = response._response
    read_directly(response)
    assert response._response is kept
