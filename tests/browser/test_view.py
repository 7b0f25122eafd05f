"""The view of a run in JupyterLab and Notebook 7: while it streams, when it is stopped, and when it is opened again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

if TYPE_CHECKING:
    from .conftest import Notebook, Open

pytestmark = pytest.mark.browser

SETUP = """\
import asyncio
%load_ext openclaw_nb
closed = []

async def words(prompt):
    "Numbered words, fifty a second."
    try:
        for n in range(int(prompt)):
            yield f"word{n} "
            await asyncio.sleep(0.02)
    finally:
        closed.append(prompt)

async def broken(prompt):
    yield "The first half of an answer "
    raise ValueError("there is no second half")
"""

GATED = """
import os

async def gated(prompt):
    "Fifty words, and thirty more when there is a file."
    for n in range(80):
        while n == 50 and not os.path.exists({gate!r}):
            await asyncio.sleep(0.05)
        yield f"word{{n}} "
        await asyncio.sleep(0.05)
"""

DEMO = "%%openclaw --model offline:60 --level 2 --into demo\nshow markdown"

#: Every frame of a cell's output, from now on: how high it is, how far the page is scrolled, and what it shows.
RECORD = """
index => {
  const cell = document.querySelector(`.jp-Notebook .jp-Cell[data-windowed-list-index="${index}"]`);
  const scrolled = () => [...document.querySelectorAll('.jp-WindowedPanel-outer')].map(el => el.scrollTop).join();
  window.frames_ = [];
  window.announced_ = [];
  const look = () => {
    const said = document.getElementById('ocnb-announcer')?.textContent;
    if (said && said !== window.announced_.at(-1)) window.announced_.push(said);
    const output = cell.querySelector('.jp-Cell-outputArea');
    const answer = cell.querySelector('.ocnb-answer');
    window.frames_.push({
      height: output?.getBoundingClientRect().height ?? 0,
      length: answer?.textContent.length ?? 0,
      live: !!cell.querySelector('.ocnb-answer[aria-busy]'),
      scroll: scrolled(),
      prompt: cell.querySelector('.jp-InputPrompt').textContent,
    });
    window.recording_ = requestAnimationFrame(look);
  };
  look();
}
"""

#: The least contrast of text in an element with what is painted behind it, as WCAG counts it.
CONTRAST = """
el => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = rgba(getComputedStyle(node).backgroundColor);
      if (colour[3] > 200) return colour;
    }
    return [255, 255, 255, 255];
  };
  const luminance = c => {
    const [r, g, b] = [...c].slice(0, 3).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratios = [el, ...el.querySelectorAll('*')]
    .filter(node => [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim()))
    .filter(node => node.offsetParent && !node.closest('style'))
    .map(node => {
      const back = behind(node), ink = rgba(getComputedStyle(node).color), a = ink[3] / 255;
      const seen = [0, 1, 2].map(i => ink[i] * a + back[i] * (1 - a));
      const [low, high] = [luminance(seen), luminance(back)].sort((x, y) => x - y);
      return [(high + 0.05) / (low + 0.05), node.textContent.slice(0, 30)];
    });
  return ratios.sort((x, y) => x[0] - y[0])[0];
}
"""

HOSTILE = """
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
ATTACKS = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 2'>",
    "[click](javascript:window.pwned=3)",
    "[click](JaVaScRiPt&colon;window.pwned=4)",
    "<svg onload='window.pwned = 5'><circle r=9 /></svg>",
    "[page](data:text/html,<script>opener.pwned=6</script>)",
    "![far](https://example.org/leak.png?secret)",
    "![far][ref]\\n\\n[ref]: https://example.org/reference.png",
    "<iframe src='https://example.org/frame'></iframe>",
    "<style>@import url(https://example.org/style.css);</style>",
    "<link rel=stylesheet href=https://example.org/link.css>",
    "<div style='background:url(https://example.org/background.png)'>boxed</div>",
    "<a href='https://example.org' onmouseover='window.pwned = 7'>hover</a>",
    "```html\\n</code></pre><img src=x onerror='window.pwned = 8'>\\n```",
    "$$\\\\href{javascript:window.pwned=9}{x}$$ \\\\(\\\\unicode{<img src=x onerror=window.pwned=10>}\\\\)",
    "<math><mtext></table><mglyph><style><img src=x onerror='window.pwned = 11'></style>",
    "\\"><details open ontoggle='window.pwned = 12'>",
    f"![near]({PIXEL})",
]

async def hostile(prompt):
    for attack in ATTACKS:
        for at in range(0, len(attack), 5):  # in pieces, so that no filter sees a whole tag
            yield attack[at : at + 5]
            await asyncio.sleep(0)
        yield "\\n\\n"
        await asyncio.sleep(0.03)
    yield "*The end of the attack.*"
"""

#: What could act or fetch by itself in an element; nothing of it may be in an answer.
DANGEROUS = """
el => [...el.querySelectorAll('*')].flatMap(node => {
  const name = node.localName, found = [];
  const known = /^(https?:|mailto:|#)/;
  if (['script', 'iframe', 'object', 'embed', 'link', 'base', 'form', 'meta', 'math', 'svg'].includes(name)) {
    if (!node.closest('mjx-container, .MathJax')) found.push(name);
  }
  for (const { name: attribute, value } of node.attributes) {
    if (attribute.startsWith('on') || attribute === 'srcdoc') found.push(`${name} ${attribute}`);
    if (attribute.endsWith('href') && !known.test(value)) found.push(`${name} ${value}`);
    if (attribute === 'src' && !value.startsWith('data:image/gif')) found.push(`${name} ${value}`);
    if (attribute === 'style' && value.includes('url(')) found.push(`${name} ${value}`);
  }
  return found;
})
"""


@pytest.fixture(params=["lab", "notebook7"])
def front_end(request: pytest.FixtureRequest, chromium: Browser) -> Open:
    opener: Open = request.getfixturevalue(request.param)
    return opener


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[[Notebook, str], None]:
    """Saves what the page shows under build/screenshots/, named after the front end."""
    prefix = request.node.callspec.params["front_end"]

    def save(notebook: Notebook, name: str) -> None:
        notebook.screenshot(f"{prefix}-{name}")

    return save


# -- looking at a notebook -------------------------------------------------------------------------


def answer(notebook: Notebook, index: int) -> Locator:
    return notebook.output(index).locator(".ocnb-answer")


def stop(notebook: Notebook, index: int) -> Locator:
    return notebook.output(index).get_by_role("button", name="Stop")


def wait_until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true value of ``condition``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail(f"not within {seconds:g} s")


def take_focus(target: Locator) -> None:
    """And have it still a moment after: a front end moves the focus when a cell has run."""

    def has_kept_it() -> bool:
        target.focus()
        target.page.wait_for_timeout(300)
        return bool(target.evaluate("el => el === document.activeElement"))

    wait_until(has_kept_it)


def kernel_is(page: Page, status: str) -> bool:
    look = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
    return bool(page.evaluate(look) == status)


def wait_settled(notebook: Notebook, index: int) -> Locator:
    """Wait until a cell's live view has become the saved answer, which is returned."""
    saved = notebook.output(index).locator(".jp-RenderedHTMLCommon > .ocnb")
    saved.wait_for()
    expect(notebook.output(index).locator("[aria-busy]")).to_have_count(0)
    return saved


def kinds(notebook: Notebook, index: int) -> list[set[str]]:
    return [set(output.get("data", {})) for output in notebook.outputs(index)]


SAVED = {"text/html", "text/markdown", "text/plain"}


# -- while it streams ------------------------------------------------------------------------------


def test_streams_and_settles_without_a_jump(front_end: Open, picture: Callable[[Notebook, str], None]) -> None:
    notebook = front_end(SETUP, DEMO, *["#"] * 12, name="stream.ipynb")
    page = notebook.page
    notebook.run(0)
    notebook.page.evaluate(RECORD, 1)
    notebook.start(1)

    live = answer(notebook, 1)
    expect(live).to_have_attribute("role", "region")
    expect(live).to_have_attribute("aria-label", "answer, goes to demo")
    expect(live).to_have_attribute("aria-busy", "true")
    expect(live.locator("table")).to_be_visible()
    expect(page.locator("#ocnb-announcer")).to_have_attribute("aria-live", "polite")
    picture(notebook, "streaming")
    wait_settled(notebook, 1)
    page.wait_for_timeout(500)  # what moves after the end would move now
    frames = page.evaluate("() => { cancelAnimationFrame(window.recording_); return window.frames_ }")
    picture(notebook, "done")

    streaming = [frame for frame in frames if frame["live"] and frame["length"]]
    assert len({frame["length"] for frame in streaming}) > 10
    assert {frame["prompt"] for frame in streaming} == {"[*]:"}
    assert kinds(notebook, 1) == [SAVED]
    expect(page.locator("#ocnb-announcer")).to_contain_text("answer done")
    announced = page.evaluate("() => window.announced_")
    assert next(words for words in announced if words != "reasoning") == "answer started"  # that, where a thought shows

    last = streaming[-1]
    after = frames[frames.index(last) + 1 :]
    assert {frame["scroll"] for frame in after} == {last["scroll"]}
    heights = [frame["height"] for frame in after]
    assert max(heights) - min(heights) < 4, (last, heights)
    assert abs(heights[-1] - last["height"]) < 4, (last, heights)


def test_stopping(
    front_end: Open, picture: Callable[[Notebook, str], None], figure: Callable[[str, str], None]
) -> None:
    ask = "%%openclaw --model words --into kept\n3000"
    check = "print(kept.status, len(kept.split()), len(closed))"
    notebook = front_end(SETUP, ask, check, ask, check, "%%openclaw --model broken\nx", name="stop.ipynb")
    page = notebook.page
    notebook.run(0)

    notebook.start(1)
    notebook.start(2)  # queued behind it
    expect(answer(notebook, 1)).to_contain_text("word20")
    before = time.monotonic()
    stop(notebook, 1).click()
    expect(notebook.output(1)).to_contain_text("stopped by you")
    wait_until(lambda: kernel_is(page, "idle"))
    took = time.monotonic() - before
    expect(notebook.output(2)).to_contain_text("stopped")
    words = answer(notebook, 1).inner_text().split()
    assert words == [f"word{n}" for n in range(len(words))]
    status, kept, closed = notebook.output(2).inner_text().split()
    assert (status, int(kept), closed) == ("stopped", len(words), "1")
    assert kinds(notebook, 1) == [SAVED]

    notebook.start(3)  # the same by keyboard
    expect(answer(notebook, 3)).to_contain_text("word20")
    answer(notebook, 3).click()
    for _ in range(12):
        if stop(notebook, 3).evaluate("el => el === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(stop(notebook, 3)).to_be_focused()
    assert stop(notebook, 3).evaluate("el => getComputedStyle(el).outlineStyle") != "none"
    picture(notebook, "focus")
    before = time.monotonic()
    page.keyboard.press("Enter")
    expect(notebook.output(3)).to_contain_text("stopped by you")
    figure("Stop in a page", f"said after {time.monotonic() - before:.2f} s, the kernel idle after {took:.2f} s")
    expect(page.locator("#ocnb-announcer")).to_have_text("stopped by you")
    assert notebook.run(4).inner_text().startswith("stopped")

    notebook.start(5)
    expect(notebook.output(5)).to_contain_text("broken() raised ValueError: there is no second half")
    expect(answer(notebook, 5)).to_have_text("The first half of an answer")
    notebook.output(5).scroll_into_view_if_needed()
    picture(notebook, "stopped-and-failed")


def test_background_runs_and_two_views(
    front_end: Open, picture: Callable[[Notebook, str], None], tmp_path: Path
) -> None:
    looked, gate = tmp_path / "looked", tmp_path / "gate"
    blocked = f"import time\nwhile not os.path.exists({str(looked)!r}): time.sleep(0.05)\nprint('blocked')"
    ask = "%%openclaw --bg --model gated --into run\nx"
    notebook = front_end(
        SETUP + GATED.format(gate=str(gate)), ask, blocked, "run", "print(run.status)", name="two.ipynb"
    )
    page = notebook.page
    notebook.run(0)
    page.evaluate(RECORD, 1)
    notebook.start(1)
    notebook.start(2)
    expect(answer(notebook, 1)).to_contain_text("word49")
    frames = page.evaluate("() => { cancelAnimationFrame(window.recording_); return window.frames_ }")
    assert len({frame["length"] for frame in frames}) > 5  # it grew while another cell held the kernel's main thread
    looked.touch()
    expect(notebook.output(2)).to_contain_text("blocked")

    notebook.run(3)
    expect(answer(notebook, 3)).to_contain_text("word0 word1")
    both = "() => [...document.querySelectorAll('.ocnb-answer[aria-busy=true]')].map(el => el.textContent)"
    one, _ = wait_until(lambda: len(texts := page.evaluate(both)) == 2 and texts[0] == texts[1] and texts)
    assert "".join(f"word{n} " for n in range(50)).startswith(one)
    assert "word49" in one
    picture(notebook, "two-views")

    gate.touch()
    wait_settled(notebook, 1)
    wait_settled(notebook, 3)
    assert notebook.outputs(1)[0]["data"] == notebook.outputs(3)[0]["data"]
    assert answer(notebook, 1).inner_text().split() == [f"word{n}" for n in range(80)]
    assert notebook.run(4).inner_text().strip() == "done"


# -- what lasts ------------------------------------------------------------------------------------


def test_a_reload_in_mid_stream(front_end: Open, picture: Callable[[Notebook, str], None], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    ask, check = "%%openclaw --model gated --into whole\nx", "print(len(whole.split()))"
    notebook = front_end(SETUP + GATED.format(gate=str(gate)), ask, check, name="reload.ipynb")
    page = notebook.page
    notebook.run(0)
    notebook.start(1)
    expect(answer(notebook, 1)).to_contain_text("word20")
    notebook.save()
    page.reload()
    expect(answer(notebook, 1)).to_contain_text("word49")
    picture(notebook, "reloaded")
    gate.touch()
    expect(notebook.output(1)).to_contain_text("done")
    page.wait_for_timeout(500)  # the widget is closed by now
    assert answer(notebook, 1).inner_text().split() == [f"word{n}" for n in range(80)]
    expect(notebook.output(1)).not_to_contain_text("Error displaying widget")
    picture(notebook, "reloaded-done")
    wait_until(lambda: kernel_is(page, "idle"))
    assert notebook.run(2).inner_text().strip() == "80"


def test_hostile_text_saved_and_reopened(front_end: Open, picture: Callable[[Notebook, str], None]) -> None:
    trusted = "from IPython.display import HTML\nHTML('<img src=x onerror=\"window.trusted = 1\">')"
    notebook = front_end(SETUP, HOSTILE, "%%openclaw --model hostile\nx", trusted, name="hostile.ipynb")
    page = notebook.page
    elsewhere: list[str] = []
    inside = (page.url[: page.url.index("/", 8)], "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(inside) else elsewhere.append(request.url))

    def harmless() -> None:
        assert page.evaluate("() => window.pwned") is None
        assert elsewhere == []
        assert answer(notebook, 2).evaluate(DANGEROUS) == []

    notebook.run(0)
    notebook.run(1)
    notebook.start(2)
    expect(answer(notebook, 2)).to_contain_text("</code></pre>")
    harmless()
    wait_settled(notebook, 2)
    for link in answer(notebook, 2).locator("a").all():
        link.hover()
    harmless()
    expect(answer(notebook, 2)).to_contain_text("The end of the attack.")
    picture(notebook, "hostile")
    notebook.run(3)
    wait_until(lambda: page.evaluate("() => window.trusted") == 1)

    notebook.save()
    notebook.reload()
    expect(answer(notebook, 2)).to_contain_text("The end of the attack.")
    wait_until(lambda: page.evaluate("() => window.trusted") == 1)  # so scripts do run in what was saved
    harmless()
    expect(page.locator(".jp-Notebook")).not_to_contain_text("Error displaying widget")
    assert kinds(notebook, 2) == [SAVED]
    picture(notebook, "reopened")


def test_dark(front_end: Open, picture: Callable[[Notebook, str], None]) -> None:
    notebook = front_end(SETUP, DEMO, "%%openclaw --bg --model words\n3000", "%openclaw", name="dark.ipynb")
    page = notebook.page
    page.set_viewport_size({"width": 1280, "height": 1800})
    themes = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme }).then(() => null)"
    page.evaluate(themes, "JupyterLab Dark")
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    notebook.run(0)
    notebook.run(2)
    expect(answer(notebook, 2)).to_contain_text("word20")
    notebook.start(1)
    expect(answer(notebook, 1).locator("table")).to_be_visible()
    picture(notebook, "dark-streaming")
    live = [notebook.output(index).locator(".ocnb").evaluate(CONTRAST) for index in (1, 2)]
    wait_settled(notebook, 1)
    notebook.run(3)
    picture(notebook, "dark-done")
    done = notebook.output(1).locator(".ocnb").evaluate(CONTRAST)
    stop(notebook, 2).click()
    expect(notebook.output(2)).to_contain_text("stopped by you")
    page.evaluate(themes, "JupyterLab Light")
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'true'")
    light = notebook.output(1).locator(".ocnb").evaluate(CONTRAST)
    assert min([*live, done, light])[0] >= 4, [*live, done, light]
