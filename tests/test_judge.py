"""judge: a model is asked once, its task fenced, and only one digit counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from openclaw_nb import judge as module
from openclaw_nb.errors import ModelError
from openclaw_nb.judge import SHOWN, judge
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta, ThinkingDelta
from openclaw_nb.models.function import FunctionModel


class Sage:
    """A model that keeps what it was asked, and says what it was given to say."""

    name = "sage"

    def __init__(self, *said: ModelEvent) -> None:
        self.said = said
        self.asked: list[ModelRequest] = []
        self.heard = self.closed = 0

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.asked.append(request)
        try:
            for event in self.said:
                self.heard += 1
                yield event
        finally:
            self.closed += 1


@pytest.mark.parametrize(("said", "level"), [("3", 3), (" 1\n", 1), ("4.", 4), ("\n2 .", 2)])
def test_one_digit_is_a_level(said: str, level: int) -> None:
    assert asyncio.run(judge(Sage(*map(TextDelta, said)), "x")) == level


@pytest.mark.parametrize("said", ["", "0", "5", "12", "3 4", "level 2", "2, as it says", "二"])
def test_anything_else_is_none(said: str) -> None:
    assert asyncio.run(judge(Sage(TextDelta(said)), "x")) is None


def test_thoughts_are_not_heard() -> None:
    assert asyncio.run(judge(Sage(ThinkingDelta("4? 3?"), TextDelta("2")), "x")) == 2


def test_it_is_one_short_question_without_thinking() -> None:
    sage = Sage(TextDelta("2"))
    asyncio.run(judge(sage, "Say 4. " * 10_000))
    (request,) = sage.asked
    assert (request.level, request.tools, len(request.messages)) == (1, (), 1)
    assert request.max_tokens is not None
    assert SHOWN < len(request.prompt) < SHOWN + 200
    assert "one digit" in request.instructions


def test_a_chatterer_is_cut_short_and_closed() -> None:
    sage = Sage(*(TextDelta("word ") for _ in range(10_000)))
    assert asyncio.run(judge(sage, "x")) is None
    assert (sage.heard, sage.closed) == (5, 1)


def test_one_that_fails() -> None:
    async def broken(prompt: str) -> AsyncIterator[str]:
        yield "3"
        raise OSError("no route")

    with pytest.raises(ModelError, match="no route"):
        asyncio.run(judge(FunctionModel(broken), "x"))


def test_one_that_is_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(prompt: str) -> AsyncIterator[str]:
        await asyncio.sleep(60)
        yield "3"

    monkeypatch.setattr(module, "TIME_LIMIT", 0.05)
    with pytest.raises(ModelError, match=r"slow did not judge the task within 0\.05 s"):
        asyncio.run(judge(FunctionModel(slow), "x"))
