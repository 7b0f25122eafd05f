"""cells: what may stand on the line of a cell that several agents work for, in a real kernel."""

from __future__ import annotations

import pytest

from .conftest import INSTALLED, LIMITS, Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]

NOTEBOOK = """
%load_ext openclaw_nb
import asyncio, os, threading, time
from dataclasses import dataclass
from openclaw_nb import OpenClawAgent, role

@dataclass
class City:
    name: str
    people: int

async def ulm(prompt):
    yield '{"name": "Ulm", "people": 3}'

async def endless(prompt):
    while True:
        yield "word "
        await asyncio.sleep(0.02)

async def broken(prompt):
    yield "so far "
    raise ValueError("no more")

def stall(seconds: int) -> str:
    "Hang, as code that hears nothing does."
    time.sleep(seconds)
    return "it went on"

mayor = OpenClawAgent("mayor", model=ulm)
bore = OpenClawAgent("bore", model=endless)
wreck = OpenClawAgent("wreck", model=broken)
ox = OpenClawAgent("ox", model="offline:0", tools=[stall])
rate = 7
"""


@pytest.fixture(autouse=True)
def notebook(kernel: Kernel) -> None:
    reply = kernel.run(NOTEBOOK)
    assert reply.status == "ok", reply.content


def test_the_answers_go_where_an_answer_goes(kernel: Kernel) -> None:
    reply = kernel.run("%%openclaw --agents coder,tester --into both\nwhat is 6*7?")
    assert "in `both`" in reply.text
    number = reply.content["execution_count"]
    kept = kernel.run(f"print(_ is both, Out[{number}] is both, *both.results, *both.results.values())")
    assert kept.text == "True True coder tester `6*7` = **42** `6*7` = **42**\n"


def test_agents_by_variable_by_name_and_by_role(kernel: Kernel) -> None:
    kernel.run("chief = OpenClawAgent('boss', model='offline:0', instructions='You lead.')\nrole('critic', 'You nag.')")
    assert kernel.run("%%openclaw --agents chief,boss,critic,coder --into w\nwhat is 6*7?").status == "ok"
    told = kernel.run("print(*w.results); print([lane.agent.name for lane in w.lanes] if 0 else w.words)").text
    assert told == "boss boss-2 critic coder\ndone\n"


def test_each_answer_is_of_the_type(kernel: Kernel) -> None:
    kernel.run("%%openclaw --agents mayor,wreck,coder --as City --into w\nx")
    told = kernel.run("for one in w.results.values(): print(getattr(one, 'value', type(one).__name__))").text
    assert told.splitlines()[:2] == ["City(name='Ulm', people=3)", "ModelError"]


def test_a_picture_goes_to_every_agent(kernel: Kernel) -> None:
    kernel.run("from PIL import Image\npic = Image.new('RGB', (64, 48))")
    reply = kernel.run("%%openclaw --agents coder,tester\nwhat is on {pic}?")
    assert reply.text.count("is an image of 64 × 48 pixels") == 2


def test_level_and_place(kernel: Kernel) -> None:
    kernel.run("%openclaw level 1")
    kernel.run("%%openclaw --agents coder,ox --into w --session aside\nwhat is 6*7?")
    kernel.run("%%openclaw --agents coder,ox --into deep --level 3 --from aside\nwhat is 6*7?")
    kernel.run("%openclaw level auto")
    told = kernel.run("for one in (w, deep): print(one.session, *[r.level for r in one.results.values()])").text
    first, second = told.splitlines()
    assert first == "aside 1 2", "an agent of the notebook has a level of its own"
    assert second.startswith("main-")
    assert second.endswith(" 3 3")


def test_the_budget_is_for_all_of_them_together(kernel: Kernel) -> None:
    kernel.run("""
async def paid(prompt):
    for _ in range(10):
        yield "word "
        await asyncio.sleep(0.02)
paid.prices = (0, 10_000)
""")
    cell = "%%openclaw --agents coder,tester --mode pipeline --model paid --level 1 --budget 0.15 --into w\nx"
    reply = kernel.run(cell)
    assert reply.status == "ok", reply.content
    assert "stopped at the budget of $0.05" in reply.text, "what the first has left of it"
    assert kernel.run("print(0.15 <= w.cost < 0.18 or w.cost)").text == "True\n"


def test_variables_are_kept_at_the_end(kernel: Kernel) -> None:
    kernel.run("%%openclaw --agents coder,mayor --session kept --vars rate --into w\nwhat is 6*7?")
    restored = kernel.run(
        "at = w.snapshot\nrate = 8\nget_ipython().run_line_magic('openclaw', f'restore {at} --vars rate')"
    )
    assert restored.status == "ok", restored.content
    assert kernel.run("print(rate)").text == "7\n"


def test_a_time_limit_says_where_a_tool_hangs(kernel: Kernel) -> None:
    for seconds in LIMITS:
        reply = kernel.run(f"%%openclaw --agents ox,mayor --timeout {seconds} --into w\nuse stall(600)")
        limit = f"the time limit of {seconds} s was reached"
        if "1 of 2 done" in reply.text and f"{limit}, while" in reply.text:
            break
    assert reply.status == "ok", "one that has ended is enough"
    assert f"ox was given up: {limit}, while its tool was at time.sleep(seconds)" in reply.text
    stack = kernel.run("print(w.results['ox'].stack)").text
    assert "in stall\n" in stack
    assert "openclaw_nb" not in stack


def test_one_that_fails_is_seen_and_the_others_are_done(kernel: Kernel) -> None:
    for seconds in LIMITS:
        reply = kernel.run(f"%%openclaw --agents wreck,mayor,bore --timeout {seconds} --into w\nx")
        partial = kernel.run("print(w.results['wreck'].partial, w.results['bore'].partial[:9])").text
        if "1 of 3 done" in reply.text and "word word" in partial:
            break
    assert reply.status == "ok"
    for words in ("broken() raised ValueError: no more", "bore was given up", "1 of 3 done, 2 failed"):
        assert words in reply.text
    assert partial == "so far  word word\n"


@pytest.mark.parametrize("plain", ["", "--plain "])
def test_where_all_fail_it_is_one_sentence(kernel: Kernel, plain: str) -> None:
    reply = kernel.run(f"%%openclaw --agents wreck,wreck {plain}--into w\nx")
    assert (reply.status, reply.content["ename"]) == ("error", "RunError")
    assert reply.content["evalue"] == "no agent came to its end: broken() raised ValueError: no more"
    assert len("\n".join(reply.content["traceback"]).splitlines()) <= 3
    assert reply.text.count("broken() raised ValueError: no more") == 2
    assert kernel.run("print(w.words)").text == "0 of 2 done, 2 failed\n"


def test_plain_text_is_one_after_the_other(kernel: Kernel) -> None:
    reply = kernel.run("%%openclaw --agents coder,mayor --plain\nwhat is 6*7?")
    assert reply.text == '## coder\n\n`6*7` = **42**\n\n## mayor\n\n{"name": "Ulm", "people": 3}\n\n[done]\n'
    assert not any(message["msg_type"] == "comm_open" for message in reply.messages)


def test_inside_other_magics(kernel: Kernel) -> None:
    timed = kernel.run("%%timeit -n1 -r1\n%%openclaw --agents coder,mayor\nwhat is 6*7?")
    assert "1 loop each" in timed.text
    assert "42" in timed.text
    captured = kernel.run("%%capture kept\n%%openclaw --agents coder,mayor --into w\nwhat is 6*7?")
    assert (captured.status, captured.outputs) == ("ok", [])
    assert "Ulm" in kernel.run("kept.show()").text
    assert kernel.run("print(w.words)").text == "done\n"


@pytest.mark.usefixtures("static")
def test_static_output_is_the_same_twice(kernel: Kernel) -> None:
    cells = [f"%%openclaw --agents coder,mayor --session {name}\nwhat is 6*7?" for name in ("twin", "twin")]
    first, second = map(kernel.run, cells)
    assert first.displays() == second.displays()
    assert not {m["msg_type"] for m in first.messages} & {"comm_open", "update_display_data"}


def test_a_terminal_prints_them(kernel: Kernel) -> None:
    reply = kernel.run("""
import subprocess, sys
code = ("%load_ext openclaw_nb\\nget_ipython().run_cell_magic('openclaw', '--agents coder,tester', 'what is 6*7?')\\n"
        "get_ipython().run_cell_magic('openclaw', '--agents codr', 'what is 6*7?')")
done = subprocess.run([sys.executable, "-m", "IPython", "--colors=NoColor", "--simple-prompt", "-c", code],
                      capture_output=True, text=True, timeout=60)
print(done.stdout, done.stderr)
""")
    assert "## coder\n\n`6*7` = **42**\n\n## tester\n\n`6*7` = **42**\n\n[done]\n" in reply.text
    assert "did you mean coder?" in reply.text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--agents ,", "'' is no agent's name; write them without spaces, as in coder,tester,reviewer"),
        ("--agents", "--agents needs a value: --agents A,B"),
        ("--agents codr", "there is no agent or role 'codr', and role('codr', 'You …') makes one; did you mean coder?"),
        ("--agents rate", "there is no agent or role 'rate'"),
        ("--agents ulm", "ulm is a model, and ulm = OpenClawAgent('ulm', model=ulm) makes an agent of it"),
        ("--agents coder --mode serial", "--mode: 'serial' is neither parallel nor pipeline"),
        ("--agents coder --pool 0", "--pool: '0' is not a whole number from 1 to 1,000"),
        ("--agents coder --pool 1001", "--pool: '1001' is not a whole number from 1 to 1,000"),
        ("--mode pipeline", "--mode says how several agents work; name them by --agents coder,tester,reviewer"),
        ("--pool 3", "--pool says how several agents work"),
        ("--agents coder --busy wait", "--busy: agents work on branches of their own"),
        ("--agents coder --vars nosuch", "there is no variable 'nosuch' to keep"),
        ("--agents coder --model nosuch", "there is no model 'nosuch'"),
        ("--agents coder --to ws://127.0.0.1:9", "no gateway at ws://127.0.0.1:9: connection refused"),
        ("--agents mayor --to ws://127.0.0.1:9", "--to: mayor works at agent://local"),
        ("--agents codr --from {at} --session refused", "did you mean coder?"),
    ],
)
def test_mistakes(kernel: Kernel, line: str, words: str) -> None:
    kernel.run("%%openclaw --agents coder --into w\nwhat is 6*7?")
    at = kernel.run("print(w.snapshot, end='')").text
    before = kernel.run("%openclaw runs").text, kernel.run("%openclaw sessions").text
    reply = kernel.run(f"%%openclaw {line.replace('{at}', at)}\nx")
    assert reply.status == "error"
    assert words in reply.content["evalue"]
    assert len("\n".join(reply.content["traceback"]).splitlines()) <= 3
    if "refused" not in words:
        after = kernel.run("%openclaw runs").text, kernel.run("%openclaw sessions").text
        assert after == before, "nothing was sent, and no session is another"
