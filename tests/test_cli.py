"""openclaw-nb, as a person runs it: in processes of its own."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "openclaw_nb.cli"]


def run(*arguments: str, env: dict[str, str] | None = None, **options: object) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OPENCLAW_")} | (env or {})
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=clean, **options
    )


def test_ask() -> None:
    done = run("ask", "what is 6*7?")
    assert done.returncode == 0
    assert "42" in done.stdout
    assert done.stderr == ""


def test_ask_from_standard_input() -> None:
    assert "42" in run("ask", "-", input="what is 6*7?").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ask", "x", "--to", "ws://127.0.0.1:9"], "no gateway at ws://127.0.0.1:9: connection refused"),
        (["ask", "x", "--level", "7"], "level '7' is not one of"),
        (["ask", "x", "--model", "offlin"], "offlin"),
        (["serve", "--host", "0.0.0.0"], "not this machine"),
        (["serve", "--port", "0"], "set OPENCLAW_GATEWAY_TOKEN, or name a --token-file"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_serve_and_ask(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    serving = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--model", "offline:0", "--token-file", str(secret)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert serving.stdout is not None
        line = serving.stdout.readline()
        url = line.split(" at ")[1].split(";")[0]
        token = secret.read_text().strip()
        assert token not in line
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        done = run("ask", "what is 6*7?", "--to", url, env={"OPENCLAW_GATEWAY_TOKEN": token})
        assert "42" in done.stdout
        refused = run("ask", "x", "--to", url, env={"OPENCLAW_GATEWAY_TOKEN": "wrong"})
        assert refused.returncode == 1
        assert "does not let us in" in refused.stderr
        assert "ok    gateway" in run("doctor", "--to", url, env={"OPENCLAW_GATEWAY_TOKEN": token}).stdout
    finally:
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(10) == 0
        serving.stdout.close()  # type: ignore[union-attr]


def test_an_interrupt_keeps_what_came() -> None:
    asking = subprocess.Popen([*COMMAND, "ask", "count to 5000"], stdout=subprocess.PIPE, text=True)
    assert asking.stdout is not None
    assert asking.stdout.read(5) == "1, 2,"
    time.sleep(0.2)
    asking.send_signal(signal.SIGINT)
    rest = asking.stdout.read()
    asking.stdout.close()
    assert asking.wait(10) == 130
    assert "stopped by you" in rest


def test_doctor() -> None:
    done = run("doctor")
    assert done.returncode == 0
    assert "ok    gateway: agent://local answers" in done.stdout
    broken = run("doctor", "--to", "ws://127.0.0.1:9")
    assert broken.returncode == 1
    assert "look  gateway" in broken.stdout
