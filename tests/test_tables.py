"""tables: cards are text, whatever is put into them."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from openclaw_nb.tables import show_rows


@pytest.fixture
def shown() -> Any:
    InteractiveShell.instance()
    with capture_output() as captured:
        show_rows("a <b>", [("name", "<script>alert(1)</script>\x1b[2J\ud800"), ("longer name", "words")])
    yield captured.outputs[0].data
    InteractiveShell.clear_instance()


@pytest.mark.leaks("IPython keeps its history thread and file")
def test_nothing_is_read_as_markup(shown: dict[str, str]) -> None:
    assert "<script>" not in shown["text/html"]
    assert "&lt;script&gt;" in shown["text/html"]
    assert 'aria-label="a &lt;b&gt;"' in shown["text/html"]
    both = shown["text/html"] + shown["text/plain"]
    assert "\x1b" not in both
    assert both.encode()  # an .ipynb is UTF-8


@pytest.mark.leaks("IPython keeps its history thread and file")
def test_columns_line_up(shown: dict[str, str]) -> None:
    first, second = shown["text/plain"].splitlines()
    assert first.index("<script>") == second.index("words")
