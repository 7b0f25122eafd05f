"""Slash commands, as people type them in OpenClaw's own clients: what they are, and which one a message is."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Command", "commands_told", "help_text", "read_command"]

_COMMANDS = {
    "help": ("Show available commands.", ("commands",)),
    "status": ("Show the session, its model and what it used.", ()),
    "new": ("Begin the conversation anew; a message after it is the first one.", ("reset",)),
    "stop": ("Stop what is at work in this session.", ("abort",)),
    "think": ("Set how much it thinks: off, low, medium or high.", ("thinking", "t")),
    "model": ("Show or set the model of this session.", ("models",)),
}

_BY_NAME = {word: name for name, (_, others) in _COMMANDS.items() for word in (name, *others)}


class Command(NamedTuple):
    """A command by its own name, and what was typed after it."""

    name: str
    rest: str


def read_command(message: str) -> Command | None:
    """The command that a message is, or None: what begins with any other word after the slash is a message."""
    word, _, rest = message.strip().partition(" ")
    if not word.startswith("/"):
        return None
    name = _BY_NAME.get(word[1:].rstrip(":").lower())
    return Command(name, rest.strip()) if name else None


def commands_told() -> dict[str, Any]:
    """The payload of `commands.list`."""
    return {
        "commands": [
            {"name": name, "nativeName": name, "textAliases": [f"/{word}" for word in (name, *others)],
             "description": words, "category": "session", "source": "native", "scope": "both",
             "acceptsArgs": name in ("new", "think", "model")}
            for name, (words, others) in _COMMANDS.items()
        ]
    }  # fmt: skip


def help_text() -> str:
    return "\n".join(f"/{name}: {words}" for name, (words, _) in _COMMANDS.items())
