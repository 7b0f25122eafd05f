"""controls: `%openclaw controls` in a real kernel, as widgets, as pictures, in words, and while a run is at work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.staged import STEPS

from .conftest import INSTALLED, Kernel, Message, Reply, environment
from .test_commands_completion import complete

pytestmark = pytest.mark.kernel
installed = pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)

BEGIN = f"%load_ext openclaw_nb\nimport os\n{STEPS}"

POOL = """
from openclaw_nb import OpenClawAgent, Runtime
pool = Runtime.shared().pool
agents = [OpenClawAgent(f"a{n}", model=steps) for n in range(4)]
"""


@pytest.fixture(autouse=True)
def loaded(kernel: Kernel) -> None:
    assert kernel.run("%unload_ext openclaw_nb").status in ("ok", "error")
    assert kernel.run(BEGIN).status == "ok"


def opened(reply: Reply, what: str = "choices") -> str:
    """The comm of the picker that a cell has opened: the one that shows ``what``."""
    opens = [m["content"] for m in reply.messages if m["msg_type"] == "comm_open"]
    (picker,) = [c["comm_id"] for c in opens if what in c["data"].get("state", {}).get("state", {})]
    return str(picker)


def states(messages: list[Message], picker: str) -> list[dict[str, Any]]:
    """What a page was told by a picker."""
    told = [m["content"]["data"] for m in messages if m["content"].get("comm_id") == picker]
    return [data["state"]["state"] for data in told if "state" in data.get("state", {})]


def told_after(kernel: Kernel, code: str, picker: str, last: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """What a page was told by a picker from a cell on until it was told this."""
    messages = kernel.run(code).messages
    messages += kernel.hear(lambda heard: any(map(last, states([*messages, *heard], picker)[-1:])))
    return states(messages, picker)


@pytest.mark.parametrize("kernel", [INSTALLED, "7.2.0"], indirect=True)  # 6.31 hears of it when the cell has ended
def test_a_choice_reaches_a_run_at_work(kernel: Kernel, tmp_path: Path) -> None:
    picker = opened(kernel.run("%openclaw controls"))
    gate = tmp_path / "gate"
    kernel.run(f"steps.gate = {str(gate)!r}")
    sent: list[str] = []

    def choose_once(message: Message) -> None:
        if message["msg_type"] == "comm_open" and not sent:  # the view of the run
            sent.append(picker)
            kernel.comm(picker, {"method": "custom", "content": {"kind": "choose", "level": 1, "ask": 5}})
        if "takes effect on the next step" in [state["line"] for state in states([message], picker)]:
            gate.touch()

    reply = kernel.run("%%openclaw --level 3 --model steps --into said\nq", on_message=choose_once)
    assert reply.status == "ok", reply.content
    told = states(reply.messages, picker)
    assert "takes effect on the next step" in [state["line"] for state in told]
    assert (told[-1]["chosen"], told[-1]["answered"]) == (1, 5)
    assert kernel.run("print(steps.levels[0], set(steps.levels[1:]), said.level)").text == "3 {1} 1\n"


@installed
def test_both_are_pictures_with_a_place_for_the_live_view(kernel: Kernel) -> None:
    reply = kernel.run("%openclaw controls")
    assert reply.status == "ok", reply.content
    levels, pool = reply.displays()
    assert set(levels) == set(pool) == {"text/html", "text/plain"}
    assert "data-ocnb-level=" in levels["text/html"]
    assert [line.split("  ")[0] for line in levels["text/plain"].splitlines()[:5]] == [
        "Auto", "1 fast", "2 standard", "3 deep", "4 ultra",
    ]  # fmt: skip
    assert "free · " in levels["text/plain"]
    assert "data-ocnb-pool=" in pool["text/html"]
    assert pool["text/plain"] == "0 of 10 at work, at most 3 per task"


@installed
def test_a_level_set_by_a_command_moves_it(kernel: Kernel) -> None:
    picker = opened(kernel.run("%openclaw controls"))
    told = told_after(kernel, "%openclaw level 3", picker, lambda state: state["chosen"] == 3)
    assert told[-1]["chosen"] == 3
    off = [False, False, False, True, True]
    told_after(
        kernel, "%openclaw level auto --max 2", picker,
        lambda state: [choice["off"] for choice in state["choices"]] == off,
    )  # fmt: skip


@installed
def test_the_pool_is_linked_both_ways_and_shows_its_use(kernel: Kernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    picker = opened(kernel.run("%openclaw controls"), "max_threads")
    kernel.run(POOL)
    told_after(
        kernel, "pool.max_threads, pool.max_per_task = 4, 2", picker,
        lambda state: (state["max_threads"], state["max_per_task"]) == (4, 2),
    )  # fmt: skip

    for ask, wish in enumerate(({"max_per_task": 3}, {"max_threads": 5000})):
        kernel.comm(picker, {"method": "custom", "content": {"kind": "set", "ask": ask, **wish}})
    begin = f"steps.gate = {str(gate)!r}\nwork = pool.execute(agents, 'q')"
    told_after(kernel, begin, picker, lambda state: (state["at_work"], state["waiting"]) == (3, 1))
    gate.touch()
    names = ("max_threads", "max_per_task", "at_work", "waiting")
    told = told_after(kernel, "work.result()", picker, lambda state: [state[name] for name in names] == [4, 3, 0, 0])
    assert ("5000" in told[-1]["line"], told[-1]["tone"]) == (True, "bad")


@installed
def test_static_output_is_the_same_after_the_same_cells(kernel: Kernel, static: None) -> None:
    first = kernel.run("%openclaw controls")
    assert "comm_open" not in [message["msg_type"] for message in first.messages]
    assert "nothing was asked yet" in first.text
    assert first.text.endswith("10 threads, at most 3 per task")
    kernel.run("%%openclaw\n15% of 80")
    second = kernel.run("%openclaw controls")
    assert "for the last prompt" in second.text
    kernel.run("%unload_ext openclaw_nb")
    kernel.run("%load_ext openclaw_nb")
    assert kernel.run("%openclaw controls").displays() == first.displays()
    kernel.run("%%openclaw\n15% of 80")
    assert kernel.run("%openclaw controls").displays() == second.displays()


@installed
def test_captured_output_is_the_pictures(kernel: Kernel) -> None:
    assert kernel.run("%%capture shown\n%openclaw controls").status == "ok"
    shown = kernel.run("print([output.data['text/plain'] for output in shown.outputs])").text
    assert shown.startswith("['Auto")
    assert shown.endswith("'0 of 10 at work, at most 3 per task']\n")


@installed
def test_it_takes_nothing_and_is_offered(kernel: Kernel) -> None:
    assert "takes nothing after it" in kernel.run("%openclaw controls please").content["evalue"]
    assert complete(kernel, "%openclaw con") == ["config", "connect", "controls"]
    assert "what each level would take" in kernel.run("%openclaw help").text


@installed
def test_a_terminal_gets_words(tmp_path: Any) -> None:
    script = "%load_ext openclaw_nb\n%openclaw level 3\n%openclaw controls\n"
    (tmp_path / "show.ipy").write_text(script)
    command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", str(tmp_path / "show.ipy")]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert next(line for line in lines if line.startswith("3 deep")).endswith("  chosen"), done.stdout + done.stderr
    assert lines[-1] == "0 of 10 at work, at most 3 per task"
