"""The level picker in JupyterLab and Notebook 7: by keys, linked both ways, in mid-run, kept, in any theme."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.test_timeline import choose_theme
from tests.browser.test_view import CONTRAST, take_focus, wait_until
from tests.staged import STEPS

from .conftest import FrontEnd, Notebook, Open

pytestmark = pytest.mark.browser

SETUP = f"""\
%env OPENCLAW_NB_SNAPSHOTS=memory
%load_ext openclaw_nb
from openclaw_nb import LevelPicker, OpenClawAgent
{STEPS}
limited = OpenClawAgent("limited", instructions="Be brief.", max_level=2)
"""

CONTROLS = "%openclaw controls"
LEVEL = "print(get_ipython()._openclaw_nb.notebook.front.level)"
PROOF = "Prove that the sum of two odd numbers is even, and check each step of the proof."

#: What a reader of the page by ear or by keys would miss.
MISSING = """
el => {
  const problems = [];
  const ids = [...document.querySelectorAll('[id]')].map(each => each.id);
  for (const group of el.querySelectorAll('[role=radiogroup]')) {
    const radios = [...group.querySelectorAll('[role=radio]')];
    if (!group.getAttribute('aria-label')) problems.push('a group without a name');
    const one = test => radios.filter(test).length === 1;
    if (!one(each => each.tabIndex === 0)) problems.push('not one tab stop');
    if (!one(each => each.getAttribute('aria-checked') === 'true')) problems.push('not one checked');
    for (const radio of [group, ...radios]) {
      const said = radio.getAttribute('aria-describedby');
      if (ids.filter(id => id === said).length !== 1) problems.push('a description that is not there once');
    }
    for (const radio of radios) {
      if (!radio.textContent.includes(radio.getAttribute('aria-label'))) problems.push('a name that is not seen');
      const box = radio.getBoundingClientRect();
      if (box.height < 24 || box.width < 24) problems.push('a target that is too small');
    }
  }
  for (const input of el.querySelectorAll('input')) if (!input.labels.length) problems.push('a field without a label');
  for (const node of el.querySelectorAll('*')) {
    if (node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).overflow === 'hidden')
      problems.push('cut off: ' + node.textContent);
  }
  return problems;
}
"""


@pytest.fixture(params=["lab", "notebook7"])
def front_end(request: pytest.FixtureRequest, chromium: Browser) -> Open:
    opener: Open = request.getfixturevalue(request.param)
    return opener


def picker(notebook: Notebook, index: int) -> Locator:
    return notebook.output(index).get_by_role("radiogroup", name="reasoning level")


def radio(notebook: Notebook, index: int, name: str) -> Locator:
    return picker(notebook, index).get_by_role("radio", name=name, exact=True)


def why(notebook: Notebook, index: int) -> Locator:
    return notebook.output(index).locator(".ocnb-why")


def test_by_keyboard_and_linked_both_ways(front_end: Open) -> None:
    notebook = front_end(SETUP, CONTROLS, CONTROLS, LEVEL, "%openclaw level 4", name="level-keys.ipynb")
    page = notebook.page
    notebook.run(0)
    notebook.run(1)
    notebook.run(2)
    expect(radio(notebook, 1, "Auto")).to_be_checked()
    expect(radio(notebook, 1, "Auto")).to_contain_text("would take ")
    expect(radio(notebook, 1, "3 deep")).to_contain_text("free · ")
    cells = page.locator(".jp-Cell").count()

    take_focus(radio(notebook, 1, "Auto"))
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(radio(notebook, 1, "3 deep")).to_be_focused()
    expect(radio(notebook, 2, "3 deep")).to_be_checked()
    page.keyboard.press("Home")
    expect(radio(notebook, 2, "Auto")).to_be_checked()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(radio(notebook, 2, "2 standard")).to_be_checked()
    assert notebook.run(3).inner_text().strip() == "2"
    assert page.locator(".jp-Cell").count() == cells  # keys that mean something to the front end are not for it

    notebook.run(4)
    for index in (1, 2):
        expect(radio(notebook, index, "4 ultra")).to_be_checked()
    expect(page.locator("#ocnb-announcer")).to_have_text("level 4 ultra")
    radio(notebook, 2, "Auto").click()
    expect(radio(notebook, 1, "Auto")).to_be_checked()
    assert notebook.run(3).inner_text().strip() == "auto"


def test_typing_and_any_width_and_direction(lab: Open, page: Page) -> None:
    notebook = lab(SETUP, CONTROLS, name="level-width.ipynb")
    notebook.run(0)
    notebook.run(1)
    picker(notebook, 1).wait_for()
    auto, before = radio(notebook, 1, "Auto").locator("small"), boxes(notebook, 1)
    was = auto.inner_text()
    take_focus(notebook.output(1).get_by_role("textbox", name="for the prompt"))
    page.keyboard.type(PROOF)
    expect(auto).not_to_have_text(was)
    expect(page.locator("#ocnb-announcer")).to_contain_text("auto would take ")
    assert boxes(notebook, 1) == before  # nothing jumps
    assert notebook.output(1).evaluate(MISSING) == []
    notebook.screenshot("lab-level-typed")
    page.keyboard.press("Escape")
    expect(auto).to_have_text(was)

    for direction in ("rtl", "ltr"):
        page.set_viewport_size({"width": 1280, "height": 900})
        notebook.output(1).evaluate("(el, direction) => { el.dir = direction }", direction)
        wide = boxes(notebook, 1)
        assert len({box["y"] for box in wide}) == 1
        assert [box["x"] for box in wide] == sorted((box["x"] for box in wide), reverse=direction == "rtl")
        radio(notebook, 1, "Auto").click()
        page.keyboard.press("ArrowLeft" if direction == "rtl" else "ArrowRight")
        expect(radio(notebook, 1, "1 fast")).to_be_focused()
        page.set_viewport_size({"width": 640, "height": 900})
        page.wait_for_function(f"() => {ROWS}")
        assert notebook.output(1).evaluate(MISSING) == []
        notebook.screenshot(f"lab-level-narrow-{direction}")


#: Whether the levels stand one below the other.
ROWS = "new Set([...document.querySelectorAll('[role=radio]')].map(each => each.getBoundingClientRect().x)).size === 1"


def boxes(notebook: Notebook, index: int) -> list[dict[str, float]]:
    rounded = (each.bounding_box() or {} for each in picker(notebook, index).get_by_role("radio").all())
    return [{side: round(length) for side, length in box.items()} for box in rounded]


def test_in_mid_run_and_kept_in_any_theme(lab: Open, lab_server: FrontEnd, page: Page, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    page.set_viewport_size({"width": 1280, "height": 1100})
    run = "%%openclaw --level 3 --model steps\nq"
    setup = f"{SETUP}steps.gate = {str(gate)!r}"
    cells = (setup, CONTROLS, run, "print(steps.levels)", "picker = LevelPicker(limited); picker", "picker.close()")
    notebook = lab(*cells, name="level-kept.ipynb")
    notebook.run(0)
    notebook.run(1)
    picker(notebook, 1).wait_for()
    notebook.start(2)
    expect(notebook.output(2)).to_contain_text("plan")
    radio(notebook, 1, "1 fast").click()
    expect(why(notebook, 1)).to_have_text("takes effect on the next step")
    expect(page.locator("#ocnb-announcer")).to_have_text("takes effect on the next step")
    notebook.screenshot("lab-level-run")
    gate.touch()
    expect(why(notebook, 1)).not_to_have_text("takes effect on the next step")
    assert notebook.run(3).inner_text().strip() == "[3, 1]"

    notebook.run(4)
    expect(radio(notebook, 4, "4 ultra")).to_have_attribute("aria-disabled", "true")
    radio(notebook, 4, "4 ultra").click(force=True)
    expect(radio(notebook, 4, "Auto")).to_be_checked()
    radio(notebook, 4, "2 standard").click()
    expect(radio(notebook, 4, "2 standard")).to_be_checked()
    live, contrasts = notebook.output(4).bounding_box(), []
    for theme in ("Dark", "Light"):
        choose_theme(page, theme)
        contrasts += [notebook.output(index).locator(".ocnb-picker").evaluate(CONTRAST) for index in (1, 4)]
        take_focus(radio(notebook, 1, "1 fast"))
        notebook.screenshot(f"lab-level-{theme.lower()}")
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    assert notebook.output(4).evaluate(MISSING) == []
    assert radio(notebook, 1, "Auto").evaluate("each => getComputedStyle(each).transitionDuration") == "0s"
    notebook.screenshot("lab-level-forced-colors")
    page.emulate_media(forced_colors="none", reduced_motion="no-preference")

    wait_until(lambda: 'ocnb-chosen" title="free' in str(notebook.outputs(4)))  # drawn again when it is calm
    notebook.save()
    saved = nbformat.read(lab_server.folder / "level-kept.ipynb", 4)
    assert [set(saved.cells[index].outputs[0].data) for index in (1, 4)] == 2 * [{"text/html", "text/plain"}]
    assert "<script" not in saved.cells[4].outputs[0].data["text/html"]
    notebook.reload()
    expect(radio(notebook, 4, "2 standard")).to_be_checked()  # the kernel still lives
    notebook.run(5)
    expect(picker(notebook, 4)).to_have_count(0)
    kept = notebook.output(4)
    expect(kept.locator(".ocnb-chosen")).to_contain_text("2 standard, chosen")
    assert kept.bounding_box()["height"] == pytest.approx(live["height"], abs=0.5)  # type: ignore[index]
    for theme in ("Dark", "Light"):
        choose_theme(page, theme)
        contrasts.append(kept.locator(".ocnb-picker").evaluate(CONTRAST))
        notebook.screenshot(f"lab-level-kept-{theme.lower()}")
    assert min(contrasts)[0] >= 4, contrasts
