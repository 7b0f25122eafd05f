"""FunctionModel: what can be a model, what it yields, how it fails and how it is closed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from openclaw_nb.errors import ConfigError, ModelError
from openclaw_nb.events import Usage
from openclaw_nb.models.base import Model, ModelEvent, ModelRequest, TextDelta
from openclaw_nb.models.function import FunctionModel

HELLO = ModelRequest(
    ({"role": "user", "content": "old"}, {"role": "assistant", "content": "older"}, {"role": "user", "content": "new"})
)


async def mine(prompt: str) -> AsyncIterator[str]:
    for word in ("you ", "said ", "", prompt):
        yield word


class Pieces:
    """An async iterator that is no generator, and cannot be closed."""

    def __init__(self, prompt: str) -> None:
        self.left = [prompt, "b"]

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> str:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop(0)


class Callable_:
    async def __call__(self, prompt: str) -> AsyncIterator[str]:
        yield prompt

    async def method(self, prompt: str) -> AsyncIterator[str]:
        yield prompt


async def value(prompt: str) -> str:
    return prompt


class CallableValue:
    async def __call__(self, prompt: str) -> str:
        return prompt


def plain(prompt: str) -> Iterator[str]:
    yield prompt


def ask(function: Any) -> list[ModelEvent]:
    async def once() -> list[ModelEvent]:
        return [event async for event in FunctionModel(function).stream(HELLO)]

    return asyncio.run(once())


def test_pieces_and_usage() -> None:
    model = FunctionModel(mine)
    assert isinstance(model, Model)
    assert model.name == "mine"
    assert ask(mine) == [TextDelta("you "), TextDelta("said "), TextDelta("new"), Usage(0, 3, estimated=True)]


@pytest.mark.parametrize(
    "function", [partial(mine), lambda prompt: mine(prompt), Callable_(), Callable_().method, lambda p: Pieces(p)]
)
def test_whatever_gives_an_async_iterator(function: Any) -> None:
    assert "new" in [event.text for event in ask(function) if isinstance(event, TextDelta)]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (value, "coroutine function"),
        (partial(value), "coroutine function"),
        (CallableValue(), "coroutine function"),
        (plain, "plain generator"),
        (Callable_, "a class"),
        (3, "int, which cannot be called"),
        (None, "None, which cannot be called"),
    ],
)
def test_what_cannot_be_one(function: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        FunctionModel(function)
    assert "async def" in str(caught.value)


@pytest.mark.parametrize(("given", "said"), [("text", "str"), (None, "None"), (["a"], "list")])
def test_returns_something_else(given: Any, said: str) -> None:
    with pytest.raises(ModelError, match=f"returned {said} and not an async iterator"):
        ask(lambda _: given)


def test_returned_coroutine_is_closed(recwarn: pytest.WarningsRecorder) -> None:
    gc.collect()
    recwarn.clear()  # of what other tests have left
    with suppress(ModelError):
        ask(lambda prompt: value(prompt))
    gc.collect()
    assert not [str(warning.message) for warning in recwarn]


@pytest.mark.parametrize(("item", "said"), [(3, "int"), (None, "None"), (b"x", "bytes")])
def test_yields_something_else(item: Any, said: str) -> None:
    async def odd(_: str) -> AsyncIterator[Any]:
        yield item

    with pytest.raises(ModelError, match=rf"odd\(\) yielded {said}"):
        ask(odd)


def test_own_error_without_words() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    async def broken(_: str) -> AsyncIterator[str]:
        yield "a"
        raise Mute

    with pytest.raises(ModelError, match=r"^broken\(\) raised Mute$"):
        ask(broken)


def test_own_error_is_kept() -> None:
    async def broken(_: str) -> AsyncIterator[str]:
        yield "a"
        raise ValueError("no\nluck " + "x" * 1000)

    with pytest.raises(ModelError, match=r"^broken\(\) raised ValueError: no luck x") as caught:
        ask(broken)
    assert isinstance(caught.value.__cause__, ValueError)
    assert len(str(caught.value)) < 250


def test_own_error_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE_API_KEY", "a-value-to-keep-quiet")

    async def broken(_: str) -> AsyncIterator[str]:
        yield "a"
        raise ValueError("refused: a-value-to-keep-quiet")

    with pytest.raises(ModelError, match=r"^broken\(\) raised ValueError: refused: env:MINE_API_KEY$"):
        ask(broken)


def test_error_of_the_call_and_of_the_end() -> None:
    def early(_: str) -> AsyncIterator[str]:
        raise KeyError("x")

    async def late(_: str) -> AsyncIterator[str]:
        try:
            yield "a"
            yield 3  # type: ignore[misc]
        finally:
            raise OSError("late")

    with pytest.raises(ModelError, match="raised KeyError"):
        ask(early)
    with pytest.raises(ModelError, match="raised OSError: late"):
        ask(late)


def test_own_model_error_passes() -> None:
    async def honest(_: str) -> AsyncIterator[str]:
        raise ModelError("out of tokens")
        yield

    with pytest.raises(ModelError, match=r"^out of tokens$"):
        ask(honest)


@pytest.mark.parametrize("way", ["aclose", "cancel", "odd item"])
def test_finally_runs_at_once(way: str) -> None:
    closed = []

    async def endless(_: str) -> AsyncIterator[Any]:
        try:
            yield "a"
            if way == "odd item":
                yield 3
            await asyncio.sleep(60)
        finally:
            closed.append(way)

    async def run() -> None:
        stream = FunctionModel(endless).stream(HELLO)
        await anext(stream)
        if way == "aclose":
            await stream.aclose()
        elif way == "cancel":
            task = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            with pytest.raises(ModelError):
                await anext(stream)
        assert closed == [way]

    asyncio.run(run())


def test_streams_side_by_side() -> None:
    async def run() -> list[str]:
        model = FunctionModel(mine)
        streams = [model.stream(ModelRequest(({"role": "user", "content": name},))) for name in "ab"]
        texts = ["", ""]
        for _ in range(3):
            for n, stream in enumerate(streams):
                event = await anext(stream)
                assert isinstance(event, TextDelta)
                texts[n] += event.text
        for stream in streams:
            await stream.aclose()
        return texts

    assert asyncio.run(run()) == ["you said a", "you said b"]
