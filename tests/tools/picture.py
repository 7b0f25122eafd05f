"""Makes the README's pictures: a cell streams in the real JupyterLab, light and dark, and every look at it is kept.

python -m tests.tools.picture [streaming] [lanes]
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import QUIET, Notebook, _chromium, _opener, _serve

IMAGES = Path(__file__).parents[2] / "notebooks" / "images"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SIZE = {"width": 900, "height": 800}
SCALE = 1.5  # pixels of the picture for one of the page
PAUSE = 70  # ms between two looks, each of which takes some time as well
REST = 4000  # ms for which the end is shown
MOST_BYTES = 1_500_000

SALES = """\
%load_ext openclaw_nb
import pandas as pd
sales = pd.DataFrame({
    "shop": pd.Categorical(["North", "South"] * 15),
    "units": [290 + 7 * (n % 5) for n in range(30)],
    "revenue": [None if n in (9, 10, 23) else 4640.0 + 112 * (n % 5) for n in range(30)],
})
"""
ASK = "%%openclaw --level 2 --model offline:30 --into gaps\nDescribe {sales}. Which values are missing?"
USE = "gaps.splitlines()[0]"

TEAM = """\
%load_ext openclaw_nb
import os, subprocess, sys, tempfile
from pathlib import Path
from openclaw_nb import role

def pytest(code: str, tests: str) -> str:
    "Run pytest: the code is saved as feature.py, the tests as test_feature.py."
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "feature.py").write_text(code)
        Path(folder, "test_feature.py").write_text(tests)
        command = [sys.executable, "-m", "pytest", "-q", "--tb=no"]
        env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=30).stdout

role("tester", tools=[pytest])
draft = 'def slugify(text):\\n    return "-".join(text.lower().split())\\n'
"""
WORK = "%%openclaw --agents coder,tester,reviewer --level 2 --model offline:60\nImplement slugify. So far: {draft}"

#: Each picture's cells: the first sets up out of sight, the second is filmed, those after it are run at its end.
SCENES = {"streaming": (SALES, ASK, USE), "lanes": (TEAM, WORK)}


def look(page: Page) -> Image.Image:
    box = page.locator(".jp-NotebookPanel").bounding_box()
    assert box is not None
    return Image.open(io.BytesIO(page.screenshot(clip=box))).convert("RGB")


def stage(notebook: Notebook, theme: str) -> None:
    """A quiet page: no side bars, no news, and the cell that sets up out of sight."""
    page = notebook.page
    execute = "([id, args]) => window.jupyterapp.commands.execute(id, args).then(() => null)"
    page.evaluate(execute, ["apputils:change-theme", {"theme": theme}])
    if page.locator(".jp-SideBar.jp-mod-left .lm-mod-current").count():
        page.evaluate(execute, ["application:toggle-left-area", {}])
    page.add_style_tag(content=".Toastify, .jp-toast-container { display: none }")
    notebook.run(0)
    page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets[0].hide()")


def film(notebook: Notebook, cells: int) -> tuple[list[Image.Image], list[int]]:
    """What the page showed, from the moment the cell starts, and for how many milliseconds each."""
    page = notebook.page
    pictures, moments = [look(page)], [time.monotonic()]
    notebook.start(1)
    while not notebook.output(1).locator(".jp-RenderedHTMLCommon > .ocnb").count():
        page.wait_for_timeout(PAUSE)
        pictures.append(look(page))
        moments.append(time.monotonic())
    for cell in range(2, cells):
        notebook.run(cell)
    pictures.append(look(page))
    moments.append(time.monotonic())
    lasted = [round(1000 * (after - before)) for before, after in pairwise(moments)]
    return pictures, [*lasted, REST]


def make(browser: Browser, folder: Path, scene: str, name: str) -> Path:
    folder.mkdir(parents=True)
    page = browser.new_page(viewport=SIZE, device_scale_factor=SCALE)
    with _serve(folder, "jupyterlab", "LabApp", "lab/tree") as server:
        notebook = _opener(server, page)(*SCENES[scene], name=f"{scene}.ipynb")
        stage(notebook, THEMES[name])
        pictures, lasted = film(notebook, len(SCENES[scene]))
    page.close()
    path = IMAGES / f"{scene}-{name}.webp"
    first, *rest = pictures
    first.save(path, save_all=True, append_images=rest, duration=lasted, quality=75, minimize_size=True)
    assert path.stat().st_size < MOST_BYTES, path.stat().st_size
    return path


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(playwright), args=QUIET)
        for scene in sys.argv[1:] or SCENES:
            for name in THEMES:
                print(make(browser, Path(folder, scene, name), scene, name))
        browser.close()


if __name__ == "__main__":
    main()
