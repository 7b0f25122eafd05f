"""Reliability 10: a flood of text in a real kernel, as a front end hears it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import INSTALLED, most_in_a_second

if TYPE_CHECKING:
    from .conftest import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]

RATE, SECONDS = 10_000, 3

FLOOD = f"""
import asyncio, time
%load_ext openclaw_nb

async def flood(prompt):
    "{RATE} deltas a second; what is late is made up for."
    start = time.monotonic()
    for n in range({RATE * SECONDS}):
        yield f"{{n}} "
        if n % 100 == 99:
            await asyncio.sleep(max(0, start + n / {RATE} - time.monotonic()))
    global took
    took = time.monotonic() - start
"""


def test_10000_deltas_a_second(kernel: Kernel, figure: Callable[[str, str], None]) -> None:
    assert kernel.run(FLOOD).status == "ok"
    reply = kernel.run("%%openclaw --model flood --into flooded\nx")
    assert reply.status == "ok"
    took = float(kernel.run("print(took)").text)
    whole = "".join(f"{n} " for n in range(RATE * SECONDS))
    assert kernel.run("import hashlib; print(hashlib.sha256(flooded.encode()).hexdigest())").text == digest(whole)

    comms = [message for message in reply.messages if message["msg_type"] == "comm_msg"]
    told = ""
    for message in comms:
        data: dict[str, Any] = message["content"]["data"]
        if data.get("content", {}).get("kind") == "delta":
            assert data["content"]["offset"] <= len(told)
            told = told[: data["content"]["offset"]] + data["content"]["text"]
        elif "text" in data.get("state", {}):
            told = max(told, data["state"]["text"], key=len)
    assert told == whole

    most = most_in_a_second(comms)
    assert most <= 60
    words = f"{RATE * SECONDS:,} deltas in {took:.1f} s into a cell: {len(comms)} comm messages"
    figure("reliability 10", f"{words}, {most} at most in a second; text equal")


def digest(text: str) -> str:
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n"
