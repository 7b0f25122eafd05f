"""Slash commands: which a message is, and that each is listed with all its names."""

from __future__ import annotations

import pytest

from openclaw_nb.gateway.slash import Command, commands_told, help_text, read_command


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ("/new", Command("new", "")), (" /RESET  hello there ", Command("new", "hello there")),
        ("/think: high", Command("think", "high")), ("/t high", Command("think", "high")), ("/", None),
        ("/news", None), ("new", None), ("", None), ("/etc/passwd", None), ("a /new", None), ("//new", None),
    ],
)  # fmt: skip
def test_which_command_a_message_is(message: str, command: Command | None) -> None:
    assert read_command(message) == command


def test_each_is_listed_by_all_its_names() -> None:
    for told in commands_told()["commands"]:
        for word in told["textAliases"]:
            command = read_command(word)
            assert command is not None
            assert command.name == told["name"]
        assert f"/{told['name']}: {told['description']}" in help_text()
