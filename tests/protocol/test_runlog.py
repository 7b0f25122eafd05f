"""RunLog and Cursor: whatever is appended, taken, lost and resumed, the text arrives once and whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.protocol import runlog
from openclaw_nb.protocol.runlog import Cursor, Ending, RunLog, SpokenText


@given(st.lists(st.text(max_size=5), max_size=30), st.integers(0, 200), st.integers(1, 200), st.booleans())
def test_spoken_text_is_a_string(parts: list[str], offset: int, limit: int, look: bool) -> None:
    spoken, whole = SpokenText(), ""
    for part in parts:
        spoken.append(part)
        whole += part
        if look:
            assert str(spoken) == whole
    assert spoken.length == len(whole)
    assert spoken.since(offset) == whole[offset:]
    assert spoken.since(offset, limit) == whole[offset : offset + limit]
    assert str(spoken) == whole


def texts(told: list[tuple[str, dict[str, Any]]]) -> str:
    return "".join(payload["deltaText"] for name, payload in told if payload.get("state") == "delta")


def test_a_delta_says_where_it_begins_and_how_many_tokens_there_are() -> None:
    log = RunLog("r", "agent:main:main")
    cursor = Cursor(log)
    assert not cursor.behind
    log.append("one ", 2)
    log.append("two ")
    assert cursor.waiting == 3
    assert cursor.urgent, "the first of an answer"
    assert cursor.take() == [
        ("chat", {
            "runId": "r", "sessionKey": "agent:main:main", "seq": 1, "state": "delta", "deltaText": "one two ",
            "offset": 0, "tokens": 3,
        }),
    ]  # fmt: skip
    log.append("three")
    assert not cursor.urgent
    log.end(Ending("final", {"stopReason": "stop"}))
    log.end(Ending("error"))
    assert cursor.urgent, "the last of it"
    (_, delta), (_, ending) = cursor.take()
    assert delta["offset"] == 8
    assert ending == {
        "runId": "r", "sessionKey": "agent:main:main", "seq": 3, "state": "final", "length": 13, "tokens": 4,
        "stopReason": "stop",
    }  # fmt: skip
    assert cursor.ended
    assert not cursor.behind
    assert cursor.take() == []


def test_cumulative_frames_are_those_of_openclaw() -> None:
    log = RunLog("r", "agent:main:main")
    cursor = Cursor(log, cumulative=True)
    for text in ("one ", "two"):
        log.append(text)
        ((_, payload),) = cursor.take()
        assert payload["deltaText"] == text
        assert "offset" not in payload
    log.end(Ending("aborted", {"stopReason": "rpc"}))
    ((_, ending),) = cursor.take()
    assert payload["message"] == {"role": "assistant", "content": [{"type": "text", "text": "one two"}]}
    assert ending["message"] == payload["message"]
    assert ending["state"] == "aborted"


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
    ((_, payload), _) = Cursor(log, cumulative=True).take()
    assert payload["data"] == {"delta": "abcdef", "text": "abcdef"}


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
    assert max(len(payload.get("deltaText", "")) for _, payload in told) == 10
    assert [payload["state"] for _, payload in told] == ["delta"] * 4 + ["final"]
    assert told[-1][1]["tokens"] == 5


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
