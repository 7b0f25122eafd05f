"""Telling: the events of a run as OpenClaw's own gateways send them, for both protocols."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.protocol import telling
from openclaw_nb.protocol.runlog import Ending, RunLog
from openclaw_nb.protocol.telling import Telling


def new_log() -> RunLog:
    return RunLog("r", "agent:main:s")


def of(told: list[tuple[str, Any]], name: str, **facts: Any) -> list[dict[str, Any]]:
    return [payload for event, payload in told if event == name and facts.items() <= payload.items()]


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_run_from_its_start_to_its_end(protocol: int) -> None:
    log = new_log()
    one = Telling(log, protocol=protocol, clock=lambda: 7.0)
    told = []
    assert one.behind
    for text in ("one ", "two"):
        log.append(text)
        told += one.take()
        assert not one.behind
    log.end(Ending("final", {"stopReason": "stop", "usage": {"input": 1, "output": 2, "estimated": False}, "cost": 3}))
    told += one.take()
    assert one.ended
    assert not one.behind
    assert not one.take()
    assert [(name, payload.get("stream"), payload.get("state")) for name, payload in told] == [
        ("agent", "lifecycle", None), ("agent", "assistant", None), ("chat", None, "delta"),
        ("agent", "assistant", None), ("chat", None, "delta"), ("agent", "lifecycle", None), ("chat", None, "final"),
    ]  # fmt: skip
    message = {"role": "assistant", "content": [{"type": "text", "text": "one two"}], "timestamp": 7000}
    second = {
        "runId": "r", "sessionKey": "agent:main:s", "seq": 5, "state": "delta", "message": message,
    }  # fmt: skip
    final = second | {"seq": 7, "state": "final", "stopReason": "stop", "usage": {"input": 1, "output": 2}}
    if protocol == 4:
        second |= {"deltaText": "two", "agentId": "main"}
        final |= {"agentId": "main"}
    assert told[4][1] == second
    assert told[6][1] == final
    assert told[3][1]["data"] == {"text": "one two", "delta": "two"}
    assert told[3][1]["ts"] == 7000
    assert told[0][1]["data"] == {"phase": "start", "startedAt": 7000}
    assert told[5][1]["data"] == {"phase": "end", "endedAt": 7000}


@pytest.mark.parametrize(
    ("ending", "chat", "over"),
    [
        (
            Ending("error", {"errorMessage": "no", "errorCode": "X"}),
            {"errorMessage": "no"}, {"phase": "error", "error": "no"},
        ),
        (
            Ending("aborted", {"stopReason": "rpc"}),
            {"stopReason": "rpc"}, {"phase": "end", "aborted": True, "stopReason": "aborted"},
        ),
    ],
)  # fmt: skip
def test_other_ends(ending: Ending, chat: dict[str, Any], over: dict[str, Any]) -> None:
    log = new_log()
    log.append("part")
    log.end(ending)
    told = Telling(log, clock=lambda: 0).take()
    (end,) = of(told, "chat", state=ending.state)
    assert chat.items() <= end.items()
    assert "errorCode" not in end
    assert ("message" in end) == (ending.state == "aborted")
    assert told[-2][1]["data"] == {"endedAt": 0, **over}


def test_an_answer_without_text_ends_without_a_message() -> None:
    log = new_log()
    log.end(Ending("final", {"stopReason": "stop"}))
    (end,) = of(Telling(log).take(), "chat")
    assert "message" not in end


def test_thoughts_and_calls() -> None:
    log = new_log()
    one, deaf, old = Telling(log), Telling(log, tools=False), Telling(log, protocol=3)
    log.append_step("thinking", "thinking", "abc", 3)
    assert of(one.take(), "agent", stream="thinking")[0]["data"] == {"text": "abc", "delta": "abc"}
    log.append_step("thinking", "thinking", "d", 1)
    log.append_step("r-1-1", "weather(city='Paris')")
    told = one.take()
    assert of(told, "agent", stream="thinking")[0]["data"] == {"text": "abcd", "delta": "d"}
    (begun,) = of(told, "agent", stream="tool")
    assert begun["data"] == {
        "name": "weather", "toolCallId": "r-1-1", "phase": "start", "args": {"arguments": "city='Paris'"},
    }  # fmt: skip
    assert of(told, "agent", stream="item")[0]["data"]["status"] == "running"
    log.append_step("r-1-1", "weather(city='Paris')", "rain", seconds=0.1)
    told = one.take()
    (over,) = of(told, "agent", stream="tool")
    assert over["data"]["result"] == {"content": [{"type": "text", "text": "rain"}]}
    assert (over["data"]["phase"], over["data"]["isError"]) == ("result", False)
    assert of(told, "agent", stream="item")[0]["data"]["phase"] == "end"
    assert not one.behind
    assert not of(deaf.take(), "agent", stream="tool")
    told = old.take()
    assert [payload["data"]["phase"] for payload in of(told, "agent", stream="tool")] == ["start", "result"]
    assert not of(told, "agent", stream="item")


def test_who_comes_later_hears_what_comes_from_then_on() -> None:
    log = new_log()
    log.append("one ")
    log.append_step("thinking", "thinking", "abc")
    late = Telling(log, live=True)
    assert [name for name, _ in late.take()] == ["agent"]
    log.append("two")
    log.append_step("thinking", "thinking", "d")
    told = late.take()
    (delta,) = of(told, "chat")
    assert (delta["deltaText"], delta["message"]["content"][0]["text"]) == ("two", "one two")
    assert of(told, "agent", stream="thinking")[0]["data"] == {"text": "abcd", "delta": "d"}


def test_a_long_text_is_told_by_its_end_until_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "LONGEST_LIVE", 4)
    log = new_log()
    log.append("abcdefgh")
    one = Telling(log)
    assert of(one.take(), "chat")[0]["message"]["content"][0]["text"] == "efgh"
    log.end(Ending("final"))
    assert of(one.take(), "chat")[0]["message"]["content"][0]["text"] == "abcdefgh"


@given(st.lists(st.sampled_from(["a", "bc", "\ud800", "take", "think", "call"]), max_size=30))
def test_all_is_told_once(acts: list[str]) -> None:
    """Deltas add up to the text, and payloads are numbered, however often they are taken."""
    log, told = new_log(), []
    one = Telling(log)
    for act in acts:
        match act:
            case "take":
                told += one.take()
            case "think":
                log.append_step("thinking", "thinking", "x")
            case "call":
                log.append_step("r-1-1", "f()")
            case text:
                log.append(text)
    log.end(Ending("final"))
    told += one.take()
    assert "".join(p["deltaText"] for p in of(told, "chat", state="delta")) == str(log.text)
    thoughts = "".join(p["data"]["delta"] for p in of(told, "agent", stream="thinking"))
    assert thoughts == "x" * acts.count("think")
    assert len(of(told, "agent", stream="tool")) == ("call" in acts)
    assert [payload["seq"] for _, payload in told] == list(range(1, len(told) + 1))
