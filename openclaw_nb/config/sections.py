"""Sections of settings, read by the fields of the dataclass that they become: key, kind, help and default of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

from ..errors import ConfigError, nearest
from .document import Broken, Items, Mark, Node, Reading, Scalar, Table
from .kinds import Choice, Duration, Kind, Number, Share, Text, Whole, shown

__all__ = ["Listed", "Named", "Section", "Setting", "check_made", "keyed", "settings"]

Check = Callable[[Any, Mapping[str, Node], Reading], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """What the annotation of a field says that is read: its kind, help, and whether null turns it ``off``."""

    kind: Kind
    help: str
    off: bool = False


@cache
def settings(made: Any) -> Mapping[str, Setting]:
    """The fields of a dataclass that are read."""
    hints = get_type_hints(made, include_extras=True)
    found = {one.name: getattr(hints[one.name], "__metadata__", ()) for one in fields(made)}
    return {name: said[0] for name, said in found.items() if said}


def keyed(name: str) -> str:
    """The key in YAML of a field: camelCase."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def check_made(made: Any, title: str) -> None:
    """ConfigError for a value of what code has made that no file could say, by the kinds that read files."""
    for name, one in settings(made.__class__).items():
        value = getattr(made, name)
        if value is None or not isinstance(one.kind, Choice | Number | Text | Whole):
            continue
        written = f"{value:.12f}" if isinstance(value, float) else str(value)
        try:
            one.kind.read(Scalar(Mark(0, 0), written, plain=not isinstance(value, str)), Reading("", Path()))
        except ConfigError as error:
            raise ConfigError(f"{name} of {title}: {error}") from None


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping that becomes a ``made``; a key it does not have is told with the nearest that it has.

    ``short`` is the field that a scalar in place of the mapping stands for. ``check`` tells what is wrong with the
    values together; it has the nodes of those that were given, by field.
    """

    made: Any  # a dataclass
    title: str
    required: tuple[str, ...] = ()
    short: str = ""
    check: Check | None = None

    def read(self, node: Node, reading: Reading) -> Any:
        return self.read_as(node, reading)

    def read_as(self, node: Node, reading: Reading, **others: Any) -> Any:
        """What it becomes, ``others`` being fields that are not read; the default where nothing right is said."""
        known = settings(self.made)
        nodes = self._nodes(node, {keyed(name): name for name in known}, reading)
        values = {}
        for name, given in nodes.items():
            if (value := _read(name, known[name], given, reading)) is not MISSING:
                values[name] = value
        for name in self.required:
            if name not in nodes and not isinstance(node, Broken):
                reading.tell(node.mark, f"{self.title} needs {keyed(name)}: {known[name].help}")
        made = self.made(**others, **values)
        if self.check is not None:
            self.check(made, nodes, reading)
        return made

    def _nodes(self, node: Node, known: Mapping[str, str], reading: Reading) -> dict[str, Node]:
        """The nodes of the settings that are given, by field; ``known`` are the fields by key."""
        if isinstance(node, Scalar):
            if self.short and node.value is not None:
                return {self.short: node}
            if node.value is not None:
                reading.tell(node.mark, f"one value stands where {self.title} has settings: {', '.join(known)}")
        elif isinstance(node, Items):
            reading.tell(node.mark, f"a list stands where {self.title} has settings: {', '.join(known)}")
        elif isinstance(node, Table):
            for key, _ in node.entries:
                if key.text not in known:
                    reading.tell(key.mark, self._unknown(key.text, known, reading))
            return {known[key.text]: value for key, value in node.entries if key.text in known}
        return {}

    def _unknown(self, key: str, known: Mapping[str, str], reading: Reading) -> str:
        words = f"{self.title} has no setting {shown(key)}"
        if key in reading.homes:
            return f"{words}; it belongs to {reading.homes[key]}"
        return words + (nearest(key[:100], known) or f"; there are {', '.join(known)}")

    def homes(self) -> Iterator[tuple[str, str]]:
        """Each setting in it and below with the title of its section."""
        for name, one in settings(self.made).items():
            yield keyed(name), self.title
            inner = one.kind.kind if isinstance(one.kind, Named | Listed) else one.kind
            if isinstance(inner, Section):
                yield from inner.homes()

    def schema(self) -> dict[str, Any]:
        defaults = {one.name: one.default for one in fields(self.made)}
        properties = {keyed(name): _schema(one, defaults[name]) for name, one in settings(self.made).items()}
        mapping: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        if not self.required:
            return mapping | {"type": ["object", "null"]}
        mapping["required"] = [keyed(name) for name in self.required]
        return {"anyOf": [settings(self.made)[self.short].kind.schema(), mapping]} if self.short else mapping


@dataclass(frozen=True, slots=True)
class Listed:
    """A list with at least one item, and ``most`` at most, as a tuple."""

    kind: Kind
    what: str
    most: int

    def read(self, node: Node, reading: Reading) -> tuple[Any, ...]:
        if not isinstance(node, Items) or not 0 < len(node.nodes) <= self.most:
            raise ConfigError(f"a list of 1 to {self.most:,} {self.what} belongs here")
        found = (_one(self.kind, item, reading) for item in node.nodes)
        return tuple(one for one in found if one is not MISSING)

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.kind.schema(), "minItems": 1, "maxItems": self.most}


@dataclass(frozen=True, slots=True)
class Named:
    """Sections by names of the user's own, which ``pattern`` matches and the field ``name`` holds."""

    kind: Section
    pattern: str
    wanted: str

    def read(self, node: Node, reading: Reading) -> Mapping[str, Any]:
        if isinstance(node, Scalar) and node.value is None:
            return MappingProxyType({})
        if not isinstance(node, Table):
            raise ConfigError(f"names belong here: {self.wanted}, each with settings")
        made = {}
        for key, value in node.entries:
            if re.fullmatch(self.pattern, key.text, re.ASCII):
                made[key.text] = self.kind.read_as(value, reading, name=key.text)
            else:
                reading.tell(key.mark, f"{shown(key.text)} is not {self.wanted}")
        return MappingProxyType(made)

    def schema(self) -> dict[str, Any]:
        return {
            "type": ["object", "null"],
            "patternProperties": {f"^(?:{self.pattern})$": self.kind.schema()},
            "additionalProperties": False,
        }


def _read(name: str, one: Setting, node: Node, reading: Reading) -> Any:
    if isinstance(node, Scalar) and node.value is None and not isinstance(one.kind, Section | Named):
        if one.off and node.text:
            return None
        reading.tell(node.mark, f"{keyed(name)} has no value: {one.help}")
        return MISSING
    return _one(one.kind, node, reading)


def _one(kind: Kind, node: Node, reading: Reading) -> Any:
    """The value, or MISSING where it is told what is wrong."""
    try:
        return kind.read(node, reading)
    except ConfigError as error:
        if not isinstance(node, Broken):
            reading.tell(node.mark, str(error))
        return MISSING


def _schema(one: Setting, default: Any) -> dict[str, Any]:
    found = one.kind.schema()
    if one.off:
        found = {"anyOf": [found, {"type": "null"}]}
    if default is not MISSING and default not in (None, "", ()):  # which are nothing that a file could say
        found["default"] = one.kind.written(default) if isinstance(one.kind, Duration | Share) else default
    return found | {"description": one.help}
