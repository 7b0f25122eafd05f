"""notebook: what is kept and shown when cells are run by programs: nbclient, nbconvert, and a second time."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter

pytestmark = pytest.mark.kernel

CELLS = [
    "%load_ext openclaw_nb",
    "%%openclaw --into answer\nwhat is 6*7?",
    "%%openclaw --bg\ncount to 12",
    "%openclaw wait",
    "answer",
]


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    folder = {"metadata": {"path": str(tmp_path)}}
    # By itself it leaves out what a cell shows more than four seconds after its reply.
    NotebookClient(notebook, timeout=60, iopub_timeout=60, kernel_name="python3", resources=folder).execute()
    return notebook


@pytest.mark.leaks("nbclient keeps a loop's pipe")
def test_it_reads_the_same_after_all_of_it(executed: nbformat.NotebookNode) -> None:
    nbformat.validate(executed)
    question, background, again = (executed.cells[number].outputs for number in (1, 2, 4))
    for outputs, words in ((question, "42"), (background, "11, 12"), (again, "42")):
        (output,) = outputs
        assert set(output.data) == {"text/html", "text/markdown", "text/plain"}
        assert words in output.data["text/html"]
    html, _ = HTMLExporter().from_notebook_node(executed)  # type: ignore[no-untyped-call]
    markdown, _ = MarkdownExporter().from_notebook_node(executed)  # type: ignore[no-untyped-call]
    for page in (html, markdown):
        assert "42" in page
        assert "11, 12" in page
        assert "model not found" not in page
    again_json = nbformat.reads(nbformat.writes(executed), as_version=4)
    assert [cell.outputs for cell in again_json.cells] == [cell.outputs for cell in executed.cells]
