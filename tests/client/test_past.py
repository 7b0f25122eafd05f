"""Past: what a history says of one run, at both protocols, and of what cannot be read: nothing."""

from __future__ import annotations

from typing import Any

import pytest

from openclaw_nb.client.past import Past, outcome_usage, session_facts, thinking_levels
from openclaw_nb.events import End, Status, Usage


def said(role: str, text: str, run: str = "", **more: Any) -> dict[str, Any]:
    facts = {"__openclaw": {"runId": run}} if run else {}
    return {"role": role, "content": [{"type": "text", "text": text}], **facts, **more}


USED = {"usage": {"input": 10, "output": 2, "cacheRead": 5, "cacheWrite": 1, "cost": {"total": 0.5}}}


def test_of_a_run_that_is_named() -> None:
    messages = [
        said("assistant", "before", "other"), said("user", "go"), said("assistant", "one", "r", **USED),
        said("toolResult", "found", "r"), said("assistant", "", "r"),
        said("assistant", "two", "r", stopReason="stop", model="m", **USED), said("assistant", "later", "other"),
    ]  # fmt: skip
    past = Past.read("r", "go", {"messages": messages})
    assert (past.text, past.has_ended, past.is_whole, past.model) == ("one\n\ntwo", True, True, "m")
    assert (past.usage, past.cost) == (Usage(32, 4, cached_tokens=10), 1.0)
    assert past.messages == tuple(messages[2:6])
    end = past.end(End(Status.DONE), "told")
    assert (end.usage, end.cost, end.model) == (past.usage, 1.0, "told")
    assert not Past.read("r", "go", {"messages": messages[2:]}).is_whole, "its question is further back"


def test_behind_its_question_where_none_is_named() -> None:
    messages = [
        said("user", "go"), said("assistant", "first"), said("user", "[date] go"), said("assistant", "second"),
        said("assistant", "Agent was aborted.", model="gateway-injected"),
    ]  # fmt: skip
    assert Past.read("r", "go", {"messages": messages}).text == "second"
    assert Past.read("r", "another", {"messages": messages}).text is None
    assert Past.read("r", "go", {"messages": messages[:1]}).text is None


def test_at_work() -> None:
    past = Past.read("r", "go", {"messages": [], "inFlightRun": {"runId": "r", "text": "so"}})
    assert (past.so_far, past.text) == ("so", None)
    assert Past.read("r", "go", {"inFlightRun": {"runId": "s", "text": "so"}}).so_far is None


@pytest.mark.parametrize(
    "history",
    [
        None, 5, [], {}, {"messages": 5}, {"messages": [None, 7, []]}, {"inFlightRun": 5},
        {"inFlightRun": {"runId": "r", "text": 5}}, {"messages": [{"role": 5, "content": 7, "__openclaw": 5}]},
    ],
)  # fmt: skip
def test_what_cannot_be_read(history: Any) -> None:
    past = Past.read("r", "go", history)
    assert (past.text, past.so_far, past.usage, past.cost, past.model) == (None, None, None, None, "")


def test_usage_that_cannot_be_read() -> None:
    odd = [{"input": "many", "output": -1, "cost": {"total": "x"}}, {"input": True, "cost": 5}, 7]
    messages = [said("user", "go"), *(said("assistant", "a", "r", usage=usage) for usage in odd)]
    past = Past.read("r", "go", {"messages": messages})
    assert (past.usage, past.cost) == (Usage(0, 0), None)


def test_the_outcome_of_agent() -> None:
    usage = {"input": 30, "output": 4, "cacheRead": 2}
    told = {"meta": {"agentMeta": {"usage": usage, "model": "m"}}}
    assert outcome_usage(told) == (Usage(32, 4, cached_tokens=2), "m")
    for odd in (None, {}, {"meta": 5}, {"meta": {"agentMeta": {"usage": 5}}}):
        assert outcome_usage(odd) == (None, "")


def test_thinking_levels() -> None:
    rows = [
        None, {"id": "m"}, {"id": "m", "provider": "q", "thinkingLevels": [{"id": "high"}]},
        {"id": "m", "provider": "p", "thinkingLevels": [{"id": "off"}, 5, {"id": "low"}]},
    ]  # fmt: skip
    assert thinking_levels({"models": rows}, "p", "m") == ("off", "low")
    for odd in (None, [], {"models": 5}, {"models": rows[:3]}):
        assert thinking_levels(odd, "p", "m") == ()


def test_who_is_at_work_in_a_session() -> None:
    info = {"modelProvider": "p", "model": "m", "hasActiveRun": True}
    assert session_facts({"sessionInfo": info, "inFlightRun": {"runId": "r"}}) == ("p", "m", "r")
    assert session_facts({"sessionInfo": info}) == ("p", "m", "?"), "as after a restart of 2026.9.6"
    assert session_facts({"sessionInfo": {**info, "hasActiveRun": False}, "inFlightRun": 5}) == ("p", "m", "")
    assert session_facts(None) == session_facts({"sessionInfo": 5}) == ("", "", "")
