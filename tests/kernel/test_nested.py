"""nested: asyncio.run() in a cell, on the user's word, without losing the cells that are queued behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Kernel

pytestmark = pytest.mark.kernel


def test_nested_runs_keep_the_queue(kernel: Kernel) -> None:
    kernel.run("%load_ext openclaw_nb")
    assert kernel.run("import asyncio; asyncio.run(asyncio.sleep(0))").status == "error"
    switched = kernel.run("%openclaw nested on")
    if switched.status == "error":  # no safe patch here, and it says which one would be
        assert "pip install nest_asyncio" in switched.content["evalue"]
        return
    assert "until the kernel restarts" in switched.text
    nested = kernel.submit("asyncio.run(asyncio.sleep(0.3)); print('nested')")
    queued = kernel.submit("print('queued')")
    assert kernel.wait(nested).text == "nested\n"
    assert kernel.wait(queued).text == "queued\n"
    stopping = kernel.run("%openclaw nested off")
    assert "restart the kernel" in stopping.content["evalue"]
