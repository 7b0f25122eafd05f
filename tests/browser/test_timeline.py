"""The timeline in JupyterLab and Notebook 7: by keyboard, live, kept, light and dark, and with 10,000 snapshots."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.plain_page import plain_lines
from tests.browser.test_view import CONTRAST, RECORD, take_focus

if TYPE_CHECKING:
    from .conftest import FrontEnd, Notebook, Open

pytestmark = pytest.mark.browser

SETUP = """\
%env OPENCLAW_NB_SNAPSHOTS=memory
%load_ext openclaw_nb
import time
from openclaw_nb import Runtime, SnapshotTimeline
runtime = Runtime.shared()
store, memory = runtime.store, runtime.memory

def turn(session, question, answer, level=2, **others):
    head = memory.head(session)
    spent = (head.facts.get("spent", 0) if head else 0) + 0.0012 * level
    said = [{"role": "user", "content": question},
            {"role": "assistant", "content": answer, "level": level, "cost": 0.0012 * level, "tokens": [210, 160]}]
    return memory.append(session, said, kind="turn", level=level, spent=round(spent, 6), **others)

first = turn("main", "What is in sales.csv?", "Three years of daily revenue, one row a day.", label="start")
turn("main", "Any gaps?", "Nine of the 31 days of March are missing.")
third = turn("main", "Refactor the loader.", "It reports gaps now.", level=3)
store.name(third.id, "before refactor")
memory.branch("try level 4", third.id)
turn("main", "Plot it by region.", "Plotted; the south has the gap.")
turn("try level 4", "Refactor it again, as a class.", "A `Loader` with **two** methods.", level=4)
"""

LATER = 'for n in range(3): turn("main", f"More {n}?", "Yes.")'
COUNT = "print(len(store.list()))"
CLOSE = "timeline.close()"
HEADS = "print(*(f'{name}={head.id}' for name, head in memory.sessions().items()), sep='\\n')"

TEN_THOUSAND = """\
from openclaw_nb import SnapshotStore, SnapshotTimeline
big = SnapshotStore()
for n in range(10_000):
    session = f"try {n // 300}" if n % 3 == 2 else "main"
    if n % 300 == 2:
        big.point(session, big.head("main").id)
    said = [{"role": "user", "content": f"question {n}"}, {"role": "assistant", "content": f"answer {n} " * 30}]
    big.append(session, said, kind="turn", level=2, spent=round(0.0012 * n, 4), label=f"n{n}" if n % 97 == 0 else "")
"""

#: From the newest snapshot to the oldest, a screen in every frame.
SCROLL = """
() => new Promise(done => {
  const strip = document.querySelector('.ocnb-strip');
  let left = strip.scrollWidth;
  const go = () => {
    strip.scrollLeft = left -= strip.clientWidth;
    if (left > 0) requestAnimationFrame(go);
    else done();
  };
  go();
})
"""

THEME = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme }).then(() => null)"


@pytest.fixture(params=["lab", "notebook7"])
def front_end(request: pytest.FixtureRequest, chromium: Browser) -> Open:
    opener: Open = request.getfixturevalue(request.param)
    return opener


def strip(notebook: Notebook, index: int) -> Locator:
    return notebook.output(index).get_by_role("listbox", name="snapshots")


def active(notebook: Notebook, index: int) -> Locator:
    return notebook.output(index).locator("[role=option][aria-selected=true]")


def status(notebook: Notebook, index: int) -> Locator:
    return notebook.output(index).get_by_role("status")


def heads(notebook: Notebook, index: int) -> dict[str, str]:
    return dict(line.split("=") for line in notebook.run(index).inner_text().split("\n") if line)


def choose_theme(page: Page, theme: str) -> None:
    page.evaluate(THEME, f"JupyterLab {theme}")
    page.wait_for_function(f"() => document.body.dataset.jpThemeLight === '{str(theme == 'Light').lower()}'")
    page.wait_for_function("() => !document.querySelector('#jupyterlab-splash')")


def test_by_keyboard(front_end: Open, request: pytest.FixtureRequest) -> None:
    notebook = front_end(SETUP, "SnapshotTimeline()", HEADS, "print(first.id, third.id)", name="keys.ipynb")
    page = notebook.page
    name = request.node.callspec.params["front_end"]
    notebook.run(0)
    notebook.run(1)
    first, third = notebook.run(3).inner_text().split()
    before = heads(notebook, 2)
    strip(notebook, 1).wait_for()
    expect(active(notebook, 1)).to_have_attribute("aria-label", re.compile("^now, main, turn, 2 messages more, "))
    cells = page.locator(".jp-Cell").count()

    take_focus(strip(notebook, 1))
    page.keyboard.press("ArrowLeft")
    expect(active(notebook, 1)).to_have_attribute("aria-label", re.compile("^before refactor, "))
    expect(active(notebook, 1)).to_have_attribute("aria-posinset", "3")
    expect(notebook.output(1)).to_contain_text("Refactor the loader.")
    page.keyboard.press("Home")
    expect(active(notebook, 1)).to_have_attribute("aria-label", re.compile("^start, "))
    notebook.screenshot(f"{name}-timeline-keys")
    page.keyboard.press("r")
    expect(status(notebook, 1)).to_have_text(f"session main stands at {first[:8]} now")
    expect(active(notebook, 1)).to_have_attribute("aria-label", re.compile("^start, now, "))
    assert heads(notebook, 2) == before | {"main": first}

    take_focus(strip(notebook, 1))
    page.keyboard.press("ArrowDown")
    expect(notebook.output(1)).to_contain_text("A `Loader` with **two** methods.")
    page.keyboard.press("c")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("c")
    compared = notebook.output(1).get_by_role("region", name="comparison of two snapshots")
    expect(compared).to_contain_text("level 4")
    expect(compared).to_contain_text("$0.0048")
    expect(compared).to_contain_text("6 messages in common")
    notebook.screenshot(f"{name}-timeline-compared")
    page.keyboard.press("Escape")
    expect(compared).to_be_hidden()

    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("b")
    page.keyboard.type("beside")
    page.keyboard.press("Enter")
    expect(status(notebook, 1)).to_contain_text("session beside begins at")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("b")
    page.keyboard.type("beside")
    page.keyboard.press("Enter")
    expect(status(notebook, 1)).to_contain_text("has begun already")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("n")
    page.keyboard.type("<img src=x>")
    page.keyboard.press("Enter")
    expect(active(notebook, 1)).to_have_attribute("aria-label", re.compile("^<img src=x>, beside, "))
    assert page.locator(".jp-Cell").count() == cells  # b and r are the front end's own keys elsewhere
    assert heads(notebook, 2)["beside"] == third


def test_live_and_kept(lab: Open, lab_server: FrontEnd, page: Page) -> None:
    run = "%%openclaw --model offline:300\n2 + 2"
    notebook = lab(SETUP, "timeline = SnapshotTimeline(); timeline", LATER, run, COUNT, CLOSE, name="kept.ipynb")
    page.set_viewport_size({"width": 1280, "height": 1500})
    notebook.run(0)
    notebook.run(1)
    strip(notebook, 1).wait_for()
    height = notebook.output(1).bounding_box()
    notebook.run(2)
    expect(active(notebook, 1)).to_have_attribute("aria-setsize", "8")
    notebook.run(3)
    expect(notebook.output(1)).to_contain_text("2 + 2")
    count = notebook.run(4).inner_text().strip()
    expect(active(notebook, 1)).to_have_attribute("aria-setsize", count)

    contrasts = []
    for theme in ("Dark", "Light"):
        choose_theme(page, theme)
        contrasts.append(notebook.output(1).locator(".ocnb-timeline").evaluate(CONTRAST))
        notebook.screenshot(f"lab-timeline-{theme.lower()}")
    page.evaluate(RECORD, 1)
    end = time.monotonic() + 60
    while kept(notebook, 1).count("<circle") < int(count) and time.monotonic() < end:  # drawn again when it is calm
        page.wait_for_timeout(100)
    assert kept(notebook, 1).count("<circle") == int(count)
    heights = page.evaluate(
        "() => { cancelAnimationFrame(window.recording_); return window.frames_.map(f => f.height) }"
    )
    assert {round(each) for each in heights} == {round(height["height"])}
    expect(strip(notebook, 1)).to_be_visible()
    assert [set(output["data"]) for output in notebook.outputs(1)] == [{"text/html", "text/plain"}]

    notebook.save()
    saved = nbformat.read(lab_server.folder / "kept.ipynb", 4)
    assert "<svg" in saved.cells[1].outputs[0].data["text/html"]
    assert "<script" not in saved.cells[1].outputs[0].data["text/html"]
    notebook.reload()
    expect(active(notebook, 1)).to_have_attribute("aria-setsize", count)  # the kernel still lives
    notebook.run(5)
    expect(strip(notebook, 1)).to_have_count(0)
    expect(notebook.output(1).locator("svg text", has_text="now")).to_be_visible()
    notebook.output(1).locator("summary").click()
    expect(notebook.output(1).locator("table")).to_contain_text("before refactor")
    for theme in ("Dark", "Light"):
        choose_theme(page, theme)
        contrasts.append(notebook.output(1).locator(".ocnb-timeline-place").evaluate(CONTRAST))
        notebook.screenshot(f"lab-timeline-kept-{theme.lower()}")
    assert min(contrasts)[0] >= 4, contrasts


def kept(notebook: Notebook, index: int) -> str:
    """What is saved of a cell's first output."""
    html: str = notebook.outputs(index)[0]["data"]["text/html"]
    return html


def test_a_pools_run_is_one_entry_with_its_agents_as_branches(lab: Open, page: Page) -> None:
    three = """%%openclaw --agents coder,tester,reviewer --level 1\nwhat is 6*7?"""
    twenty = """%%openclaw --agents {} --level 1 --pool 5\nwhat is 6*7?""".format(",".join(["coder"] * 20))
    after = "%%openclaw\nwhat is 2+2?"
    many = "coder, coder-2, coder-3 and 17 more"
    show = "timeline = SnapshotTimeline(); timeline"
    notebook = lab(SETUP, three, after, show, twenty, after, CLOSE, name="pool.ipynb")
    page.set_viewport_size({"width": 1280, "height": 1500})
    for index in range(4):
        notebook.run(index)
    strip(notebook, 3).wait_for()
    dots = notebook.output(3).get_by_role("option")
    expect(dots.filter(has_text="pool: coder, tester, reviewer")).to_have_count(1)
    for name in ("coder", "tester", "reviewer"):
        expect(dots.get_by_text(name, exact=True)).to_have_count(1)
    take_focus(strip(notebook, 3))
    page.keyboard.press("ArrowLeft")
    expect(active(notebook, 3)).to_have_attribute(
        "aria-label", re.compile("^pool: coder, tester, reviewer, main, pool, parallel, 3 of 3 done, ")
    )
    expect(notebook.output(3)).to_contain_text("done: coder, tester, reviewer")
    notebook.screenshot("lab-timeline-pool")
    page.keyboard.press("ArrowDown")  # to "try level 4", which is above them
    page.keyboard.press("ArrowDown")
    expect(active(notebook, 3)).to_have_attribute("aria-label", re.compile("^(coder|tester|reviewer), main/.*, turn, "))
    notebook.run(4)
    notebook.run(5)
    expect(active(notebook, 3)).to_have_attribute("aria-setsize", re.compile("^(3[2-9]|[4-9][0-9])$"))
    take_focus(strip(notebook, 3))
    page.keyboard.press("Control+End")
    expect(active(notebook, 3)).to_have_attribute("aria-label", re.compile("^now, main, turn, 2 messages more"))
    page.keyboard.press("ArrowLeft")
    expect(active(notebook, 3)).to_have_attribute("aria-label", re.compile(f"^pool: {many}, "))
    notebook.screenshot("lab-timeline-pool-20")
    notebook.run(6)
    expect(strip(notebook, 3)).to_have_count(0)
    texts = notebook.output(3).locator("svg text")
    for name in (f"pool: {many}", "coder", "coder-20", "now"):
        expect(texts.get_by_text(name, exact=True).first).to_be_visible()
    notebook.screenshot("lab-timeline-pool-20-kept")


def test_ten_thousand_snapshots_stay_smooth(
    lab: Open, page: Page, chromium: Browser, figure: Callable[[str, str], None]
) -> None:
    show = "timeline = SnapshotTimeline(big); timeline"
    notebook = lab(TEN_THOUSAND, show, name="many.ipynb")
    notebook.run(0)
    notebook.run(1)
    strip(notebook, 1).wait_for()
    page.wait_for_function("() => performance.getEntriesByName('ocnb-timeline').length === 1")
    painted = page.evaluate("() => performance.getEntriesByName('ocnb-timeline')[0].duration")
    expect(active(notebook, 1)).to_have_attribute("aria-setsize", "10000")
    assert notebook.output(1).get_by_role("option").count() < 100
    choose_theme(page, "Dark")
    notebook.screenshot("lab-timeline-10000-dark")
    choose_theme(page, "Light")
    notebook.screenshot("lab-timeline-10000-light")
    expect(active(notebook, 1)).to_have_attribute("aria-posinset", "10000")
    expect(active(notebook, 1)).to_be_in_viewport(ratio=1)  # though it was wider for a moment

    chromium.start_tracing(page=page, categories=["toplevel", "blink.user_timing"])
    page.evaluate(SCROLL)
    at_work, waiting = tasks(chromium.stop_tracing())
    take_focus(strip(notebook, 1))
    page.keyboard.press("Control+Home")
    expect(active(notebook, 1)).to_have_attribute("aria-posinset", "1")
    expect(active(notebook, 1)).to_be_in_viewport()
    page.keyboard.press("Control+End")
    expect(active(notebook, 1)).to_have_attribute("aria-posinset", "10000")
    figure(
        "a timeline of 10,000 snapshots in Chromium",
        f"painted {painted:.0f} ms after its creation; longest task while scrolling from end to end "
        f"{at_work:.0f} ms of processor time, {waiting:.0f} ms with what else the machine did",
    )
    assert at_work < plain_lines(page, 10_000)


def tasks(trace: bytes) -> tuple[float, float]:
    """The longest task of any thread of the page in milliseconds: of processor time, and by the clock."""
    events = [event for event in json.loads(trace)["traceEvents"] if event["name"].endswith("RunTask")]
    return tuple(max(event.get(key, 0) for event in events) / 1000 for key in ("tdur", "dur"))  # type: ignore[return-value]
