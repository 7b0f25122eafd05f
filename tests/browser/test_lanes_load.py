"""Many agents on one page: a hundred of them in ten cells, and twenty open side by side; no word lost, no jerk."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.plain_page import plain_lines
from tests.browser.test_lanes import kinds
from tests.browser.test_view import SAVED, wait_until

if TYPE_CHECKING:
    from .conftest import FrontEnd, Notebook, Open

pytestmark = pytest.mark.browser

RATE = 80  # tokens per second of each agent
LAST = 10  # words of each for which it waits until the page was looked at
MOST_MESSAGES = 60  # per cell and second
LONG = 10_000  # plain lines: no task is longer than the page needs for them, some 100 ms on a machine of its own

#: Agents that all begin to speak at the first moment in `begun`, and say their last words when there is another;
#: `spoke` are the seconds that the others took. No two of their words are the same.
SETUP = """\
%env OPENCLAW_NB_SNAPSHOTS=memory
%load_ext openclaw_nb
import asyncio, time
from openclaw_nb import OpenClawAgent
begun, spoke = [], []

def word(name, n):
    if n % 120 == 60:
        return f"\\n\\n```python\\nx = {n}  # {name}-{n:04}\\n```\\n\\n"
    return f"\\n\\n- **{name}-{n:04}** " if n % 50 == 0 else f"{name}-{n:04} "

def numbered(name, count, last, rate):
    async def model(prompt):
        while not begun:
            await asyncio.sleep(0.02)
        for n in range(count):
            if n == count - last:
                spoke.append(time.monotonic() - begun[0])
                while len(begun) < 2:
                    await asyncio.sleep(0.02)
            await asyncio.sleep(max(0, begun[0] + n / rate - time.monotonic()))
            yield word(name, n)
    return model

def hire(cells, agents, *terms):
    names = [f"c{c}a{a:02}" for c in range(cells) for a in range(agents)]
    globals().update({name: OpenClawAgent(name, model=numbered(name, *terms)) for name in names})
"""

HIRE = """
hire({cells}, {agents}, {count}, {last}, {rate})
%openclaw pool {threads} --per-task {agents}
"""
ASK = "%%openclaw --bg --agents {agents} --into team{cell}\nSay words."
GO = "works = [{teams}]; begun.append(time.monotonic() + 0.1)"

#: Waits for all, and says how long the slowest took and whether each result is what that agent said.
WAIT = """\
begun.append(time.monotonic())
results = [work.result().results for work in works]
print(max(spoke))
print(all(r[n] == "".join(word(n, k) for k in range({count})) for r in results for n in r), sum(map(len, results)))
"""

#: From now on: each message of a widget with its time, and every lane's text as its deltas make it.
WATCH = """
() => {
  const works = (window.works_ = new Map());
  const whole = (work, state) => {
    if (!state?.lanes) return;
    work.names = state.lanes.map(({ name }) => name);
    work.texts = state.lanes.map(({ text }) => text);
  };
  const grow = (work, n, { kind, offset, text }) => {
    if (kind !== 'delta') return;
    const have = work.texts[n];
    if (offset > have.length) work.lost += offset - have.length;
    work.texts[n] = have.slice(0, offset) + text;
  };
  const take = (_, { msg, direction }) => {
    const { header, content, channel } = msg;
    if (!header.msg_type.startsWith('comm_')) return;
    if (header.msg_type === 'comm_open' && content.data.state?.lanes)
      works.set(content.comm_id, { texts: [], names: [], lost: 0, moments: [], back: 0 });
    const work = works.get(content.comm_id);
    if (!work) return;
    if (direction === 'send') {
      work.back += 1;
      return;
    }
    if (channel !== 'iopub') return;
    work.moments.push(Date.parse(header.date));
    whole(work, content.data?.state);
    for (const { n, news } of content.data?.content?.lanes ?? []) news.forEach(each => grow(work, n, each));
  };
  window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.anyMessage.connect(take);
}
"""

#: Of every lane of a cell, or of all: its name, the text that is drawn, and the last words of a folded one.
LANES = """
root => [...(root ?? document).querySelectorAll('.ocnb-lane')].map(lane => [
  lane.querySelector('.ocnb-lane-head > :first-child').textContent,
  lane.querySelector('.ocnb-answer')?.textContent ?? '',
  lane.querySelector('.ocnb-lane-last')?.textContent ?? '',
])
"""

#: Marks the moment at which so many cells have what stays.
MARK = """
count => {
  const look = () => {
    if (document.querySelectorAll('.jp-RenderedHTMLCommon > .ocnb-work').length < count) setTimeout(look, 20);
    else performance.mark('ocnb-kept');
  };
  look();
}
"""
MARKED = "() => performance.getEntriesByName('ocnb-kept').length > 0"

UNFOLD = "root => root.querySelectorAll('[aria-expanded=false]').forEach(name => name.click())"


@dataclass
class Load:
    """What a page went through until it had all that stays, filled in at its end.

    ``at_work`` and ``waiting`` are its longest task in ms, of processor time and by the clock; ``busy`` is the part of
    the time for which its main thread had a processor; ``afterwards`` is the longest task of the second that follows,
    in which JupyterLab's table of contents reads all outputs of the notebook at once; ``works`` are those of `WATCH`.
    """

    at_work: float = 0
    waiting: float = 0
    busy: float = 0
    afterwards: float = 0
    works: list[dict[str, Any]] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"longest task {self.at_work:.0f} ms of processor time, {self.waiting:.0f} ms with what else the machine "
            f"did ({self.afterwards:.0f} ms for JupyterLab's table of contents afterwards); the page's main thread at "
            f"work for {self.busy:.0%}"
        )


@contextmanager
def measured(browser: Browser, page: Page, cells: int) -> Iterator[Load]:
    """Measure until that many cells have what stays, and a second more."""
    load = Load()
    browser.start_tracing(page=page, categories=["toplevel", "blink.user_timing"])
    page.evaluate(MARK, cells)
    try:
        yield load
        page.wait_for_function(MARKED, polling=100)
        page.wait_for_timeout(1000)
    finally:
        trace = browser.stop_tracing()
    events = json.loads(trace)["traceEvents"]
    main = {(e["pid"], e["tid"]) for e in events if e.get("args", {}).get("name") == "CrRendererMain"}
    tasks = [e for e in events if e["name"].endswith("RunTask") and (e["pid"], e["tid"]) in main]
    start, end = min(task["ts"] for task in tasks), next(e["ts"] for e in events if e["name"] == "ocnb-kept")
    before = [task for task in tasks if task["ts"] < end]
    load.at_work, load.waiting = (max(task.get(key, 0) for task in before) / 1000 for key in ("tdur", "dur"))
    load.busy = sum(task.get("tdur", 0) for task in before) / (end - start)
    load.afterwards = max(task.get("tdur", 0) for task in tasks if task["ts"] >= end) / 1000
    load.works = json.loads(page.evaluate("() => JSON.stringify([...window.works_.values()])"))


def names_of(cell: int, agents: int) -> list[str]:
    return [f"c{cell}a{agent:02}" for agent in range(agents)]


def numbers(name: str, text: str) -> list[int]:
    """The numbers of the words in a text, every one of which must be of that agent."""
    words = re.findall(r"(c\da\d\d)-(\d{4})", text)
    assert {owner for owner, _ in words} <= {name}, (name, text)
    return [int(number) for _, number in words]


def check_drawn(lanes: Iterable[tuple[str, str, str]]) -> int:
    """No lane has a word of another or lacks one; how many of them are drawn."""
    drawn = 0
    for name, text, last in lanes:
        shown = numbers(name, text)
        assert shown == list(range(len(shown))), name
        drawn += bool(shown)
        if tail := numbers(name, last):
            assert tail == list(range(tail[0], tail[0] + len(tail))), name
    return drawn


def most_in_a_second(moments: list[int]) -> int:
    """By the clock of who sent them, in ms."""
    return max(sum(start <= each < start + 1000 for each in moments) for start in moments)


def check_whole(notebook: Notebook, works: list[dict[str, Any]], cells: int, agents: int, count: int) -> None:
    """All that was said has come by messages, and is in what is saved."""
    assert len(works) == cells
    assert sorted(name for work in works for name in work["names"]) == sorted(
        name for cell in range(cells) for name in names_of(cell, agents)
    )
    for work in works:
        for name, text in zip(work["names"], work["texts"], strict=True):
            assert numbers(name, text) == list(range(count)), name
    for cell in range(cells):
        assert kinds(notebook, 1 + cell) == [SAVED]
        lanes = notebook.output(1 + cell).evaluate(LANES)
        assert [name for name, _, _ in lanes] == names_of(cell, agents)
        assert all(numbers(name, text) == list(range(count)) for name, text, _ in lanes)


def dropped(server: FrontEnd) -> int:
    """How often the server has said that it drops messages."""
    log: str = (server.folder.parent / "server.log").read_text()
    return log.count("rate exceeded")


def notebook_of(lab: Open, cells: int, agents: int, count: int, name: str) -> Notebook:
    """The agents' cells are 1 to ``cells``; all of them are at work, and nobody has spoken."""
    asks = [ASK.format(agents=",".join(names_of(cell, agents)), cell=cell) for cell in range(cells)]
    go = GO.format(teams=", ".join(f"team{cell}" for cell in range(cells)))
    terms = {"cells": cells, "agents": agents, "count": count, "last": LAST, "rate": RATE}
    hire = HIRE.format(**terms, threads=cells * agents)
    notebook = lab(SETUP + hire, *asks, go, WAIT.format(count=count), name=name)
    notebook.run(0)
    notebook.page.evaluate(WATCH)
    for cell in range(cells):
        notebook.run(1 + cell)
    return notebook


def results(notebook: Notebook, index: int, agents: int) -> float:
    """Wait for the end of all, each with the whole of what it said; the seconds for all but the last words."""
    said = notebook.run(index).inner_text().strip()
    assert re.fullmatch(rf"[\d.]+\nTrue {agents}", said), said
    return float(said.split()[0])


def test_a_hundred_agents_in_ten_cells(
    lab: Open, lab_server: FrontEnd, page: Page, chromium: Browser, figure: Callable[[str, str], None]
) -> None:
    cells, agents, count = 10, 10, 250
    before = dropped(lab_server)
    notebook = notebook_of(lab, cells, agents, count, "load.ipynb")
    with measured(chromium, page, cells) as load:
        notebook.start(1 + cells)
        for cell in (1, 9):  # the reader looks at some of them
            notebook.cell(1 + cell).evaluate("el => el.scrollIntoView()")
            page.wait_for_timeout(900)
            drawn = wait_until(lambda: check_drawn(page.evaluate(LANES)))
        notebook.output(10).evaluate(UNFOLD)
        wait_until(lambda: check_drawn(notebook.output(10).evaluate(LANES)) >= 4)
        notebook.screenshot("lanes-load")
        took = results(notebook, 2 + cells, cells * agents)
    check_whole(notebook, load.works, cells, agents, count)
    notebook.screenshot("lanes-load-done")

    lost = sum(work["lost"] for work in load.works)
    most = max(most_in_a_second(work["moments"]) for work in load.works)
    total = sum(len(work["moments"]) for work in load.works)
    back = sum(work["back"] for work in load.works)
    figure(
        f"{cells} cells of {agents} agents at {RATE} tokens/s in JupyterLab",
        f"{cells * agents * (count - LAST)} words in {took:.1f} s, each in its lane, {lost} characters lost; at most "
        f"{most} comm messages/s per cell, {total} in all and {back} from the page; {load}",
    )
    assert lost == 0
    assert dropped(lab_server) == before
    assert most <= MOST_MESSAGES
    assert load.at_work < plain_lines(page, LONG)
    assert drawn < 2 * cells  # two of a cell are open, and what is far from the window is not drawn


def test_twenty_lanes_stay_smooth(lab: Open, page: Page, chromium: Browser, figure: Callable[[str, str], None]) -> None:
    agents, count = 20, 300
    page.set_viewport_size({"width": 1280, "height": 4000})  # all in sight at once
    notebook = notebook_of(lab, 1, agents, count, "twenty.ipynb")
    output = notebook.output(1)
    expect(output.locator(".ocnb-lane")).to_have_count(agents)
    output.evaluate(UNFOLD)
    with measured(chromium, page, 1) as load:
        notebook.start(2)
        wait_until(lambda: check_drawn(output.evaluate(LANES)) == agents)
        said = f"{count - LAST - 1:04}"  # as far as they go by themselves
        wait_until(lambda: all(said in text for _, text, _ in output.evaluate(LANES)))
        notebook.screenshot("lanes-twenty")
        ends = output.locator(".ocnb-lane-text").evaluate_all(
            "boxes => boxes.map(box => box.scrollHeight - box.scrollTop - box.clientHeight)"
        )
        took = results(notebook, 3, agents)
    check_whole(notebook, load.works, 1, agents, count)
    most = most_in_a_second(load.works[0]["moments"])
    figure(
        f"{agents} open lanes at {RATE} tokens/s in one cell",
        f"{agents * (count - LAST)} words in {took:.1f} s, at most {most} comm messages/s; {load}",
    )
    assert max(ends) < 2  # each follows its end
    assert most <= MOST_MESSAGES
    assert load.at_work < plain_lines(page, LONG)
