"""Makes the README's pictures: a cell streams in the real JupyterLab, light and dark, and every look at it is kept.

python -m tests.tools.picture
"""

from __future__ import annotations

import io
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
REST = 4000  # ms for which the end is shown
MOST_BYTES = 1_500_000

SETUP = """\
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


def film(notebook: Notebook) -> tuple[list[Image.Image], list[int]]:
    """What the page showed, from the moment the cell starts, and for how many milliseconds each."""
    page = notebook.page
    pictures, moments = [look(page)], [time.monotonic()]
    notebook.start(1)
    while not notebook.output(1).locator(".jp-RenderedHTMLCommon > .ocnb").count():
        pictures.append(look(page))
        moments.append(time.monotonic())
    notebook.run(2)
    pictures.append(look(page))
    moments.append(time.monotonic())
    lasted = [round(1000 * (after - before)) for before, after in pairwise(moments)]
    return pictures, [*lasted, REST]


def make(browser: Browser, folder: Path, name: str, theme: str) -> Path:
    folder.mkdir()
    page = browser.new_page(viewport=SIZE, device_scale_factor=SCALE)
    with _serve(folder, "jupyterlab", "LabApp", "lab/tree") as server:
        notebook = _opener(server, page)(SETUP, ASK, USE, name="sales.ipynb")
        stage(notebook, theme)
        pictures, lasted = film(notebook)
    page.close()
    path = IMAGES / f"streaming-{name}.webp"
    first, *rest = pictures
    first.save(path, save_all=True, append_images=rest, duration=lasted, quality=75, minimize_size=True)
    assert path.stat().st_size < MOST_BYTES, path.stat().st_size
    first.close()
    pictures[-1].save(folder.parent / f"{name}.png")
    return path


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(playwright), args=QUIET)
        for name, theme in THEMES.items():
            print(make(browser, Path(folder, name), name, theme))
        browser.close()


if __name__ == "__main__":
    main()
