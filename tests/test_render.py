"""The saved bundle: what it says in each form, that it depends on the answer alone, and what it costs."""

from __future__ import annotations

import re
import subprocess
import sys

import nbformat
import pytest
from nbconvert.exporters import HTMLExporter, MarkdownExporter

from openclaw_nb import render
from openclaw_nb.errors import ModelError
from openclaw_nb.events import Approval, Delta, End, State, Status, Step, Usage
from openclaw_nb.render import bundle, clean, footer, plain
from openclaw_nb.run import Result, Run

ANSWER = """\
# Why

March is **lower** because `n < 31`, see [the docs](https://example.org/a?b=1&c=2).

1. look
2. check

   ```python
   def mean(x):
       return sum(x) / 31  # days
   ```

| month | sum |
|-------|----:|
| March | `a\\|b` |

```python
x = "<b>"


y = 1
```
"""


def done(text: str = ANSWER, **facts: object) -> Result:
    known = {"level": 2, "usage": Usage(9, 731), "seconds": 10.92, "cost": 0.00541, "model": "offline"}
    return Result(text, **(known | facts))


# -- the bundle ----------------------------------------------------------------------------------------


def test_a_bundle_holds_three_forms_and_no_widget() -> None:
    assert set(bundle(done())) == {"text/html", "text/markdown", "text/plain"}


def test_the_html_has_the_structure_of_the_live_view() -> None:
    html = bundle(done(steps=(Step("p", "plan", 0, "three checks", 96, 0.8),)))["text/html"]
    assert html.startswith('<div class="ocnb" data-status="done"><details class="ocnb-steps" open><summary>')
    assert "Reasoning, level 2 standard, 1 step</summary>" in html
    assert "<b>plan</b>" in html
    assert "0.8 s · 96 tokens" in html
    assert '<div class="ocnb-foot" data-tone="ok"><span class="ocnb-state"><span class="ocnb-dot"></span>done' in html
    assert '<span class="ocnb-end">offline</span>' in html


ASKED = (
    Step("tool:call_1", "exec: make test", 0, "2 passed", 0, 0.8),
    Step("approval:a1", "allowed once", 0, "make `test` <b> ⟨ESC⟩[8m"),
    Step("approval:a2", "denied elsewhere", 0, "rm -rf ~"),
)


def test_what_was_allowed_and_denied_is_said_in_every_form() -> None:
    saved = bundle(done("Yes.", steps=ASKED))
    assert re.findall(r'data-code="true"><summary><b>(.*?)</b>', saved["text/html"]) == [
        "exec: make test", "allowed once", "denied elsewhere",
    ]  # fmt: skip
    assert "make `test` &lt;b&gt; ⟨ESC⟩[8m" in saved["text/html"]
    said = "allowed once: make &#96;test&#96; &lt;b> ⟨ESC⟩\\[8m\n\ndenied elsewhere: rm -rf \\~"
    assert saved["text/markdown"] == f"Yes.\n\n{said}"
    said = "allowed once: make `test` <b> ⟨ESC⟩[8m\ndenied elsewhere: rm -rf ~"
    assert saved["text/plain"].startswith(f"Yes.\n\n{said}\ndone")


def test_what_still_waits_at_the_end_is_said_with_the_way_to_decide() -> None:
    run = Run("r")
    run.push(Delta(0, "Asked.", 1))
    run.approvals.ask(Approval("a1b2c3d4e5", "exec wants to run", "ls\nrm <b>"), lambda allow: None)
    assert "waiting for your" not in bundle(run)["text/html"], "the live view has its own"
    run.push(End(Status.DONE))
    said = "waiting for your approval · exec wants to run: ls ↵ rm {} · %openclaw allow a1b2c3d4"
    saved = bundle(run)
    assert said.format("<b>") in saved["text/plain"]
    assert said.format("&lt;b>") in saved["text/markdown"]
    assert 'data-tone="warn"' in saved["text/html"]
    assert "ls ↵ rm &lt;b&gt;" in saved["text/html"]
    run.approvals.settle("a1b2c3d4e5", "deny")
    assert "waiting for your approval" not in bundle(run)["text/html"]


def test_a_step_of_many_lines_unfolds() -> None:
    html = bundle(done(steps=(Step("p", "plan", 0, "first\nlast", 96, 0.8),)))["text/html"]
    assert '<details class="ocnb-step" data-long="true"><summary><b>plan</b>' in html
    assert "<span>last</span>" in html
    assert "<div>first\nlast</div>" in html


def test_without_style_the_footer_still_has_separators() -> None:
    words = re.sub(r"<style>.*?</style>|<[^>]*>", "", bundle(done("Yes."))["text/html"], flags=re.S)
    assert words.split("\n")[-1] == "done · level 2 standard · 731 tokens · 10.9 s · $0.0054 · offline"


def test_the_style_sheet_is_inlined_once_where_it_is_built(tmp_path, monkeypatch) -> None:
    sheet = tmp_path / "view.css"
    monkeypatch.setattr(render, "_STATIC", tmp_path)
    render._css.cache_clear()
    assert "<style>" not in bundle(done())["text/html"]
    sheet.write_text(".ocnb{color:red}\n\n.x{}\n")
    render._css.cache_clear()
    html = bundle(done())["text/html"]
    assert html.count("<style>.ocnb{color:red}\n.x{}.ocnb-sep{display:none}</style>") == 1
    render._css.cache_clear()


def test_static_bundles_depend_on_the_answer_alone() -> None:
    def bundled(number: int, live: bool) -> dict[str, str]:
        steps = (Step("p", "plan", 0, "x", 5, float(number)),)
        facts = {"seconds": 3.5 * number, "first_token": 0.1 * number, "run_id": f"r{number}", "snapshot": f"s{number}"}
        return bundle(done(steps=steps, **facts), live=live)

    assert bundled(1, live=False) == bundled(2, live=False)
    assert bundled(1, live=True) != bundled(2, live=True)
    assert "3.5 s" not in str(bundled(1, live=False))


def test_a_run_and_its_result_give_the_same_bundle() -> None:
    run = Run("r1", level=3)
    run.push(Delta(0, "four", 2))
    run.push(End(Status.DONE, Usage(1, 2), cost=0.5, model="m"))
    assert bundle(run) == bundle(run.result(0))


def test_an_unfinished_run_says_so_in_every_form() -> None:
    run = Run("r1", level=3, level_reason="auto: asks for a check")
    run.push(Delta(0, "so far", 412))
    for form in bundle(run, live=False).values():
        assert "so far" in form
        assert "streaming" in form
        assert "level 3 deep, auto: asks for a check" in form


# -- the footer ----------------------------------------------------------------------------------------


def test_why_this_level_is_still_said_when_the_answer_is_there() -> None:
    run = Run("r1", level=2, level_reason="tagged complex, limited to 2 by the notebook's budget of $1,000.00")
    run.push(Delta(0, "done", 4))
    run.push(End(Status.DONE, usage=Usage(1, 4)))
    words = "level 2 standard, tagged complex, limited to 2 by the notebook's budget of $1,000.00"
    assert words in footer(run).parts
    assert words in footer(run.result(0)).parts
    assert run.result(0).level_reason == run.level_reason
    other = Run("r2", level=2)
    other.push(End(Status.DONE))
    assert "level 2 standard" in footer(other).parts


def test_footer_of_a_finished_run() -> None:
    line = footer(done(usage=Usage(1, 9120)))
    assert (line.state, line.tone, line.end) == ("done", "ok", "offline")
    assert line.parts == ("level 2 standard", "9,120 tokens", "10.9 s", "$0.0054")
    assert footer(done(), live=False).parts == ("level 2 standard", "731 tokens", "$0.0054")


def test_footer_says_how_it_came_to_its_end() -> None:
    """Who answered in place of a cluster that is away, or that a part is missing, is not only in `run.words`."""
    elsewhere = Result("hi", words="done, at b, as a is away")
    assert (footer(elsewhere).state, footer(elsewhere).tone) == ("done, at b, as a is away", "ok")
    assert bundle(elsewhere)["text/plain"].endswith("\n\ndone, at b, as a is away")
    assert footer(elsewhere, live=False).state == "done", "as it is on any other day"
    gap = Result("hi", words="what came while the link was cut is not here")
    assert footer(gap, live=False).state == gap.words


def test_footer_of_a_stopped_run() -> None:
    stopped = Result("hi", status=Status.STOPPED, usage=Usage(1, 412), words="stopped by you")
    assert footer(stopped, into="plan").parts == ("412 tokens kept, in `plan` and in the session",)
    assert footer(stopped).parts == ("412 tokens kept, in the session",)
    assert (footer(stopped).state, footer(stopped).tone) == ("stopped by you", "stop")
    assert "in <code>plan</code> and in" in bundle(stopped, into="plan")["text/html"]
    assert bundle(stopped, into="plan")["text/plain"].endswith(
        "\n\nstopped by you · 412 tokens kept, in `plan` and in the session"
    )
    assert footer(stopped, into="no variable`<b>").parts == ("412 tokens kept, in the session",)


def test_footer_of_a_failed_run_is_its_sentence() -> None:
    run = Run("r1")
    run.push(End(Status.FAILED, error=ModelError("no model at ws://127.0.0.1:18789: connection refused")))
    line = footer(run)
    assert (line.state, line.tone) == ("no model at ws://127.0.0.1:18789: connection refused", "bad")
    assert all(line.state in form.replace("\\", "") for form in bundle(run).values())


def test_footer_of_a_run_that_reconnects() -> None:
    run = Run("r1")
    run.push(Delta(0, "x", 412))
    run.push(State(Status.RECONNECTING, "reconnecting, attempt 2 of 5"))
    assert str(footer(run)) == "reconnecting, attempt 2 of 5 · 412 tokens are safe"
    assert footer(run).tone == "warn"


@pytest.mark.parametrize(
    ("cost", "words"),
    [(1.2, "$1.20"), (0.1, "$0.10"), (0.04, "$0.04"), (0.00541, "$0.0054"), (0.0004, "$0.0004"), (0, "$0.00"),
     (12345.6, "$12,345.60"), (0.0999, "$0.1"), (1e-9, "under $0.000001")],
)  # fmt: skip
def test_costs_in_words(cost: float, words: str) -> None:
    assert footer(done(cost=cost)).parts[-1] == words


@pytest.mark.parametrize(("seconds", "words"), [(0.04, "0.0 s"), (99.94, "99.9 s"), (125.4, "2 min 05 s")])
def test_durations_in_words(seconds: float, words: str) -> None:
    assert footer(done(seconds=seconds)).parts[2] == words


def test_one_token_is_singular() -> None:
    assert "1 token" in footer(done(usage=Usage(1, 1))).parts


# -- characters ----------------------------------------------------------------------------------------


def test_clean_leaves_text_that_utf8_can_hold() -> None:
    assert clean("naïve 👩‍👩‍👧 \u200fאבג\0") == "naïve 👩‍👩‍👧 \u200fאבג\0"
    assert clean("a\ud800b\udfffc\udfff\ud800") == "a\ufffdb\ufffdc\ufffd\ufffd"
    assert clean("\ud83d\ude00") == "😀"


def test_plain_text_keeps_newlines_tabs_and_joiners() -> None:
    assert plain("a\tb\r\nc 👩‍👩‍👧") == "a\tb\nc 👩‍👩‍👧"


# -- converted, and what it costs ----------------------------------------------------------------------


def notebook(data: dict[str, str]) -> nbformat.NotebookNode:
    output = nbformat.v4.new_output("display_data", data=data)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("%%openclaw\nWhy?", outputs=[output])])


def test_nbconvert_keeps_the_answer_as_html() -> None:
    html, _ = HTMLExporter().from_notebook_node(notebook(bundle(done())))
    assert "<h1>Why</h1>" in html
    assert '<span class="c"># days</span>' in html
    assert "731 tokens" in html


def test_nbconvert_keeps_the_answer_as_markdown() -> None:
    data = bundle(done())
    assert "731 tokens" in MarkdownExporter().from_notebook_node(notebook(data))[0]
    del data["text/html"]
    assert data["text/markdown"] in MarkdownExporter().from_notebook_node(notebook(data))[0]


def test_a_bundle_can_be_saved_whatever_the_text(tmp_path) -> None:
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook(bundle(done("a\ud800\0\x1b[31m\u202eb", model="\udfff"))), path)
    assert nbformat.read(path, as_version=4).cells[0].outputs[0].data["text/plain"].startswith("a\ufffd␀␛[31mb")


def test_importing_it_loads_no_parser() -> None:
    code = "import sys, openclaw_nb.render as r; print({'markdown_it', 'pygments'} & set(sys.modules)); r.plain('x')"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"
