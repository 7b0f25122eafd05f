"""Batches of posts: numbered, joined, the first one at once, and nothing in them that a worker could run."""

from __future__ import annotations

import asyncio
import json

import pytest

from openclaw_nb.distributed import posts
from openclaw_nb.distributed.posts import Outbox, event_of, read, told
from openclaw_nb.models.base import ModelEvent, StepDelta, TextDelta, ThinkingDelta, ToolCall


@pytest.mark.parametrize(
    "event",
    [
        TextDelta("\ud83d half", 3),
        ThinkingDelta("so", 0),
        StepDelta("key", "title", "text", 2, 0.5),
        StepDelta("key", "title"),
    ],
)
def test_an_event_comes_as_it_went(event: ModelEvent) -> None:
    post = told(event)
    assert post is not None
    kind, *facts = json.loads(json.dumps(post))
    assert kind == posts.EVENT
    assert event_of(*facts) == event


def test_of_others_nobody_is_told() -> None:
    assert told(ToolCall("", "name", {})) is None


def test_batches() -> None:
    sent: list[tuple[float, str]] = []

    async def work() -> float:
        loop = asyncio.get_running_loop()
        box = Outbox(
            "order", "attempt", lambda batch: sent.append((loop.time(), batch)), lambda: [("count", len(sent))]
        )
        began = loop.time()
        for text in ("a", "b", "c"):
            box.put(*(told(TextDelta(text)) or ()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(sent) == 1  # at once
        for n in range(4):
            box.put(*(told(StepDelta("k", "t", str(n), 1, 0.5 if n == 2 else None)) or ()))
        box.put(*(told(ThinkingDelta("x")) or ()))
        await asyncio.sleep(2 * posts.BATCH)
        assert len(sent) == 2
        box.put("end")
        box.flush()
        return began

    asyncio.run(work())
    batches = [read(batch) for _, batch in sent]
    assert [batch[:3] for batch in batches] == [("order", "attempt", n) for n in range(3)]
    assert batches[0][3] == [["count", 0], ["event", "text", "abc", 3]]
    assert batches[1][3] == [
        ["count", 1],
        ["event", "step", "k", "t", "012", 3, 0.5],  # a step that has ended is one for itself
        ["event", "step", "k", "t", "3", 1, None],
        ["event", "thought", "x", 1],
    ]
    assert sent[1][0] - sent[0][0] >= 0.9 * posts.BATCH


@pytest.mark.parametrize("batch", ["", "{}", "[1]", '["a", "b", "c", []]', '["a", "b", 1, {}]', "no"])
def test_what_is_no_batch(batch: str) -> None:
    with pytest.raises(ValueError, match=r"batch|Expecting"):
        read(batch)
