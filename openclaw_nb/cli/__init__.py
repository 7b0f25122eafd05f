"""The command `openclaw-nb`: ask from a terminal, serve a gateway, look into what is kept, find what does not work."""

from __future__ import annotations

import argparse
import io
import os
import sys

from ..errors import OpenClawError
from ..version import __version__
from . import ask, config, deploy, doctor, metrics, serve, snapshots
from .output import say

__all__ = ["main"]

COMMANDS = {
    "ask": ask.describe,
    "serve": serve.describe,
    "token": serve.describe_token,
    "snapshots": snapshots.describe,
    "config": config.describe,
    "metrics": metrics.describe,
    "deploy": deploy.describe,
    "doctor": doctor.describe,
}
"""The commands, each with the function that makes its parser."""

NOBODY_READS = 128 + 13
"""As if SIGPIPE, which Windows has no name for, had ended the process."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code. Errors are one line on stderr."""
    options = _parser().parse_args(arguments)
    _take_any_text()
    try:
        code: int = options.run(options)
    except OpenClawError as error:
        say(f"openclaw-nb: {error}")
        return 1
    except BrokenPipeError:  # the reader has what it wanted, as `head` does
        _drop_output()
        return NOBODY_READS
    except OSError as error:
        _drop_output()
        say("openclaw-nb: " + ": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
        return 1
    except KeyboardInterrupt:
        return ask.INTERRUPTED
    return code


def _take_any_text() -> None:
    """Have no text fail at a stream: not at an encoding without its characters, not at a stream that was closed."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - until the process ends
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def _drop_output() -> None:
    """Let what is still buffered go nowhere, or Python would fail at it again on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="openclaw-nb", description="Agents from a terminal, as in the notebook.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="|".join(COMMANDS))
    for name, describe in COMMANDS.items():
        describe(commands, name)
    return parser
