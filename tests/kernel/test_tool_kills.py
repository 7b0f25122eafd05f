"""A kernel killed while a function of the notebook is under way for an agent, and the one after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from openclaw_nb.ledger import UNKNOWN

from .conftest import INSTALLED, Kernel, environment

pytestmark = pytest.mark.kernel

NOTEBOOK = """
%load_ext openclaw_nb
import time
from pathlib import Path
from openclaw_nb import OpenClawAgent

def pay(name: str) -> str:
    "Pay somebody, once."
    with Path("book").open("a") as book:
        book.write(name + "\\n")
    if name == HANG_AT:
        time.sleep(600)
    return f"paid {name}"

cashier = OpenClawAgent("cashier", model="offline:0", tools=[pay])
"""


def start(folder: Path, hang_at: str) -> Kernel:
    kernel = Kernel(INSTALLED, environment(folder), folder)
    reply = kernel.run(f"HANG_AT = {hang_at!r}\n{NOTEBOOK}")
    assert reply.status == "ok", reply.content
    return kernel


def wait_for(book: Path, lines: int) -> None:
    end = time.monotonic() + 60
    while not book.exists() or len(book.read_text().splitlines()) < lines:
        assert time.monotonic() < end, "it was never paid"
        time.sleep(0.01)


@pytest.fixture(scope="module")  # the first manager of a thread makes a loop, which stays
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a kernel worked that was killed in the second of three payments."""
    folder = tmp_path_factory.mktemp("till")
    kernel = start(folder, "bob")
    try:
        kernel.run("run = cashier.analyze(\"use pay('ann') then pay('bob') then pay('cy')\")")
        wait_for(folder / "book", 2)
    finally:
        kernel.kill()
    return folder


def test_restore_after_a_kill_in_a_tool_call(folder: Path, figure: Callable[[str, str], None]) -> None:
    kernel = start(folder, "")
    try:
        restored = kernel.run("%openclaw restore\n%openclaw wait")
    finally:
        kernel.close()
    assert restored.status == "ok", restored.content
    assert "1 tool call of it made already" in restored.text
    assert UNKNOWN in restored.text
    paid = (folder / "book").read_text().split()
    assert paid == ["ann", "bob", "cy"]
    figure(
        "issue 4 tools",
        f"kernel killed in the second of 3 calls, then %openclaw restore: {len(paid)} calls made",
    )
