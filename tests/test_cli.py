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


def ask_at_length() -> subprocess.Popen[str]:
    """A process whose answer has begun and takes minutes."""
    asking = subprocess.Popen(
        [*COMMAND, "ask", "count to 5000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert asking.stdout is not None
    assert asking.stdout.read(5) == "1, 2,"
    return asking


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
        (["ask", "x", "--timeout", "nan"], "'nan' is not a number above 0"),
        (["ask", "  "], "the prompt is empty"),
        (["ask", "x", "--model", "offlin"], "offlin"),
        (["serve", "--host", "0.0.0.0"], "not this machine"),
        (["serve", "--port", "0"], "set OPENCLAW_GATEWAY_TOKEN, or name a --token-file"),
        (["serve", "--port", "0", "--token-file", "/no/such/token"], "/no/such/token: No such file or directory"),
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
    asking = ask_at_length()
    time.sleep(0.2)
    asking.send_signal(signal.SIGINT)
    rest, said = asking.communicate(timeout=10)
    assert asking.returncode == 130
    assert rest.endswith(", \n")
    assert said.startswith("[stopped by you; ")


def test_a_reader_that_leaves_ends_it() -> None:
    asking = ask_at_length()
    assert asking.stdout is not None
    asking.stdout.close()
    _, said = asking.communicate(timeout=10)
    assert (asking.returncode, said) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_answer_that_cannot_be_written_is_no_success() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "ask", "6*7"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (1, "openclaw-nb: No space left on device\n")


def test_no_character_is_lost_where_it_cannot_be_written() -> None:
    done = run("ask", "30 C in F", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert r"30 \xb0C = **86 \xb0F**" in done.stdout


def test_doctor() -> None:
    done = run("doctor")
    assert done.returncode == 0
    assert "ok    gateway: agent://local answers" in done.stdout
    broken = run("doctor", "--to", "ws://127.0.0.1:9")
    assert broken.returncode == 1
    assert "look  gateway" in broken.stdout
