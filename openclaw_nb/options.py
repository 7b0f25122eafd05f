"""The options of a `%%openclaw` line, and of commands: one table from which they are parsed, completed, explained."""

from __future__ import annotations

import keyword
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .config import AgentURI
from .errors import ConfigError, nearest
from .reasoning.levels import DEFAULT_THRESHOLDS, read_level

__all__ = [
    "LIMITS",
    "OPTIONS",
    "CellOptions",
    "Option",
    "parse",
    "positive",
    "read",
    "split",
    "title",
    "whole",
]

LONGEST_NAME = 100
"""Characters of the name of a session or a snapshot."""

LONGEST_KEY = 512
"""Characters of the whole key of a session at a real gateway (`chat.send.sessionKey` of 2026.9.6)."""

MOST = 1_000
"""Agents that may work at once."""


@dataclass(frozen=True, slots=True)
class CellOptions:
    """What one `%%openclaw` line asks for; None where it leaves the choice to the notebook.

    ``agents`` are the names of several, of which ``pool`` work at once; ``vars`` are the variables to keep, ``attach``
    the variables and files that go along, ``base`` the snapshot or session to begin from, ``output`` names a type.
    """

    level: int | str | None = None
    complexity: str | None = None
    model: str | None = None
    to: str | None = None
    session: str | None = None
    into: str = ""
    budget: float | None = None
    timeout: float | None = None
    bg: bool = False
    plain: bool = False
    vars: tuple[str, ...] = ()
    base: str | None = None
    output: str = ""
    busy: str | None = None
    agents: tuple[str, ...] = ()
    mode: str | None = None
    pool: int | None = None
    attach: tuple[str, ...] = ()


def _level(text: str) -> int | str:
    level = read_level(text)
    return "auto" if level is None else int(level)


def _tag(text: str) -> str:
    if text not in DEFAULT_THRESHOLDS:
        raise ConfigError(f"{text!r} is none of {', '.join(DEFAULT_THRESHOLDS)}{nearest(text, DEFAULT_THRESHOLDS)}")
    return text


def _address(text: str) -> str:
    return AgentURI.parse(text).text


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ConfigError(f"{text!r} is no name for a variable")
    return text


def _variables(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(_variable(name.strip()) for name in text.split(",")))
    if private := [name for name in names if name.startswith("_")]:
        raise ConfigError(f"{private[0]!r} is private by its underscore; give it another name to keep it")
    return names


def title(text: str, what: str = "session") -> str:
    """A name that people give: of a session, a snapshot or a branch; ConfigError for one that cannot be shown."""
    longest = LONGEST_KEY if text.startswith("agent:") else LONGEST_NAME
    if not text.isprintable() or not text.strip() or len(text) > longest:
        raise ConfigError(f"a {what}'s name has 1 to {longest} printable characters")
    return text


def _files(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(names):
        raise ConfigError("files and variables stand between commas, as in plan.pdf,sales")
    return names


def _busy(text: str) -> str:
    if text not in ("wait", "branch"):
        raise ConfigError(f"{text!r} is neither wait nor branch")
    return text


def _agents(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if bad := [name for name in names if not name or not name.isprintable() or ":" in name]:
        raise ConfigError(f"{bad[0]!r} is no agent's name; write them without spaces, as in coder,tester,reviewer")
    return names


def _mode(text: str) -> str:
    if text not in ("parallel", "pipeline"):
        raise ConfigError(f"{text!r} is neither parallel nor pipeline")
    return text


def whole(text: str) -> int:
    """A whole number from 1 to MOST; ConfigError for anything else."""
    value = int(text[:9]) if text.isascii() and text.isdigit() else 0
    if not 1 <= value <= MOST:
        raise ConfigError(f"{text!r} is not a whole number from 1 to {MOST:,}")
    return value


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
    """One option: how its value is read (None: it has none), what the value is called, and what it does.

    ``field`` is what it is in what was read, by default its name.
    """

    name: str
    read: Callable[[str], Any] | None
    value: str
    help: str
    choices: tuple[str, ...] = ()
    field: str = ""


OPTIONS: Mapping[str, Option] = {
    option.name: option
    for option in (
        Option("--level", _level, "auto|1-4", "how deep to think: 1 fast, 2 standard, 3 deep, 4 ultra",
               ("auto", "1", "2", "3", "4")),
        Option("--complexity", _tag, "TAG", "how hard it is, in place of a level: simple, complex or complex_task",
               tuple(DEFAULT_THRESHOLDS)),
        Option("--model", str, "M", "a model's name, or an async generator function of this notebook"),
        Option("--to", _address, "URI", "where the run goes: agent://local, agent://CLUSTER, ws://127.0.0.1:PORT or wss://HOST",
               ("agent://local",)),
        Option("--session", title, "S", "the conversation it belongs to; main if left out"),
        Option("--attach", _files, "A,B", "what goes along: files or variables, a picture, table, text or PDF"),
        Option("--from", title, "SNAPSHOT", "begin it, or else a new one, at a snapshot or where another stands",
               field="base"),
        Option("--busy", _busy, "wait|branch", "while a run is at work in it: wait, or work beside it as with --bg",
               ("wait", "branch")),
        Option("--vars", _variables, "A,B", "variables to keep with the snapshot that is taken at its end"),
        Option("--into", _variable, "VAR", "a variable for the answer, which is a str with facts"),
        Option("--as", str, "TYPE", "a class of this notebook, or list[City] and the like: what the answer's value is",
               field="output"),
        Option("--agents", _agents, "A,B", "several agents side by side: coder, tester, reviewer, or your own"),
        Option("--mode", _mode, "parallel|pipeline", "all at once, or each with what those before it made",
               ("parallel", "pipeline")),
        Option("--pool", whole, "N", "how many of them work at once; the others wait"),
        Option("--budget", positive, "USD", "what it may cost: the level is lowered to it, and it stops there"),
        Option("--timeout", positive, "S", "stop after this many seconds"),
        Option("--bg", None, "", "return at once; the answer streams on while other cells run"),
        Option("--plain", None, "", "print plain text in place of the view"),
    )
}  # fmt: skip


LIMITS: Mapping[str, Option] = {
    option.name: option
    for option in (
        Option("--mb", positive, "N", "how big the file may grow"),
        Option("--days", positive, "N", "how long snapshots stay"),
        Option("--every", positive, "S", "seconds after which a run that goes on is kept again"),
    )
}
"""What `%openclaw keep` takes besides a place."""


def split(line: str) -> list[str]:
    """The words of a line; ConfigError for a quotation that does not end."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"the line cannot be read: {str(error).lower()}") from None


def parse(line: str) -> CellOptions:
    """Read a `%%openclaw` line; ConfigError is one sentence about what is wrong with it."""
    values, others = read(split(line), OPTIONS)
    if others:
        raise ConfigError(f"{others[0]!r} is no option; the prompt goes on the lines below %%openclaw")
    return CellOptions(**values)


def read(words: Iterable[str], known: Mapping[str, Option]) -> tuple[dict[str, Any], list[str]]:
    """The values of the options among ``words`` by field, and the other words; ConfigError as `parse` has it."""
    values: dict[str, Any] = {}
    others: list[str] = []
    left = list(words)
    while left:
        word, equals, value = left[0].partition("=")
        option = known.get(word)
        if option is None:
            if word.startswith("-"):
                raise ConfigError(f"there is no option {word}{nearest(word, known)}")
            others.append(left.pop(0))
            continue
        del left[0]
        field = option.field or word[2:]
        if option.read is None:
            if equals:
                raise ConfigError(f"{word} takes no value")
            values[field] = True
            continue
        if not equals:
            if not left or left[0] in known:
                raise ConfigError(f"{word} needs a value: {word} {option.value}")
            value = left.pop(0)
        try:
            values[field] = option.read(value)
        except ConfigError as error:
            raise ConfigError(f"{word}: {error}") from None
    return values, others
