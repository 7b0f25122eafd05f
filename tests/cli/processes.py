"""`openclaw-nb` in processes of its own, as a person runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["COMMAND", "run", "serving"]

COMMAND = [sys.executable, "-m", "openclaw_nb.cli"]


def run(*arguments: str, env: dict[str, str] | None = None, **options: object) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OPENCLAW_")} | (env or {})
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=120, env=clean, **options
    )


@contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple[str, str]]:
    """A gateway of its own; where it is, and what it said of it."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--model", "offline:0", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield line.split(" at ")[1].split(";")[0], line
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()  # type: ignore[union-attr]
