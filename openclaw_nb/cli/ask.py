"""`openclaw-nb ask`: one answer, printed as it comes."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import suppress
from typing import Any

from ..errors import ConfigError, OpenClawError
from ..events import RunEvent, State
from ..options import positive
from ..reasoning.levels import read_level
from ..render import counted, plain
from ..run import Run
from ..runtime import Runtime
from .output import say, write

__all__ = ["INTERRUPTED", "describe"]

INTERRUPTED = 128 + signal.SIGINT
SETTLE = 2.0
"""Seconds an interrupted answer waits for the gateway to confirm that the model has stopped."""


def describe(commands: Any, name: str) -> None:
    ask: argparse.ArgumentParser = commands.add_parser(name, help="stream one answer")
    ask.add_argument("prompt", help="the prompt, or - to read it from standard input")
    ask.add_argument("--model", help="a model's name; offline if left out")
    ask.add_argument("--level", default="auto", help="auto or 1 to 4")
    ask.add_argument("--to", metavar="URI", help="agent://local, ws://127.0.0.1:PORT or wss://HOST")
    ask.add_argument("--timeout", metavar="S", help="stop after this many seconds")
    ask.set_defaults(run=_ask)


def _ask(options: argparse.Namespace) -> int:
    prompt = sys.stdin.read() if options.prompt == "-" else options.prompt
    if not prompt.strip():
        raise ConfigError("the prompt is empty")
    level = read_level(options.level)
    timeout = None if options.timeout is None else positive(options.timeout)
    runtime = Runtime.shared()
    if runtime.configured.trouble:
        say(f"[{runtime.configured.trouble}; so nothing is configured]")
    try:
        client = runtime.client(options.to)
        if options.model and client.is_local:
            runtime.resolve(options.model)
        run = client.send(prompt, level=level and int(level), model=options.model, timeout=timeout)
        run.subscribe(_say_state)
        return _print(run)
    finally:
        runtime.close()


def _print(run: Run) -> int:
    """Print the answer as it comes; on the main thread, so that an interrupt or a failed write ends it at once."""
    try:
        for delta in run:
            write(plain(delta))
    except KeyboardInterrupt:
        run.cancel()
        with suppress(OpenClawError):
            run.result(SETTLE)
        write("\n")
        say(f"[{run.words}; {counted(run.tokens, 'token')} came]")
        return INTERRUPTED
    except OpenClawError:
        write("\n" if run.text else "")
        raise
    write("\n")
    return 0


def _say_state(event: RunEvent) -> None:
    if isinstance(event, State) and event.words:
        say(f"[{event.words}]")
