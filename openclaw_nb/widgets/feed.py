"""Feed, what a front end has to be told of one run and has not been told yet: messages made, nothing sent.

Offsets in messages are UTF-16 code units, as JavaScript counts; a run counts Unicode code points.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from ..approval_words import LONGEST, WAITS, visible
from ..approvals import Approvals, Unsettled
from ..events import Status, Step
from ..reasoning.levels import ReasoningLevel

__all__ = ["LIVE", "SMALL", "Feed", "Growing", "clean"]

# The keys of the widget's state that are read from the run at the moment they are asked for.
LIVE = ("approvals", "level", "seconds", "status", "steps", "text", "tokens", "words")

CODE = "```json\n"

_GROWING = frozenset(("seconds", "tokens"))  # facts that are no news by themselves

SMALL = 600  # code points; up to here the whole state is sent each time, which takes effect without a listener

_LONE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """``text`` as it can travel in UTF-8; of the same length, so that it may be cleaned piece by piece."""
    return text if text.isascii() else _LONE.sub("\ufffd", text)


def _units(text: str) -> int:
    """UTF-16 code units of clean text."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


@dataclass(slots=True)
class _Cursor:
    """How much of a growing text has been told, in code points and in UTF-16 units, and with which facts."""

    chars: int = 0
    units: int = 0
    facts: tuple[Any, ...] = ()

    def take(self, text: str) -> tuple[int, str]:
        """(offset in units, clean text) of what is new."""
        offset, news = self.units, clean(text[self.chars :])
        self.chars += len(news)
        self.units += _units(news)
        return offset, news

    def back(self, text: str, chars: int) -> None:
        """Go back to a code point, where the text was rewritten from."""
        if chars < self.chars:
            self.chars, self.units = chars, _units(clean(text[:chars]))

    def back_to_unit(self, text: str, units: int) -> None:
        """Go back to where a front end says it stands."""
        if units < self.units:
            before = clean(text).encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore")
            self.chars, self.units = len(before), _units(before)


class Growing(Protocol):
    """What a feed reads, as a `Run` has it and a `Lane`."""

    @property
    def text(self) -> str: ...
    @property
    def steps(self) -> tuple[Step, ...]: ...
    @property
    def tokens(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def status(self) -> Status: ...
    @property
    def words(self) -> str: ...
    @property
    def level(self) -> int | None: ...
    @property
    def level_reason(self) -> str: ...
    @property
    def output(self) -> str: ...
    @property
    def approvals(self) -> Approvals: ...


class Feed:
    """The messages of one run, each piece of text once, and again from where a front end says it stands."""

    keys = LIVE

    def __init__(self, run: Growing) -> None:
        self._run = run
        self._text = _Cursor()
        self._steps: dict[str, _Cursor] = {}
        self._asked: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        """Code points of the whole."""
        asked = sum(len(approval.command) for approval in self._run.approvals.pending)
        return len(self._shown) + sum(len(step.text) for step in self._run.steps) + asked

    @property
    def small(self) -> bool:
        """Whether the whole is hardly more than what is new of it."""
        return self.size <= SMALL

    def state(self) -> dict[str, Any]:
        """The whole, by the keys of `LIVE`, as it is now."""
        run = self._run
        return self._facts() | {"steps": [_step_state(step) for step in run.steps], "text": clean(self._shown)}

    def told(self, state: dict[str, Any]) -> int:
        """Note that a state was sent; how much of its text was new, in UTF-16 units."""
        before = self._text.units
        self._text.chars, self._text.units = len(state["text"]), _units(state["text"])
        for step in state["steps"]:
            cursor = self._steps.setdefault(step["key"], _Cursor())
            cursor.chars, cursor.units = len(step["text"]), _units(step["text"])
        self._asked.clear()
        return max(0, self._text.units - before)

    def rewritten(self, key: str, offset: int) -> None:
        """Note that a step's text changed from a code point on."""
        if cursor := self._steps.get(clean(key)):
            cursor.back(next((step.text for step in self._run.steps if step.key == key), ""), offset)

    @property
    def _shown(self) -> str:
        """The text as a page shows it: JSON as a block of code, unless the model has begun one itself."""
        text = self._run.text
        return CODE + text if self._run.output and text and text[0] != "`" else text

    def ask(self, have: int, steps: int) -> None:
        """Note what a front end has, in UTF-16 units of the text and of all steps together."""
        self._asked.append((max(have, 0), steps))

    def news(self) -> list[dict[str, Any]]:
        """The messages that bring every front end up to date; the facts last, so that an end has the whole text."""
        text, steps = self._shown, self._run.steps
        self._go_back(text)
        sent = {"at": round(self._run.seconds, 3)}  # by which a page knows how far it is behind
        total = {"total": self._run.tokens} | sent
        messages = [message | total for step in steps for message in self._step_news(step)]
        offset, new = self._text.take(text)
        if new:
            messages.append({"kind": "delta", "offset": offset, "text": new, "tokens": self._run.tokens} | sent)
        facts = self._facts()
        if (said := _lasting(facts)) != self._text.facts:
            self._text.facts = said
            messages.append({"kind": "state"} | facts)
        return messages

    def retell(self) -> None:
        """Note that a page may believe what is not so: the facts are told again."""
        self._text.facts = ()

    def _step_news(self, step: Step) -> Iterable[dict[str, Any]]:
        cursor = self._steps.setdefault(clean(step.key), _Cursor())
        offset, new = cursor.take(step.text)
        facts = (step.title, step.tokens, step.seconds)
        if new or facts != cursor.facts:
            cursor.facts = facts
            yield {"kind": "step"} | _step_state(step) | {"offset": offset, "text": new}

    def _go_back(self, text: str) -> None:
        if not self._asked:
            return
        self._text.back_to_unit(text, min(have for have, _ in self._asked))
        self._text.facts = ()
        told = sum(cursor.units for cursor in self._steps.values())
        if any(have != told for _, have in self._asked):
            self._steps.clear()
        self._asked.clear()

    def _facts(self) -> dict[str, Any]:
        run = self._run
        asked = run.approvals.unsettled
        return {
            "approvals": [_asked(one) for one in asked],
            "level": _level_words(run),
            "seconds": round(run.seconds, 3),
            "status": str(run.status),
            "tokens": run.tokens,
            "words": WAITS if _waits(run, asked) else clean(run.words),
        }


def _lasting(facts: dict[str, Any]) -> tuple[Any, ...]:
    """The facts of which a change is news: not what grows by itself, nor the time that is left."""
    asked = [one | {"left": None} for one in facts["approvals"]]
    return *(facts[key] for key in facts if key not in _GROWING and key != "approvals"), asked


def _waits(run: Growing, asked: Iterable[Unsettled]) -> bool:
    """Whether it is a person that it waits for, and no connection."""
    return run.status in (Status.WAITING, Status.STREAMING) and any(one.chosen is None for one in asked)


def _asked(one: Unsettled) -> dict[str, Any]:
    """``more`` are the characters of the command that are not shown."""
    approval = one.approval
    command = visible(approval.command)
    return {
        "id": clean(approval.id),
        "title": visible(approval.title),
        "command": command[:LONGEST],
        "more": max(0, len(command) - LONGEST),
        "details": visible(approval.details),
        "left": None if one.left is None else round(one.left, 1),
        "chosen": one.chosen,
    }


def _level_words(run: Growing) -> str:
    if run.level is None:
        return ""
    level = f"level {ReasoningLevel(run.level).label}"
    return f"{level}, {clean(run.level_reason)}" if run.level_reason else level


def _step_state(step: Step) -> dict[str, Any]:
    return {
        "key": clean(step.key),
        "title": visible(step.title),  # it may name a command
        "text": clean(step.text),
        "tokens": step.tokens,
        "seconds": step.seconds,
    }
