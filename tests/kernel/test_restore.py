"""A kernel killed in mid-answer, and another that goes on with it; and cells that begin somewhere, wait, or branch."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from openclaw_nb.sessions.memory import cut_in
from openclaw_nb.snapshots import SnapshotStore

from .conftest import INSTALLED, PATIENT, Kernel, Message, Reply, environment, when_told
from .test_commands_sessions import refused, say

pytestmark = pytest.mark.kernel

SESSIONS = {"main": "count", "stopped": "count on", "button": "count on", "captured": "count"}

NUMBERS = 300
COUNTED = " ".join(map(str, range(NUMBERS))) + " "

BEGIN = f"""
import asyncio
%load_ext openclaw_nb
{PATIENT}

last = None

async def slow(prompt):
    "So many numbers, or for who asks to go on many more; none after the last."
    for number in range({NUMBERS} if prompt == "count" else 100_000):
        while last is not None and number > last:
            await asyncio.sleep(0.01)
        yield f"{{number}} "
        await asyncio.sleep(0.01)

async def failing(prompt):
    raise ConnectionError("not there")
    yield
"""


EVERY_MOMENT = """
from dataclasses import replace
agents = get_ipython()._openclaw_nb.notebook.runtime._engine._agents
agents["main"] = replace(agents["main"], snapshot_interval=0.2)
"""


def wait_for_text(store: SnapshotStore) -> None:
    """Until the file has a part of what is said in each session."""
    end = time.monotonic() + 60
    for session in SESSIONS:
        while (last := store.last(session)) is None or (cut := cut_in(last)) is None or not cut.text:
            assert time.monotonic() < end, f"nothing was kept of {session}"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def next_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel after another that was killed while runs were at work in several sessions."""
    folder = tmp_path_factory.mktemp("killed")
    killed = Kernel(INSTALLED, environment(folder), folder)
    say(killed, BEGIN)
    say(killed, EVERY_MOMENT)
    for session in SESSIONS:
        say(killed, f"%%openclaw --session {session}\nmy name is Ada")
    say(killed, "last = 60")
    for session, asked in SESSIONS.items():
        say(killed, f"%%openclaw --session {session} --model slow --bg --level 2 --budget 5\n{asked}")
    (file,) = (folder / "snapshots").glob("*.db")
    with SnapshotStore(file) as store:
        wait_for_text(store)
    killed.kill()
    kernel = Kernel(INSTALLED, environment(folder), folder)
    say(kernel, BEGIN)
    yield kernel
    kernel.close()


def shown(reply: Reply) -> str:
    """The first thing that a cell shows."""
    return str(reply.displays()[0]["text/plain"])


def test_the_run_of_a_killed_kernel_goes_on(next_one: Kernel) -> None:
    kernel = next_one
    card = say(kernel, "%openclaw")
    assert re.search(r"left by an earlier kernel +2 messages, and 'count' was cut after \d+ characters", card)
    reply = kernel.run("%openclaw restore")
    assert reply.status == "ok", reply.content
    at = re.search(r"session main · .* · 2 messages · then the run 'count' goes on from character (\d+)$", shown(reply))
    assert at is not None
    assert 0 < int(at[1]) < len(COUNTED)
    states = [message["content"].get("data", {}).get("state", {}) for message in reply.messages]
    first = next(state["text"] for state in states if state.get("text"))
    assert len(first) >= int(at[1]), "what was kept is not there at once"
    assert COUNTED.strip() in reply.text
    assert f"gone on from character {at[1]}; slow had to " in reply.text
    facts = say(kernel, "print(_ == f'{_}', _.level, _.model, _.session, len(_), type(_).__name__)")
    assert facts == f"True 2 slow main {len(COUNTED)} Result\n"
    said = "[m['content'] for m in get_ipython()._openclaw_nb.notebook.runtime.memory.head('main').state['messages']]"
    assert say(kernel, f"said = {said}\nprint(len(said), said[2:] == ['count', {COUNTED!r}])") == "4 True\n"
    assert "left by an earlier" not in say(kernel, "%openclaw")


def test_a_restored_run_is_stopped_like_a_cell(next_one: Kernel) -> None:
    kernel = next_one
    stop = when_told(" 150 ", lambda _: kernel.interrupt())
    restoring = kernel.submit("%openclaw restore --session stopped")
    after = kernel.submit("print('the queue goes on')")
    reply = kernel.wait(restoring, on_message=stop)
    assert reply.status == "ok"
    assert "stopped by you" in reply.text
    assert kernel.wait(after).text == "the queue goes on\n"
    assert say(kernel, "print(_.status, _.startswith('0 1 2'), ' 150 ' in _)") == "stopped True True\n"
    assert re.search(r"stopped +4 messages", say(kernel, "%openclaw sessions"))


def test_the_stop_button_is_heard_while_it_goes_on(next_one: Kernel) -> None:
    kernel = next_one
    views: list[str] = []

    def listen(message: Message) -> None:
        content = message["content"]
        if message["msg_type"] == "comm_open" and "_library" in content["data"].get("state", {}):
            views.append(content["comm_id"])
            kernel.comm(views[0], {"method": "custom", "content": {"kind": "stop"}})

    reply = kernel.run("%openclaw restore --session button", on_message=listen)
    assert reply.status == "ok"
    assert views
    assert "stopped by you" in reply.text
    assert say(kernel, "print(_.status)") == "stopped\n"


def test_without_its_model_nothing_is_moved_and_under_capture_it_goes_on_too(next_one: Kernel) -> None:
    kernel = next_one
    say(kernel, "kept_aside = slow\ndel slow")
    assert "there is no model 'slow'" in refused(kernel.run("%openclaw restore --session captured"))
    assert "restore --session captured" in say(kernel, "%openclaw sessions")
    say(kernel, "slow = kept_aside")
    assert kernel.run("%%capture kept\n%openclaw restore --session captured").outputs == []
    assert COUNTED.strip() in say(kernel, "kept.show()")


# -- cells -----------------------------------------------------------------------------------------


@pytest.fixture
def cells(kernel: Kernel) -> Kernel:
    kernel.run("%unload_ext openclaw_nb")
    say(kernel, BEGIN)
    return kernel


in_one_kernel = pytest.mark.parametrize("kernel", [INSTALLED], indirect=True)


@in_one_kernel
def test_where_a_cell_begins_and_what_it_keeps(cells: Kernel) -> None:
    say(cells, "rate = 7\nmade = lambda: 0")
    say(cells, "%%openclaw --into one --vars rate\nmy name is Ada")
    say(cells, "%openclaw snapshot ada\nrate = 8")
    kept = "get_ipython()._openclaw_nb.notebook.runtime.store.get(one.snapshot).state"
    assert say(cells, f"state = {kept}\nprint(state['vars']['rate']['data'], len(state['messages']))") == "7 2\n"
    say(cells, "%%openclaw\nmy name is Bob")
    assert "Ada" in say(cells, "%%openclaw --from ada --into two\nwhat is my name?")
    assert "Ada" in say(cells, "%%openclaw --from ada --session own --into three\nwhat is my name?")
    assert "Bob" in say(cells, "%%openclaw --from main --into four\nwhat is my name?")
    assert say(cells, "print(two.session, three.session, four.session)") == "main-2 own main-3\n"
    say(cells, "%reload_ext openclaw_nb")
    say(cells, "%%openclaw --from ada --into again\nwhat is my name?")
    assert say(cells, "print(again.session)") == "main-2\n"
    assert "made (a function cannot be kept" in refused(cells.run("%%openclaw --vars made\nx"))
    assert "'answer' is where the answer goes" in refused(cells.run("%%openclaw --vars answer --into answer\nx"))
    assert "nowhere" in refused(cells.run("%%openclaw --from nowhere\nx"))
    assert "has begun already" in refused(cells.run("%%openclaw --from ada --session main-2\nx"))


@in_one_kernel
def test_a_busy_session_is_waited_for_or_branched(cells: Kernel) -> None:
    say(cells, "%%openclaw\nmy name is Ada")
    say(cells, "last = 60")
    say(cells, "%%openclaw --model slow --bg --busy wait --into first\ncount")
    branched = cells.submit("%%openclaw --bg --into beside\nwhat is my name?")
    say(cells, "%%openclaw --bg --busy wait --into behind\nwhat did I ask?")
    words = cells.until("print(behind.words, '|', beside, '|', first.status)", "Ada", "| streaming")
    assert words.startswith("waiting for the run before it in session main | ")
    assert words.endswith("| streaming\n")
    say(cells, "last = None")
    say(cells, "%openclaw wait")
    assert "in session main-2" in cells.screen.of(branched)[0]["data"]["text/plain"]
    assert say(cells, "print(first.session, beside.session, behind.session)") == "main main-2 main\n"
    assert re.search(r"main +6 messages", say(cells, "%openclaw sessions"))
    assert "'later' is neither wait nor branch" in refused(cells.run("%%openclaw --busy later\nx"))


@in_one_kernel
def test_an_unstable_gateway_is_asked_for_less(cells: Kernel) -> None:
    for _ in range(3):
        refused(cells.run("%%openclaw --model failing\nx"))
    reply = cells.run("%%openclaw --level 3 --into calm\nwhat is 6*7?")
    assert "42" in reply.text
    assert "unstable: 3 errors" in str([message["content"] for message in reply.messages])
    assert say(cells, "print(calm.level)") == "1\n"
