"""commands: `%openclaw` and its subcommands in a real kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import INSTALLED

if TYPE_CHECKING:
    from .conftest import Kernel

pytestmark = [
    pytest.mark.kernel,
    # A command is the same line in each of them; what hooks into a kernel runs in all versions.
    pytest.mark.parametrize("kernel", [INSTALLED], indirect=True),
]


@pytest.fixture(autouse=True)
def loaded(kernel: Kernel) -> None:
    kernel.run("%load_ext openclaw_nb\n%openclaw level auto")


def test_the_card_says_where_runs_go_and_why(kernel: Kernel) -> None:
    text = kernel.run("%openclaw").text
    assert "agent://local, in this kernel; model offline, because none was chosen" in text
    kernel.run("import os; os.environ['OPENAI_API_KEY'] = 'sk-very-secret'")
    card = kernel.run("%openclaw").displays()[0]
    kernel.run("del os.environ['OPENAI_API_KEY']")
    assert "OPENAI_API_KEY is set and unused" in card["text/plain"]
    assert "sk-very-secret" not in str(card)


def test_what_runs_cost_and_may_cost(kernel: Kernel) -> None:
    kernel.run("async def paid(prompt):\n    for _ in range(10):\n        yield 'word '\npaid.prices = (0, 10_000)")
    kernel.run("%%openclaw --model paid --level 1\nhello")
    assert "1 run, 10 tokens, $0.10" in kernel.run("%openclaw").text
    try:
        assert "$0.10 of $0.25" in kernel.run("%openclaw budget 0.25").text
        kernel.run("%%openclaw --model paid --level 1\nhello")
        shown = kernel.run("%%openclaw --model paid --level 1\nhello").text
        assert "stopped at the budget of $0.05" in shown
        refused = kernel.run("%%openclaw --model paid --level 1\nhello")
        assert "the notebook's budget of $0.25 is used up" in refused.content["evalue"]
        text = kernel.run("%openclaw budget").text
        assert "3 runs, 26 tokens, $0.26 of $0.25" in text
        assert "paid, level 1 fast" in text
    finally:
        off = kernel.run("%openclaw budget off").text
    assert "$0.25" not in off
    kernel.run("%%openclaw --model paid --level 1\nhello")
    assert "$0.36" in kernel.run("%openclaw").text


def test_help_lists_every_command_and_option(kernel: Kernel) -> None:
    text = kernel.run("%openclaw help").text
    for word in ("connect URI", "wait", "--into VAR", "--budget USD"):
        assert word in text


def test_level_and_model_last(kernel: Kernel) -> None:
    assert "3 deep" in kernel.run("%openclaw level 3").text
    kernel.run("async def who(prompt):\n    yield 'it is I'")
    assert "who" in kernel.run("%openclaw model who").text
    kernel.run("%%openclaw --into said\nhello")
    assert kernel.run("print(said, said.level, said.model)").text == "it is I 3 who\n"
    assert "2 standard" in kernel.run("%openclaw level standard").text
    kernel.run("%openclaw model offline")


def test_runs_and_cancel(kernel: Kernel) -> None:
    kernel.run("%%openclaw --bg --into long\ncount to 9000")
    listed = kernel.run("%openclaw runs").text
    assert "count to 9000" in listed
    id = kernel.run("print(long.id[:8])").text.strip()
    assert id in kernel.run(f"%openclaw cancel {id}").text
    kernel.run("%openclaw wait")
    assert kernel.run("print(long.status)").text == "stopped\n"
    assert "nothing was at work" in kernel.run("%openclaw cancel").text
    kernel.run("import os\nos.environ['OPENCLAW_NB_RENDER'] = 'static'")
    numbered = kernel.run("%openclaw runs").text.splitlines()
    kernel.run("del os.environ['OPENCLAW_NB_RENDER']")
    assert [line.split()[0] for line in numbered] == [str(n + 1) for n in range(len(numbered))], "ids are chance"
    assert "no run at work is called 'zz'" in kernel.run("%openclaw cancel zz").content["evalue"]


def test_sessions(kernel: Kernel) -> None:
    kernel.run("%%openclaw --session 'my notes'\nwhat is 6*7?")
    assert "my notes" in kernel.run("%openclaw sessions").text


def test_doctor(kernel: Kernel) -> None:
    assert "agent://local answers" in kernel.run("%openclaw doctor").text


def test_a_gateway_elsewhere(kernel: Kernel, served: tuple[str, str]) -> None:
    url, token = served
    kernel.run(f"import os; os.environ['MY_TOKEN'] = {token!r}; os.environ['BAD_TOKEN'] = 'wrong'")
    refused = kernel.run(f"%openclaw connect {url} --token-env BAD_TOKEN")
    assert "does not let us in" in refused.content["evalue"]
    assert "NO_SUCH" in kernel.run(f"%openclaw connect {url} --token-env NO_SUCH").content["evalue"]
    connected = kernel.run(f"%openclaw connect {url} --token-env MY_TOKEN")
    assert "protocol 4" in connected.text
    reply = kernel.run("%%openclaw --into far\nwhat is 6*7?")
    assert "42" in reply.text
    assert kernel.run("print(far.model)").text == "offline:0\n"
    assert token not in str([message["content"] for message in (*refused.messages, *connected.messages)])
    kernel.run("%openclaw connect agent://local")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%openclaw level 9", "not one of 1, 2, 3, 4 or auto"),
        ("%openclaw model nope:x", "nope:x"),
        ("%openclaw wait please", "takes nothing after it"),
        ("%openclaw connect", "write %openclaw connect URI"),
        ("%openclaw connect ws://127.0.0.1:9 --token-file /nowhere/at/all", "/nowhere/at/all"),
        ("%openclaw connect ws://user:secret@127.0.0.1:1", "must hold no token"),
        ("%openclaw connect ws://127.0.0.1:9", "nobody is here to be asked"),
        ("%openclaw nested maybe", "nested on"),
    ],
)
def test_mistakes(kernel: Kernel, line: str, words: str) -> None:
    reply = kernel.run(line)
    assert words in reply.content["evalue"]
    assert "secret" not in reply.content["evalue"]
    assert len("\n".join(reply.content["traceback"]).splitlines()) <= 3
