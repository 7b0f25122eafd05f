"""catalog_commands: agents, models and usage, of a gateway elsewhere and of our own, in a real kernel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.household import Household, in_thread

from .conftest import INSTALLED

if TYPE_CHECKING:
    from .conftest import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]


@pytest.fixture(params=[3, 4])
def gateway(kernel: Kernel, request: pytest.FixtureRequest) -> Iterator[Household]:
    """One of each protocol, to which the kernel is connected."""
    kernel.run("%load_ext openclaw_nb\nimport os; os.environ['THERE'] = 'a-token-of-theirs'")
    with in_thread() as begin:
        household, url = begin(request.param)
        assert kernel.run(f"%openclaw connect {url} --token-env THERE").status == "ok"
        yield household
        kernel.run("%openclaw connect agent://local")


def test_an_agent_of_the_gateway(kernel: Kernel, gateway: Household) -> None:
    listed = kernel.run("%openclaw agents").text
    assert "cells ask it" in listed.splitlines()[0]
    assert "the gateway's default" in listed.splitlines()[0]
    assert "helper" in listed
    assert "did you mean helper" in kernel.run("%openclaw agent helpr").content["evalue"]
    chosen = kernel.run("%openclaw agent helper").text
    assert "agent:helper:" in chosen
    asked = kernel.run("%%openclaw --bg --into sent\nhello")
    assert asked.content["status"] == "ok", asked.content
    shown = kernel.run("agent = sent.agent\nsent.cancel()\nagent")  # of the Run: once it has ended, sent is its Result
    assert shown.text == "'helper'", shown.content
    nobody = kernel.run("%%openclaw --agents helper,nobody\nhello")
    assert "has no agent 'nobody'; there are helper, main" in nobody.content["evalue"]


def test_models_and_the_one_of_the_session(kernel: Kernel, gateway: Household) -> None:
    listed = kernel.run("%openclaw models").text.splitlines()
    assert "level 1 off, 2 low, 3 medium, 4 high" in listed[0]
    assert "does not think" in listed[1]
    kernel.run("%openclaw session notes")
    assert "mock/mock-2" in kernel.run("%openclaw model mock/mock-2").text
    assert gateway.sessions["agent:main:notes"]["model"] == "mock-2"
    assert "mock/mock-2" in kernel.run("%openclaw model").text
    assert "model not allowed: mock/nope" in kernel.run("%openclaw model mock/nope").content["evalue"]
    assert "mock/mock-1" in kernel.run("%openclaw model default").text
    assert ["operator.admin" in scopes for scopes in gateway.scopes].count(True) == (3 if gateway.protocol == 3 else 0)


def test_what_was_used_there_and_here(kernel: Kernel, gateway: Household) -> None:
    text = kernel.run("%openclaw usage --days 7").text
    assert "5,985 tokens (5,973 in, 12 out), $0.006 from " in text
    assert "mock/mock-1" in text
    assert "4 calls" in text
    assert text.index("2026-11-22") < text.index("2026-11-21")
    assert "this notebook" in text
    assert "'0' is not a whole number" in kernel.run("%openclaw usage --days 0").content["evalue"]


def test_what_goes_along(kernel: Kernel, gateway: Household, tmp_path: Path) -> None:
    (tmp_path / "plan.pdf").write_bytes(b"%PDF \xff")
    kernel.run("table = 'a,b\\n1,2\\n'")
    reply = kernel.run(f"%%openclaw --bg --attach table,{tmp_path / 'plan.pdf'}\nlook")
    if gateway.protocol == 3:
        assert "takes pictures and text along, and plan.pdf is application/pdf" in reply.content["evalue"]
        return
    end = time.monotonic() + 60
    while not (sends := [params for method, params in list(gateway.asked) if method == "chat.send"]):
        assert time.monotonic() < end, "it was never sent"
        time.sleep(0.02)
    kernel.run("%openclaw cancel")
    (sent,) = sends
    assert [one["fileName"] for one in sent["attachments"]] == ["table.txt", "plan.pdf"]
    gone = kernel.run("%%openclaw --attach nothing.txt\nlook").content["evalue"]
    assert gone == "--attach: there is neither a variable nor a file 'nothing.txt'"


def test_our_own(kernel: Kernel) -> None:
    kernel.run("%load_ext openclaw_nb\n%openclaw connect agent://local")
    assert "reviewer" in kernel.run("%openclaw agents").text
    assert "runs take" in kernel.run("%openclaw models").text
    assert "%%openclaw --agents NAME" in kernel.run("%openclaw agent helper").content["evalue"]
    kernel.run("%%openclaw\nwhat is 6*7?")
    assert "offline, level" in kernel.run("%openclaw usage").text
    kernel.run("table = 'a,b\\n1,2\\n'")
    assert "table.txt" in kernel.run("%%openclaw --attach table\nDescribe it").text
