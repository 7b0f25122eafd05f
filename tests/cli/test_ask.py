"""openclaw-nb ask: the answer as it comes, however it ends."""

from __future__ import annotations

import signal
import subprocess
import time

from tests.cli.processes import COMMAND, run


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


def test_an_interrupt_keeps_what_came() -> None:
    asking = ask_at_length()
    time.sleep(0.2)
    asking.send_signal(signal.SIGINT)
    rest, said = asking.communicate(timeout=60)
    assert asking.returncode == 130
    assert rest.endswith(", \n")
    assert said.startswith("[stopped by you; ")


def test_a_reader_that_leaves_ends_it() -> None:
    asking = ask_at_length()
    assert asking.stdout is not None
    asking.stdout.close()
    _, said = asking.communicate(timeout=60)
    assert (asking.returncode, said) == (141, "")
