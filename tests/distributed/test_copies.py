"""What is noted of a turn at a worker, and when it may go on."""

from __future__ import annotations

import asyncio
from typing import Any

from openclaw_nb.distributed.copies import Copy
from openclaw_nb.distributed.orders import Order
from openclaw_nb.distributed.posts import Outbox, read
from openclaw_nb.models.base import ModelRequest, StepDelta, TextDelta, ToolCall
from openclaw_nb.reasoning.costs import Tariff

ORDER = Order("run", "offline", ModelRequest(()), (), Tariff("offline"), 2.0, process=False)
STATE: dict[str, Any] = {"answer": "so ", "tokens": 1, "known": "so ", "calls": [], "stages": {"plan": "p"}, "level": 3}


def test_is_told() -> None:
    posted: list[list[Any]] = []

    async def work() -> None:
        copy = Copy(ORDER, STATE, Outbox("order", "attempt", lambda batch: posted.extend(read(batch)[3])))
        assert (copy.task.id, copy.task.budget, copy.stages) == ("run", 2.0, {"plan": "p"})
        copy.take(TextDelta("far", 2))
        assert ("".join(copy.answer), copy.tokens) == ("so far", 3)
        copy.stage("draft", "d")
        assert copy.stages == {"plan": "p", "draft": "d"}
        (entry,) = copy.ledger.ask(0, 6, [ToolCall("", "act", {"n": 1})])
        copy.ledger.begin(entry)
        keeping = asyncio.create_task(copy.keep_calls())
        await asyncio.sleep(0.01)
        assert not keeping.done()
        copy.kept(7)  # of which nobody knows
        copy.kept(0)
        await keeping
        copy.ledger.end(entry, "done", 0.5)
        copy.take(StepDelta(entry.key, entry.title, "done", seconds=0.5))
        copy.take(StepDelta("other", "other"))
        await asyncio.sleep(0.1)

    asyncio.run(work())
    assert [post[0] for post in posted] == ["stage", "call", "keep", "call"]
    assert posted[0] == ["stage", "draft", "d"]
    assert (posted[1][1], posted[1][2]["state"]) == (0, "pending")
    assert posted[3][2]["result"] == "done"


def test_a_call_that_was_under_way_is_not_made_again() -> None:
    pending = {"key": "run-0-0", "round": 0, "at": 0, "name": "act", "state": "pending"}

    async def work() -> Copy:
        return Copy(ORDER, {**STATE, "calls": [pending]}, Outbox("order", "attempt", lambda batch: None))

    copy = asyncio.run(work())
    assert copy.ledger.unmade == []
    assert "whether it took effect is unknown" in copy.ledger.entries[0].result
