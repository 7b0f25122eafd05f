"""Seats at a worker: used again, closed for good, and left to what never ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from openclaw_nb.distributed.seats import Seat, Seats
from openclaw_nb.errors import ConfigError
from openclaw_nb.models.base import ModelEvent, ModelRequest, TextDelta
from tests.pool.teams import soon


def seated() -> int:
    return sum(thread.name.startswith("openclaw seat") for thread in threading.enumerate())


def test_used_again() -> None:
    seats, names = Seats(), []

    async def here() -> None:
        names.append(threading.current_thread().name)

    for _ in range(2):
        seat = seats.take()
        seat.run(here()).result(60)
        seats.give_back(seat)
    first, second = seats.take(), seats.take()
    assert first is not second
    assert names == ["openclaw seat 1"] * 2
    for seat in (first, second):
        seats.give_back(seat)
    seats.close()
    soon(lambda: not seated())


def test_one_that_comes_back_late_is_ended() -> None:
    seats = Seats()
    seat = seats.take()
    seats.close()
    assert seated() == 1
    seats.give_back(seat)
    soon(lambda: not seated())


def test_what_is_left_ends_with_it() -> None:
    seats, ended = Seats(), threading.Event()

    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    seat = seats.take()
    seat.run(endless())
    seat.close()
    assert ended.wait(60)
    soon(lambda: not seated())
    seat.call(ended.clear)  # there is no loop any more
    time.sleep(0.05)
    assert ended.is_set()


def test_a_model_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine:
        name = "mine"

        async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
            yield TextDelta("so")

    seat = Seat("openclaw seat")
    try:
        mine = Mine()
        assert seat.model(mine) is mine
        offline = seat.model("offline")
        assert offline.name == "offline"
        assert seat.model("offline") is offline
        monkeypatch.setenv("OTHER_API_KEY", "other-than-before")
        assert seat.model("offline") is not offline
        with pytest.raises(ConfigError, match="there is no model 'nothing'"):
            seat.model("nothing")
    finally:
        seat.close()
        soon(lambda: not seated())
