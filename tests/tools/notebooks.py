"""Runs the notebooks in static mode and saves them with what they gave, which is what `make nbval` compares.

python tests/tools/notebooks.py
"""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def environment() -> dict[str, str]:
    """This one without what would let an answer depend on the machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENCLAW_")}
    kept = {name: value for name, value in kept.items() if not name.endswith("_API_KEY")}
    folder = str(NOTEBOOKS.parent / "build" / "snapshots")
    return kept | {
        "JUPYTER_PREFER_ENV_PATH": "1", "OPENCLAW_NB_RENDER": "static", "OPENCLAW_NB_SNAPSHOTS": folder
    }  # fmt: skip


def save(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, kernel_name="python3", record_timing=False, store_widget_state=False, coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )  # fmt: skip
    client.execute(env=environment())
    notebook.metadata = METADATA  # the kernel adds its Python's version
    nbformat.write(notebook, path)
    print(path)


if __name__ == "__main__":
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        save(path)
