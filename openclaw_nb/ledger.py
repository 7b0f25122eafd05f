"""Ledger, the tool calls of one run: what was asked for, what was begun, and what it gave, each call at most once.

A call is ``asked`` when the model has asked for it, ``pending`` from before it begins, ``done`` when it has given a
result. The entries are written down before a call begins and after it has ended, so that a run which is taken up again
knows three cases: what is done is not made again, what was only asked for can still be made, and what was under way
when the process ended is not repeated: whether it took effect nobody knows, and the model is told so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, ValidationError, convert, to_builtins

from .errors import SnapshotError, one_line
from .models.base import AskedCall, Message, ToolCall

__all__ = ["NOT_MADE", "UNFINISHED", "UNKNOWN", "Entry", "Ledger", "is_whole", "joined", "title_of", "without_tools"]

UNKNOWN = "This call was under way when the kernel ended; whether it took effect is unknown, and it was not repeated."

UNFINISHED = "This call was stopped while it was under way; whether it took effect is unknown, and it was not repeated."

NOT_MADE = "This call was not made: the run ended before it."

LONGEST_TITLE = 80  # characters

ENDS = {"asked": NOT_MADE, "pending": UNKNOWN}
"""What stands for the result of a call that has none, where a run ends before it."""


class Entry(Struct, omit_defaults=True):
    """One call. ``round`` counts the model's requests for tools in this run, ``at`` is the length of the answer (code
    points) when it was asked for, ``seconds`` how long it took."""

    key: str
    round: int
    at: int
    name: str
    arguments: dict[str, Any] | str = {}
    state: str = "asked"
    result: str = ""
    seconds: float | None = None
    extra: dict[str, Any] | None = None

    @property
    def title(self) -> str:
        return title_of(self.name, self.arguments)


class Ledger:
    """The calls of the run ``run_id``, in order; ``kept`` are the entries that an earlier process left of it.

    Raises SnapshotError where ``kept`` is no list of entries.
    """

    def __init__(self, run_id: str, kept: Iterable[Mapping[str, Any]] = ()) -> None:
        self.run_id = run_id
        try:
            self.entries = convert(list(kept), list[Entry])
        except ValidationError as error:
            raise SnapshotError(f"the tool calls kept of run {run_id} cannot be read: {error}") from None
        for entry in self.entries:
            if entry.state == "pending":
                entry.state, entry.result = "done", UNKNOWN

    @property
    def rounds(self) -> int:
        """How often the model asked for tools."""
        return self.entries[-1].round + 1 if self.entries else 0

    def ask(self, round: int, at: int, calls: Sequence[ToolCall]) -> list[Entry]:
        """The entries of what the model asked for at once: new ones, or what is known of the same call already."""
        known = {entry.key: entry for entry in self.entries}
        asked = []
        for place, call in enumerate(calls):
            key = f"{self.run_id}-{round}-{place}"
            entry = known.get(key)
            if entry is None or (entry.name, entry.arguments) != (call.name, call.arguments):
                while key in known:
                    key += "x"
                entry = Entry(key, round, at, call.name, call.arguments, extra=call.extra)
                self.entries.append(entry)
                known[key] = entry
            asked.append(entry)
        return asked

    def begin(self, entry: Entry) -> None:
        entry.state = "pending"

    def leave(self, entry: Entry) -> None:
        """It was not begun after all."""
        entry.state = "asked"

    def end(self, entry: Entry, result: str, seconds: float) -> None:
        entry.state, entry.result, entry.seconds = "done", result, seconds

    @property
    def unmade(self) -> list[Entry]:
        """What was asked for and not begun."""
        return [entry for entry in self.entries if entry.state == "asked"]

    def plain(self) -> list[dict[str, Any]]:
        """The entries as plain data, for ``state["run"]["calls"]``; what is done stands in `result` instead, once."""
        small = [Entry(e.key, e.round, e.at, e.name, state="done") if e.state == "done" else e for e in self.entries]
        kept: list[dict[str, Any]] = to_builtins(small)
        return kept

    def result(self, entry: Entry) -> dict[str, Any]:
        """What a call gave, as a message to be kept; `joined` reads it."""
        facts = {"arguments": entry.arguments, "seconds": entry.seconds, "extra": entry.extra}
        return {
            **_answer(entry),
            "run": self.run_id,
            **{name: fact for name, fact in facts.items() if fact is not None},
        }

    def messages(self, answer: str) -> list[Message]:
        """The exchange with the tools as messages, with the parts of ``answer`` that were said before each of them.

        Every call has its result, as providers require: one that was never begun, or not ended, has a sentence.
        """
        told: list[Message] = []
        start = 0
        for round in range(self.rounds):
            entries = [entry for entry in self.entries if entry.round == round]
            if entries:
                at = entries[0].at
                calls = [_asked(entry) for entry in entries]
                told.append({"role": "assistant", "content": answer[start:at], "calls": calls})
                told.extend(_answer(entry) for entry in entries)
                start = at
        return told

    @property
    def found(self) -> str:
        """What the calls that are done gave, a paragraph each."""
        return "\n\n".join(f"{entry.title} gave: {entry.result}" for entry in self.entries if entry.state == "done")

    @property
    def at(self) -> int:
        """The length of the answer (code points) when tools were last asked for."""
        return self.entries[-1].at if self.entries else 0


def joined(calls: Iterable[Mapping[str, Any]], messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries that were kept as ``calls``, with the arguments and results that stand in ``messages``."""
    asked: dict[str, Mapping[str, Any]] = {}
    given: dict[str, Mapping[str, Any]] = {}
    for message in messages:
        asked |= {call["key"]: call for call in message.get("calls", ())}
        if message["role"] == "tool":
            given[message["key"]] = message
    whole = [dict(call) for call in calls]
    for call in whole:
        if call.get("state") == "done" and call["key"] in given:
            facts = {**asked.get(call["key"], {}), **given[call["key"]]}
            call |= {name: facts[name] for name in ("arguments", "seconds", "extra") if name in facts}
            call["result"] = facts["content"]
    return whole


def title_of(name: str, arguments: Mapping[str, Any] | str) -> str:
    """A call in one line, as it would be written: ``weather(city='Paris', days=2)``."""
    if isinstance(arguments, str):
        inside = one_line(arguments, LONGEST_TITLE)
    else:
        inside = ", ".join(f"{word}={_short(value)}" for word, value in arguments.items())
    return one_line(f"{name}({inside})", LONGEST_TITLE)


def is_whole(messages: Sequence[Message]) -> bool:
    """Whether every call in a conversation has its result, and every result its call: a state on the way may not."""
    keys = [call["key"] for message in messages for call in message.get("calls", ())]
    return keys == [message["key"] for message in messages if message["role"] == "tool"]


def without_tools(messages: Iterable[Message]) -> tuple[Message, ...]:
    """The same conversation for a model that is offered no tools: what they gave stands in the assistant's own words.

    Some providers refuse messages of tools in a request that offers none.
    """
    plain: list[Message] = []
    titles: dict[str, str] = {}
    for message in messages:
        titles |= {call["key"]: title_of(call["name"], call["arguments"]) for call in message.get("calls", ())}
        text = message["content"]
        if message["role"] == "tool":
            text = f"\n\n[{titles.get(message['key'], message['name'])} gave: {text}]\n\n"
        if message["role"] == "user" or not plain or plain[-1]["role"] == "user":
            plain.append(message if message["role"] == "user" else {"role": "assistant", "content": text})
        else:
            plain[-1] = {"role": "assistant", "content": plain[-1]["content"] + text}
    return tuple(plain)


def _asked(entry: Entry) -> AskedCall:
    call: AskedCall = {"key": entry.key, "name": entry.name, "arguments": entry.arguments}
    if entry.extra is not None:
        call["extra"] = entry.extra
    return call


def _answer(entry: Entry) -> Message:
    return {"role": "tool", "content": ENDS.get(entry.state, entry.result), "key": entry.key, "name": entry.name}


def _short(value: Any) -> str:
    """The beginning of a value's repr, at a cost that does not grow with the value."""
    if isinstance(value, str) and len(value) > LONGEST_TITLE:
        value = value[:LONGEST_TITLE]
    if isinstance(value, list | dict) and len(value) > LONGEST_TITLE:
        return f"{len(value):,} items"
    return one_line(repr(value), LONGEST_TITLE)
