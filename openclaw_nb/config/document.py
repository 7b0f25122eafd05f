"""A YAML text as nodes that know their line and column: safely read, by YAML 1.2's rules of what is no text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import one_line

__all__ = ["LARGEST", "Broken", "GivenUp", "Items", "Mark", "Node", "Reading", "Scalar", "Table", "compose", "find"]

LARGEST = 65_536
"""Bytes of a configuration at most: what is larger takes too long to read."""

DEEPEST = 8
"""Levels of lists and mappings in each other; a configuration has five."""

MOST_WRONG = 50
"""Mistakes that are told of one text, which is then not read on."""

MOST = 5_000
"""Values of one text."""

_UNREADABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no YAML text may hold (YAML 1.2.2, 5.1)."""

_NULL = re.compile(r"(?:null|Null|NULL|~)?")
_BOOL = re.compile(r"(?P<yes>true|True|TRUE)|false|False|FALSE")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}")

_QUOTED = re.compile(r"""['"].*""", re.DOTALL)

_MEANT = (
    ("could not find expected ':'", True, "this is neither a setting, KEY: VALUE, nor an item of a list, - VALUE"),
    ("mapping values are not", False, "a colon stands where no setting can begin; a value with a colon needs quotes"),
    ("undefined tag handle", False, "tags (!…) are not taken; leave it out"),
    ("cannot start any token", False, "no value begins with this sign; put it in quotes"),
    ("escape", False, "after a backslash something else must follow; 'single quotes' take it as it is"),
    ("end of stream", True, "this quotation does not end"),
    ("parsing a flow node", False, "a value is missing here, or a bracket before it does not end"),
    ("parsing a flow", True, "this bracket does not end, or a comma is missing in it"),
    ("expected key", False, "this line is indented unlike the settings before it"),
    ("expected <block end>", False, "this line is indented unlike the settings before it"),
    ("expected '-' indicator", False, "this line is indented unlike the items before it"),
)
"""Parts of what the YAML library says; whether what it says began earlier; and what is meant, in words for people."""


class Mark(NamedTuple):
    """A place in a text: line and column, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value that is written out. ``plain`` is without quotes, so that ``value`` may be a number, truth or nothing."""

    mark: Mark
    text: str
    plain: bool

    @property
    def value(self) -> bool | int | float | str | None:
        """What YAML 1.2 and 1.1 both read. What they read in two ways, as 010, 12:30, on and 1e3, stays text."""
        if not self.plain:
            return self.text
        if _NULL.fullmatch(self.text):
            return None
        if found := _BOOL.fullmatch(self.text):
            return bool(found["yes"])
        if _INT.fullmatch(self.text):
            return int(self.text)
        return float(self.text) if _FLOAT.fullmatch(self.text) else self.text


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    mark: Mark
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping: its keys, each once, with their values."""

    mark: Mark
    entries: tuple[tuple[Scalar, Node], ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """What was refused, and is told already."""

    mark: Mark


Node = Scalar | Items | Table | Broken


def find(node: Node | None, *path: str | int) -> Node | None:
    """What lies below a node: by key in a table, by number in a list; None where there is no such thing."""
    for step in path:
        if isinstance(node, Table):
            node = next((value for key, value in node.entries if key.text == step), None)
        else:
            node = node.nodes[step] if isinstance(node, Items) and isinstance(step, int) else None
    return node


class GivenUp(Exception):
    """A text is not read on; why is told."""


class Reading:
    """One text being read: what was wrong with it so far, and the folder that relative paths begin at.

    ``homes`` are all settings there are, by key, each with the section it belongs to.
    """

    def __init__(self, name: str, folder: Path, homes: Mapping[str, str] | None = None) -> None:
        self.name, self.folder = name, folder
        self.homes = homes or {}
        self._told: dict[str, Mark] = {}

    def tell(self, mark: Mark, words: str) -> None:
        """Keep one mistake; ``words`` are a clause that shows no secret. GivenUp where there are too many."""
        self._told.setdefault(f"{self.name}, line {mark.line}, column {mark.column}: {words}", mark)
        if len(self._told) >= MOST_WRONG:
            raise GivenUp

    @property
    def mistakes(self) -> list[str]:
        """A sentence each, in the order of the text."""
        return sorted(self._told, key=self._told.__getitem__)


def compose(text: str, reading: Reading) -> Node | None:
    """The nodes of a text, or None where it has none; what is wrong is told to ``reading``.

    Nothing in it is made into anything but text: there are no tags, anchors or aliases, and one document at most.
    """
    if len(text.encode("utf-8", "replace")) > LARGEST:
        reading.tell(Mark(1, 1), f"it has more than {LARGEST:,} bytes")
        return None
    if bad := _UNREADABLE.search(text):
        before = text[: bad.start()]
        mark = Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))
        reading.tell(mark, f"the character {ord(bad[0]):#06x} may not stand in a configuration")
        return None
    with suppress(GivenUp):  # it is told why
        return _Composer(text, reading).compose()
    return None


class _Composer:
    """One text's events, put together as they come: a hostile one is given up where it becomes so."""

    def __init__(self, text: str, reading: Reading) -> None:
        import yaml

        self._text, self._left = text, MOST
        self._events = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        self._wrong = (yaml.YAMLError, ValueError, OverflowError)  # the pure parser fails at some numbers
        self._reading = reading

    def compose(self) -> Node | None:
        try:
            return self._document()
        except self._wrong as error:
            self._reading.tell(*self._meant(error))
        return None

    def _meant(self, error: Any) -> tuple[Mark, str]:
        """Where the text is no YAML, and why, in words that hold nothing of it."""
        where = getattr(error, "problem_mark", None)
        said = f"{getattr(error, 'context', '') or ''} {getattr(error, 'problem', '') or ''}"
        if where is not None and self._text[where.index : where.index + 1] == "\t":
            return Mark(where.line + 1, where.column + 1), "a tab stands where spaces must; indent by spaces"
        known = (entry for entry in _MEANT if entry[0] in said)
        _, earlier, meant = next(known, ("", False, f"it is no YAML: {one_line(_QUOTED.sub('…', said), 80)}"))
        where = (earlier and getattr(error, "context_mark", None)) or where
        return Mark(where.line + 1, where.column + 1) if where is not None else Mark(1, 1), meant

    def _document(self) -> Node | None:
        from yaml import DocumentStartEvent, StreamEndEvent

        self._events.get_event()  # the stream begins
        if isinstance(self._events.get_event(), StreamEndEvent):
            return None
        node = self._node(DEEPEST)
        self._events.get_event()  # the document ends
        if isinstance(last := self._events.get_event(), DocumentStartEvent):
            self._reading.tell(_mark(last), "a second document begins; a configuration is one")
        return node

    def _node(self, left: int) -> Node:
        from yaml import AliasEvent, MappingStartEvent, ScalarEvent

        event = self._events.get_event()
        mark = _mark(event)
        self._left -= 1
        if self._left < 0:
            self._reading.tell(mark, f"there are more than {MOST:,} values")
            raise GivenUp
        if isinstance(event, AliasEvent):
            self._reading.tell(mark, "aliases (*…) are not taken; write the value out")
            return Broken(mark)
        if event.anchor is not None:
            self._reading.tell(mark, "anchors (&…) are not taken; leave it out")
        if event.tag is not None:
            self._reading.tell(mark, "tags (!…) are not taken; leave it out")
        wrong = event.anchor is not None or event.tag is not None
        if isinstance(event, ScalarEvent):
            return Broken(mark) if wrong else Scalar(mark, event.value, not event.style)
        if not left:
            self._reading.tell(mark, f"lists and settings lie more than {DEEPEST} deep in each other")
            raise GivenUp
        node = self._table(mark, left) if isinstance(event, MappingStartEvent) else self._items(mark, left)
        return Broken(mark) if wrong else node

    def _items(self, mark: Mark, left: int) -> Items:
        from yaml import SequenceEndEvent

        nodes = []
        while not self._events.check_event(SequenceEndEvent):
            nodes.append(self._node(left - 1))
        self._events.get_event()
        return Items(mark, tuple(nodes))

    def _table(self, mark: Mark, left: int) -> Table:
        from yaml import MappingEndEvent

        entries: dict[str, tuple[Scalar, Node]] = {}
        while not self._events.check_event(MappingEndEvent):
            key, value = self._node(left - 1), self._node(left - 1)
            if isinstance(key, Broken):
                continue
            if not isinstance(key, Scalar):
                self._reading.tell(key.mark, "a list or mapping stands where the name of a setting must")
            elif key.text in entries:
                line = entries[key.text][0].mark.line
                self._reading.tell(key.mark, f"this name stands in line {line} already; leave out one of the two")
            else:
                entries[key.text] = key, value
        self._events.get_event()
        return Table(mark, tuple(entries.values()))


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)
