"""`lab` and `notebook7`: a notebook opened in a real front end, in Chromium, with nothing kept between sessions."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, Playwright, expect, sync_playwright

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


PATIENCE = 60_000  # ms for what comes by itself: where it comes at once it costs nothing
expect.set_options(timeout=PATIENCE)


@dataclass(frozen=True)
class FrontEnd:
    """A running JupyterLab or Notebook: its address, token, folder, and the path under which it opens files."""

    url: str
    token: str
    folder: Path
    opens: str


class Notebook:
    """A notebook on a page. Cells are counted from 0, as in the file."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.name = name

    def cell(self, index: int) -> Locator:
        return self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{index}"]')

    def output(self, index: int) -> Locator:
        return self.cell(index).locator(".jp-Cell-outputArea")

    def start(self, index: int) -> None:
        """Run a cell and do not wait for its end."""
        self._select(index)
        self.page.evaluate("() => { void window.jupyterapp.commands.execute('notebook:run-cell') }")

    def run(self, index: int, timeout: float = 60) -> Locator:
        """Run a cell to its end, within ``timeout`` seconds; its output area."""
        self._select(index)
        self.page.evaluate(
            """ms => Promise.race([
                 window.jupyterapp.commands.execute('notebook:run-cell'),
                 new Promise((_, reject) => setTimeout(() => reject(new Error('the cell still runs')), ms)),
               ]).then(() => null)""",
            timeout * 1000,
        )
        return self.output(index)

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """A cell's outputs as they would be saved."""
        bundles: list[dict[str, Any]] = self.page.evaluate(
            "i => window.jupyterapp.shell.currentWidget.content.widgets[i].model.outputs.toJSON()", index
        )
        return bundles

    def save(self) -> None:
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def reload(self) -> None:
        self.page.reload()
        self._ready()

    def screenshot(self, name: str) -> Path:
        """The page as a picture, under build/screenshots/."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        path.write_bytes(self.page.screenshot())  # with path= a thread of its own writes it, and stays
        return path

    def _select(self, index: int) -> None:
        self.page.evaluate("i => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i }", index)

    def _ready(self) -> None:
        # Only plain conditions here: wait_for_function takes a promise for true.
        self.page.wait_for_function(
            """() => {
                 const panel = window.jupyterapp?.shell.currentWidget;
                 return panel?.content?.widgets?.length > 0
                   && panel.sessionContext?.session?.kernel?.status === 'idle';
               }""",
            timeout=PATIENCE,
        )
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.revealed.then(() => null)")


Open = Callable[..., Notebook]


def _environment(folder: Path) -> dict[str, str]:
    """This environment, with every place where Jupyter keeps something moved into ``folder``."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OPENCLAW_", "JUPYTER"))}
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    labs = ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    env |= {name: str(folder / name.lower()) for name in (*places, *labs)}
    path = os.pathsep.join([str(ROOT), *filter(None, [env.get("PYTHONPATH")])])
    snapshots = str(folder / "snapshots")
    return env | {"PYTHONPATH": path, "JUPYTER_PREFER_ENV_PATH": "1", "OPENCLAW_NB_SNAPSHOTS": snapshots}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_answer(server: subprocess.Popen[bytes], facts: Path, log: Path) -> str:
    """Where it listens once it answers, by what it has written down of itself: its port may have been taken."""
    end = time.monotonic() + 90
    while time.monotonic() < end and server.poll() is None:
        try:
            url = f"http://127.0.0.1:{json.loads(facts.read_text())['port']}"
            urllib.request.urlopen(f"{url}/api", timeout=5).close()
            return url
        except (OSError, ValueError):
            time.sleep(0.1)
    pytest.fail(f"no Jupyter server:\n{log.read_text()[-3000:]}", pytrace=False)


@contextmanager
def _serve(folder: Path, module: str, app: str, opens: str) -> Iterator[FrontEnd]:
    token, port, root = secrets.token_hex(16), _free_port(), folder / "root"
    root.mkdir()
    settings = folder / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    options = [
        f"--IdentityProvider.token={token}",
        f"--ServerApp.port={port}",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={root}",
        f"--{app}.expose_app_in_browser=True",
    ]
    command = [sys.executable, "-m", module, "--no-browser", "--allow-root", *options]
    log = folder / "server.log"
    with log.open("wb") as sink:
        server = subprocess.Popen(command, cwd=root, env=_environment(folder), stdout=sink, stderr=sink)
    try:
        facts = folder / "jupyter_runtime_dir" / f"jpserver-{server.pid}.json"
        yield FrontEnd(_await_answer(server, facts, log), token, root, opens)
    finally:
        server.terminate()  # the server ends its kernels
        server.wait(timeout=60)


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    with _serve(tmp_path_factory.mktemp("lab"), "jupyterlab", "LabApp", "lab/tree") as server:
        yield server


@pytest.fixture(scope="session")
def notebook7_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    with _serve(tmp_path_factory.mktemp("notebook7"), "notebook", "JupyterNotebookApp", "notebooks") as server:
        yield server


def _chromium(playwright: Playwright) -> str:
    found = next(filter(None, map(shutil.which, CHROMIUM)), playwright.chromium.executable_path)
    if not Path(found).exists():
        pytest.skip("there is no Chromium on this machine")
    return found


# Playwright holds an event loop in the main thread, so it lives no longer than a module.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(playwright), args=QUIET)
        yield browser
        browser.close()


def _thrown_by_front_end(stack: str) -> bool:
    """Whether the innermost frame is a script the server ships; widgets come from blob: addresses."""
    frames = [line for line in stack.splitlines() if line.lstrip().startswith("at ")]
    return bool(frames) and "/static/" in frames[0]


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """An empty page with no memory of others; a test fails on an exception of ours in it that nobody caught."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    uncaught: list[str] = []
    page.on("pageerror", lambda error: uncaught.append(error.stack or error.message))
    yield page
    context.close()
    assert not [stack for stack in uncaught if not _thrown_by_front_end(stack)]


def _opener(server: FrontEnd, page: Page) -> Open:
    def open_notebook(*cells: str, name: str = "test.ipynb") -> Notebook:
        """Write the code cells given, or take the file that is there if none are, and open it."""
        file = server.folder / name
        if cells:
            code = [nbformat.v4.new_code_cell(source) for source in cells]
            spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
            nbformat.write(nbformat.v4.new_notebook(cells=code, metadata={"kernelspec": spec}), file)
        page.goto(f"{server.url}/{server.opens}/{name}?token={server.token}&reset")
        notebook = Notebook(page, name)
        notebook._ready()
        return notebook

    return open_notebook


@pytest.fixture
def lab(lab_server: FrontEnd, page: Page) -> Open:
    """``lab(*cells, name="test.ipynb")`` opens a notebook in JupyterLab."""
    return _opener(lab_server, page)


@pytest.fixture
def notebook7(notebook7_server: FrontEnd, page: Page) -> Open:
    """``notebook7(*cells, name="test.ipynb")`` opens a notebook in Jupyter Notebook 7."""
    return _opener(notebook7_server, page)
