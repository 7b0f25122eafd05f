"""What was used at a gateway elsewhere: tokens and cost by model and by day, over all of its sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from ..client import OpenClawClient
from .reading import amount, mapping, members, text

__all__ = ["Usage", "Used", "usage"]

MOST = 1_000
"""Sessions that are counted: 2026.3.1 adds up only those that it lists."""

PATIENCE = 10.0
"""Seconds that a gateway gets which says that it is still counting; 22 sessions took 2026.9.6 five."""

PAUSE = 0.5  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens in and out, where they are told apart, in all, and USD. ``calls`` of a model, where they are told."""

    tokens: int = 0
    cost: float = 0.0
    input: int = 0
    output: int = 0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """All of it from ``first`` to ``last`` day, by "provider/model" and by day (ISO 8601), most and newest first.

    ``counting`` says that the gateway had not added up all of it yet.
    """

    first: str
    last: str
    total: Used
    models: Mapping[str, Used]
    days: Mapping[str, Used]
    counting: bool = False


async def usage(client: OpenClawClient, today: date, days: int = 30) -> Usage:
    """What was used in the ``days`` until ``today``, which is one of them; days are those of UTC."""
    first = today - timedelta(days=days - 1)
    asked = {"startDate": first.isoformat(), "endDate": today.isoformat(), "limit": MOST}
    told = mapping(await client.request("sessions.usage", asked))
    clock = asyncio.get_running_loop()
    until = clock.time() + PATIENCE
    while _counting(told) and clock.time() < until:
        await asyncio.sleep(PAUSE)
        told = mapping(await client.request("sessions.usage", asked))
    return _read(told, first.isoformat(), today.isoformat())


def _counting(told: Mapping[str, Any]) -> bool:
    return mapping(told.get("cacheStatus")).get("status") == "refreshing"


def _read(told: Mapping[str, Any], first: str, last: str) -> Usage:
    sums = mapping(told.get("aggregates"))
    models = {_named(one): _used(mapping(one.get("totals")), one) for one in members(sums.get("byModel"))}
    days = {text(one.get("date")): _used(one, {}) for one in members(sums.get("daily"))}
    return Usage(
        text(told.get("startDate")) or first,
        text(told.get("endDate")) or last,
        _used(mapping(told.get("totals")), {}),
        dict(sorted(_some(models).items(), key=lambda item: (-item[1].cost, -item[1].tokens, item[0]))),
        dict(sorted(_some(days).items(), reverse=True)),
        _counting(told),
    )


def _some(used: Mapping[str, Used]) -> dict[str, Used]:
    """Without what has no name or used nothing, such as the words that a gateway says itself."""
    return {name: one for name, one in used.items() if name and (one.tokens or one.cost)}


def _named(told: Mapping[str, Any]) -> str:
    model, provider = text(told.get("model")), text(told.get("provider"))
    return f"{provider}/{model}" if model and provider else model


def _used(totals: Mapping[str, Any], counts: Mapping[str, Any]) -> Used:
    tokens = _number(totals, "totalTokens") or _number(totals, "tokens")
    cost = _number(totals, "totalCost") or _number(totals, "cost")
    calls = _number(counts, "count")
    return Used(int(tokens), cost, int(_number(totals, "input")), int(_number(totals, "output")), int(calls))


def _number(told: Mapping[str, Any], name: str) -> float:
    return amount(told.get(name)) or 0.0
