"""Other providers failing a fifth of the time: answers come whole, within the attempts there are, and count once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openclaw_nb import models
from openclaw_nb.client import flights
from openclaw_nb.models.base import Closable
from openclaw_nb.reasoning.costs import price
from tests.asking import KEY, VENDORS
from tests.mock_wire import Reply, words
from tests.spine import asynchronous, serving

pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")  # of one that thinks by a budget

WHOLE = words(20)
TEXT = "".join(WHOLE)
RUNS = 50


def said(value: Any) -> Iterator[str]:
    """The texts in a request, however its provider nests them."""
    if isinstance(value, dict):
        yield from said([part for name, part in value.items() if name in ("content", "text", "parts")])
    elif isinstance(value, list):
        for part in value:
            yield from said(part)
    elif isinstance(value, str):
        yield value


def rest(body: dict[str, Any]) -> list[str]:
    """What a good model says next: the answer, or of one that was cut what is still to come."""
    parts = [text for text in said(body.get("messages") or body.get("contents")) if text and TEXT.startswith(text)]
    return WHOLE[parts[-1].count(" ") :] if parts else WHOLE


@pytest.mark.parametrize("name", ["anthropic", "google"])
@asynchronous
async def test_a_fifth_of_all_calls_fails(
    name: str, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str, str], None]
) -> None:
    monkeypatch.setattr(flights, "DELAY", 0.02)
    monkeypatch.setattr("openclaw_nb.models.failures.random.uniform", lambda low, high: 0.05)
    vendor, chance = VENDORS[name], random.Random(36)
    faults = [
        Reply(status=429, retry_after="0"),
        Reply(status=500),
        Reply(tokens=rest, reset_after=5),
        Reply(close=True),
    ]
    replies = [chance.choice(faults) if chance.random() < 0.2 else Reply(tokens=rest) for _ in range(5 * RUNS)]
    monkeypatch.setenv(vendor.key, KEY)
    with vendor.mock(*replies) as mock:
        monkeypatch.setenv(mock.variable, mock.url)
        model = models.resolve(vendor.model)
        assert isinstance(model, Closable)
        taken_up: list[int] = []
        try:
            async with serving(model, token_batch_size=1) as (_, client):
                client.on("restore", lambda run, attempt: taken_up.append(attempt))
                costs = [await once(client, vendor.model, f"{run}", taken_up) for run in range(RUNS)]
        finally:
            await model.aclose()
    assert 0 < len(taken_up) < 20
    assert RUNS + 5 < mock.calls < RUNS + 40, "and not four times what failed"
    figure(
        "reliability 19",
        f"{name}: 20 % of calls answered with 429, 500, a reset or nothing: {RUNS} of {RUNS} runs whole in "
        f"{mock.calls} calls, {len(taken_up)} of them restored in mid-answer, each run's cost counted once "
        f"({sum(costs):.4f} USD)",
    )


async def once(client: Any, model: str, session: str, taken_up: list[int]) -> float:
    before = len(taken_up)
    result = await client.send("go", session=session, level=1)
    assert result == TEXT
    assert result.usage.output_tokens == len(WHOLE), "what was told twice is counted once"
    cost = price(model, result.usage.input_tokens, result.usage.output_tokens)
    assert cost is not None
    if len(taken_up) == before:
        assert result.cost == pytest.approx(cost), "a request that gave nothing costs nothing"
    else:
        assert cost <= result.cost < 3 * cost, "of one that was cut, what it gave"
    return float(result.cost)
