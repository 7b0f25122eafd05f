"""promtool, as a judge: of what is exported, of rules and their arithmetic, of configurations."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cluster.daemons import Missing, program

__all__ = ["accepts", "promtool"]


def promtool(*arguments: str, given: str = "", folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run it; the test is skipped where it is not installed."""
    try:
        command = [program("promtool"), *arguments]
    except Missing as missing:
        pytest.skip(str(missing))
    return subprocess.run(command, input=given, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def accepts(*arguments: str, given: str = "", folder: Path | None = None) -> None:
    """Fail with what it says where it has anything against it."""
    done = promtool(*arguments, given=given, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr.strip(), done.stderr
