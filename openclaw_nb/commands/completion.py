"""What may stand where a line of `%openclaw` or `%%openclaw` ends: commands, options, and what they name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from types import ModuleType

from .. import options
from ..namespace import ALL
from ..notebook import SHORT_ID, Notebook
from ..outputs.typenames import fitting
from ..runtime import Runtime
from ..sessions.memory import Memory
from ..sessions.storage import CHOICES
from . import approvals

__all__ = ["complete"]

NEWEST = 50
"""Snapshots that are offered."""

LOOKED = 1_000
"""Files that are looked at for one that may be a configuration."""


def complete(notebook: Notebook, line: str, commands: Iterable[str]) -> list[str]:
    """What may stand where the line ends; names with spaces are left out, as only a quotation could hold them."""
    head, *words = line.split(" ")
    before, last = (words[-2] if len(words) > 1 else ""), (words[-1] if words else "")
    if head != "%%openclaw" and len(words) <= 1:
        return list(commands)
    command = "" if head == "%%openclaw" else words[0]
    used = set(words[:-1])
    match command, before:
        case "", "--to":
            return _gateways()
        case "", "--from":
            return [*_sessions(), *_snapshots()]
        case "" | "history" | "reset" | "snapshot" | "snapshots" | "restore", "--session":
            return _sessions()
        case "", "--agents":
            return _behind_commas(last, _agents(notebook))
        case "", "--as":
            return [*fitting(notebook.shell.user_ns)]
        case "", "--attach":
            return _variables(notebook, last)
        case "" | "snapshot" | "restore", "--vars":
            return _variables(notebook, last) + ([ALL] if command == "restore" else [])
        case "", _:
            option = options.OPTIONS.get(before)
            if option is not None and option.read is not None:
                return list(option.choices)
            return [name for name in options.OPTIONS if name not in used]
        case _:
            return _WORDS[command](notebook, used) if command in _WORDS else []


def _active(notebook: Notebook, _: set[str]) -> list[str]:
    return [id[:SHORT_ID] for id, run in notebook.runs.items() if not run.done()]


def _asked(notebook: Notebook, _: set[str]) -> list[str]:
    return [one.id[:SHORT_ID] for one in approvals.waiting(notebook)]


def _options(*names: str) -> Callable[[Notebook, set[str]], list[str]]:
    return lambda _, used: [name for name in names if name not in used]


def _places(_: Notebook, used: set[str]) -> list[str]:
    return [*(() if used & {*CHOICES} else CHOICES), *(name for name in options.LIMITS if name not in used)]


def _gateways() -> list[str]:
    """The gateway here, and the clusters that are configured."""
    runtime = Runtime.running()
    named = [] if runtime is None else runtime.config.clusters
    return ["agent://local", *(f"agent://{name}" for name in named)]


def _connectable(_: Notebook, used: set[str]) -> list[str]:
    keys = ("--password-env", "--token", "--token-env", "--token-file")
    return [*_gateways(), *(name for name in keys if name not in used)]


def _files(_: Notebook, used: set[str]) -> list[str]:
    """Of the working directory those that may be configurations."""
    if len(used) > 1:
        return []
    return sorted(_whole(path.name for path in islice(Path().iterdir(), LOOKED) if path.suffix in (".yaml", ".yml")))


def _roles() -> list[str]:
    from ..pool.roles import known_roles

    return list(known_roles)


def _restorable(_: Notebook, used: set[str]) -> list[str]:
    return [*_snapshots(), *(name for name in ("--session", "--vars") if name not in used)]


def _either(_: Notebook, used: set[str]) -> list[str]:
    return [*_sessions(), *_snapshots()]


_WORDS: Mapping[str, Callable[[Notebook, set[str]], list[str]]] = {
    "allow": _asked,
    "branch": lambda notebook, used: _either(notebook, used) if len(used) > 1 else [],
    "cancel": _active,
    "compare": _either,
    "config": _files,
    "connect": _connectable,
    "deny": _asked,
    "history": _options("--session"),
    "keep": _places,
    "budget": _options("off"),
    "level": _options("auto", "1", "2", "3", "4"),
    "metrics": _options("on", "off", "--port"),
    "nested": _options("on", "off"),
    "pool": _options("--per-task", "--timeout", "--executor"),
    "reset": _options("--session"),
    "restore": _restorable,
    "role": lambda _, used: [] if len(used) > 1 else _roles(),
    "session": lambda _, used: [] if len(used) > 1 else _sessions(),
    "snapshot": _options("--session", "--vars"),
    "snapshots": _options("--session"),
    "usage": _options("--days"),
}


def _memory() -> Memory | None:
    """The memory, if there is one yet: nothing is started to complete a word."""
    runtime = Runtime.running()
    return None if runtime is None else runtime.memory


def _sessions() -> list[str]:
    memory = _memory()
    return [] if memory is None else _whole(memory.store.places())


def _snapshots() -> list[str]:
    """The names, then the ids of the newest."""
    memory = _memory()
    newest = [] if memory is None else memory.store.list()[: -NEWEST - 1 : -1]
    return _whole([*(one.label for one in newest), *(one.id[:SHORT_ID] for one in newest)])


def _agents(notebook: Notebook) -> list[str]:
    """The roles, and the agents that this notebook has made."""
    from ..agent import OpenClawAgent, known_agents

    names = notebook.shell.user_ns
    made = [name for name, value in list(names.items()) if isinstance(value, OpenClawAgent) and name[0] != "_"]
    return _whole([*_roles(), *known_agents(), *made])


def _behind_commas(word: str, names: Iterable[str]) -> list[str]:
    """The names, sorted, behind those that stand in the word."""
    begun = word.rpartition(",")[0]
    left = set(names) - set(begun.split(","))
    return [f"{begun},{name}" if begun else name for name in sorted(left)]


def _variables(notebook: Notebook, word: str) -> list[str]:
    """Variables behind the comma that a word ends with; of the user's names those that hold data."""
    hidden = notebook.shell.user_ns_hidden
    names = [
        name
        for name, value in list(notebook.shell.user_ns.items())
        if not name.startswith("_") and name not in hidden
        and not callable(value) and not isinstance(value, ModuleType)
    ]  # fmt: skip
    return _behind_commas(word, names)


def _whole(names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name and name.isprintable() and " " not in name]
