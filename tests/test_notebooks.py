"""The notebooks as they are kept: whole, in order, and with nothing in them of the machine that ran them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
OF_A_MACHINE = re.compile(r"site-packages|/home/|/root/|/tmp/|/Users/|[A-Z]:\\\\| at 0x[0-9a-f]{6,}|127\.0\.0\.1:\d")

pytestmark = pytest.mark.skipif(not NOTEBOOKS, reason="these tests need the source tree")
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


@every_notebook
def test_nothing_of_the_machine(path: Path) -> None:
    notebook = read(path)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert OF_A_MACHINE.findall(path.read_text(encoding="utf-8")) == []
    assert not [cell for cell in notebook["cells"] if set(cell["metadata"]) - {"tags"}]


@every_notebook
def test_every_cell_was_run_in_order(path: Path) -> None:
    cells = [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    failed = [cell for cell in cells if any(output["output_type"] == "error" for output in cell["outputs"])]
    assert all("raises-exception" in cell["metadata"]["tags"] for cell in failed)


@every_notebook
def test_no_widget_and_no_script_is_kept(path: Path) -> None:
    bundles = [output.get("data", {}) for cell in read(path)["cells"] for output in cell.get("outputs", [])]
    assert not [kind for bundle in bundles for kind in bundle if "widget" in kind or "javascript" in kind]
    assert "<script" not in json.dumps(bundles)
