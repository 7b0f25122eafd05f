"""What a real gateway tells, read: every character once, tools and thoughts as steps, and nothing of what is odd."""

from __future__ import annotations

from typing import Any

import pytest

from openclaw_nb.protocol.happened import Asked, RunCursor, RunPhase, RunStep, RunText, Settled
from openclaw_nb.protocol.openclaw import (
    LONGEST_OUTPUT,
    LONGEST_TITLE,
    catch_up,
    count,
    message_text,
    told_afterwards,
    told_asked,
    told_settled,
    told_whole,
    told_work,
)


def delta(cursor: RunCursor, text: str, new: str | None = None, state: str = "delta", **message: Any) -> str:
    """What of a `chat` event is new here."""
    payload = {"state": state, "message": {"role": "assistant", "content": text, **message}}
    if new is not None:
        payload["deltaText"] = new
    return "".join(event.text for event in told_whole("r", cursor, payload) if isinstance(event, RunText))


def work(cursor: RunCursor, stream: str, ts: int = 0, *, in_parts: bool = False, **data: Any) -> list[Any]:
    return list(told_work("r", cursor, {"stream": stream, "ts": ts}, data, in_parts=in_parts))


def test_cumulative_text() -> None:
    cursor = RunCursor()
    assert [delta(cursor, text) for text in ("a", "ab", "ab", "a", "abcd")] == ["a", "b", "", "", "cd"]
    assert (cursor.text, cursor.have) == ("abcd", 4)


def test_the_new_part_alone_is_no_reason_to_lose_what_was_missed() -> None:
    cursor = RunCursor()
    assert [delta(cursor, "a", "a"), delta(cursor, "abc", "c"), delta(cursor, "abcd", "d")] == ["a", "bc", "d"]


def test_parts_behind_a_tools_call() -> None:
    cursor = RunCursor()
    assert [delta(cursor, text) for text in ("let me", "it", "it is")] == ["let me", "\n\nit", " is"]
    assert delta(cursor, "let me\n\nit is red", state="final") == " red", "the whole is told at the end"


def test_after_a_cut_nothing_is_guessed() -> None:
    cursor = RunCursor()
    delta(cursor, "let me")
    cursor.cut = True
    assert delta(cursor, "it is") == ""
    assert cursor.held
    assert delta(cursor, "it is red") == ""
    assert delta(cursor, "let me look") == "", "it is left to the end"


def test_halves_of_a_character() -> None:
    cursor = RunCursor()
    assert delta(cursor, "a\ud83d") == "a"
    assert delta(cursor, "a😀", "\ude00") == "😀"
    assert delta(cursor, "a😀\ud83d", state="final") == "\ud83d", "what an answer ends with is its own"


def test_a_gateways_own_words_are_no_part_of_the_answer() -> None:
    assert delta(RunCursor(), "refused", state="final", model="gateway-injected") == ""


def test_what_it_does_before() -> None:
    assert list(told_whole("r", RunCursor(), {"state": "status", "phase": "preparing_workspace"})) == [
        RunPhase("r", "preparing workspace")
    ]
    assert list(told_whole("r", RunCursor(), {"state": "status", "phase": 5})) == []


def test_stages() -> None:
    cursor = RunCursor()
    assert work(cursor, "lifecycle", phase="start") == [RunPhase("r", "")]
    assert work(cursor, "lifecycle", phase="model", model="m") == []
    assert work(cursor, "lifecycle", phase="model", model=None) == []
    assert (cursor.model, cursor.stopped) == ("m", False)
    work(cursor, "lifecycle", phase="end", aborted=True)
    assert cursor.stopped


def test_the_end_of_a_part_at_3() -> None:
    for in_parts, told in ((True, [RunText("r", 0, "all", 1)]), (False, [])):
        assert work(RunCursor(), "assistant", in_parts=in_parts, text="all") == told


def test_thoughts() -> None:
    cursor = RunCursor()
    told = [step for text in ("hm", "hm so", "and") for step in work(cursor, "thinking", text=text)]
    assert [(step.key, step.offset, step.text) for step in told] == [
        ("thinking", 0, "hm"), ("thinking", 2, " so"), ("thinking 2", 0, "and"),
    ]  # fmt: skip


def test_a_tool() -> None:
    cursor = RunCursor()
    tool: dict[str, Any] = {"toolCallId": "t", "name": "exec"}
    given = {"content": [{"type": "text", "text": "hi"}]}
    told = [
        *work(cursor, "tool", 1_000, **tool, phase="start", args={"command": "echo hi"}),
        *work(cursor, "tool", 1_500, **tool, phase="update", partialResult=given),
        *work(cursor, "tool", 3_000, **tool, phase="result", result=given, isError=True),
    ]
    assert told == [
        RunStep("r", "tool:t", "exec: echo hi", 0, "", 0, None),
        RunStep("r", "tool:t", "exec: echo hi", 0, "hi", 0, None),
        RunStep("r", "tool:t", "exec, failed: echo hi", 0, "hi", 0, 2.0),
    ]


def test_tools_side_by_side_and_long_ones() -> None:
    cursor = RunCursor()
    for id in "ab":
        (step,) = work(cursor, "tool", toolCallId=id, name="read", phase="start", args={"path": id, "n": 5})
        assert step.title == f"read: path={id}, n=5"
    (step,) = work(cursor, "tool", toolCallId="a", name="read", phase="result", result="x" * 30_000 + "end")
    assert len(step.text) == LONGEST_OUTPUT + 1
    assert step.text.endswith("end")
    (step,) = work(cursor, "tool", toolCallId="c", name="exec", phase="start", args={"command": "y" * 500})
    assert len(step.title) == len("exec: ") + LONGEST_TITLE


@pytest.mark.parametrize("data", [{}, {"toolCallId": 5}, {"text": 5}, {"text": None}, {"phase": []}])
@pytest.mark.parametrize("stream", ["assistant", "thinking", "tool", "lifecycle", "item", 5, None])
def test_work_that_cannot_be_read(stream: Any, data: dict[str, Any]) -> None:
    assert work(RunCursor(), stream, in_parts=True, **data) == []


def test_what_its_history_says_afterwards() -> None:
    cursor = RunCursor()
    work(cursor, "tool", 1_000, toolCallId="t", name="exec", phase="start", args={"command": "echo hi"})
    work(cursor, "tool", 2_000, toolCallId="t", name="exec", phase="result")
    call = {"type": "toolCall", "id": "u", "name": "read", "arguments": {"path": "x"}}
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, call, 5]},
        {"role": "toolResult", "toolCallId": "t", "toolName": "exec", "content": [{"text": "hi"}]},
        {"role": "toolResult", "toolCallId": "u", "toolName": "read", "content": "gone", "isError": True},
        {"role": "toolResult", "toolCallId": 7, "content": "odd"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "so"}]},
    ]
    told = [(step.key, step.title, step.text, step.seconds) for step in told_afterwards("r", cursor, messages)]
    assert told == [
        ("tool:t", "exec: echo hi", "hi", 1.0), ("tool:u", "read, failed: path=x", "gone", None),
        ("thinking", "thinking", "hm", None), ("thinking 2", "thinking", "so", None),
    ]  # fmt: skip
    again = list(told_afterwards("r", cursor, messages))
    assert [step.key for step in again] == ["thinking", "thinking 2"], "told whole once more, which changes nothing"
    live = RunCursor()
    work(live, "thinking", text="hm")
    assert not [step for step in told_afterwards("r", live, messages) if step.key.startswith("thinking")]


def test_approvals() -> None:
    request = {
        "command": "touch x",
        "host": "gateway",
        "cwd": "/w",
        "runId": "r",
        "sessionKey": "k",
        "warningText": None,
    }
    waiting = {"id": "a", "request": request, "createdAtMs": 1_000, "expiresAtMs": 61_000}
    assert list(told_asked("exec", waiting)) == [Asked("a", "exec", "r", "k", "touch x", "on gateway · in /w", 60.0)]
    assert list(told_settled({"id": "a", "decision": "deny", "resolvedBy": "phone"})) == [Settled("a", "deny", "phone")]
    assert list(told_settled({"id": "a", "decision": None})) == [Settled("a", "expired", "")]


@pytest.mark.parametrize("odd", [{}, {"id": 5, "request": {}}, {"id": "a"}, {"id": "a", "request": []}])
def test_approvals_that_cannot_be_read(odd: dict[str, Any]) -> None:
    assert list(told_asked("exec", odd)) == []
    assert list(told_settled({**odd, "id": None})) == []


def test_numbers_and_texts() -> None:
    assert [count(value) for value in (3, 0, -1, True, "3", 2.0, 2**60, None)] == [3, 0, *[None] * 6]
    assert message_text({"content": [{"text": "a"}, {"image": 1}, "x", {"text": "b"}]}) == "ab"
    assert message_text({"content": 7}) == ""
    assert list(catch_up("r", RunCursor(), "")) == []
