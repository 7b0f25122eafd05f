"""openclaw-nb doctor: a line for each thing it looks at."""

from __future__ import annotations

from tests.cli.processes import run


def test_doctor() -> None:
    done = run("doctor")
    assert done.returncode == 0
    assert "ok    gateway: agent://local answers" in done.stdout
    broken = run("doctor", "--to", "ws://127.0.0.1:9")
    assert broken.returncode == 1
    assert "look  gateway" in broken.stdout
