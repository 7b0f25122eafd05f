"""Agents side by side in JupyterLab: lanes while they stream, one stopped by keys, after a reload, and kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.test_timeline import choose_theme
from tests.browser.test_view import CONTRAST, SAVED, kernel_is, take_focus, wait_until

from .conftest import Notebook, Open

pytestmark = pytest.mark.browser

SETUP = """\
%env OPENCLAW_NB_SNAPSHOTS=memory
%load_ext openclaw_nb
import asyncio, os
from openclaw_nb import OpenClawAgent

GATE = {gate!r}

def words(name):
    "Sixty words of its own, and twenty more when there is a file."
    async def model(prompt):
        for n in range(80):
            while n == 60 and not os.path.exists(GATE):
                await asyncio.sleep(0.02)
            yield f"{{name}}{{n}} "
            await asyncio.sleep(0.01)
    return model

async def broken(prompt):
    yield "The first half of an answer "
    raise ValueError("there is no second half")

one, two, three = (OpenClawAgent(name, model=words(name)) for name in ("one", "two", "three"))
bad = OpenClawAgent("bad", model=broken)
"""

ASK = "%%openclaw --agents one,two,three --pool {pool} --into team\nSay words."
CHECK = "print({name: len(result.split()) for name, result in team.results.items()})"

#: From now on, every place where the box of lanes, a lane's head, its foot or the line of the whole has stood.
RECORD = """
root => {
  window.boxes_ = new Set();
  const look = () => {
    if (!root.offsetHeight || !root.querySelector('.ocnb-lanes[data-live]')) return;
    const parts = root.querySelectorAll('.ocnb-lanes, .ocnb-lane-head, .ocnb-lane-foot, .ocnb-work > .ocnb-foot');
    const top = root.getBoundingClientRect().top;
    window.boxes_.add([...parts].map(el => el.getBoundingClientRect()).map(r => `${r.top - top} ${r.height}`).join());
    requestAnimationFrame(look);
  };
  look();
}
"""


def lane(notebook: Notebook, index: int, name: str) -> Locator:
    head = notebook.page.locator(".ocnb-lane-head > :first-child", has_text=re.compile(f"^{name}$"))
    return notebook.output(index).locator(".ocnb-lane", has=head)


def text(notebook: Notebook, index: int, name: str) -> Locator:
    return lane(notebook, index, name).locator(".ocnb-answer")


def state(notebook: Notebook, index: int, name: str) -> Locator:
    return lane(notebook, index, name).locator(".ocnb-lane-words")


def said(name: str, count: int) -> list[str]:
    return [f"{name}{n}" for n in range(count)]


def wait_kept(notebook: Notebook, index: int) -> None:
    """Wait until a cell's lanes have become the saved ones."""
    notebook.output(index).locator(".jp-RenderedHTMLCommon > .ocnb-work").wait_for()
    expect(notebook.output(index).locator("[aria-busy]")).to_have_count(0)


def kinds(notebook: Notebook, index: int) -> list[set[str]]:
    return [set(output.get("data", {})) for output in notebook.outputs(index)]


def watch(notebook: Notebook) -> None:
    """Note all that is announced, from now on."""
    notebook.page.evaluate(
        """() => {
             window.spoken_ = [];
             new MutationObserver(() => {
               const words = document.getElementById('ocnb-announcer')?.textContent;
               if (words && words !== window.spoken_.at(-1)) window.spoken_.push(words);
             }).observe(document.body, { childList: true, subtree: true });
           }"""
    )


def test_lanes_stream_and_become_one_bundle(lab: Open, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    notebook = lab(SETUP.format(gate=str(gate)), ASK.format(pool=2), CHECK, name="lanes.ipynb")
    page = notebook.page
    page.set_viewport_size({"width": 1280, "height": 1100})
    notebook.run(0)
    watch(notebook)
    notebook.start(1)
    expect(text(notebook, 1, "one")).to_contain_text("one")
    notebook.output(1).locator(".ocnb-work").evaluate(RECORD)
    for name in ("one", "two"):
        expect(text(notebook, 1, name)).to_contain_text(f"{name}59")
        assert text(notebook, 1, name).inner_text().split() == said(name, 60)
        expect(notebook.output(1).get_by_role("region", name=name, exact=True)).to_have_attribute("aria-busy", "true")
    expect(state(notebook, 1, "three")).to_have_text("waits, 2 per task")
    expect(lane(notebook, 1, "three").locator(".ocnb-lane-figures")).to_have_text("in line, next")
    expect(notebook.output(1).get_by_role("button")).to_have_text(["Stop", "Stop", "Stop", "Stop all"])
    contrasts = [notebook.output(1).locator(".ocnb-work").evaluate(CONTRAST)]
    notebook.screenshot("lanes-light")
    choose_theme(page, "Dark")
    contrasts.append(notebook.output(1).locator(".ocnb-work").evaluate(CONTRAST))
    notebook.screenshot("lanes-dark")
    choose_theme(page, "Light")

    gate.touch()
    wait_kept(notebook, 1)
    for name in ("one", "two", "three"):
        assert text(notebook, 1, name).inner_text().split() == said(name, 80)
        expect(state(notebook, 1, name)).to_have_text("done")
    assert kinds(notebook, 1) == [SAVED]
    boxes: list[str] = page.evaluate("() => [...window.boxes_]")
    assert len(boxes) == 1, boxes  # nothing has moved while it streamed
    spoken: list[str] = page.evaluate("() => window.spoken_")
    assert spoken[0] == "3 agents started"
    assert re.match(r"agents .*, \d+ tokens$", spoken[-1]), spoken
    assert len(spoken) <= 4, spoken
    contrasts.append(notebook.output(1).locator(".ocnb-work").evaluate(CONTRAST))
    assert min(contrasts)[0] >= 4, contrasts
    assert notebook.run(2).inner_text().strip() == "{'one': 80, 'two': 80, 'three': 80}"


def test_one_of_many_is_opened_and_stopped_by_keys(lab: Open, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    ask = "%%openclaw --agents one,two,three,bad,bad,bad,bad,bad --pool 8 --into team\nSay words."
    check = "print(team.results['two'].status, len(team.results['one'].split()))"
    notebook = lab(SETUP.format(gate=str(gate)), ask, check, name="many.ipynb")
    page = notebook.page
    notebook.run(0)
    notebook.start(1)
    output = notebook.output(1)
    fold = output.get_by_role("button", name="two", exact=True)
    expect(output.locator("[aria-expanded]")).to_have_count(8)
    expect(text(notebook, 1, "one")).to_contain_text("one59")  # the first is open
    expect(state(notebook, 1, "bad-2")).to_have_text("failed")
    expect(lane(notebook, 1, "bad-2").locator(".ocnb-lane-last")).to_contain_text("there is no second half")
    lane(notebook, 1, "three").scroll_into_view_if_needed()
    expect(lane(notebook, 1, "three").locator(".ocnb-lane-last")).to_contain_text("three59")
    expect(text(notebook, 1, "three")).to_have_text("")  # what is folded is not drawn
    notebook.screenshot("lanes-many")

    take_focus(output.get_by_role("button", name="one", exact=True))
    for stop in ("Stop one", "one", "two"):
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.ariaLabel ?? document.activeElement.textContent") == stop
    expect(fold).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Enter")
    expect(fold).to_have_attribute("aria-expanded", "false")
    expect(output.get_by_role("region", name="two", exact=True)).to_have_count(0)
    page.keyboard.press("Tab")
    expect(output.get_by_role("button", name="Stop two")).to_be_focused()
    page.keyboard.press("Enter")
    expect(state(notebook, 1, "two")).to_have_text("stopped by you")
    expect(state(notebook, 1, "one")).to_have_text("streaming")
    gate.touch()
    wait_kept(notebook, 1)
    assert text(notebook, 1, "one").inner_text().split() == said("one", 80)
    wait_until(lambda: kernel_is(page, "idle"))
    assert notebook.run(2).inner_text().strip() == "stopped 80"


def test_a_reload_in_mid_run(lab: Open, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    notebook = lab(SETUP.format(gate=str(gate)), ASK.format(pool=3), CHECK, name="lanes_reload.ipynb")
    page = notebook.page
    notebook.run(0)
    notebook.start(1)
    expect(text(notebook, 1, "three")).to_contain_text("three20")
    notebook.save()
    page.reload()
    for name in ("one", "two", "three"):
        expect(text(notebook, 1, name)).to_contain_text(f"{name}59")
    gate.touch()
    expect(notebook.output(1).locator(".ocnb-work > .ocnb-foot")).to_contain_text("done")
    page.wait_for_timeout(500)  # the widget is closed by now
    for name in ("one", "two", "three"):
        assert text(notebook, 1, name).inner_text().split() == said(name, 80)
    expect(notebook.output(1)).not_to_contain_text("Error displaying widget")
    expect(notebook.output(1).get_by_role("button", name="Stop")).to_have_count(0)
    wait_until(lambda: kernel_is(page, "idle"))
    assert notebook.run(2).inner_text().strip() == "{'one': 80, 'two': 80, 'three': 80}"
