"""`%openclaw metrics` in JupyterLab: a picture within its cell, in the colours of the theme."""

from __future__ import annotations

import pytest

from tests.browser.test_timeline import choose_theme

from .conftest import Open

pytestmark = pytest.mark.browser

ASK = """
from openclaw_nb import Runtime
client = Runtime.shared().client()
runs = [client.send(f"count to {10 * level}", level=level, session=f"s{level}{n}", model="offline:2000")
        for level in (1, 1, 1, 2, 3) for n in range(4)]
_ = [run.result(30) for run in runs]
"""
LIMITS = """
open("limits.yaml", "w").write("monitoring: {alertThresholds: {latencyP99: 500ms}}")
%openclaw config limits.yaml
Runtime.shared().metrics.first_token(2, 1.3)
"""


def test_the_picture(lab: Open) -> None:
    notebook = lab("%load_ext openclaw_nb\n" + ASK, LIMITS, "%openclaw metrics")
    notebook.run(0)
    notebook.run(1)
    output = notebook.run(2)
    picture = output.locator("svg[role=img]")
    picture.wait_for()
    assert "20 requests" in (picture.get_attribute("aria-label") or "")
    words = picture.text_content() or ""
    for figure in ("first token", "P99", "tokens per second", "limit 500 ms", "reasoning levels", "mean 1.6"):
        assert figure in words, figure
    inside, outside = picture.bounding_box(), output.bounding_box()
    assert inside
    assert outside
    assert inside["x"] + inside["width"] <= outside["x"] + outside["width"]
    colours = set()
    for theme in ("Dark", "Light"):
        choose_theme(notebook.page, theme)
        notebook.screenshot(f"metrics-{theme.lower()}")
        colours.add(picture.evaluate("svg => getComputedStyle(svg.querySelector('text')).fill"))
    assert len(colours) == 2  # its text is that of the theme
