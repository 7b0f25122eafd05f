"""Agents side by side in real kernels: each word in its own cell and lane, whatever runs meanwhile or breaks in."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from ..widgets.crew import texts
from .conftest import INSTALLED, PATIENT, after_view, most_in_a_second, view_of, when_printed, when_told

if TYPE_CHECKING:
    from .conftest import Kernel, Message

pytestmark = pytest.mark.kernel
newest = pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)

CELLS, AGENTS, TOKENS, RATE = 10, 10, 80, 40

NOTEBOOK = f"""
%load_ext openclaw_nb
import asyncio, gc, os, threading, time
from openclaw_nb import OpenClawAgent, PoolRun, ThreadPool
{PATIENT}

held = False  # whether the last word waits

def talker(name, tokens={TOKENS}, rate={RATE}):
    async def model(prompt):
        start = time.monotonic()
        for n in range(tokens):
            while held and n == tokens - 1:
                await asyncio.sleep(0.01)
            yield f"{{name}}.{{prompt}}.{{n}} "
            await asyncio.sleep(max(0, start + n / rate - time.monotonic()))
    return OpenClawAgent(name, model=model)

for n in range({AGENTS}):
    globals()[f"a{{n}}"] = talker(f"a{{n}}")
quick = talker("quick", 2)
slow, slower = talker("slow", 40_000), talker("slower", 40_000)  # so many that they never end by themselves

wake = threading.Event()

def nap(seconds: int) -> str:
    "Sleep, as code that hears nothing does."
    print("napping", flush=True)
    wake.wait(seconds)
    print("awake", flush=True)
    return "slept"

napper = OpenClawAgent("napper", model="offline:0", tools=[nap])
"""

STOP = {"method": "custom", "content": {"kind": "stop"}}

WORKERS = 8
"""More than the runtime's executor has threads on two cores; twenty runs that leave something behind are above it."""


class Pages:
    """What the front end got of each live view, by its comm, and the cell that opened it."""

    def __init__(self) -> None:
        self.cells: dict[str, str] = {}
        self.messages: dict[str, list[Message]] = {}
        self._data: dict[str, list[dict[str, Any]]] = {}

    def of(self, view: str) -> list[dict[str, Any]]:
        return self._data[view]

    def take(self, message: Message) -> None:
        content = message["content"]
        if opened := view_of(message):
            self.cells[opened] = message["parent_header"]["msg_id"]
            self._data[opened], self.messages[opened] = [content["data"]], []
        elif message["msg_type"] == "comm_msg" and content["comm_id"] in self._data:
            self._data[content["comm_id"]].append(content["data"])
            self.messages[content["comm_id"]].append(message)


@pytest.fixture(autouse=True)
def notebook(kernel: Kernel) -> None:
    reply = kernel.run(f"{NOTEBOOK}\n%openclaw pool 10 --per-task 3")
    assert reply.status == "ok", reply.content


def said(agent: int, cell: int) -> str:
    return "".join(f"a{agent}.c{cell}.{n} " for n in range(TOKENS))


# -- where it lands ----------------------------------------------------------------------------------


def test_ten_cells_of_ten_agents_while_later_cells_run(kernel: Kernel, figure: Callable[[str, str], None]) -> None:
    everything = kernel.version == INSTALLED
    cells = range(CELLS if everything else 3)
    agents = ",".join(f"a{n}" for n in range(AGENTS))
    kernel.run("%openclaw pool 100 --per-task 10")
    pages = Pages()
    asking = [kernel.submit(f"%%openclaw --bg --agents {agents} --into r{n}\nc{n}") for n in cells]
    for cell in asking:
        kernel.wait(cell, on_message=pages.take)
    for n in range(3):
        later = kernel.run(f"for i in range(10): print({n}, i); time.sleep(0.02)", on_message=pages.take)
        assert later.text == "".join(f"{n} {i}\n" for i in range(10))
    waited = kernel.run("%openclaw wait", on_message=pages.take)
    assert f"settled  {len(cells)} runs" in waited.text

    assert [pages.cells[view] for view in pages.cells] == asking
    lanes = 0
    for n, view in enumerate(pages.cells):
        lanes += sum(text == said(agent, n) for agent, text in enumerate(texts(pages, view, AGENTS)))
    assert lanes == len(cells) * AGENTS
    whole = 0
    for n, cell in enumerate(asking):
        (shown,) = [output["data"] for output in kernel.screen.of(cell)]
        whole += all(said(agent, n).strip() in shown["text/plain"] for agent in range(AGENTS))
    assert whole == len(cells)
    most = max(map(most_in_a_second, pages.messages.values()))
    assert most <= 60
    figure(
        "reliability 14",
        f"ipykernel {kernel.version}: every delta in its own cell and lane, {whole} of {len(cells)} cells, {lanes} of "
        f"{len(cells) * AGENTS} lanes, at most {most} comm messages in a second and cell",
    )


@newest
def test_what_a_tool_prints_lands_in_the_cell_that_asked(kernel: Kernel) -> None:
    asking = kernel.submit("%%openclaw --bg --agents napper,a0 --into w\nuse nap(1)")
    kernel.wait(asking)
    later = kernel.run("while isinstance(w, PoolRun): time.sleep(0.05)\nprint('later')")
    assert later.text == "later\n"
    kernel.run("%openclaw wait")
    printed = "".join(output["text"] for output in kernel.screen.of(asking) if output.get("name") == "stdout")
    assert printed == "napping\nawake\n"


@newest
@pytest.mark.parametrize("how", ["--plain", "static"])
def test_without_a_view_too_it_lands_where_it_belongs(kernel: Kernel, how: str) -> None:
    kernel.run(f"if {how!r} == 'static': os.environ['OPENCLAW_NB_RENDER'] = 'static'")
    asking = kernel.submit(f"%%openclaw --bg --agents a0,a1 --into w {how.replace('static', '')}\nc0")
    kernel.wait(asking)
    assert kernel.run("while isinstance(w, PoolRun): time.sleep(0.05)\nprint('later')").text == "later\n"
    waited = kernel.run("%openclaw wait\nos.environ.pop('OPENCLAW_NB_RENDER', None)")
    place = waited.outputs if how == "static" else kernel.screen.of(asking)
    shown = "".join(output.get("text", "") or output["data"]["text/plain"] for output in place)
    assert [shown.count(said(agent, 0).strip()) for agent in (0, 1)] == [1, 1]


@newest
def test_a_handle_or_its_end_as_the_last_value_of_a_cell(kernel: Kernel) -> None:
    live = kernel.run("held = True\nw = ThreadPool().execute(['a0', a1], 'c0')\nw")
    kernel.run("held = False")
    assert any(map(view_of, live.messages))
    for cell in ("w.result()", "_", "await w"):
        (shown,) = kernel.run(cell).displays()
        assert said(0, 0).strip() in shown["text/markdown"]
        assert said(1, 0).strip() in shown["text/html"]
    assert said(1, 0).strip() in live.displays()[0]["text/plain"]
    os_static = "os.environ['OPENCLAW_NB_RENDER'] = 'static'"
    still = kernel.run(f"{os_static}\nThreadPool().execute([talker('fast', 3)], 'c0')")
    kernel.run("del os.environ['OPENCLAW_NB_RENDER']")
    assert len(still.displays()) == 1
    assert "fast.c0.2" in still.text
    assert not any(message["msg_type"] in ("comm_open", "update_display_data") for message in still.messages)


# -- breaking in -------------------------------------------------------------------------------------


def test_an_interrupt_stops_all_and_keeps_what_came(kernel: Kernel) -> None:
    asking = kernel.submit("%%openclaw --agents slow,slower,slow,a1 --into w\nx")
    after = kernel.submit("print('the queue goes on')")
    reply = kernel.wait(asking, on_message=when_told("slower.x.4 ", lambda _: kernel.interrupt()))
    assert reply.status == "ok", reply.content
    assert "0 of 4 done, 4 stopped" in reply.text
    assert kernel.wait(after).text == "the queue goes on\n"
    kept = kernel.run("print(w.words, w.results['slower'].startswith('slower.x.0 slower.x.1'), w.results['a1'])")
    assert kept.text == "0 of 4 done, 4 stopped True a1 was not started: stopped by you\n"


@newest
def test_interrupts_at_random_leave_nothing(kernel: Kernel, figure: Callable[[str, str], None]) -> None:
    kernel.run("%%openclaw --agents a0,a1\nwarm up")
    held = "(threading.active_count(), len(asyncio.all_tasks()), len(os.listdir('/proc/self/fd')))"
    kernel.run(f"gc.collect(); before = {held}")
    moments: list[float] = []

    def interrupt(_: str) -> None:
        moments.append(time.monotonic())
        kernel.interrupt()

    dice, took = random.Random(14), []
    for n in range(20):
        around = "%%time\n" if n % 4 == 3 else ""
        cell = f"{around}%%openclaw --agents slow,slower,napper,a0 --into w\nagain"
        reply = kernel.run(cell, on_message=after_view(dice.uniform(0, 0.15), interrupt))
        took.append(time.monotonic() - moments[-1])
        assert reply.status == "ok", reply.content
        ends = kernel.run(
            "print(*(getattr(w.results[a], 'status', w.results[a]) for a in ('slow', 'slower')), sep=';')"
        )
        assert ends.status == "ok", ends.content
        assert all(end.endswith(("stopped", "not started: stopped by you")) for end in ends.text.strip().split(";"))
    # What runs had goes by itself. Each worker keeps a descriptor: its way to the front end, when it first needs it.
    left = f"gc.collect(); left = [now - then for now, then in zip({held}, before)]"
    few = f"left[0] <= {WORKERS} and left[1] <= 0 and left[2] <= {WORKERS}"
    calm = kernel.until(f"{left}; print(*left, 'calm' if {few} else 'at work')", "calm")
    threads, tasks, descriptors = map(int, calm.split()[:3])
    figure(
        "reliability 15, pools",
        f"{len(took)} interrupts of 4 agents at random times: the cell ended within {max(took):.2f} s, "
        f"{threads} threads, {tasks} tasks, {descriptors} descriptors more than before",
    )


@newest
def test_an_interrupt_while_a_tool_blocks(kernel: Kernel) -> None:
    interrupt = when_printed("napping", kernel.interrupt)
    reply = kernel.run("%%openclaw --agents napper,slow --into w\nuse nap(600)", on_message=interrupt)
    assert reply.status == "ok", reply.content
    assert kernel.run("wake.set(); print(w.words)").text == "0 of 2 done, 2 stopped\n"
    assert "42" in kernel.run("%%openclaw --agents napper,coder\nwhat is 6*7?").text, "its thread was replaced"


def test_one_is_stopped_and_the_others_go_on(kernel: Kernel) -> None:
    if kernel.version.startswith("6."):
        pytest.skip("ipykernel 6 hears a page when the cell has ended")
    one = {"method": "custom", "content": {"kind": "stop", "lane": 0}}
    stop_one = when_told("slow.c0.4 ", lambda comm: kernel.comm(comm, one))
    reply = kernel.run("%%openclaw --agents slow,a0 --into w\nc0", on_message=stop_one)
    assert reply.status == "ok", reply.content
    assert kernel.run("print(w.words, w.results['slow'].words)").text == "1 of 2 done, 1 stopped stopped by you\n"
    stop_all = when_told("slow.x.4 ", lambda comm: kernel.comm(comm, STOP))
    assert kernel.run("%%openclaw --agents slow,slower\nx", on_message=stop_all).status == "ok"


@newest
def test_a_pipeline_is_stopped_in_the_middle(kernel: Kernel) -> None:
    cell = "%%openclaw --agents quick,slow,coder --mode pipeline --into w\nc0"
    assert kernel.run(cell, on_message=when_told("slow.", lambda _: kernel.interrupt())).status == "ok"
    words = kernel.run("print(w.words, *(getattr(r, 'words', r) for r in w.results.values()), sep='; ')").text
    assert words == "1 of 3 done, 2 stopped; ; stopped by you; coder was not started: stopped by you\n"


@newest
def test_by_number_from_a_later_cell(kernel: Kernel) -> None:
    kernel.run("%openclaw wait")  # for what earlier cells have shown
    kernel.run("%%openclaw --bg --agents slow,quick,slower --into w\nx")
    run = kernel.run("while not w.lane('quick').done(): time.sleep(0.01)\nprint(w.id[:8], end='')").text
    listed = kernel.run("%openclaw runs").text
    assert f"{run}  " in listed
    assert "· slow, quick, slower ·" in listed
    assert "no run at work" in kernel.run("%openclaw cancel 0x").content["evalue"]
    assert f"stopped  {run}" in kernel.run(f"%openclaw cancel {run}").text
    assert "settled  1 run" in kernel.run("%openclaw wait").text
    assert kernel.run("print(w.words)").text == "1 of 3 done, 2 stopped\n"


def interrupted(kernel: Kernel, code: str) -> tuple[str, float]:
    """What is raised in a cell that waits in Python, and how many seconds after the kernel was interrupted."""
    moments: list[float] = []

    def act() -> None:
        moments.append(time.monotonic())
        kernel.interrupt()

    def begin(message: Message) -> None:
        if message["msg_type"] == "stream" and "now" in message["content"]["text"]:
            threading.Timer(0.5, act).start()

    told = "print(type(error).__name__, time.monotonic())"
    waiting = f"print('now', flush=True)\n    {code}"
    reply = kernel.run(f"try:\n    {waiting}\nexcept BaseException as error:\n    {told}", on_message=begin)
    _, name, moment = reply.text.split()
    return name, float(moment) - moments[0]


def test_who_waits_in_python_hears_an_interrupt_too(kernel: Kernel, figure: Callable[[str, str], None]) -> None:
    kernel.run("threads = ThreadPool()\nw = threads.execute([slow], 'x')")
    codes = ("w.result()", "await w", "await slow.analyze('x')")
    names = ("KeyboardInterrupt", "CancelledError", "CancelledError")

    heard = [interrupted(kernel, code) for code in codes]
    assert tuple(name for name, _ in heard) == names
    assert kernel.run("print(w.done(), w.lane('slow').tokens > 0)").text == "False True\n", "it goes on, as a run does"
    assert kernel.run("w.cancel(); print(w.result(50).words)").text == "0 of 1 done, 1 stopped\n"
    said = ", ".join(f"{code} {seconds:.2f} s" for code, (_, seconds) in zip(codes, heard, strict=True))
    figure("issue 6, interrupts", f"ipykernel {kernel.version}: heard within {said}")


# -- loading and unloading ---------------------------------------------------------------------------


@newest
def test_reloading_with_pools_at_work_leaves_nothing(kernel: Kernel) -> None:
    kernel.run("%unload_ext openclaw_nb")
    kernel.run("""
import psutil
shell, kept = get_ipython(), []
def trace():
    formatters = shell.display_formatter.ipython_display_formatter
    return (
        len(formatters.type_printers), len(formatters.deferred_printers), len(shell.input_transformers_post),
        sorted(shell.magics_manager.magics["cell"]), [len(handlers) for handlers in shell.events.callbacks.values()],
        sorted(thread.name for thread in threading.enumerate() if "openclaw" in thread.name),
        len([c for c in psutil.Process().net_connections() if c.status == "LISTEN"]),
    )
def again(n):
    shell.run_line_magic("reload_ext" if n else "load_ext", "openclaw_nb")
    mine = talker("mine", 2000)
    shell.run_cell_magic("openclaw", "--agents mine,coder,tester --bg --into w", "count to 100")
    kept.append(w)
    time.sleep(0.05 * (n % 3))
before = trace()
""")
    for n in range(20):
        reply = kernel.run(f"again({n})")
        assert reply.status == "ok", reply.content
        assert "Traceback" not in reply.text
    kernel.run("%unload_ext openclaw_nb")
    kernel.until("gc.collect(); after = trace(); print(after == before or (before, after))", "True\n")
    assert kernel.run("print([run.done() for run in kept].count(True))").text == "20\n"
