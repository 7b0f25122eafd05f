"""A cell in JupyterLab whose gateway, a process of its own, is killed in mid-answer and started again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

from tests.served import Served

from .test_view import CONTRAST, SAVED, answer, stop, wait_settled

if TYPE_CHECKING:
    from .conftest import Notebook, Open

pytestmark = pytest.mark.browser

NUMBERS = 300  # about four seconds
COUNTED = ", ".join(map(str, range(1, NUMBERS + 1)))
ASK = f"%%openclaw --into counted\ncount to {NUMBERS}"
CHECK = f"print(counted == {COUNTED!r}, counted.status, counted.usage.output_tokens)"
WORDS = re.compile("^reconnecting, attempt [1-5] of 5$")

#: Every frame of a cell's output from now on, and every word that is announced.
RECORD = """
index => {
  const cell = document.querySelector(`.jp-Notebook .jp-Cell[data-windowed-list-index="${index}"]`);
  window.frames_ = [];
  const look = () => {
    const view = cell.querySelector('.ocnb:has([aria-busy])');
    if (view) window.frames_.push({
      status: view.dataset.status,
      text: view.querySelector('.ocnb-answer').textContent,
      answer: view.querySelector('.ocnb-answer').getBoundingClientRect().height,
      foot: view.querySelector('.ocnb-foot').getBoundingClientRect().height,
      stop: view.querySelector('.ocnb-end').getBoundingClientRect().right,
    });
    window.recording_ = requestAnimationFrame(look);
  };
  look();
  window.announced_ = [];
  new MutationObserver(records => records.forEach(({ target, addedNodes }) => {
    const region = (target.nodeType === 1 ? target : target.parentElement).closest('#ocnb-announcer');
    if (region) addedNodes.forEach(node => window.announced_.push(node.textContent));
  })).observe(document.body, { childList: true, subtree: true });
}
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as served:
        yield served


def choose(page: Page, theme: str) -> None:
    page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme }).then(() => null)",
        f"JupyterLab {theme}",
    )
    light = str(theme == "Light").lower()
    page.wait_for_function("light => document.body.dataset.jpThemeLight === light", arg=light)
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)


def state(notebook: Notebook, index: int) -> Any:
    return notebook.output(index).locator(".ocnb-state")


def test_a_gateway_killed_in_mid_answer(lab: Open, served: Served, figure: Callable[[str, str], None]) -> None:
    notebook = lab(served.connect(), ASK, CHECK, name="recovery.ipynb")
    page = notebook.page
    page.set_viewport_size({"width": 1000, "height": 640})
    notebook.run(0)
    page.evaluate(RECORD, 1)
    notebook.start(1)
    expect(answer(notebook, 1)).to_contain_text(" 100,")
    served.kill()
    gone = time.monotonic()
    expect(state(notebook, 1)).to_have_text(WORDS)
    expect(notebook.output(1).locator(".ocnb-foot")).to_contain_text("tokens are safe")
    notebook.screenshot("reconnecting-light")
    contrast = notebook.output(1).locator(".ocnb").evaluate(CONTRAST)
    time.sleep(max(0.0, gone + 1.5 - time.monotonic()))
    served.start()
    back = time.monotonic()
    expect(answer(notebook, 1)).to_contain_text(" 250,")
    wait_settled(notebook, 1)
    notebook.screenshot("recovered-light")

    assert contrast[0] >= 4, contrast
    assert answer(notebook, 1).inner_text() == COUNTED
    assert notebook.run(2).inner_text().strip() == f"True done {NUMBERS}"
    (saved,) = notebook.outputs(1)
    assert set(saved["data"]) == SAVED
    assert all("".join(form).count(COUNTED) == 1 for form in saved["data"].values())

    frames = page.evaluate("() => { cancelAnimationFrame(window.recording_); return window.frames_ }")
    texts = [frame["text"] for frame in frames]
    assert [text for text in texts if not COUNTED.startswith(text)] == []
    assert [len(text) for text in texts] == sorted(len(text) for text in texts)
    away = [frame for frame in frames if frame["status"] == "reconnecting"]
    assert len({(frame["foot"], frame["stop"], frame["answer"]) for frame in away}) == 1
    streaming = [frame for frame in frames if frame["status"] == "streaming"]
    assert {(frame["foot"], frame["stop"]) for frame in streaming} == {(away[0]["foot"], away[0]["stop"])}
    announced = page.evaluate("() => window.announced_")[:4]
    assert announced[0] == "answer started"
    assert WORDS.match(announced[1])
    assert announced[2:] == ["answer goes on", f"answer done, {NUMBERS} tokens"]
    words = f"killed in mid-answer, back {back - gone:.1f} s later: {NUMBERS} of {NUMBERS} numbers, 0 lost, 0 twice"
    figure("a gateway killed under a cell in JupyterLab", words)


def test_stopping_by_keyboard_while_it_reconnects(lab: Open, served: Served) -> None:
    notebook = lab(served.connect(), ASK, "print(counted.status, counted)", name="away.ipynb")
    page = notebook.page
    choose(page, "Dark")
    notebook.run(0)
    page.evaluate(RECORD, 1)
    notebook.start(1)
    expect(answer(notebook, 1)).to_contain_text(" 50,")
    answer(notebook, 1).click()
    served.kill()
    expect(state(notebook, 1)).to_have_text(WORDS)
    for _ in range(12):
        if stop(notebook, 1).evaluate("el => el === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(stop(notebook, 1)).to_be_focused()
    notebook.screenshot("reconnecting-dark")
    contrast = notebook.output(1).locator(".ocnb").evaluate(CONTRAST)
    expect(page.locator("#ocnb-announcer")).to_have_text(WORDS)
    page.keyboard.press("Enter")
    expect(notebook.output(1)).to_contain_text("stopped by you")
    expect(notebook.cell(1).locator(".jp-InputPrompt")).to_have_text("[2]:")
    choose(page, "Light")
    assert contrast[0] >= 4, contrast
    status, kept = notebook.run(2).inner_text().strip().split(" ", 1)
    assert status == "stopped"
    assert COUNTED.startswith(kept)
    assert " 50," in kept
    announced = page.evaluate("() => { cancelAnimationFrame(window.recording_); return window.announced_ }")
    assert announced[0] == "answer started"
    assert announced[2:] == ["stopped by you"]
