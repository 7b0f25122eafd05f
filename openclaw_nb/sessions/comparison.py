"""Comparison, two snapshots side by side: what they share, what was said on each side since, and what it cost."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeGuard

from ..markup import inert
from ..reasoning.levels import ReasoningLevel
from ..render import counted, dollars, static_output
from ..snapshots import Snapshot, SnapshotStore
from ..wording import exchange, in_words, setting, variable

__all__ = ["Comparison", "Side", "compare"]

WIDTH = 100
"""Columns of its plain text at most."""

_UNSAID = ("kind", "pool", "run", "vars")  # keys of a state of which the sides say more
_MARGIN = 10
_LINES = 3  # of one message, in plain text
_CLIPPED = 300  # characters of one message, in HTML

_TABLE = "border-collapse:collapse;font-size:13px;line-height:1.5;text-align:left;table-layout:fixed;width:100%"
_CAPTION = "caption-side:top;text-align:left;color:inherit;padding:0 0 2px;opacity:.65"
_CELL = "padding:2px 16px 2px 0;text-align:left;vertical-align:top;background:none;overflow-wrap:anywhere"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: as what it was asked for, its snapshot, and what was said in it since the last common message.

    ``messages`` are whole, as they are kept. ``cost`` is USD of the answers among them, None where none has a price;
    ``tokens`` in and out; ``levels`` and ``models`` those of the answers, each once, in order.
    """

    name: str
    snapshot: Snapshot
    messages: list[Any]
    cost: float | None
    tokens: tuple[int, int]
    levels: tuple[int, ...]
    models: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its name, unless that is the beginning of its id, and its id."""
        name = "" if self.snapshot.id.startswith(self.name) else in_words(self.name)
        if name and static_output():
            return name
        return f"{name} · {self.snapshot.id}" if name else self.snapshot.id

    @property
    def figures(self) -> str:
        """In words how much was said, at which levels, by which models, for how much."""
        if not self.messages:
            return "nothing since"
        levels = ", ".join(ReasoningLevel(level).label for level in self.levels)
        parts = (
            counted(len(exchange(self.messages)), "message"),
            f"level {levels}" if levels else "",
            f"{self.tokens[0]:,} + {counted(self.tokens[1], 'token')}" if any(self.tokens) else "",
            "" if self.cost is None else dollars(self.cost),
            ", ".join(map(in_words, self.models)),
        )
        return " · ".join(filter(None, parts))


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """Two snapshots. ``common`` counts the messages that both begin with.

    ``variables`` are the kept notebook variables that differ, ``changed`` the other values, both by name: in a and
    in b, None where there is none.
    """

    common: int
    a: Side
    b: Side
    variables: dict[str, tuple[Any, Any]]
    changed: dict[str, tuple[Any, Any]]

    def __str__(self) -> str:
        """Plain text of at most `WIDTH` columns, safe for a terminal."""
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        sides = " and ".join(f"{side.snapshot.id} with {len(side.messages)} of its own" for side in (self.a, self.b))
        return f"<Comparison: {counted(self.common, 'message')} common, {sides}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self._html(), "text/plain": str(self)}

    def _lines(self) -> Iterator[str]:
        yield from _labelled("common", counted(self.common, "message"))
        for letter, side in (("a", self.a), ("b", self.b)):
            yield from ("", *_labelled(letter, side.title), *_labelled("", side.figures))
            for who, text in exchange(side.messages):
                yield from _labelled(f"  {who}", text)
        for n, (name, a, b) in enumerate(self._differences()):
            yield from ("",) * (n == 0)
            yield from _labelled(name, f"a: {a} · b: {b}")

    def _html(self) -> str:
        said = [exchange(side.messages) for side in (self.a, self.b)]
        rows = [_row("", inert(self.a.title, 2), inert(self.b.title, 2))]
        rows += [_row("since", inert(self.a.figures, 2), inert(self.b.figures, 2))]
        rows += [_row("", _spoken(a), _spoken(b)) for a, b in zip_longest(*said, fillvalue=("", ""))]
        rows += [_row(name, inert(a, 2), inert(b, 2)) for name, a, b in self._differences()]
        return (
            f'<table style="{_TABLE}"><caption style="{_CAPTION}">{counted(self.common, "message")} common</caption>'
            f'<colgroup><col style="width:7em"><col><col></colgroup>{"".join(rows)}</table>'
        )

    def _differences(self) -> Iterator[tuple[str, str, str]]:
        """What else differs: its name, and in words how it is in a and in b."""
        for name, (a, b) in self.variables.items():
            yield in_words(name), variable(a), variable(b)
        for name, (a, b) in self.changed.items():
            yield in_words(name), setting(name, a), setting(name, b)


def compare(store: SnapshotStore, a: Snapshot | str, b: Snapshot | str) -> Comparison:
    """Compare two snapshots of ``store``, each given as itself, as the session that stands at it, by name or by id.

    SnapshotError where one of them is not there, is ambiguous or damaged.
    """
    found = [which if isinstance(which, Snapshot) else store.head(which) or store.find(which) for which in (a, b)]
    names = [which if isinstance(which, str) else which.label or which.session or which.id for which in (a, b)]
    diff = store.diff(*found)
    sides = (_side(names[0], found[0], diff.only_a), _side(names[1], found[1], diff.only_b))
    states = [snapshot.state for snapshot in found]
    variables = [_mapping(state.get("vars")) for state in states]
    changed = {name: (states[0].get(name), states[1].get(name)) for name in diff.changed if name not in _UNSAID}
    return Comparison(len(diff.common), *sides, _differing(*variables), changed)


def _side(name: str, snapshot: Snapshot, messages: list[Any]) -> Side:
    answers = [m for m in messages if isinstance(m, Mapping) and m.get("role") == "assistant"]
    costs = [cost for answer in answers if _is_number(cost := answer.get("cost"))]
    tokens = [pair for answer in answers if (pair := _pair(answer.get("tokens"))) is not None]
    levels = [level for answer in answers if (level := answer.get("level")) in (1, 2, 3, 4)]
    models = [model for answer in answers if (model := answer.get("model")) and isinstance(model, str)]
    return Side(
        name, snapshot, messages, sum(costs) if costs else None,
        (sum(read for read, _ in tokens), sum(written for _, written in tokens)),
        tuple(dict.fromkeys(levels)), tuple(dict.fromkeys(models)),
    )  # fmt: skip


def _pair(value: object) -> tuple[int, int] | None:
    match value:
        case [int() as read, int() as written]:
            return read, written
    return None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (a.get(name), b.get(name)) for name in sorted({*a, *b}) if a.get(name) != b.get(name)}


# -- plain text ----------------------------------------------------------------------------------------


def _labelled(label: str, text: str) -> list[str]:
    """Lines of text with a label in the margin of the first: few, and none too wide.

    Two columns are left free, as the label and a line may each end between a character and its filler.
    """
    wide = _widened(label)[: WIDTH // 2]
    lines = textwrap.wrap(
        _widened(text[: _LINES * WIDTH * 2]), WIDTH - 2, initial_indent=wide.ljust(_MARGIN - 1) + " ",
        subsequent_indent=" " * _MARGIN, max_lines=_LINES, placeholder=" …", break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace("\0", "").rstrip() for line in lines or [wide]]


def _widened(text: str) -> str:
    """A filler behind each character that takes two columns, so that the length of the text is its width."""
    if text.isascii():
        return text
    return "".join(c + "\0" if unicodedata.east_asian_width(c) in "WF" else c for c in text)


# -- HTML ----------------------------------------------------------------------------------------------


def _row(label: str, a: str, b: str) -> str:
    cells = "".join(f'<td style="{_CELL}">{cell}</td>' for cell in (a, b))
    return f'<tr style="background:none"><td style="{_CELL};opacity:.65">{inert(label, 2)}</td>{cells}</tr>'


def _spoken(said: tuple[str, str]) -> str:
    who, text = said
    line = " ".join(text[: 4 * _CLIPPED].split())
    if len(line) > _CLIPPED:
        whole_words = line[:_CLIPPED].rpartition(" ")[0]  # in a language without spaces that is next to nothing
        line = (whole_words if len(whole_words) > _CLIPPED / 2 else line[:_CLIPPED]) + " …"
    return f'<span style="opacity:.65">{inert(who, 2)}</span> {inert(line, 2)}'
