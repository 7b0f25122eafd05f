"""commands.doctor: what is measured in a real kernel, with what the notebook has seen of runs, levels and agents."""

from __future__ import annotations

import pytest

from .conftest import INSTALLED, Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]


@pytest.fixture(autouse=True)
def loaded(kernel: Kernel) -> None:
    kernel.run("%load_ext openclaw_nb")


def examined(kernel: Kernel, *words: str) -> str:
    """What it says as soon as it says these words: it measures this machine, which has other things to do too."""
    return kernel.until("%openclaw doctor", *words)


def line(text: str, name: str) -> str:
    """The last line about this."""
    return [one for one in text.splitlines() if one.partition(":")[2].strip().startswith(f"{name} ")][-1]


def test_what_is_well(kernel: Kernel) -> None:
    well = ("ok: gateway ", "tokenInterval 50 ms is the largest part")
    looks = (examined(kernel, *well) for _ in range(10))
    text = next((text for text in looks if "broken" not in text), "broken")
    assert "tokenInterval 50 ms is the largest part" in line(text, "text")
    assert "broken" not in text
    assert "write %openclaw doctor" in str(kernel.run("%openclaw doctor now").content)


def test_a_thread_that_keeps_the_kernel_busy(kernel: Kernel) -> None:
    kernel.run("""
import threading
over = False
def train():
    while not over:
        sum(range(1_000))
thread = threading.Thread(target=train, name="training", daemon=True)
thread.start()
""")
    said = line(examined(kernel, "in train, line"), "kernel")
    kernel.run("over = True\nthread.join()")
    assert said.startswith("look"), said
    assert "in train, line" in said
    assert "thread 'training'" in said


def test_levels_and_first_tokens_of_the_notebook(kernel: Kernel) -> None:
    kernel.run("""
import asyncio
async def slow(prompt):
    await asyncio.sleep(0.7)
    yield "done"
""")
    for _ in range(2):
        kernel.run("%%openclaw --model slow --level 1 --plain\ngo")
    text = examined(kernel, "because of the model")
    assert "because of the model" in line(text, "first")
    assert "tokenInterval is not the cause" in line(text, "first")
    assert "ok: levels" in text


def test_agents_that_hang(kernel: Kernel) -> None:
    kernel.run("""
import threading
from openclaw_nb import OpenClawAgent
go_on = threading.Event()
def look_up() -> str:
    "Look it up."
    go_on.wait(600)
    return "found"
one = OpenClawAgent("one", model="offline:0", tools=[look_up])
""")
    kernel.run("%openclaw pool 1 --timeout 8")
    kernel.run("%%openclaw --bg --agents one,one,one,one,one,one\nuse look_up()")
    # After half of its time; where that was missed, the next one hangs.
    text = examined(kernel, " hangs, ", "all slots are taken")
    kernel.run("go_on.set()\n%openclaw wait\n%openclaw pool 10 --timeout 300")
    pools = [one for one in text.splitlines() if ": pool" in one]
    assert any("hangs, its tool is in look_up, line" in one for one in pools), text
    assert any("all slots are taken" in one for one in pools), text
