"""Approvals in a real kernel: by a view's buttons while the cell runs, by a prompt where none is heard, by commands."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.asking_gateway import Asking, asking

from .conftest import INSTALLED, PATIENT, VERSIONS, Kernel, Message, Reply

pytestmark = pytest.mark.kernel

BLOCKING = [(version, magic) for version in VERSIONS for magic in ("%%time\n%%openclaw", "%%openclaw --plain")]

installed = pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)


@pytest.fixture
def gateway(kernel: Kernel) -> Iterator[Asking]:
    with asking() as gateway:
        kernel.run(f"%load_ext openclaw_nb\nimport os; os.environ['ASKING'] = 't'\n{PATIENT}")
        assert kernel.run(f"%openclaw connect {gateway.url} --token-env ASKING").status == "ok"
        yield gateway
        assert kernel.run("%openclaw connect agent://local").status == "ok"


def on_asked(act: Callable[[str, dict[str, Any]], None]) -> Callable[[Message], None]:
    """Do ``act(comm id, approval)`` once for each approval that a view tells of."""
    known: set[str] = set()

    def hear(message: Message) -> None:
        if message["msg_type"] not in ("comm_open", "comm_msg"):
            return
        data = message["content"]["data"]
        for asked in (data.get("content") or data.get("state") or {}).get("approvals", ()):
            if asked["id"] not in known:
                known.add(asked["id"])
                act(message["content"]["comm_id"], asked)

    return hear


def button(kernel: Kernel, kind: str) -> Callable[[str, dict[str, Any]], None]:
    def press(comm: str, asked: dict[str, Any]) -> None:
        kernel.comm(comm, {"method": "custom", "content": {"kind": kind, "id": asked["id"]}})

    return press


def asked_in_cell(kernel: Kernel, code: str, *answers: str) -> tuple[Reply, list[str]]:
    """Run a cell whose questions are answered so, by a person at the keyboard; its reply, and the questions."""
    questions: list[str] = []
    cell = kernel.client.execute(code, allow_stdin=True)

    for answer in answers:
        questions.append(kernel.client.get_stdin_msg(timeout=60)["content"]["prompt"])
        kernel.client.input(answer)
    return kernel.wait(cell), questions


@pytest.mark.parametrize("kernel", [INSTALLED, "7.2.0"], indirect=True)  # 6.31 hears of it when the cell has ended
@pytest.mark.parametrize(
    ("kind", "decision", "words"), [("allow", "allow-once", "allowed once"), ("deny", "deny", "denied")]
)
def test_a_button_while_the_cell_runs(kernel: Kernel, gateway: Asking, kind: str, decision: str, words: str) -> None:
    reply = kernel.run(f"%%openclaw\nplease\nrun echo {kind}", on_message=on_asked(button(kernel, kind)))
    assert reply.status == "ok"
    assert gateway.decided == {f"echo {kind}": decision}
    (shown,) = reply.displays()
    assert f"{words}: echo {kind}" in shown["text/plain"]
    assert f"<b>{words}</b>" in shown["text/html"]
    assert "All of it is decided." in shown["text/markdown"]


@pytest.mark.parametrize(("kernel", "magic"), [("6.31.0", "%%openclaw"), *BLOCKING], indirect=["kernel"])
@pytest.mark.parametrize(("answer", "decision"), [("y", "allow-once"), ("", "deny")])
def test_a_prompt_where_no_button_is_heard(
    kernel: Kernel, gateway: Asking, magic: str, answer: str, decision: str
) -> None:
    reply, questions = asked_in_cell(kernel, f"{magic}\nplease\nrun echo one\nrun echo two", answer, answer)
    assert reply.status == "ok"
    assert questions == [f"exec wants to run:\necho {name}\nallow it once? [y/N] " for name in ("one", "two")]
    assert gateway.decided == {"echo one": decision, "echo two": decision}


@installed
def test_nobody_decides_where_nobody_is(kernel: Kernel, gateway: Asking) -> None:
    said = ""

    def decide(message: Message) -> None:
        nonlocal said
        before = said
        if message["msg_type"] == "stream":
            said += message["content"]["text"]
        if "[%openclaw allow" in said and "[%openclaw allow" not in before:
            gateway.decide("echo one", "deny")

    reply = kernel.run("%%openclaw --plain\nplease\nrun echo one", on_message=decide)
    assert reply.status == "ok"
    assert re.search(
        r"\[waiting for your approval: .*, 30 min left\]\n    echo one\n\[%openclaw allow 0f59d3cc", reply.text
    )
    assert "[denied elsewhere: echo one]" in reply.text


@installed
def test_commands_decide_on_runs_in_the_background(kernel: Kernel, gateway: Asking) -> None:
    kernel.run("%%openclaw --bg --into both\nplease\nrun echo one\nrun echo two")
    wait = "import time\nwhile len(both.approvals.pending) < 2: time.sleep(0.01)"
    assert kernel.run(wait).status == "ok"
    refused = kernel.run("%openclaw allow").content["evalue"]
    assert refused.startswith(
        "2 wait for your approval: 0f59d3cc (echo one), 1f59d3cc (echo two); write %openclaw allow"
    )
    assert "allowed once  echo one" in kernel.run("%openclaw allow 0").text
    assert "denied  echo two" in kernel.run("%openclaw deny").text
    kernel.run("%openclaw wait")
    assert gateway.decided == {"echo one": "allow-once", "echo two": "deny"}
    said = kernel.run(
        "print(*(f'{s.title}={s.text}' for s in both.steps if s.key.startswith('approval')), sep='; ')"
    ).text
    assert said == "allowed once=echo one; denied=echo two\n"


@installed
def test_interrupted_while_it_waits(kernel: Kernel, gateway: Asking) -> None:
    reply = kernel.run("%%openclaw\nplease\nrun echo one", on_message=on_asked(lambda *_: kernel.interrupt()))
    assert reply.status == "ok"
    (shown,) = reply.displays()
    assert "stopped by you" in shown["text/plain"]
    assert gateway.decided == {}


@installed
@pytest.mark.usefixtures("static")
def test_static_output_says_what_was_decided(kernel: Kernel, gateway: Asking) -> None:
    elsewhere = threading.Thread(target=gateway.decide, args=("echo one", "allow-once"))
    elsewhere.start()
    (shown,) = kernel.run("%%openclaw\nplease\nrun echo one").displays()
    elsewhere.join()
    assert "allowed elsewhere: echo one" in shown["text/plain"]
