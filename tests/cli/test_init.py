"""openclaw-nb: what holds for every command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.processes import COMMAND, run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ask", "x", "--to", "ws://127.0.0.1:9"], "no gateway at ws://127.0.0.1:9: connection refused"),
        (["ask", "x", "--level", "7"], "level '7' is not one of"),
        (["ask", "x", "--timeout", "nan"], "'nan' is not a number above 0"),
        (["ask", "  "], "the prompt is empty"),
        (["ask", "x", "--model", "offlin"], "offlin"),
        (["serve", "--host", "0.0.0.0", "--token-file", "/no/such/token"], "unless it has TLS (tls=, --tls-cert)"),
        (["serve", "--port", "0"], "set OPENCLAW_GATEWAY_TOKEN, or name a --token-file"),
        (["serve", "--port", "0", "--token-file", "/no/such/token"], "/no/such/token: No such file or directory"),
        (["serve", "--token-file", "/"], "/ is no regular file"),
        (
            ["serve", "--token-file", "/tmp", "--tls-cert", "/no/such/chain"],
            "/no/such/chain: No such file or directory",
        ),
        (["token", "rotate", "/no/such/token"], "/no/such/token: No such file or directory"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


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
