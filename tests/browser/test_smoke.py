"""The browser harness: both front ends open a notebook, run it and keep what it said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Open

pytestmark = pytest.mark.browser


def test_lab(lab: Open) -> None:
    _runs_and_keeps(lab, "lab")


def test_notebook7(notebook7: Open) -> None:
    _runs_and_keeps(notebook7, "notebook7")


def _runs_and_keeps(front_end: Open, name: str) -> None:
    notebook = front_end("1+1", "import openclaw_nb; openclaw_nb.__file__")
    assert "2" in notebook.run(0).inner_text()
    assert notebook.outputs(0)[0]["data"] == {"text/plain": "2"}
    assert "openclaw_nb/__init__.py" in notebook.run(1).inner_text()
    notebook.save()
    notebook.reload()
    assert notebook.outputs(0)[0]["data"] == {"text/plain": "2"}
    assert notebook.screenshot(f"smoke-{name}").stat().st_size > 10_000
