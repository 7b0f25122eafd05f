"""session_commands: sessions kept, restored, branched and compared, as the user of a real kernel sees it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.served import Served

from .conftest import INSTALLED, Kernel, Reply

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)]

BEGIN = """
import asyncio, os
%load_ext openclaw_nb

async def slow(prompt):
    for number in range(100_000):  # so many that it never ends by itself
        yield f"{number} "
        await asyncio.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def loaded(kernel: Kernel) -> None:
    assert kernel.run("%unload_ext openclaw_nb").status in ("ok", "error")
    assert kernel.run(BEGIN).status == "ok"


def say(kernel: Kernel, cell: str) -> str:
    """What a cell that must not fail says."""
    reply = kernel.run(cell)
    assert reply.status == "ok", reply.content
    return str(reply.text)


def refused(reply: Reply) -> str:
    """The one sentence of a cell that was refused, without a traceback."""
    assert reply.status == "error"
    assert len("\n".join(reply.content["traceback"]).splitlines()) <= 3
    return str(reply.content["evalue"])


# -- keeping, and going back -----------------------------------------------------------------------


def test_a_name_brings_back_what_was_said(kernel: Kernel) -> None:
    say(kernel, "%%openclaw --session n\nmy name is Ada")
    kept = say(kernel, "%openclaw snapshot ada --session n")
    assert re.search(r"ada · [0-9a-f]{8} · session n, 2 messages", kept)
    say(kernel, "%%openclaw --session n\nmy name is Bob")
    assert "Bob" in say(kernel, "%%openclaw --session n\nwhat is my name?")
    assert "session n · ada" in say(kernel, "%openclaw restore ada")
    assert "Ada" in say(kernel, "%%openclaw --session n\nwhat is my name?")
    id = kept.split(" · ")[1]
    assert "session elsewhere" in say(kernel, f"%openclaw restore {id} --session elsewhere")
    assert "Ada" in say(kernel, "%%openclaw --session elsewhere\nwhat is my name?")


def test_a_name_stands_at_one_snapshot(kernel: Kernel) -> None:
    say(kernel, "%openclaw snapshot twice --session one")
    say(kernel, "%%openclaw --session one\nmy name is Ada")
    say(kernel, "%openclaw snapshot twice --session one")
    assert "2 messages" in say(kernel, "%openclaw restore twice")
    names = "[s.label for s in get_ipython()._openclaw_nb.notebook.runtime.store.list()].count('twice')"
    assert say(kernel, f"print({names})") == "1\n"


def test_before_anything_was_said(kernel: Kernel) -> None:
    say(kernel, "%openclaw level 3\nrate = 7")
    assert "session blank, 0 messages" in say(kernel, "%openclaw snapshot nothing --session blank --vars rate")
    say(kernel, "%openclaw level auto\ndel rate")
    assert "level 3 deep" in say(kernel, "%openclaw sessions")
    assert "0 messages" in say(kernel, "%openclaw restore nothing")
    assert say(kernel, "print(rate)") == "7\n"


def test_variables_come_back_and_none_is_replaced_unasked(kernel: Kernel) -> None:
    say(kernel, "import numpy, pandas\nrate, grid = 7, numpy.zeros(3)\ntable = pandas.DataFrame({'a': [1]})")
    kept = say(kernel, "%openclaw snapshot vars --session v --vars rate,grid,table")
    for words in ("grid (npy, ", "rate (json, 1 B)", "table (arrow, "):
        assert words in kept
    say(kernel, "rate = 8\ndel grid\nsame = table")
    back = say(kernel, "%openclaw restore vars")
    assert "grid is back" in back
    assert "rate is another here and was left; %openclaw restore with --vars rate replaces" in back
    assert say(kernel, "print(rate, grid, table is same)") == "8 [0. 0. 0.] True\n"
    assert "rate is back" in say(kernel, "%openclaw restore vars --vars rate")
    assert say(kernel, "print(rate)") == "7\n"
    say(kernel, "rate = 9")
    assert "grid, rate, table are back" in say(kernel, "%openclaw restore vars --vars all")
    assert say(kernel, "print(rate)") == "7\n"
    assert "no variable 'lost' in that snapshot; it has grid, rate, table" in refused(
        kernel.run("%openclaw restore vars --vars lost")
    )


def test_what_cannot_be_kept_is_refused_by_name_and_nothing_is_kept(kernel: Kernel) -> None:
    say(kernel, "rate, made = 7, lambda: 0")
    assert "made (a function cannot be kept" in refused(kernel.run("%openclaw snapshot bad --vars rate,made"))
    assert "no variable 'ratte' to keep; did you mean rate?" in refused(
        kernel.run("%openclaw snapshot bad --vars ratte")
    )
    assert "'_rate' is private" in refused(kernel.run("%openclaw snapshot bad --vars _rate"))
    assert "bad" in refused(kernel.run("%openclaw restore bad"))


def test_a_secret_is_kept_and_shown_as_its_reference(kernel: Kernel) -> None:
    say(kernel, "os.environ['MY_DB_PASSWORD'] = 'hunter22-hunter22'")
    say(kernel, "from openclaw_nb.secret import Secret\npassword = Secret('env:MY_DB_PASSWORD')\npassword.reveal();")
    kept = kernel.run("%openclaw snapshot secret --session s --vars password")
    assert "password (env:MY_DB_PASSWORD)" in kept.text
    say(kernel, "del password")
    back = kernel.run("%openclaw restore secret\npassword")
    assert "hunter22" not in str(kept.messages) + str(back.messages)
    assert say(kernel, "print(type(password).__name__, password.reveal())") == "Secret hunter22-hunter22\n"


# -- what is there ---------------------------------------------------------------------------------


def test_the_timeline(kernel: Kernel) -> None:
    say(kernel, "%%openclaw\nmy name is Ada")
    say(kernel, "%openclaw snapshot dot")
    reply = kernel.run("%openclaw snapshots")
    rows, picture = reply.displays()
    assert "snapshots are kept in /" in rows["text/plain"]
    assert "up to 256 MB, for 30 days; the file has " in rows["text/plain"]
    assert "%openclaw keep" in rows["text/plain"]
    assert "<svg" in picture["text/html"]
    assert "dot" in picture["text/plain"]
    assert any(message["msg_type"] == "comm_open" for message in reply.messages)
    captured = kernel.run("%%capture kept\n%openclaw snapshots --session main")
    assert captured.status == "ok"
    assert not [message for message in captured.messages if message["msg_type"] in ("comm_open", "display_data")]
    shown = kernel.run("kept.show()").displays()
    assert "<svg" in shown[1]["text/html"]
    assert re.search(r"[0-9a-f]{8} dot", shown[1]["text/plain"])


@pytest.mark.usefixtures("static")
def test_static_output_has_nothing_of_the_machine_and_the_clock(kernel: Kernel) -> None:
    say(kernel, "%%openclaw --session st\nwhat is 6*7?")
    lines = ("snapshot st --session st", "snapshots", "sessions", "branch sta st", "restore st", "", "keep")
    for line in lines:
        reply = kernel.run(f"%openclaw {line}")
        assert reply.status == "ok", reply.content
        assert not re.search(r"\b[0-9a-f]{8}\b|\d\d:\d\d|/tmp|\.db|earlier", str(reply.displays())), line
        assert not any(message["msg_type"] == "comm_open" for message in reply.messages)


def test_in_a_terminal_it_is_a_table(kernel: Kernel) -> None:
    text = say(
        kernel,
        """
import subprocess, sys
code = "%load_ext openclaw_nb\\nget_ipython().run_line_magic('openclaw', 'snapshot dot')\\n%openclaw snapshots"
done = subprocess.run([sys.executable, "-m", "IPython", "--colors=NoColor", "--simple-prompt", "-c", code],
                      capture_output=True, text=True, timeout=60)
print(done.stdout, done.stderr)
""",
    )
    assert re.search(r"[0-9a-f]{8} dot, now +main .*\n\d+ snapshots? on ", text)


def test_sessions_say_where_they_stand_and_who_is_at_work(kernel: Kernel) -> None:
    say(kernel, "%%openclaw --session 'my notes' --level 3\nwhat is 6*7?")
    say(kernel, "%%openclaw --session busy --bg --busy wait --model slow\nx")
    listed = say(kernel, "%openclaw snapshot here --session busy\n%openclaw sessions")
    assert re.search(r"my notes +2 messages · level 3 deep · at [0-9a-f]{8}", listed)
    assert re.search(r"busy +0 messages · at here · [0-9a-f]{8} · a run is at work", listed)
    assert "a run is at work in session 'busy'" in refused(kernel.run("%openclaw restore here"))
    say(kernel, "%openclaw cancel\n%openclaw wait")


def test_what_an_earlier_kernel_left(kernel: Kernel) -> None:
    say(kernel, "%%openclaw --session left\nmy name is Ada")
    say(kernel, "%%openclaw\nmy name is Eve")
    say(kernel, "%reload_ext openclaw_nb")  # to its file a kernel like another
    assert "%openclaw restore --session left" in say(kernel, "%openclaw sessions")
    assert re.search(r"left by an earlier kernel +\d+ messages · %openclaw restore\n", say(kernel, "%openclaw"))
    say(kernel, "%%openclaw\nmy name is new")
    assert "session main" in say(kernel, "%openclaw restore")
    assert "Eve" in say(kernel, "%%openclaw\nwhat is my name?")
    assert "left by an earlier kernel" not in say(kernel, "%openclaw")
    say(kernel, "%openclaw restore --session left")
    assert "Ada" in say(kernel, "%%openclaw --session left\nwhat is my name?")


# -- aside -----------------------------------------------------------------------------------------


def test_a_branch_goes_its_own_way_and_is_compared(kernel: Kernel) -> None:
    say(kernel, "%%openclaw --session trunk\nmy name is Ada")
    branched = say(kernel, "%openclaw branch twig trunk")
    assert "twig begins at" in branched
    say(kernel, "%%openclaw --session twig\nmy name is Bob")
    assert "Ada" in say(kernel, "%%openclaw --session trunk\nwhat is my name?")
    table = kernel.run("%openclaw compare trunk twig").displays()[0]
    assert "common    2 messages" in table["text/plain"]
    assert re.search(r"a +trunk · .*\n.*2 messages(.|\n)*b +twig · ", table["text/plain"])
    assert "<table" in table["text/html"]
    assert "session 'twig' has begun already" in refused(kernel.run("%openclaw branch twig trunk"))


# -- where it lies ---------------------------------------------------------------------------------


def test_another_place_takes_the_sessions_along(kernel: Kernel, tmp_path: Path) -> None:
    say(kernel, "%%openclaw --session moving\nmy name is Ada")
    assert "in memory" in say(kernel, "%openclaw keep memory")
    assert "earlier" not in say(kernel, "%openclaw sessions")
    assert "Ada" in say(kernel, "%%openclaw --session moving\nwhat is my name?")
    kept = say(kernel, f"%openclaw keep {tmp_path / 'new'} --mb 12 --days 3")
    assert f"in {tmp_path / 'new'}" in kept
    assert "up to 12 MB, for 3 days" in kept
    say(kernel, "%%openclaw --session moving\nmy name is Bob")
    assert list((tmp_path / "new").glob("*.db"))
    say(kernel, "%openclaw keep --mb 5")
    assert "up to 5 MB, for 3 days" in say(kernel, "%openclaw keep")
    assert "6 messages" in say(kernel, "%openclaw sessions")
    say(kernel, "%%openclaw --bg --model slow\nx")
    assert "while a run is at work" in refused(kernel.run("%openclaw keep memory"))
    say(kernel, "%openclaw cancel\n%openclaw wait")
    assert "/proc/none" in refused(kernel.run("%openclaw keep /proc/none"))
    assert f"in {tmp_path / 'new'}" in say(kernel, "%openclaw keep")


def test_a_place_that_cannot_be_written_is_said_on_the_card(kernel: Kernel) -> None:
    say(kernel, "%unload_ext openclaw_nb\nbefore = os.environ['OPENCLAW_NB_SNAPSHOTS']")
    say(kernel, "os.environ['OPENCLAW_NB_SNAPSHOTS'] = '/proc/none'\n%load_ext openclaw_nb")
    for line in ("%openclaw", "%openclaw snapshots"):
        assert "in memory only and end with this process: " in say(kernel, line)
    say(kernel, "os.environ['OPENCLAW_NB_SNAPSHOTS'] = before")


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("snapshot", "write %openclaw snapshot NAME"),
        ("snapshot a b", "write %openclaw snapshot NAME"),
        ("snapshot 'a\tb'", "a snapshot's name has 1 to 100 printable characters"),
        ("snapshot a --sesion b", "there is no option --sesion; did you mean --session?"),
        ("snapshots main", "write %openclaw snapshots [--session S]"),
        ("restore nowhere", "nowhere"),
        ("restore a b", "write %openclaw restore"),
        ("restore --session never", "session 'never' has no snapshot yet"),
        ("restore --vars", "--vars needs a value"),
        ("branch", "write %openclaw branch NEW"),
        ("branch new nowhere", "nowhere"),
        ("compare main", "write %openclaw compare A B"),
        ("compare nowhere never", "nowhere"),
        ("keep besid", "'besid' is none of data, beside, memory, and no absolute folder; did you mean beside?"),
        ("keep data memory", "write %openclaw keep"),
        ("keep --mb none", "--mb: 'none' is not a number above 0"),
        ("sessions all", "takes nothing after it"),
    ],
)
def test_mistakes(kernel: Kernel, line: str, words: str) -> None:
    assert words in refused(kernel.run(f"%openclaw {line}"))


def test_a_gateway_elsewhere_keeps_its_sessions_itself(kernel: Kernel, tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        say(kernel, served.connect())
        say(kernel, "rate = 7")
        for line in ("snapshot a", "snapshots", "restore", "restore a", "compare a b"):
            told = refused(kernel.run(f"%openclaw {line}"))
            assert told.startswith(f"the gateway at {served.url}")
            assert "keeps its sessions itself; %openclaw connect agent://local" in told
        assert "no session" in refused(kernel.run("%openclaw branch a")), "nothing was said there yet"
        assert "keeps its sessions itself" in refused(kernel.run("%%openclaw --vars rate\nx"))
        say(kernel, "%openclaw connect agent://local")
