"""The pace of a live view follows its page: one that draws late, as a hidden tab does, is sent less."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .test_view import SETUP, answer, stop, wait_settled

if TYPE_CHECKING:
    from .conftest import Open

pytestmark = pytest.mark.browser

#: Count what the kernel sends to widgets, and let frames be as late as `late_` says, in milliseconds.
WATCH = """
() => {
  window.sent_ = 0;
  const count = (_, message) => { if (message.header.msg_type === 'comm_msg') window.sent_ += 1; };
  window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.iopubMessage.connect(count);
  const frame = window.requestAnimationFrame.bind(window);
  window.late_ = 0;
  window.requestAnimationFrame = draw => window.late_ ? setTimeout(() => frame(draw), window.late_) : frame(draw);
}
"""


def test_a_page_that_draws_late_is_sent_less(lab: Open, figure: Callable[[str, str], None]) -> None:
    notebook = lab(SETUP, "%%openclaw --model words --into kept\n3000", "print(len(kept.split()))", name="pace.ipynb")
    page = notebook.page
    notebook.run(0)
    page.evaluate(WATCH)
    notebook.start(1)
    expect(answer(notebook, 1)).to_contain_text("word20 ")

    def rate(seconds: float) -> float:
        before, start = page.evaluate("() => window.sent_"), time.monotonic()
        page.wait_for_timeout(1000 * seconds)
        return float((page.evaluate("() => window.sent_") - before) / (time.monotonic() - start))

    usual = rate(1.5)
    page.evaluate("() => { window.late_ = 1500 }")
    page.wait_for_timeout(2000)
    late = rate(2)
    page.evaluate("() => { window.late_ = 0 }")
    page.wait_for_timeout(2000)
    again = rate(1.5)
    stop(notebook, 1).click()
    wait_settled(notebook, 1)
    words = answer(notebook, 1).inner_text().split()
    assert words == [f"word{n}" for n in range(len(words))]
    assert notebook.run(2).inner_text().strip() == str(len(words))
    figure("pace", f"{usual:.1f} comm messages/s to a page, {late:.1f} while it draws late, {again:.1f} afterwards")
    assert late <= 1.5
    assert min(usual, again) > 2 * late
