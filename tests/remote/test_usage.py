"""usage: tokens and cost of a gateway elsewhere, when it has counted them."""

from __future__ import annotations

from datetime import date

import pytest

from openclaw_nb.remote import usage as module
from openclaw_nb.remote.usage import Used, usage
from tests.household import household
from tests.spine import asynchronous

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize("protocol", [3, 4])
@asynchronous
async def test_by_model_and_day(protocol: int) -> None:
    async with household(protocol) as (gateway, client):
        told = await usage(client, TODAY, 7)
        assert gateway.asked[-1][1] == {"startDate": "2026-11-16", "endDate": "2026-11-22", "limit": 1000}
        assert (told.first, told.last, told.counting) == ("2026-11-16", "2026-11-22", False)
        assert told.total == Used(5985, 0.005997, 5973, 12)
        assert told.models == {"mock/mock-1": Used(5985, 0.005997, 5973, 12, 4)}
        assert list(told.days.items()) == [("2026-11-22", Used(4985, 0.004997)), ("2026-11-21", Used(1000, 0.001))]


@asynchronous
async def test_a_gateway_that_is_counting_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    async with household(4) as (gateway, client):
        gateway.counting = 3
        told = await usage(client, TODAY)
        assert (told.total.tokens, told.counting) == (5985, False)
        assert gateway.methods().count("sessions.usage") == 4


@asynchronous
async def test_one_that_goes_on_counting_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    async with household(4) as (gateway, client):
        gateway.counting = 10_000
        told = await usage(client, TODAY)
        assert told.counting
        assert (told.total, told.models, told.days) == (Used(), {}, {})
