"""What travels to a worker, and what is refused before anything does."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator

import pytest

from openclaw_nb.distributed.orders import Order, pack, travels, unpack
from openclaw_nb.errors import ConfigError
from openclaw_nb.models import resolve
from openclaw_nb.models.base import Message, Model, ModelEvent, ModelRequest, TextDelta
from openclaw_nb.models.function import FunctionModel
from openclaw_nb.reasoning.costs import Tariff
from openclaw_nb.tools import Tool

ASKED: Message = {"role": "user", "content": "go"}


def order(model: Model | str = "offline", *tools: Tool, asked: Message = ASKED) -> Order:
    return Order("run", model, ModelRequest((asked,)), tools, Tariff("offline"), None, process=False)


def test_goes_and_comes() -> None:
    def double(n: int) -> int:
        """Twice as much."""
        return 2 * n

    came = unpack(pack(order("offline", Tool(double), asked={**ASKED, "images": []})))
    assert came.request.messages[0]["content"] == "go"
    assert came.tools[0].function(4) == 8
    assert came.tools[0].definition == Tool(double).definition


def test_a_model_of_ours_goes_by_its_name() -> None:
    class Mine:
        name = "mine"

        async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
            yield TextDelta("so")

    async def function(prompt: str) -> AsyncIterator[str]:
        yield "so"

    assert travels(resolve("offline:50")) == "offline:50"
    mine, made = Mine(), FunctionModel(function)
    assert travels(mine) is mine
    assert travels(made) is made
    assert isinstance(unpack(pack(order(made))).model, FunctionModel)


def test_what_cannot_go() -> None:
    lock = threading.Lock()

    def guarded() -> str:
        """It waits."""
        with lock:
            return "so"

    async def model(prompt: str) -> AsyncIterator[str]:
        with lock:
            yield "so"

    with pytest.raises(ConfigError, match=r"lock \(_thread\.lock\) cannot be sent to a worker: .*make it inside"):
        pack(order("offline", Tool(guarded)))
    with pytest.raises(ConfigError, match=r"lock \(_thread\.lock\) cannot be sent to a worker"):
        pack(order(FunctionModel(model)))


def test_no_secret_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_API_KEY", value := "sk-planted-0123456789")

    def ask() -> str:
        """It asks."""
        return value

    words = "ask has the value of env:PLANTED_API_KEY in it, which stays here; have it looked up at the worker"
    with pytest.raises(ConfigError) as caught:
        pack(order("offline", Tool(ask)))
    assert str(caught.value) == words
    with pytest.raises(ConfigError, match="what it is told has the value of env:PLANTED_API_KEY in it"):
        pack(order(asked={"role": "user", "content": f"use {value}"}))
