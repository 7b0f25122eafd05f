"""pool_commands: how many agents work at once, and what they are told, in a real kernel."""

from __future__ import annotations

import pytest

from .conftest import INSTALLED, Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]


@pytest.fixture(autouse=True)
def loaded(kernel: Kernel) -> None:
    kernel.run("%load_ext openclaw_nb\n%openclaw pool 10 --per-task 3 --timeout 300")


def test_the_size_is_shown_and_set(kernel: Kernel) -> None:
    shown = kernel.run("%openclaw pool").text
    assert shown == "pool        10 threads, 3 per task\ntime limit  300 s for each agent"
    shown = kernel.run("%openclaw pool 4 --per-task 2 --timeout 60").text
    assert shown == "pool        4 threads, 2 per task\ntime limit  60 s for each agent"
    assert kernel.run("%openclaw pool --per-task 1").text.startswith("pool        4 threads, 1 per task\n")
    assert "pool           4 threads, 1 per task\n" in kernel.run("%openclaw").text


def test_the_cells_take_it(kernel: Kernel) -> None:
    kernel.run("""
import asyncio
from openclaw_nb import OpenClawAgent
at_once, most = 0, 0
async def model(prompt):
    global at_once, most
    at_once += 1
    most = max(most, at_once)
    while most < wanted:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    at_once -= 1
    yield "done"
several = [OpenClawAgent(f"one{n}", model=model) for n in range(6)]
""")
    agents = ",".join(f"one{n}" for n in range(6))
    for size, options, wanted in (
        ("10 --per-task 2", "", 2),
        ("3 --per-task 9", "", 3),
        ("9 --per-task 9", "--pool 4 ", 4),
    ):
        kernel.run(f"most, wanted = 0, {wanted}\n%openclaw pool {size}")
        assert kernel.run(f"%%openclaw {options}--agents {agents}\nx").status == "ok"
        assert kernel.run("print(most)").text == f"{wanted}\n"


def test_it_says_who_works_now(kernel: Kernel) -> None:
    kernel.run("""
import asyncio
from openclaw_nb import OpenClawAgent
async def endless(prompt):
    await asyncio.sleep(600)
    yield "done"
one = OpenClawAgent("one", model=endless)
""")
    kernel.run("%%openclaw --bg --pool 2 --agents one,one,one\nx")
    kernel.until("%openclaw pool", "now         2 agents at work, 1 waiting")
    kernel.run("%openclaw cancel\n%openclaw wait")
    assert "now" not in kernel.run("%openclaw pool").text


def test_roles_are_shown_made_and_edited(kernel: Kernel) -> None:
    assert kernel.run("%openclaw role").text.startswith("coder     You write the code of this team\ntester ")
    assert "is told  You write the code of this team. Write the smallest" in kernel.run("%openclaw role coder").text
    made = kernel.run("%openclaw role poet 'You rhyme. You never stop.'").text
    assert made == "role     poet\nis told  You rhyme. You never stop.\ntools    none"
    assert "poet      You rhyme\n" in kernel.run("%openclaw role").text + "\n"
    assert "is told  You write prose." in kernel.run("%openclaw role poet You write prose.").text
    kernel.run("from openclaw_nb import role\ndef count(text: str) -> int:\n    'Count.'")
    assert kernel.run("print(role('poet', tools=[count]).instructions)").text == "You write prose.\n"
    assert "tools    count" in kernel.run("%openclaw role poet").text
    kernel.run("%%openclaw --agents poet --into w\nwhat is 6*7?")
    assert kernel.run("print(*w.results, w.words)").text == "poet done\n"


def test_no_secret_is_shown(kernel: Kernel) -> None:
    kernel.run("import os\nos.environ['MINE_API_KEY'] = hidden = 'a-value-' + 'to-keep-quiet'")
    kernel.run("from openclaw_nb import role")
    replies = [
        kernel.run(cell)
        for cell in (
            "role('keeper', 'The key is ' + hidden)", "%openclaw role keeper", "%openclaw role",
            "get_ipython().run_cell_magic('openclaw', '--agents keeper', 'what is 6*7? ' + hidden)", "%openclaw runs",
        )
    ]  # fmt: skip
    assert "is told  The key is env:MINE_API_KEY" in replies[1].text
    assert "what is 6*7? env:MINE_API_KEY" in replies[-1].text
    assert not [reply.text for reply in replies if "a-value-to-keep-quiet" in str(reply.messages)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pool 0", "'0' is not a whole number from 1 to 1,000"),
        ("pool 1001", "'1001' is not a whole number from 1 to 1,000"),
        ("pool many", "'many' is not a whole number"),
        ("pool 5 6", "write %openclaw pool [N] [--per-task M] [--timeout S] [--executor WHERE]"),
        ("pool 5 --per-task 0", "--per-task: '0' is not a whole number"),
        ("pool 5 --per-task", "--per-task needs a value: --per-task M"),
        ("pool 5 --timeout never", "--timeout: 'never' is not a number above 0"),
        ("pool --per-tsk 3", "did you mean --per-task?"),
        ("pool 5 --executor tcp://127.0.0.1:9", "there is no Dask scheduler at tcp://127.0.0.1:9"),
        ("role codr", "there is no role 'codr', and role('codr', 'You …') makes one; did you mean coder?"),
        ("role a:b 'You …'", "a role needs a printable name without a colon, not 'a:b'"),
    ],
)
def test_mistakes(kernel: Kernel, line: str, words: str) -> None:
    reply = kernel.run(f"%openclaw {line}")
    assert reply.status == "error"
    assert words in reply.content["evalue"]
    assert len("\n".join(reply.content["traceback"]).splitlines()) <= 3
    assert "10 threads, 3 per task" in kernel.run("%openclaw pool").text, "what was refused has changed nothing"
