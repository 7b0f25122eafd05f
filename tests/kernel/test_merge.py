"""%openclaw merge, and pools' runs among sessions, as the user of a real kernel sees them."""

from __future__ import annotations

import json
import re

import pytest

from .conftest import INSTALLED, Kernel
from .test_commands_sessions import refused, say

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]

BEGIN = """
import asyncio
%load_ext openclaw_nb

async def slow(prompt):
    for number in range(100_000):  # so many that it never ends by itself
        yield f"{number} "
        await asyncio.sleep(0.01)
"""

MEMORY = "get_ipython()._openclaw_nb.notebook.runtime.memory"


@pytest.fixture(autouse=True)
def loaded(kernel: Kernel) -> None:
    assert kernel.run("%unload_ext openclaw_nb").status in ("ok", "error")
    assert kernel.run(BEGIN).status == "ok"


def said(kernel: Kernel, session: str) -> list[list[str]]:
    messages = f"[[m['role'], m['content']] for m in {MEMORY}.head({session!r}).state['messages']]"
    found: list[list[str]] = json.loads(say(kernel, f"import json; print(json.dumps({messages}))"))
    return found


def agents(kernel: Kernel, session: str, *options: str) -> str:
    line = " ".join(["%%openclaw --session", session, "--agents coder,tester --level 1", *options])
    return say(kernel, f"{line}\nwhat is 6*7?")


def test_what_agents_said_comes_into_the_session_when_it_is_asked_for(kernel: Kernel) -> None:
    say(kernel, "%%openclaw --session m\nmy name is Ada")
    agents(kernel, "m", "--into made")
    assert len(said(kernel, "m")) == 2
    assert "what coder was asked and said · 2 messages more · session m · 4 messages" in say(
        kernel, "%openclaw merge coder --session m"
    )
    assert said(kernel, "m")[2][1] == "what is 6*7?"
    assert "42" in said(kernel, "m")[3][1]
    assert "there already · session m · 4 messages" in say(kernel, "%openclaw merge coder --session m")
    assert "the task and all answers · 2 messages more · session m · 6 messages" in say(
        kernel, "%openclaw merge --session m"
    )
    question, answer = said(kernel, "m")[4:]
    assert question == ["user", "what is 6*7?"]
    assert re.fullmatch(r"## coder\n\n.*42.*\n\n## tester\n\n.*42.*", answer[1], re.DOTALL)
    assert say(kernel, f"print(made.merge() == {MEMORY}.head('m').id)") == "True\n"  # the same, from Python
    assert "> what is 6*7?" in say(kernel, "%%openclaw --session m\nwhat did I ask last?")
    assert "there are coder, tester" in refused(kernel.run("%openclaw merge nobody --session m"))


def test_what_cannot_be_merged_is_said(kernel: Kernel) -> None:
    assert "no pool's run has ended in session 'main'" in refused(kernel.run("%openclaw merge"))
    assert "write %openclaw merge [AGENT] [--session S]" in refused(kernel.run("%openclaw merge a b"))
    agents(kernel, "w", "--model slow --bg")
    assert "'what is 6*7?' has not ended; %openclaw wait waits for it" in refused(
        kernel.run("%openclaw merge --session w")
    )
    say(kernel, "%openclaw cancel")
    say(kernel, "%openclaw wait")


def test_one_that_the_user_has_stopped_is_over(kernel: Kernel) -> None:
    agents(kernel, "s", "--model slow --bg --into w")
    say(kernel, "import time\nwhile min(lane.tokens for lane in w.lanes) < 5: time.sleep(0.02)")
    assert "goes on" not in say(kernel, "%openclaw restore --session s")  # it is at work
    say(kernel, "%openclaw cancel")
    say(kernel, "%openclaw wait")
    assert "goes on" not in say(kernel, "%openclaw restore --session s")
    assert "stopped" in say(kernel, f"print({MEMORY}.head('s').state['pool']['ended'])")
    say(kernel, "%openclaw merge tester --session s")
    assert said(kernel, "s")[1][1].startswith("0 1 2")


def test_its_entry_stands_for_where_its_session_went_on(kernel: Kernel) -> None:
    agents(kernel, "e", "--agents coder,tester,reviewer")
    begun = say(kernel, f"print([s.id for s in {MEMORY}.store.list() if s.facts.get('kind') == 'pool'][-1])").strip()
    ended = say(kernel, f"print({MEMORY}.head('e').id)").strip()
    say(kernel, "%%openclaw --session e\nwhat is 2+2?")
    assert f"session e · {ended[:8]}" in say(kernel, f"%openclaw restore {begun}")
    assert f"begins at {ended[:8]}" in say(kernel, f"%openclaw branch idea {begun}")
    picture = kernel.run("import os; os.environ['OPENCLAW_NB_RENDER'] = 'static'\n%openclaw snapshots --session e").text
    kernel.run("os.environ.pop('OPENCLAW_NB_RENDER')")
    assert picture.count("pool, parallel, 3 of 3 done") == 1
    assert "pool: coder, tester, reviewer" in picture
    assert re.search(r"^\d+ snapshots on \d+ branches$", picture, re.MULTILINE)
