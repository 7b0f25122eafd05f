"""remote_commands: sessions of a gateway elsewhere, and of our own, by `%openclaw` in a real kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.household import Household, in_thread

from .conftest import INSTALLED

if TYPE_CHECKING:
    from .conftest import Kernel, Reply

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]

SAID = [
    {"role": "user", "content": "what is *this*?"},
    {
        "role": "assistant", "model": "mock-1", "usage": {"output": 5, "cost": {"total": 0.002}},
        "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "**A test** <script>alert(1)</script>"},
        ],
    },
]  # fmt: skip

Connect = Callable[[int], tuple[Household, str]]


@pytest.fixture
def connect(kernel: Kernel) -> Iterator[Connect]:
    """Connects the kernel to a household of a protocol; it, and the key of the notebook's own session there."""
    kernel.run("%load_ext openclaw_nb\nimport os; os.environ['THERE'] = 'a-token-of-theirs'")
    with in_thread() as begin:

        def connected(protocol: int) -> tuple[Household, str]:
            gateway, url = begin(protocol)
            reply = kernel.run(f"%openclaw connect {url} --token-env THERE")
            assert reply.status == "ok", reply.content
            rows = reply.text.splitlines()
            return gateway, next(row.split()[-1] for row in rows if row.startswith("cells talk in"))

        yield connected
        kernel.run("%openclaw connect agent://local")


def refused(reply: Reply) -> str:
    assert reply.status == "error"
    return str(reply.content["evalue"])


both = pytest.mark.parametrize("protocol", [3, 4])


@both
def test_the_sessions_of_the_gateway(kernel: Kernel, connect: Connect, protocol: int) -> None:
    gateway, own = connect(protocol)
    for n in range(25):
        gateway.begin(f"agent:main:s{n}")
    gateway.begin("agent:main:main", totalTokens=2000, estimatedCostUsd=0.5)
    gateway.begin("agent:helper:plan", label="The plan <b>", hasActiveRun=True)
    text = kernel.run("%openclaw sessions").text
    rows = {name: words for name, _, words in (line.partition("  ") for line in text.splitlines())}
    assert f"{own}; it begins with its first message" in rows["main"]
    assert "a run is at work · The plan <b> · mock/mock-1" in rows["agent:helper:plan"]
    assert "2,000 of 128,000 tokens · $0.50" in rows["agent:main:main"]
    assert "s24" in rows
    assert "s5" not in rows
    assert "and 7 more" in rows["…"]
    assert "The plan &lt;b&gt;" in kernel.run("%openclaw sessions").displays()[0]["text/html"]


@both
def test_one_is_chosen_and_cells_talk_in_it(kernel: Kernel, connect: Connect, protocol: int) -> None:
    gateway, own = connect(protocol)
    gateway.begin("agent:main:notes", *SAID)
    gateway.begin("agent:helper:plan", label="Our plan")
    assert f"main, this notebook's own, {own}" in kernel.run("%openclaw session").text
    assert "notes, agent:main:notes" in kernel.run("%openclaw session notes").text
    assert "cells talk in notes" in kernel.run("%openclaw").text
    assert "agent:helper:plan" in kernel.run("%openclaw session 'Our plan'").text
    assert "it begins with its first message" in kernel.run("%openclaw session new").text
    kernel.run("%%openclaw --bg --into sent\nhello")
    kernel.run("sent.cancel()")
    assert kernel.run("print(sent.session)").text == "new\n"
    assert own in kernel.run("%openclaw session main").text
    gateway.begin("agent:main:another", label="Our plan")
    assert "2 sessions have the title 'Our plan'" in refused(kernel.run("%openclaw session 'Our plan'"))


@both
def test_what_was_said_in_one(kernel: Kernel, connect: Connect, protocol: int) -> None:
    gateway, _ = connect(protocol)
    gateway.begin("agent:main:notes", *SAID)
    shown: dict[str, Any] = kernel.run("%openclaw history --session notes").displays()[0]
    assert "agent · mock-1 · 5 tokens · $0.002" in shown["text/plain"]
    assert "(thought: hm)" in shown["text/plain"]
    assert "<strong>A test</strong>" in shown["text/html"]
    assert "what is *this*?" in shown["text/html"]
    assert "<script" not in shown["text/html"]
    newest = kernel.run("%openclaw history 1 --session notes").text
    assert "what is" not in newest
    assert ("the last 1 message\n" if protocol == 3 else f"the last 1 of {len(SAID)} messages\n") in newest
    assert "nothing was said yet" in kernel.run("%openclaw history").text
    assert "'x' is not a whole number" in refused(kernel.run("%openclaw history x"))


def test_a_branch(kernel: Kernel, connect: Connect) -> None:
    gateway, own = connect(4)
    gateway.begin(own, *SAID)
    assert "aside begins with what was said in main" in kernel.run("%openclaw branch aside").text
    assert gateway.said["agent:main:aside"] == SAID
    assert "there is a session agent:main:aside already" in refused(kernel.run("%openclaw branch aside"))
    assert "main is the notebook's own" in refused(kernel.run("%openclaw branch main"))


def test_protocol_3_says_that_it_has_no_branch(kernel: Kernel, connect: Connect) -> None:
    gateway, own = connect(3)
    gateway.begin(own, *SAID)
    assert "speaks protocol 3, which cannot fork a session" in refused(kernel.run("%openclaw branch aside"))


@both
def test_anew_as_an_administrator_for_this_once(kernel: Kernel, connect: Connect, protocol: int) -> None:
    gateway, own = connect(protocol)
    gateway.begin(own, *SAID)
    assert "main begins anew; what was said in it is in the archive" in kernel.run("%openclaw reset").text
    assert gateway.said[own] == []
    assert ["operator.admin" in scopes for scopes in gateway.scopes].count(True) == 1
    assert "there is no session agent:main:none to begin anew" in refused(kernel.run("%openclaw reset --session none"))
    gateway.grants = False
    assert "allows this to operator.admin only" in refused(kernel.run("%openclaw reset"))


def test_our_own_sessions(kernel: Kernel) -> None:
    kernel.run("%load_ext openclaw_nb\n%openclaw connect agent://local")
    assert "cells talk in  sums, 0 messages" in kernel.run("%openclaw session sums").text
    kernel.run("%%openclaw\nwhat is 6*7?")
    shown = kernel.run("%openclaw history").displays()[0]
    assert shown["text/plain"] == "session sums, 2 messages\n\nyou\n  what is 6*7?\n\nagent\n  `6*7` = **42**"
    assert "2 messages" in kernel.run("%openclaw snapshot mark").text
    assert "sums begins anew" in kernel.run("%openclaw reset").text
    assert "nothing was said yet" in kernel.run("%openclaw history").text
    assert "2 messages" in kernel.run("%openclaw restore mark").text
    kernel.run("%openclaw session main")
    assert "sums" in kernel.run("%openclaw sessions").text
