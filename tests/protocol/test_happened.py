"""What happened: a reply that another one follows, and where a cursor begins."""

from __future__ import annotations

from typing import Any

import pytest

from openclaw_nb.protocol.happened import Reply, RunCursor


@pytest.mark.parametrize(
    ("payload", "first"),
    [({"status": "accepted"}, True), ({"status": "ok"}, False), (None, False), ("accepted", False)],
)
def test_a_reply_that_another_one_follows(payload: Any, first: bool) -> None:
    assert Reply("1", payload).is_first is first


def test_cursors_share_nothing() -> None:
    one, another = RunCursor(), RunCursor()
    one.steps["thinking"], one.results["t"] = 1, ("title", "text", None)
    assert (another.have, another.steps, another.results, another.text) == (0, {}, {}, "")
