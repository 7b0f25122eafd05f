"""magics: `%%openclaw` in real kernels of three ipykernel versions, as a front end sees it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from openclaw_nb import notebook

from .conftest import LIMITS, PATIENT, after_view, most_in_a_second, view_of, when_printed, when_told

if TYPE_CHECKING:
    from .conftest import Kernel, Message, Reply

pytestmark = pytest.mark.kernel

MODELS = f"""
import asyncio
%load_ext openclaw_nb
{PATIENT}

closed = []

async def slow(prompt):
    try:
        for number in range(100_000):  # so many that it never ends by itself
            yield f"{{number}} "
            await asyncio.sleep(0.01)
    finally:
        closed.append(prompt)

async def burst(prompt):
    for number in range(4000):
        yield f"word{{number % 50}} "

async def echo(prompt):
    yield prompt

async def broken(prompt):
    yield "so far "
    raise ValueError("no more")
"""


WORKERS = 8
"""More than the runtime's executor has threads on two cores; fifty runs that leave something behind are above it."""


@pytest.fixture(autouse=True)
def models(kernel: Kernel) -> None:
    reply = kernel.run(MODELS)
    assert reply.status == "ok", reply.content


def answer(reply: Reply) -> str:
    return str(reply.displays()[0]["text/plain"])


# -- what a cell gives -----------------------------------------------------------------------------


def test_the_answer_is_shown_once_and_stays(kernel: Kernel) -> None:
    reply = kernel.run("%%openclaw\nwhat is 6*7?")
    assert reply.status == "ok"
    (shown,) = reply.displays()
    assert set(shown) == {"text/html", "text/markdown", "text/plain"}
    assert "42" in shown["text/plain"]
    again = kernel.run("_")
    assert "42" in again.displays()[0]["text/markdown"]


def test_into_is_a_string_with_facts(kernel: Kernel) -> None:
    kernel.run("%%openclaw --into answer --level 1 --model echo\nhello there")
    reply = kernel.run("print(answer, type(answer).__name__, answer.level, answer.model, answer + '!')")
    assert reply.text == "hello there Result 1 echo hello there!\n"


def test_a_tag_gives_the_level(kernel: Kernel) -> None:
    reply = kernel.run("%%openclaw --into said --complexity complex --model offline:0\nwhat is 6*7?")
    assert "level 3 deep" in reply.text
    assert kernel.run("print(said.level, [step.key for step in said.steps])").text == "3 ['plan', 'draft', 'check']\n"
    refused = kernel.run("%%openclaw --complexity complx\nhello")
    assert "did you mean complex?" in refused.content["evalue"]


def test_the_level_is_limited_for_the_whole_notebook(kernel: Kernel) -> None:
    try:
        assert "auto, up to 1" in kernel.run("%openclaw level auto --max 1").text
        kernel.run("%%openclaw --into said --level 4 --model echo\nhello")
        assert kernel.run("print(said.level, said)").text == "1 hello\n"
        for wrong in ("nonsense --max 2", "auto --max 9", "auto --max auto", "auto --max"):
            assert kernel.run(f"%openclaw level {wrong}").status == "error"
        assert "auto, up to 1" in kernel.run("%openclaw level").text, "what was refused has changed nothing"
    finally:
        assert "up to" not in kernel.run("%openclaw level auto --max 4").text


def test_a_session_remembers_and_another_does_not(kernel: Kernel) -> None:
    kernel.run("%%openclaw --session green\nmy name is Ada")
    assert "Ada" in answer(kernel.run("%%openclaw --session green\nwhat is my name?"))
    assert "Ada" not in answer(kernel.run("%%openclaw --session blue\nwhat is my name?"))


def test_braces_take_what_exists_and_leave_the_rest(kernel: Kernel) -> None:
    kernel.run('rate = 7\ntrick = "ignore this, --level 4"')
    kernel.run('%%openclaw --model echo --into said\n{rate} {nothing} {"a": 1} f"{x!r}" {trick}')
    reply = kernel.run("print(said.level); print(said)")
    lines = reply.text.splitlines()
    assert lines[0] == "2"
    assert lines[1].startswith('7 {nothing} {"a": 1} f"{x!r}" `trick`')
    assert "ignore this, --level 4" in reply.text


def test_plain_prints_and_opens_no_widget(kernel: Kernel) -> None:
    reply = kernel.run("%%openclaw --plain\nwhat is 6*7?")
    assert "42" in reply.text
    assert not any(message["msg_type"] == "comm_open" for message in reply.messages)


def test_plain_text_comes_in_few_messages_and_whole(kernel: Kernel) -> None:
    kernel.run("async def busy(prompt):\n  for n in range(60_000):\n    yield f'{n} '\n    await asyncio.sleep(0)")
    reply = kernel.run("%%openclaw --plain --model busy --session busy\nx")
    assert reply.text == " ".join(map(str, range(60_000))) + " \n"
    streams = [message for message in reply.messages if message["msg_type"] == "stream"]
    assert most_in_a_second(streams) < 150  # of some ten thousand words; ipykernel sends some 60
    captured = kernel.run("%%capture kept\n%%openclaw --plain --model busy --session busy\nx")
    assert captured.outputs == []
    assert kernel.run("print(kept.stdout == ' '.join(map(str, range(60_000))) + ' \\n')").text == "True\n"


def test_terminal_escapes_are_neutralised(kernel: Kernel) -> None:
    kernel.run("async def hostile(prompt):\n    yield '\\x1b[2J\\x1b]0;owned\\x07safe'")
    for cell in ("%%openclaw --plain --model hostile\nx", "%%openclaw --model hostile\nx"):
        text = kernel.run(cell).text
        assert "safe" in text
        assert "\x1b" not in text
        assert "\x07" not in text


def test_around_it_other_magics_work(kernel: Kernel) -> None:
    timed = kernel.run("%%time\n%%openclaw\nwhat is 6*7?")
    assert timed.status == "ok"
    assert "Wall time" in timed.text
    assert "42" in answer(timed)
    captured = kernel.run("%%capture kept\n%%openclaw\nwhat is 6*7?")
    assert captured.status == "ok"
    assert captured.outputs == []
    assert "42" in kernel.run("kept.show()").text
    assert kernel.run("%%timeit -n1 -r2\n%%openclaw --model offline:0\nwhat is 6*7?").status == "ok"
    nested = kernel.run(
        "get_ipython().run_cell('%%openclaw --into inner\\nwhat is 6*7?'); print('then', '42' in inner)"
    )
    assert "then True" in nested.text


def test_static_rendering_is_the_same_twice(kernel: Kernel) -> None:
    kernel.run("import os; os.environ['OPENCLAW_NB_RENDER'] = 'static'")
    replies = [kernel.run(f"%%openclaw --session s{n}\nwhat is 6*7?") for n in (1, 2)]
    kernel.run("del os.environ['OPENCLAW_NB_RENDER']")
    assert replies[0].displays() == replies[1].displays()
    kinds = {message["msg_type"] for message in replies[0].messages}
    assert not kinds & {"comm_open", "update_display_data"}


def test_static_rendering_opens_no_widget(kernel: Kernel) -> None:
    kernel.run("import os; os.environ['OPENCLAW_NB_RENDER'] = 'static'")
    messages = kernel.run("%reload_ext openclaw_nb").messages + kernel.listen(1)
    messages += kernel.run("%%openclaw\nwhat is 6*7?").messages
    kernel.run("del os.environ['OPENCLAW_NB_RENDER']")
    assert not any(message["msg_type"] == "comm_open" for message in messages)


def test_an_answer_is_shown_in_every_cell_that_asks_for_it(kernel: Kernel) -> None:
    kernel.run("kept = get_ipython().run_cell_magic('openclaw', '--model echo', 'said once')")
    for cell in ("kept", "kept"):
        assert "said once" in answer(kernel.run(cell))


# -- background ------------------------------------------------------------------------------------


def test_background_runs_land_in_their_own_cells(kernel: Kernel) -> None:
    cells = [kernel.submit(f"%%openclaw --bg --model slow --session bg{n} --into r{n}\nrun {n}") for n in range(10)]
    for cell in cells:
        kernel.wait(cell)
    every = ", ".join(f"r{n}" for n in range(10))
    begun = f"import time\nwhile not all(r.text.startswith('0 1 2 ') for r in ({every})): time.sleep(0.02)"
    assert kernel.run(begun).status == "ok"
    assert kernel.run("print(r3.status); [r.cancel() for r in (r0, r1)]").status == "ok"
    kernel.run("%openclaw cancel")
    assert "settled" in kernel.run("%openclaw wait").text
    for n, cell in enumerate(cells):
        (shown,) = [output["data"] for output in kernel.screen.of(cell)]
        text = kernel.run(f"print(r{n})").text.strip()
        assert text.startswith("0 1 2")
        assert text in shown["text/plain"]


def test_a_run_shown_in_two_cells_stays_equal(kernel: Kernel) -> None:
    kernel.run("""
go_on = False
async def held(prompt):
    yield "from 1 "
    while not go_on:
        await asyncio.sleep(0.01)
    yield "to 40"
""")
    one, two = [kernel.submit(cell) for cell in ("%%openclaw --bg --model held --into both\nx", "both")]
    kernel.wait(one)
    kernel.wait(two)
    kernel.run("go_on = True")
    kernel.run("%openclaw wait")
    shown = [kernel.screen.of(cell)[0]["data"] for cell in (one, two)]
    assert shown[0] == shown[1]
    assert "from 1 to 40" in shown[0]["text/plain"]


# -- stopping --------------------------------------------------------------------------------------


def stop(kernel: Kernel, cell: str, act: Callable[[str], None]) -> None:
    """Stop a cell, which does not end by itself, by ``act(comm id)`` while it streams. The one behind it has its
    turn."""
    queued, after = kernel.submit(cell), kernel.submit("print('the queue goes on')")
    reply = kernel.wait(queued, on_message=when_told(" 20 ", act))
    assert reply.status == "ok"
    assert "stopped by you" in answer(reply)
    assert kernel.wait(after).text == "the queue goes on\n"


@pytest.mark.parametrize("prefix", ["", "%%time\n"], ids=["awaited", "blocking"])
def test_an_interrupt_keeps_what_came(kernel: Kernel, prefix: str) -> None:
    cell = f"{prefix}%%openclaw --model slow --into kept --session stop\nprompt {prefix!r}"
    stop(kernel, cell, lambda _: kernel.interrupt())
    check = kernel.run("print(kept.status, kept.startswith('0 1 2'), len(closed) > 0)")
    assert check.text == "stopped True True\n"
    history = kernel.run("%openclaw sessions").text
    assert "stop" in history


def test_a_model_that_cannot_hear_a_stop_does_not_hold_the_cell(kernel: Kernel) -> None:
    kernel.run(f"""
import threading
openclaw_nb.notebook.SETTLE = {notebook.SETTLE}
hears = threading.Event()
async def deaf(prompt):
    yield "a "
    print("deaf from now on", flush=True)
    hears.wait(600)
    await asyncio.sleep(600)
    yield "b"
""")
    interrupt = when_printed("deaf", kernel.interrupt)
    reply = kernel.run("%%openclaw --model deaf --into heard --session deaf\nx", on_message=interrupt)
    assert reply.status == "ok"
    assert kernel.run("print(hears.is_set()); hears.set()").text == "False\n"
    assert "not stopped yet" in reply.text
    kernel.run("%openclaw wait")
    assert kernel.run("print(heard, heard.status)").text == "a  stopped\n"


def test_the_stop_button(kernel: Kernel) -> None:
    button = {"method": "custom", "content": {"kind": "stop"}}
    if kernel.version.startswith("6."):  # it hears a button when the cell has ended, and then nothing is to be stopped
        press = when_told(" 20, ", lambda comm: kernel.comm(comm, button))
        assert "40" in answer(kernel.run("%%openclaw\ncount to 40", on_message=press))
        return

    stop(kernel, "%%openclaw --model slow --into kept\nbutton", lambda comm: kernel.comm(comm, button))
    assert kernel.run("print(kept.status, 'button' in closed)").text == "stopped True\n"


def test_interrupts_at_random_leave_nothing(kernel: Kernel) -> None:
    kernel.run("%%openclaw\nwarm up")
    held = "(threading.active_count(), len(os.listdir('/proc/self/fd')))"
    kernel.run(f"import gc, os, threading; before = {held}")
    dice = random.Random(7)
    for _ in range(50 if kernel.version.startswith("7.4") else 10):
        interrupt = after_view(dice.uniform(0, 0.3), lambda _: kernel.interrupt())
        reply = kernel.run("%%openclaw --model slow --session dice\nagain", on_message=interrupt)
        assert reply.status == "ok"
    # What runs had goes by itself. Each worker keeps a descriptor: its way to the front end, when it first needs it.
    kernel.until(
        f"gc.collect(); more = [now - then for now, then in zip({held}, before)]\n"
        f"print(*more, 'as few as workers' if max(more) <= {WORKERS} else '')",
        "as few as workers",
    )


def test_a_time_limit(kernel: Kernel) -> None:
    for seconds in LIMITS:
        reply = kernel.run(f"%%openclaw --model slow --timeout {seconds} --into late\nx")
        assert reply.status == "error"
        assert reply.content["ename"] == "RunTimeout"
        assert f"the time limit of {seconds} s was reached" in reply.content["evalue"]
        if (kept := kernel.run("print(late)").text).startswith("0 1 2"):
            break
    assert kept.startswith("0 1 2")


# -- mistakes and failures -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%%openclaw --levl 3\nx", "did you mean --level?"),
        ("%%openclaw\n   ", "the cell has no prompt"),
        ("%%openclaw", "the cell has no prompt"),
        ("%%openclaw what is 6*7?", "the prompt goes on the lines below %%openclaw"),
        ("%%openclaw --model slwo\nx", "slow"),
        ("%%openclaw --to ws://127.0.0.1:9\nx", "no gateway at ws://127.0.0.1:9: connection refused"),
        ("%%openclaw --model broken\nx", "broken() raised ValueError: no more"),
        ("%%openclaw --model openai-chat:gpt-5-mini\nx", "OPENAI_API_KEY"),
        ("%openclaw connct ws://x", "did you mean connect?"),
        ("%openclaw connect ws://127.0.0.1:9 --token-env HOME", "connection refused"),
    ],
)
def test_short_sentences(kernel: Kernel, cell: str, words: str) -> None:
    reply = kernel.run(cell)
    assert reply.status == "error"
    assert words in reply.content["evalue"]
    assert len("\n".join(reply.content["traceback"]).splitlines()) <= 3
    assert reply.seconds < 30


def test_a_failed_run_keeps_what_came(kernel: Kernel) -> None:
    kernel.run("%%openclaw --model broken --into part\nx")
    assert kernel.run("print(part, part.status)").text == "so far  failed\n"


# -- what it sends ---------------------------------------------------------------------------------


def test_a_burst_is_coalesced_and_complete(kernel: Kernel) -> None:
    kernel.run("%%openclaw\nwarm up")
    reply = kernel.run("%%openclaw --model burst --into all\nx")
    assert most_in_a_second(reply.messages) <= 40  # twenty of the view, and what begins and ends a cell
    assert kernel.run("print(all == ''.join(f'word{n % 50} ' for n in range(4000)))").text == "True\n"


def test_ten_thousand_deltas_a_second(kernel: Kernel) -> None:
    kernel.run("""
async def flood(prompt):
    for number in range(20000):
        yield "x "
        if number % 100 == 0:
            await asyncio.sleep(0.01)
""")
    reply = kernel.run("%%openclaw --model flood --into all\nx")
    comm = [message for message in reply.messages if message["msg_type"] == "comm_msg"]
    assert most_in_a_second(comm) <= 60
    assert kernel.run("print(all == 'x ' * 20000)").text == "True\n"


@pytest.mark.leaks("pyzmq keeps a thread from its first message above 64 kB on")
def test_hostile_comm_messages_are_ignored(kernel: Kernel) -> None:
    hostile: list[Any] = [None, 7, {"kind": 3}, {"kind": "sync", "have": "x", "steps": -5}, {"kind": "x" * 10_000_000}]

    def attack(comm: str) -> None:
        for content in hostile:
            kernel.comm(comm, {"method": "custom", "content": content})
        kernel.comm(comm, {"method": "update", "state": {"text": "owned", "_esm": "owned"}})
        kernel.comm("no such comm", {"method": "custom", "content": {"kind": "stop"}})

    reply = kernel.run("%%openclaw --into fine\ncount to 60", on_message=when_told(" 20, ", attack))
    assert reply.status == "ok"
    assert "60" in answer(reply)
    assert "owned" not in str(reply.displays())


def test_a_page_that_speaks_to_a_view_that_is_over_is_not_told_off_in_a_cell(kernel: Kernel) -> None:
    reply = kernel.run("%%openclaw\ncount to 60")
    (view,) = filter(None, map(view_of, reply.messages))

    def late(message: Message) -> None:
        if message["msg_type"] == "execute_input":
            kernel.comm(view, {"method": "custom", "content": {"kind": "lag", "ms": 250}})
            kernel.comm("no such comm", {})

    reply = kernel.run("await asyncio.sleep(0.5)", on_message=late)

    def said(messages: list[Message]) -> str:
        return "".join(message["content"]["text"] for message in messages if message["msg_type"] == "stream")

    heard = kernel.hear(lambda heard: "no such comm" in said(reply.messages + heard))  # what is not ours is still said
    assert view not in said(reply.messages + heard)


# -- loading and unloading -------------------------------------------------------------------------


def test_reloading_and_unloading_leave_no_trace(kernel: Kernel) -> None:
    kernel.run("%unload_ext openclaw_nb")
    kernel.run("""
import gc, os, threading, psutil
shell = get_ipython()
def trace():
    formatters = shell.display_formatter.ipython_display_formatter
    return (
        len(formatters.type_printers), len(shell.input_transformers_post),
        sorted(shell.strdispatchers["complete_command"].strs), sorted(shell.magics_manager.magics["cell"]),
        [len(handlers) for handlers in shell.events.callbacks.values()],
        sorted(thread.name for thread in threading.enumerate() if "openclaw" in thread.name),
        len([c for c in psutil.Process().net_connections() if c.status == "LISTEN"]),
    )
before = trace()
""")
    cell = "%%openclaw\nwhat is 6*7?"
    kernel.run("%load_ext openclaw_nb")
    for _ in range(20):
        kernel.run("%reload_ext openclaw_nb")
    assert "42" in answer(kernel.run(cell))
    kernel.run("for _ in range(80): get_ipython().run_line_magic('reload_ext', 'openclaw_nb')")
    kernel.run(cell)
    kernel.run("%unload_ext openclaw_nb")
    kernel.until("after = trace(); print(after == before or (before, after))", "True\n")


def test_completion(kernel: Kernel) -> None:
    def complete(code: str) -> list[str]:
        kernel.client.complete(code, len(code))
        while True:
            message = kernel.client.get_shell_msg(timeout=300)  # at first much is read
            if message["msg_type"] == "complete_reply":
                return list(message["content"]["matches"])

    assert complete("%%openclaw --le") == ["--level"]
    for line in ("%%openclaw --level ", "%%openclaw --bg --level="):
        assert complete(line) == ["auto", "1", "2", "3", "4"]
    assert complete("%openclaw conn") == ["connect"]
    assert complete("%openclaw nested o") == ["on", "off"]
    assert {"sessions", "wait"} <= set(complete("%openclaw "))
    assert "%%openclaw" in complete("%%opencl")
    assert "print" in complete("pri")


def test_a_terminal_shell_streams_plainly(kernel: Kernel) -> None:
    reply = kernel.run("""
import subprocess, sys
code = "%load_ext openclaw_nb\\nget_ipython().run_cell_magic('openclaw', '--into x', 'what is 6*7?')\\nprint(x.status)"
done = subprocess.run([sys.executable, "-m", "IPython", "--colors=NoColor", "--simple-prompt", "-c", code],
                      capture_output=True, text=True, timeout=60)
print(done.stdout, done.stderr)
""")
    assert "42" in reply.text
    assert "done" in reply.text


def test_waiting_can_be_interrupted_and_settles_each_run_once(kernel: Kernel) -> None:
    kernel.run("%openclaw wait")
    kernel.run("%%openclaw --bg --model slow --session long --into long\nx")
    kernel.run("%%openclaw --bg --session short --into short\ncount to 5")
    kernel.run("import time\nwhile short.status != 'done': time.sleep(0.02)")
    kernel.run("""
until_done_async = openclaw_nb.notebook.until_done_async
def told(run, limit):
    if run is long:
        print("it waits", flush=True)
    return until_done_async(run, limit)
openclaw_nb.notebook.until_done_async = told
""")
    waited = kernel.run("%openclaw wait", on_message=when_printed("it waits", kernel.interrupt))
    kernel.run("openclaw_nb.notebook.until_done_async = until_done_async")
    assert waited.status == "ok"
    assert "settled  1 run\nat work  1 run" in waited.text
    assert kernel.run("print(long.done()); long.cancel()").text == "False\n"
    assert "settled  1 run" in kernel.run("%openclaw wait").text
    assert "settled  0 runs" in kernel.run("%openclaw wait").text


def test_what_a_cell_has_shown_is_waited_for_too(kernel: Kernel) -> None:
    kernel.run("from openclaw_nb import OpenClawAgent, ThreadPool\npool = ThreadPool()")
    for shown in ("OpenClawAgent().analyze('count to 9000')", "pool.execute(['coder'], 'count to 9000')"):
        kernel.run(f"work = {shown}\nwork")
        stopped = kernel.run("print(work.id[:8])").text.strip()
        assert stopped in kernel.run("%openclaw cancel").text
        assert "settled  1 run" in kernel.run("%openclaw wait").text
        kernel.run("work")
        assert "settled  0 runs" in kernel.run("%openclaw wait").text
