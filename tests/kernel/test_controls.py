"""controls: `%openclaw controls` in a real kernel, as a widget, as a table, in words, and while a run is at work."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.staged import STEPS

from .conftest import INSTALLED, Kernel, Message, Reply, environment
from .test_completion import complete

pytestmark = pytest.mark.kernel
installed = pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)

BEGIN = f"%load_ext openclaw_nb\nimport os\n{STEPS}"


@pytest.fixture(autouse=True)
def loaded(kernel: Kernel) -> None:
    assert kernel.run("%unload_ext openclaw_nb").status in ("ok", "error")
    assert kernel.run(BEGIN).status == "ok"


def opened(reply: Reply) -> str:
    """The comm of the picker that a cell has opened."""
    opens = [m["content"] for m in reply.messages if m["msg_type"] == "comm_open"]
    (picker,) = [content["comm_id"] for content in opens if "place" in content["data"].get("state", {})]
    return str(picker)


def states(messages: list[Message], picker: str) -> list[dict[str, Any]]:
    """What a page was told of the levels."""
    told = [m["content"]["data"] for m in messages if m["content"].get("comm_id") == picker]
    return [data["state"]["state"] for data in told if "state" in data.get("state", {})]


@pytest.mark.parametrize("kernel", [INSTALLED, "7.2.0"], indirect=True)  # 6.31 hears of it when the cell has ended
def test_a_choice_reaches_a_run_at_work(kernel: Kernel) -> None:
    picker = opened(kernel.run("%openclaw controls"))
    sent: list[str] = []

    def choose_once(message: Message) -> None:
        if message["msg_type"] == "comm_open" and not sent:  # the view of the run
            sent.append(picker)
            kernel.comm(picker, {"method": "custom", "content": {"kind": "choose", "level": 1, "ask": 5}})

    reply = kernel.run("%%openclaw --level 3 --model steps --into said\nq", on_message=choose_once)
    assert reply.status == "ok", reply.content
    told = states(reply.messages, picker)
    assert "takes effect on the next step" in [state["line"] for state in told]
    assert (told[-1]["chosen"], told[-1]["answered"]) == (1, 5)
    assert kernel.run("print(steps.levels[0], set(steps.levels[1:]), said.level)").text == "3 {1} 1\n"


@installed
def test_it_is_a_table_with_a_place_for_the_live_view(kernel: Kernel) -> None:
    reply = kernel.run("%openclaw controls")
    assert reply.status == "ok", reply.content
    (shown,) = reply.displays()
    assert set(shown) == {"text/html", "text/plain"}
    assert "data-ocnb-level=" in shown["text/html"]
    assert [line.split("  ")[0] for line in shown["text/plain"].splitlines()[:5]] == [
        "Auto", "1 fast", "2 standard", "3 deep", "4 ultra",
    ]  # fmt: skip
    assert "free · " in shown["text/plain"]


@installed
def test_a_level_set_by_a_command_moves_it(kernel: Kernel) -> None:
    picker = opened(kernel.run("%openclaw controls"))
    messages = kernel.run("%openclaw level 3\nimport time; time.sleep(0.5)").messages
    assert states(messages, picker)[-1]["chosen"] == 3
    messages = kernel.run("%openclaw level auto --max 2\nimport time; time.sleep(0.5)").messages
    assert [choice["off"] for choice in states(messages, picker)[-1]["choices"]] == [False, False, False, True, True]


@installed
def test_static_output_is_the_same_after_the_same_cells(kernel: Kernel, static: None) -> None:
    first = kernel.run("%openclaw controls")
    assert "comm_open" not in [message["msg_type"] for message in first.messages]
    assert "nothing was asked yet" in first.text
    kernel.run("%%openclaw\n15% of 80")
    second = kernel.run("%openclaw controls")
    assert "for the last prompt" in second.text
    kernel.run("%unload_ext openclaw_nb")
    kernel.run("%load_ext openclaw_nb")
    assert kernel.run("%openclaw controls").displays() == first.displays()
    kernel.run("%%openclaw\n15% of 80")
    assert kernel.run("%openclaw controls").displays() == second.displays()


@installed
def test_captured_output_is_the_table(kernel: Kernel) -> None:
    assert kernel.run("%%capture shown\n%openclaw controls").status == "ok"
    assert "Auto" in kernel.run("print(shown.outputs[0].data['text/plain'])").text


@installed
def test_it_takes_nothing_and_is_offered(kernel: Kernel) -> None:
    assert "takes nothing after it" in kernel.run("%openclaw controls please").content["evalue"]
    assert complete(kernel, "%openclaw con") == ["connect", "controls"]
    assert "what each level would take" in kernel.run("%openclaw help").text


@installed
def test_a_terminal_gets_words(tmp_path: Any) -> None:
    script = "%load_ext openclaw_nb\n%openclaw level 3\n%openclaw controls\n"
    (tmp_path / "show.ipy").write_text(script)
    command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", str(tmp_path / "show.ipy")]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert next(line for line in lines if line.startswith("3 deep")).endswith("  chosen"), done.stdout + done.stderr
