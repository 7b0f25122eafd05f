"""The options of a `%%openclaw` line: one table from which they are parsed, completed and explained."""

from __future__ import annotations

import keyword
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from .config import AgentURI
from .errors import ConfigError
from .reasoning.levels import read_level

__all__ = ["OPTIONS", "CellOptions", "Option", "nearest", "parse", "positive"]

LONGEST_NAME = 100
"""Characters of a session's name."""


@dataclass(frozen=True, slots=True)
class CellOptions:
    """What one `%%openclaw` line asks for; None where it leaves the choice to the notebook."""

    level: int | str | None = None
    model: str | None = None
    to: str | None = None
    session: str = "main"
    into: str = ""
    budget: float | None = None
    timeout: float | None = None
    bg: bool = False
    plain: bool = False


def _level(text: str) -> int | str:
    level = read_level(text)
    return "auto" if level is None else int(level)


def _address(text: str) -> str:
    return AgentURI.parse(text).text


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ConfigError(f"{text!r} is no name for a variable")
    return text


def _session(text: str) -> str:
    if not text.isprintable() or not 0 < len(text) <= LONGEST_NAME:
        raise ConfigError(f"a session's name has 1 to {LONGEST_NAME} printable characters")
    return text


def positive(text: str) -> float:
    """A number above 0 and below infinity; ConfigError for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"{text!r} is not a number above 0")
    return value


@dataclass(frozen=True, slots=True)
class Option:
    """One option: how its value is read (None: it has none), what the value is called, and what it does."""

    name: str
    read: Callable[[str], Any] | None
    value: str
    help: str
    choices: tuple[str, ...] = ()


OPTIONS: Mapping[str, Option] = {
    option.name: option
    for option in (
        Option("--level", _level, "auto|1-4", "how deep to think: 1 fast, 2 standard, 3 deep, 4 ultra",
               ("auto", "1", "2", "3", "4")),
        Option("--model", str, "M", "a model's name, or an async generator function of this notebook"),
        Option("--to", _address, "URI", "where the run goes: agent://local, ws://127.0.0.1:PORT or wss://HOST",
               ("agent://local",)),
        Option("--session", _session, "S", "the conversation it belongs to; main if left out"),
        Option("--into", _variable, "VAR", "a variable for the answer, which is a str with facts"),
        Option("--budget", positive, "USD", "stop when the answer has cost this much"),
        Option("--timeout", positive, "S", "stop after this many seconds"),
        Option("--bg", None, "", "return at once; the answer streams on while other cells run"),
        Option("--plain", None, "", "print plain text in place of the view"),
    )
}  # fmt: skip


def nearest(word: str, known: Mapping[str, Any]) -> str:
    """ "; did you mean …?" for a word that is almost a known one, or nothing."""
    near = get_close_matches(word, known, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else ""


def parse(line: str) -> CellOptions:
    """Read a `%%openclaw` line; ConfigError is one sentence about the first thing that is wrong."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"the line cannot be read: {str(error).lower()}") from None
    values: dict[str, Any] = {}
    while words:
        word, equals, value = words.pop(0).partition("=")
        option = OPTIONS.get(word)
        if option is None and word.startswith("-"):
            raise ConfigError(f"there is no option {word}{nearest(word, OPTIONS)}")
        if option is None:
            raise ConfigError(f"{word!r} is no option; the prompt goes on the lines below %%openclaw")
        if option.read is None:
            if equals:
                raise ConfigError(f"{word} takes no value")
            values[word[2:]] = True
            continue
        if not equals:
            if not words or words[0] in OPTIONS:
                raise ConfigError(f"{word} needs a value: {word} {option.value}")
            value = words.pop(0)
        try:
            values[word[2:]] = option.read(value)
        except ConfigError as error:
            raise ConfigError(f"{word}: {error}") from None
    return CellOptions(**values)
