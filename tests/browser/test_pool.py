"""The pool picker in JupyterLab and Notebook 7: by keys, linked both ways, with agents at work, kept, in any theme."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_timeline import choose_theme
from tests.browser.test_view import CONTRAST, take_focus, wait_until
from tests.staged import STEPS

from .conftest import FrontEnd, Notebook, Open

pytestmark = pytest.mark.browser

SETUP = f"""\
%env OPENCLAW_NB_SNAPSHOTS=memory
%load_ext openclaw_nb
from openclaw_nb import OpenClawAgent, PoolPicker, Runtime, ThreadPool
{STEPS}
agents = [OpenClawAgent(f"a{{n}}", model=steps) for n in range(5)]
pool = Runtime.shared().pool
"""

CONTROLS = "%openclaw controls"
SIZE = "print(pool.max_threads, pool.max_per_task)"

#: What a reader of the page by ear or by keys would miss.
MISSING = """
el => {
  const problems = [];
  const group = el.querySelector('.ocnb-pool');
  if (group.getAttribute('role') !== 'group' || !group.getAttribute('aria-label')) problems.push('no named group');
  for (const one of group.querySelectorAll('input, button')) {
    const box = one.getBoundingClientRect();
    if (!one.getAttribute('aria-label')) problems.push('no name');
    if (box.height < 24 || box.width < 24) problems.push('a target that is too small');
  }
  for (const field of group.querySelectorAll('input')) {
    if (document.getElementById(field.getAttribute('aria-describedby')) === null) problems.push('no description');
    if (field.scrollWidth > field.clientWidth + 1) problems.push('cut off: ' + field.value);
  }
  if (el.scrollWidth > el.clientWidth + 1) problems.push('wider than its place');
  return problems;
}
"""


def picker(notebook: Notebook, index: int) -> Locator:
    return notebook.output(index).get_by_role("group", name="thread pool")


def field(notebook: Notebook, index: int, name: str = "threads") -> Locator:
    return picker(notebook, index).get_by_role("spinbutton", name=name, exact=True)


def press(notebook: Notebook, index: int, name: str) -> Locator:
    return picker(notebook, index).get_by_role("button", name=name, exact=True)


def filled(notebook: Notebook, index: int) -> Locator:
    return picker(notebook, index).locator(".ocnb-meter .ocnb-on")


def picture(notebook: Notebook, index: int, name: str) -> None:
    notebook.output(index).locator(".ocnb-pool").scroll_into_view_if_needed()
    notebook.screenshot(f"lab-pool-{name}")


def places(notebook: Notebook, index: int) -> list[dict[str, float]]:
    """Where each thing that can be pressed is."""
    return [box for each in picker(notebook, index).locator("input, button").all() if (box := each.bounding_box())]


def test_by_keyboard_and_linked_both_ways(notebook7: Open) -> None:
    notebook = notebook7(SETUP, CONTROLS, "PoolPicker()", SIZE, "pool.max_threads = 4", name="pool-keys.ipynb")
    page = notebook.page
    for index in range(3):
        notebook.run(index)
    expect(field(notebook, 1)).to_have_value("10")
    expect(field(notebook, 2, "per task")).to_have_value("3")
    cells = page.locator(".jp-Cell").count()

    take_focus(field(notebook, 1))
    page.keyboard.press("ArrowUp")
    page.keyboard.press("PageUp")
    expect(field(notebook, 2)).to_have_value("21")
    page.keyboard.type("12")  # what has the focus is chosen
    page.keyboard.press("Tab")
    expect(press(notebook, 1, "one thread fewer")).to_be_focused()
    page.keyboard.press("Space")
    expect(field(notebook, 2)).to_have_value("11")
    expect(page.locator("#ocnb-announcer")).to_have_text("11 threads")
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(field(notebook, 1, "per task")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(field(notebook, 2, "per task")).to_have_value("2")
    assert notebook.run(3).inner_text().strip() == "11 2"
    assert page.locator(".jp-Cell").count() == cells  # keys that mean something to the front end are not for it

    notebook.run(4)
    for index in (1, 2):
        expect(field(notebook, index)).to_have_value("4")
    press(notebook, 2, "one more per task").click()
    expect(field(notebook, 1, "per task")).to_have_value("3")


def test_with_agents_at_work_nothing_jumps_in_any_width(lab: Open, page: Page, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    work = f"steps.gate = {str(gate)!r}; run = pool.execute(agents, 'q')"
    notebook = lab(SETUP, CONTROLS, work, "pool.max_per_task = 5", "run.result()", name="pool-work.ipynb")
    notebook.run(0)
    notebook.run(1)
    expect(picker(notebook, 1).locator(".ocnb-meter i")).to_have_count(10)
    before = places(notebook, 1)
    notebook.run(2)
    expect(filled(notebook, 1)).to_have_count(3)
    expect(picker(notebook, 1)).to_contain_text("2 wait")
    assert places(notebook, 1) == before
    picture(notebook, 1, "work")
    notebook.run(3)
    expect(filled(notebook, 1)).to_have_count(5)
    expect(picker(notebook, 1)).not_to_contain_text("wait")
    gate.touch()
    notebook.run(4)
    expect(filled(notebook, 1)).to_have_count(0)

    for _ in range(15):
        press(notebook, 1, "one thread more").click()
    expect(picker(notebook, 1).locator(".ocnb-bar")).to_have_count(1)
    assert [place["x"] for place in places(notebook, 1)] == [place["x"] for place in before]
    for direction in ("rtl", "ltr"):
        notebook.output(1).evaluate("(el, direction) => { el.dir = direction }", direction)
        for width in (1280, 640):
            page.set_viewport_size({"width": width, "height": 900})
            assert notebook.output(1).evaluate(MISSING) == []
        picture(notebook, 1, f"narrow-{direction}")


def test_refused_and_kept_in_any_theme(lab: Open, lab_server: FrontEnd, page: Page) -> None:
    cells = (SETUP, CONTROLS, "own = ThreadPool(6, 2); shown = PoolPicker(own); shown", "shown.close()")
    notebook = lab(*cells, name="pool-kept.ipynb")
    for index in range(3):
        notebook.run(index)
    take_focus(field(notebook, 2))
    page.keyboard.type("5000")
    page.keyboard.press("Enter")
    line = picker(notebook, 2).locator(".ocnb-reply")
    expect(line).to_contain_text("max_threads")
    expect(field(notebook, 2)).to_have_value("6")
    live, contrasts = picker(notebook, 2).bounding_box(), []
    for theme in ("Dark", "Light"):
        choose_theme(page, theme)
        contrasts += [notebook.output(index).locator(".ocnb-pool").evaluate(CONTRAST) for index in (1, 2)]
        picture(notebook, 2, theme.lower())
    page.emulate_media(forced_colors="active")
    picture(notebook, 2, "forced-colors")
    page.emulate_media(forced_colors="none")

    press(notebook, 2, "one fewer per task").click()
    expect(line).to_have_text("")
    press(notebook, 2, "one fewer per task").blur()  # what is in use is not drawn anew
    wait_until(lambda: "at most 1 per task" in str(notebook.outputs(2)))
    notebook.save()
    saved = nbformat.read(lab_server.folder / "pool-kept.ipynb", 4)
    assert [set(output.data) for output in saved.cells[1].outputs] == 2 * [{"text/html", "text/plain"}]
    assert "<script" not in saved.cells[2].outputs[0].data["text/html"]
    notebook.reload()
    expect(field(notebook, 2, "per task")).to_have_value("1")  # the kernel still lives
    notebook.run(3)
    expect(picker(notebook, 2)).to_have_count(0)
    kept = notebook.output(2).locator(".ocnb-pool")
    expect(kept).to_have_text("0 of 6 at work, at most 1 per task")
    assert kept.bounding_box()["height"] == live["height"]  # type: ignore[index]
    for theme in ("Dark", "Light"):
        choose_theme(page, theme)
        contrasts.append(kept.evaluate(CONTRAST))
        picture(notebook, 2, f"kept-{theme.lower()}")
    assert min(contrasts)[0] >= 4, contrasts
