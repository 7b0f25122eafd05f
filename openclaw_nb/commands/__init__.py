"""The subcommands of `%openclaw`: a module for each subject, and one table of them all."""

from __future__ import annotations

from .table import COMMANDS, Command, complete, execute, say_settled

__all__ = ["COMMANDS", "Command", "complete", "execute", "say_settled"]
