"""A cell whose gateway, a process of its own, is killed in mid-answer."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.served import Served

from .conftest import INSTALLED, PATIENT, Kernel, Reply, when_told

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]

GONE_ON = r", gone on from character \d+; offline(:0)? had to be asked for all of it again"
NUMBERS = 2000  # about twenty-five seconds
MANY = 9000  # so many that it never ends by itself
COUNTED, ENDLESS = (", ".join(map(str, range(1, most + 1))) for most in (NUMBERS, MANY))
ASK = "%%openclaw --into counted --session {session}\ncount to {most}"

PERSISTENT = """
from dataclasses import replace
notebook = get_ipython()._openclaw_nb.notebook
link = notebook.runtime.client(notebook.uri)._linked().first.link
link._retry = replace(link._retry, attempts=20)
"""
"""What a cell runs for a notebook that comes back however long its gateway takes to be there again."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as served:
        yield served


def ask(kernel: Kernel, most: int, when: str, act: Callable[[], None]) -> Reply:
    """Have it count, and ``act`` in another thread as soon as a view has been sent ``when``."""
    acting = threading.Thread(target=act)
    reply = kernel.run(ASK.format(session="one", most=most), on_message=when_told(when, lambda _: acting.start()))
    acting.join()
    return reply


def shown(reply: Reply) -> dict[str, str]:
    """The saved form of the one answer, without what it says of time, and of how it came."""
    (bundle,) = reply.displays()
    passing = rf"[0-9.]+ s\b|{GONE_ON}"
    return {kind: re.sub(passing, "", text) for kind, text in bundle.items()}


def test_killed_and_started_again(kernel: Kernel, served: Served) -> None:
    def restart() -> None:
        served.kill()
        time.sleep(1)
        served._model = "offline:0"  # the rest need not take as long
        served.start()

    assert kernel.run(served.connect()).status == "ok"
    assert kernel.run(PERSISTENT).status == "ok"
    reply = ask(kernel, NUMBERS, " 100, ", restart)
    assert reply.status == "ok"
    assert COUNTED in shown(reply)["text/plain"]
    assert re.search(f"done{GONE_ON} · ", reply.text)
    check = f"print(counted == {COUNTED!r}, counted.status, counted.usage.output_tokens, type(counted).__name__)"
    assert kernel.run(check).text == f"True done {NUMBERS} Result\n"
    assert shown(kernel.run(ASK.format(session="two", most=NUMBERS))) == shown(reply)


def test_killed_for_good(kernel: Kernel, served: Served) -> None:
    assert kernel.run(served.connect()).status == "ok"
    reply = ask(kernel, MANY, " 100, ", served.kill)
    assert reply.status == "error"
    told = reply.content["evalue"]
    assert f"no gateway at {served.url}" in told
    assert "after 5 attempts" in told
    assert len("\n".join(reply.content["traceback"]).splitlines()) <= 3
    kept = kernel.run("print(counted.status, counted)").text.removeprefix("failed ").strip()
    assert ENDLESS.startswith(kept)
    assert " 100," in kept
    assert kept in shown(reply)["text/plain"]


def test_interrupted_while_it_reconnects(kernel: Kernel, served: Served) -> None:
    def interrupt() -> None:
        served.kill()
        time.sleep(0.8)
        kernel.interrupt()

    assert kernel.run(served.connect()).status == "ok"
    assert kernel.run(f"{PATIENT}\n{PERSISTENT}").status == "ok"
    reply = ask(kernel, MANY, " 50, ", interrupt)
    assert reply.status == "ok"
    assert "stopped by you" in shown(reply)["text/plain"]
    kept = kernel.run("print(counted.status, counted)").text
    assert kept.startswith("stopped 1, 2,")
    assert ENDLESS.startswith(kept.removeprefix("stopped ").strip())
