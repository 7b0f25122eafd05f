"""The kinds of values that settings have: how each is read from its node, and its JSON schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ..errors import ConfigError, nearest
from ..redaction import redact
from .document import Node, Reading, Scalar

__all__ = [
    "Choice",
    "Duration",
    "File",
    "Kind",
    "Number",
    "Share",
    "Text",
    "Truth",
    "Whole",
    "place",
    "scalar",
    "shown",
]

_SHOWN = re.compile(r"(?!.*//)[\w .:%/+-]{0,40}", re.ASCII)
"""A value that an error repeats: a short one, and no address."""

_DURATION = r"[0-9]{1,9}(?:\.[0-9]{1,6})?(?:ms|s|m|h)"
_PERCENT = r"[0-9]{1,3}(?:\.[0-9]{1,6})?%"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Kind(Protocol):
    """How one setting is read. ``read`` tells what is wrong to ``reading``, or raises ConfigError with a clause."""

    def read(self, node: Node, reading: Reading) -> Any: ...

    def schema(self) -> dict[str, Any]: ...


def scalar(node: Node, wanted: str) -> Scalar:
    """The scalar that a node is; ConfigError names what was wanted."""
    if isinstance(node, Scalar):
        return node
    raise ConfigError(f"one value belongs here, {wanted}, and no list or settings")


def shown(text: str) -> str:
    """A wrong value as an error may show it: not a long one, nor what may be a secret or hold one."""
    return repr(text) if _SHOWN.fullmatch(text) and redact(text) == text else "this"


@dataclass(frozen=True, slots=True)
class Truth:
    """true or false."""

    def read(self, node: Node, reading: Reading) -> bool:
        found = scalar(node, "true or false")
        if isinstance(found.value, bool):
            return found.value
        raise ConfigError(f"{shown(found.text)} is neither true nor false{_unquote(found)}")

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int

    def read(self, node: Node, reading: Reading) -> int:
        wanted = f"a whole number from {self.low:,} to {self.high:,}"
        found = scalar(node, wanted)
        value = found.value
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            raise ConfigError(f"{shown(found.text)} is not {wanted}{_unquote(found)}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Number:
    """A number above 0, up to ``high``."""

    high: int

    def read(self, node: Node, reading: Reading) -> float:
        wanted = f"a number above 0, up to {self.high:,}"
        found = scalar(node, wanted)
        value = _number(found)
        if value is None or not 0 < value <= self.high:
            raise ConfigError(f"{shown(found.text)} is not {wanted}{_unquote(found)}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "exclusiveMinimum": 0, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, of 500ms, 0.5s, 2m or 1h from ``low`` to ``high`` seconds; a plain number counts ``plain``, if any."""

    low: float
    high: float
    plain: str = ""

    def read(self, node: Node, reading: Reading) -> float:
        found = scalar(node, self._wanted)
        value, unit = _number(found), self.plain
        if isinstance(found.value, str) and re.fullmatch(_DURATION, found.text, re.ASCII):
            unit = found.text.lstrip("0123456789.")
            value = float(found.text.removesuffix(unit))
        if value is None or not unit or not self.low <= value * _SECONDS[unit] <= self.high:
            raise ConfigError(f"{shown(found.text)} is not {self._wanted}{_unquote(found)}")
        return round(value * _SECONDS[unit], 9)

    def written(self, seconds: float) -> str | float:
        """What a file says for so many seconds."""
        return round(seconds / _SECONDS[self.plain], 6) if self.plain else _span(seconds)

    @property
    def _wanted(self) -> str:
        examples = {"": "500ms or 0.5s", "ms": "500ms, 0.5s or plain milliseconds", "s": "500ms, 0.5s or plain seconds"}
        return f"a duration from {_span(self.low)} to {_span(self.high)}, such as {examples[self.plain]}"

    def schema(self) -> dict[str, Any]:
        written = {"type": "string", "pattern": f"^{_DURATION}$"}
        if not self.plain:
            return written
        unit = _SECONDS[self.plain]
        return {"anyOf": [{"type": "number", "minimum": self.low / unit, "maximum": self.high / unit}, written]}


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the whole, above 0 and up to 1: of 1% or 0.01. A plain 1 might be meant as either."""

    def read(self, node: Node, reading: Reading) -> float:
        wanted = "a share, such as 1% or 0.01"
        found = scalar(node, wanted)
        value = _number(found)
        if isinstance(found.value, str) and re.fullmatch(_PERCENT, found.text, re.ASCII):
            value = float(found.text[:-1]) / 100
        elif value is not None and 1 <= value <= 100:
            raise ConfigError(f"{found.text} may be meant as a percentage; write {found.text}%, or a number below 1")
        if value is None or not 0 < value <= 1:
            raise ConfigError(f"{shown(found.text)} is not {wanted}{_unquote(found)}")
        return round(value, 9)

    def written(self, share: float) -> str:
        """What a file says for a share."""
        return f"{share * 100:g}%"

    def schema(self) -> dict[str, Any]:
        return {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                {"type": "string", "pattern": f"^{_PERCENT}$"},
            ]
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, node: Node, reading: Reading) -> str:
        found = scalar(node, " or ".join(self.words))
        if found.text not in self.words:
            near = nearest(found.text, dict.fromkeys(self.words))
            raise ConfigError(f"{shown(found.text)} is not {' or '.join(self.words)}{near}")
        return found.text

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text that ``pattern`` matches, which ``wanted`` is in words; ``check`` may refuse or change it."""

    wanted: str
    pattern: str
    check: Callable[[str], str] | None = None

    def read(self, node: Node, reading: Reading) -> str:
        found = scalar(node, self.wanted)
        if not isinstance(found.value, str):
            raise ConfigError(f"{shown(found.text)} is not {self.wanted}; text that looks like a number needs quotes")
        if not re.fullmatch(self.pattern, found.text, re.ASCII):
            raise ConfigError(f"{shown(found.text)} is not {self.wanted}")
        return self.check(found.text) if self.check else found.text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True, slots=True)
class File:
    """The path of a file: absolute, from the home folder by ~, or from the folder of the configuration on."""

    def read(self, node: Node, reading: Reading) -> Path:
        found = scalar(node, "the path of a file")
        if not isinstance(found.value, str) or not found.text or not found.text.isprintable():
            raise ConfigError("this is not the path of a file; one that looks like a number needs quotes")
        return place(found.text, reading)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


def place(text: str, reading: Reading) -> Path:
    """Where a path of a configuration leads, which is not looked at."""
    try:
        return reading.folder / Path(text).expanduser()
    except RuntimeError:
        raise ConfigError("this path begins at the home folder of a user who is not known here") from None


def _number(found: Scalar) -> float | None:
    value = found.value
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)


def _unquote(found: Scalar) -> str:
    """What helps where a value is text only because it stands in quotes."""
    return "" if found.plain or isinstance(replace(found, plain=True).value, str) else "; leave out the quotes"


def _span(seconds: float) -> str:
    for unit, length in (("h", 3600), ("s", 1)):
        if seconds >= length:
            return f"{seconds / length:g}{unit}"
    return f"{seconds * 1000:g}ms" if seconds else "0"
