"""Ledger: each call at most once, whatever is asked again and wherever the process died."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.errors import SnapshotError
from openclaw_nb.ledger import NOT_MADE, UNFINISHED, UNKNOWN, Ledger, is_whole, joined, title_of, without_tools
from openclaw_nb.models.base import Message, ToolCall
from tests.spine import any_text


def call(name: str = "pay", **arguments: Any) -> ToolCall:
    return ToolCall("", name, arguments)


def reopened(ledger: Ledger) -> Ledger:
    """What the next process reads of it."""
    results = [ledger.result(entry) for entry in ledger.entries if entry.state == "done"]
    calls, messages = json.loads(json.dumps([ledger.plain(), results]))
    return Ledger(ledger.run_id, joined(calls, messages))


def three() -> Ledger:
    """One call that is done, one under way, and one that was not begun."""
    ledger = Ledger("run")
    done, pending, _ = ledger.ask(0, 4, [call(to="a"), call(to="b"), call(to="c")])
    ledger.begin(done)
    ledger.end(done, "paid a", 0.5)
    ledger.begin(pending)
    return ledger


def test_keys_are_run_round_and_place() -> None:
    ledger = Ledger("run")
    keys = [entry.key for entry in ledger.ask(0, 0, [call(), call()])] + [ledger.ask(1, 9, [call()])[0].key]
    assert keys == ["run-0-0", "run-0-1", "run-1-0"]
    assert ledger.rounds == 2
    assert ledger.at == 9
    assert Ledger("run").rounds == Ledger("run").at == 0


def test_the_same_call_asked_again_is_the_same_entry() -> None:
    ledger = three()
    again = reopened(ledger).ask(0, 4, [call(to="a")])
    assert [(entry.state, entry.result) for entry in again] == [("done", "paid a")]


@pytest.mark.parametrize("other", [call(to="x"), call("refund", to="a"), ToolCall("", "pay", "{")])
def test_another_call_under_the_same_key_is_another_call(other: ToolCall) -> None:
    ledger = three()
    [entry] = ledger.ask(0, 4, [other])
    assert entry.state == "asked"
    assert entry.key not in {"run-0-0", "run-0-1", "run-0-2"}
    assert ledger.ask(0, 4, [other]) != [entry] or len({e.key for e in ledger.entries}) == len(ledger.entries)


def test_what_a_next_process_knows() -> None:
    ledger = reopened(three())
    assert [entry.result for entry in ledger.entries] == ["paid a", UNKNOWN, ""]
    assert [entry.key for entry in ledger.unmade] == ["run-0-2"], "only what was never begun is left to do"
    assert [entry.state for entry in reopened(ledger).entries] == ["done", "done", "asked"]


def test_what_it_keeps_is_small_and_plain() -> None:
    """Each snapshot on the way has the entries, so arguments and result of what is done stand in a message, once."""
    ledger = three()
    assert ledger.plain() == [
        {"key": "run-0-0", "round": 0, "at": 4, "name": "pay", "state": "done"},
        {"key": "run-0-1", "round": 0, "at": 4, "name": "pay", "arguments": {"to": "b"}, "state": "pending"},
        {"key": "run-0-2", "round": 0, "at": 4, "name": "pay", "arguments": {"to": "c"}},
    ]
    assert ledger.result(ledger.entries[0]) == {
        "role": "tool", "content": "paid a", "key": "run-0-0", "name": "pay", "run": "run", "arguments": {"to": "a"},
        "seconds": 0.5,
    }  # fmt: skip


def test_what_was_merged_into_a_session_is_joined_too() -> None:
    """Of a run that failed the session has the exchange; it is gone on with from there."""
    ledger = three()
    again = Ledger("run", joined(ledger.plain(), ledger.messages("text")))
    assert [(entry.arguments, entry.result) for entry in again.entries] == [
        ({"to": "a"}, "paid a"), ({"to": "b"}, UNKNOWN), ({"to": "c"}, ""),
    ]  # fmt: skip


@pytest.mark.parametrize("kept", [[3], [{"key": 1}], [{}], [{"key": "k", "round": "x", "at": 0, "name": "n"}]])
def test_what_is_no_entry_is_refused(kept: Any) -> None:
    with pytest.raises(SnapshotError, match="the tool calls kept of run r cannot be read"):
        Ledger("r", kept)


def test_the_exchange_as_messages() -> None:
    ledger = Ledger("run")
    [entry] = ledger.ask(0, 6, [ToolCall("", "pay", {"to": "a"}, {"id": "x"})])
    ledger.begin(entry)
    ledger.end(entry, "paid", 0.1)
    [other] = ledger.ask(1, 10, [call(to="b")])
    ledger.begin(other)
    ledger.end(other, "paid too", 0.1)
    asked = {"key": "run-0-0", "name": "pay", "arguments": {"to": "a"}, "extra": {"id": "x"}}
    assert ledger.messages("First then more.") == [
        {"role": "assistant", "content": "First ", "calls": [asked]},
        {"role": "tool", "content": "paid", "key": "run-0-0", "name": "pay"},
        {
            "role": "assistant",
            "content": "then",
            "calls": [{"key": "run-1-0", "name": "pay", "arguments": {"to": "b"}}],
        },
        {"role": "tool", "content": "paid too", "key": "run-1-0", "name": "pay"},
    ]


def test_every_call_in_messages_has_an_answer() -> None:
    """A run that is stopped leaves calls without a result, and providers refuse a conversation with such a gap."""
    told = [message["content"] for message in three().messages("text")[1:]]
    assert told == ["paid a", UNKNOWN, NOT_MADE]
    assert [message["content"] for message in reopened(three()).messages("text")[1:]] == ["paid a", UNKNOWN, NOT_MADE]
    for sentence in (UNKNOWN, UNFINISHED, NOT_MADE):
        assert sentence.count(".") == 1


@given(st.lists(st.sampled_from(["ask", "begin", "end", "die"]), max_size=60), st.data())
def test_no_history_makes_a_call_twice(steps: list[str], data: st.DataObject) -> None:
    """Whatever happens, and wherever the process dies, a call is begun at most once, and keeps its first result."""
    ledger = Ledger("run")
    begun: list[str] = []
    results: dict[str, str] = {}
    for step in steps:
        if step == "ask":
            number = data.draw(st.integers(0, 3))
            ledger.ask(data.draw(st.integers(0, 2)), 0, [call(n=number) for _ in range(data.draw(st.integers(1, 3)))])
        elif step == "begin" and ledger.unmade:
            ledger.begin(entry := data.draw(st.sampled_from(ledger.unmade)))
            begun.append(entry.key)
        elif step == "end" and (pending := [entry for entry in ledger.entries if entry.state == "pending"]):
            ledger.end(pending[0], f"result {len(results)}", 0.0)
            results[pending[0].key] = pending[0].result
        elif step == "die":
            ledger = reopened(ledger)
    assert len(begun) == len(set(begun))
    kept = {entry.key: entry.result for entry in ledger.entries}
    assert all(kept[key] == result for key, result in results.items())
    assert len(kept) == len(ledger.entries)


# -- in words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        ({}, "f()"),
        ({"place": "Paris", "days": 2}, "f(place='Paris', days=2)"),
        ('{"half', 'f({"half)'),
        ({"text": "x" * 9_999}, "f(text='" + "x" * 71 + "…"),
        ({"n": list(range(1_000_000))}, "f(n=1,000,000 items)"),
        ({"two\nlines": "a\nb\x1b[31m"}, "f(two lines='a\\nb\\x1b[31m')"),
    ],
)
def test_titles(arguments: Any, title: str) -> None:
    assert title_of("f", arguments) == title
    assert len(title) <= 80


@given(any_text, st.dictionaries(any_text, any_text))
def test_a_title_is_one_short_line(name: str, arguments: dict[str, str]) -> None:
    title = title_of(name, arguments)
    assert len(title) <= 80
    assert title == " ".join(title.split())


def test_for_a_model_without_tools_the_results_are_words() -> None:
    history: list[Message] = [
        {"role": "user", "content": "q"},
        *three().messages("Let me see."[:4]),
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "and?"},
        {"role": "assistant", "content": "that"},
    ]
    question, answer, other, last = without_tools(history)
    assert (question, other, last) == (history[0], history[-2], history[-1])
    assert answer["role"] == "assistant"
    assert answer["content"].startswith("Let \n\n[pay(to='a') gave: paid a]\n\n")
    assert f"[pay(to='b') gave: {UNKNOWN}]" in answer["content"]
    assert answer["content"].endswith("Done.")


def test_a_conversation_is_whole_where_calls_and_results_match() -> None:
    messages = three().messages("text")
    assert is_whole(messages)
    assert is_whole([])
    assert not is_whole(messages[:-1])
    assert not is_whole(messages[1:])
    assert "[pay gave: paid a]" in without_tools(messages[1:])[0]["content"]


def test_a_conversation_without_tools_stays_as_it_is() -> None:
    history: list[Message] = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    assert list(without_tools(history)) == history
    assert without_tools([]) == ()
