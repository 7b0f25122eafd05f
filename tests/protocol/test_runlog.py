"""RunLog and Cursor: whatever is appended, taken, lost and resumed, the text arrives once and whole."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.protocol import runlog
from openclaw_nb.protocol.frames import encode
from openclaw_nb.protocol.runlog import ChatDelta, Cursor, Ending, RunLog, SpokenText


@given(
    st.lists(st.text(max_size=5), max_size=30), st.integers(0, 200), st.integers(1, 200), st.sets(st.integers(0, 29)),
    st.sampled_from([1, 7, runlog.PART]),
)  # fmt: skip
def test_spoken_text_is_a_string(pieces: list[str], offset: int, limit: int, looks: set[int], part: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runlog, "PART", part)
        spoken, whole = SpokenText(), ""
        for i, piece in enumerate(pieces):
            spoken.append(piece)
            whole += piece
            if i in looks:
                assert str(spoken) == whole
        assert spoken.length == len(whole)
        assert spoken.since(offset) == whole[offset:]
        assert spoken.since(offset, limit) == whole[offset : offset + limit]
        assert str(spoken) == whole


def test_a_text_of_many_tokens_takes_little_more_than_itself() -> None:
    """A part for every token would take 100 bytes beside each."""
    tokens = [f"{i:04}" for i in range(10_000)]
    tracemalloc.start()
    try:
        spoken = SpokenText()
        for token in tokens:
            spoken.append("".join([token, " "]))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert spoken.length == 50_000
    assert taken < 2 * 50_000
    assert spoken.since(12_345, 7) == "".join(f"{token} " for token in tokens)[12_345:12_352]


def texts(told: list[tuple[str, Any]]) -> str:
    return "".join(payload.delta_text for _, payload in told if isinstance(payload, ChatDelta))


def test_a_delta_says_where_it_begins_and_how_many_tokens_there_are() -> None:
    log = RunLog("r", "agent:main:main")
    cursor = Cursor(log)
    assert not cursor.behind
    log.append("one ", 2)
    log.append("two ")
    assert cursor.due(9), "the first of an answer"
    ((name, payload),) = cursor.take()
    assert name == "chat"
    assert json.loads(encode(payload)) == {
        "runId": "r", "sessionKey": "agent:main:main", "seq": 1, "state": "delta", "deltaText": "one two ",
        "offset": 0, "tokens": 3,
    }  # fmt: skip
    log.append("three")
    assert not cursor.due(2)
    assert cursor.due(1)
    log.end(Ending("final", {"stopReason": "stop"}))
    log.end(Ending("error"))
    assert cursor.due(9), "the last of it"
    (_, delta), (_, ending) = cursor.take()
    assert delta.offset == 8
    assert ending == {
        "runId": "r", "sessionKey": "agent:main:main", "seq": 3, "state": "final", "length": 13, "tokens": 4,
        "stopReason": "stop",
    }  # fmt: skip
    assert cursor.ended
    assert not cursor.behind
    assert cursor.take() == []


def test_steps() -> None:
    log = RunLog("r", "s")
    cursor, late = Cursor(log), Cursor(log, steps={"thinking": 3, "unknown": 7, "negative": -7})
    log.append_step("thinking", "Thinking", "abc", 3)
    ((name, payload),) = cursor.take()
    assert name == "agent"
    assert payload["stream"] == "thinking"
    assert payload["data"] == {"delta": "abc", "key": "thinking", "title": "Thinking", "offset": 0, "tokens": 3}
    log.append_step("thinking", "Thinking", "def", 3)
    log.append_step("thinking", "Thinking", seconds=1.5)
    log.append_step("negative", "N", "n")
    log.append_step("negative", "N", "m")
    ((_, first), _) = cursor.take()
    assert first["data"] == {
        "delta": "def", "key": "thinking", "title": "Thinking", "offset": 3, "tokens": 6, "seconds": 1.5,
    }  # fmt: skip
    assert [payload["data"]["delta"] for _, payload in late.take()] == ["def", "nm"]
    assert not cursor.behind
    assert not late.behind


@pytest.mark.parametrize(("offset", "text"), [(-5, "abc"), (0, "abc"), (2, "c"), (3, ""), (99, "")])
def test_a_cursor_may_begin_anywhere(offset: int, text: str) -> None:
    log = RunLog("r", "s")
    log.append("abc")
    log.end(Ending("final"))
    cursor = Cursor(log, offset=offset)
    told = cursor.take()
    assert texts(told) == text
    assert told[-1][1]["state"] == "final"


def test_a_long_text_is_told_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlog, "LONGEST_DELTA", 10)
    log = RunLog("r", "s")
    cursor = Cursor(log)
    for _ in range(5):
        log.append("abcdefg")
    log.end(Ending("final"))
    told = []
    while cursor.behind:
        told += cursor.take()
    assert texts(told) == "abcdefg" * 5
    *deltas, (_, ending) = told
    assert [len(delta.delta_text) for _, delta in deltas] == [10, 10, 10, 5]
    assert ending["state"] == "final"
    assert ending["tokens"] == 5


@pytest.mark.parametrize("offset", [0, 7, 99])
def test_a_long_step_is_told_in_parts_before_the_end(monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    monkeypatch.setattr(runlog, "LONGEST_DELTA", 10)
    log = RunLog("r", "s")
    cursor = Cursor(log, steps={"thinking": offset})
    log.append_step("thinking", "Thinking", "abcdefg" * 5, 5, seconds=1.5)
    log.append("so")
    log.end(Ending("final"))
    assert cursor.due(9)
    told = []
    while cursor.behind:
        told += [payload for _, payload in cursor.take()]
    steps = [payload["data"] for payload in told if isinstance(payload, dict) and "stream" in payload]
    assert "".join(step["delta"] for step in steps) == ("abcdefg" * 5)[offset:]
    assert all(len(step["delta"]) <= 10 for step in steps)
    assert [step.get("seconds") for step in steps] == [None] * (len(steps) - 1) + [1.5], "it is over when all is told"
    assert told[-1]["state"] == "final"


def test_the_first_of_a_run_is_due_at_once_whatever_it_is() -> None:
    log = RunLog("r", "s")
    cursor = Cursor(log)
    log.append_step("thinking", "Thinking", "hm", 1)
    assert cursor.due(10)
    cursor.take()
    log.append_step("thinking", "Thinking", "hm", 1)
    assert not cursor.due(10)
    log.append("so")
    assert cursor.due(10), "the first of the answer"
    cursor.take()
    log.append(" on", 9)
    assert not cursor.due(10)
    log.append(" and", 1)
    assert cursor.due(10)


@given(st.lists(st.sampled_from(["a", "bc", "", "é😀", "\ud800"]) | st.just(None) | st.integers(0, 9), max_size=40))
def test_whatever_is_taken_and_resumed_the_text_comes_once(acts: list[str | int | None]) -> None:
    """A string is appended, None takes, and a number comes back that many characters before where one was."""
    log = RunLog("r", "s")
    cursor, here = Cursor(log), ""
    for act in acts:
        if isinstance(act, str):
            log.append(act)
        elif act is None:
            here += texts(cursor.take())
        else:
            here = here[: max(len(here) - act, 0)]
            cursor = Cursor(log, offset=len(here))
    log.end(Ending("final"))
    here += texts(cursor.take())
    assert here == str(log.text)
    assert cursor.ended
