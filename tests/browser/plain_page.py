"""What a page takes to lay out plain lines: what its long tasks are compared with, as one machine is not the other."""

from __future__ import annotations

from playwright.sync_api import Page

#: How long it takes, in ms, to draw as many paragraphs of a few words, the best of three.
DRAW = """
lines => {
  const took = [1, 2, 3].map(() => {
    const begin = performance.now();
    const box = document.body.appendChild(document.createElement('div'));
    for (let n = 0; n < lines; n++) box.appendChild(document.createElement('p')).textContent = `a plain line, ${n}`;
    box.getBoundingClientRect();
    const end = performance.now();
    box.remove();
    return end - begin;
  });
  return Math.min(...took);
}
"""


def plain_lines(page: Page, lines: int) -> float:
    """How long the page takes to lay out so many plain paragraphs, in ms."""
    took: float = page.evaluate(DRAW, lines)
    return took
