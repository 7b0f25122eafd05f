"""What is saved of agents side by side: what it says in each form, that it is safe, and that it lasts."""

from __future__ import annotations

import re

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbconvert.exporters import HTMLExporter, MarkdownExporter

from openclaw_nb.agent import OpenClawAgent
from openclaw_nb.client import OpenClawClient
from openclaw_nb.errors import ModelError, RunError, TaskTimeout
from openclaw_nb.events import Delta, End, Status, Step, Usage
from openclaw_nb.pool.lane import Lane
from openclaw_nb.pool.record import Member, Record
from openclaw_nb.pool.slots import Slots
from openclaw_nb.pool.work import PoolResult, PoolRun
from openclaw_nb.run import Result, Run
from openclaw_nb.side_by_side import MANY, bundle

from .security.test_output import ATTACKS, MISTUNE, PERMISSIVE, forbidden, hostile, nbconvert

Outcomes = dict[str, Result | RunError]


def said(text: str, **facts: object) -> Result:
    known = {"level": 2, "usage": Usage(9, 388), "seconds": 4.1, "cost": 0.002, "model": "offline"}
    return Result(text, **(known | facts))


def gone(results: Outcomes, mode: str = "parallel", **facts: object) -> PoolResult:
    known = {"status": Status.DONE, "session": "main", "run_id": "r", "seconds": 6.2, "snapshot": "s", "words": "done",
             "per_task": 2, "record": Record("r", "t", mode, [])}  # fmt: skip
    return PoolResult(results, mode=mode, **(known | facts))


def failed(sentence: str, text: str = "", **facts: object) -> RunError:
    error = ModelError(sentence)
    error.partial = said(text, status=Status.FAILED, words=sentence, **facts) if text else None
    return error


def shown(html: str) -> str:
    """Its words, as one reads them where there is no style."""
    text = re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


THREE: Outcomes = {
    "coder": said("Writes `parse()`."),
    "tester": said("Two cases fail.", steps=(Step("p", "runs pytest", 0, "2 failed", 0, 1.2),), seconds=3.0),
    "reviewer": failed("the model is overloaded", "So far"),
}


# -- what it says --------------------------------------------------------------------------------------


def test_each_agent_has_its_name_its_answer_and_its_figures() -> None:
    data = bundle(gone(THREE, words="2 of 3 done, 1 failed"))
    assert set(data) == {"text/html", "text/markdown", "text/plain"}
    assert shown(data["text/html"]) == (
        "coder · done Writes parse() . 388 tokens · 4.1 s · $0.002 "
        "tester · done Reasoning, level 2 standard, 1 step runs pytest · 2 failed · 1.2 s "
        "Two cases fail. 388 tokens · 3.0 s · $0.002 "
        "reviewer · failed So far the model is overloaded 388 tokens · 4.1 s · $0.002 "
        "2 of 3 done, 1 failed · 3 agents, 2 at a time · 1,164 tokens · 6.2 s · $0.006 · offline · "
        "main stays as it was; %openclaw merge coder"
    )
    assert data["text/markdown"].split("\n\n")[:4] == [
        "**coder** · done · 388 tokens · 4.1 s · \\$0.002", "Writes `parse()`.", "___",
        "**tester** · done · 388 tokens · 3.0 s · \\$0.002",
    ]  # fmt: skip
    assert data["text/plain"].endswith(
        "reviewer · failed · 388 tokens · 4.1 s · $0.002\n"
        "-----------------------------------------------\n\nSo far\n\nthe model is overloaded\n\n"
        "2 of 3 done, 1 failed · 3 agents, 2 at a time · 1,164 tokens · 6.2 s · $0.006 · offline · "
        "main stays as it was; %openclaw merge coder"
    )


def test_what_was_thought_is_folded_and_stands_before_the_answer() -> None:
    html = bundle(gone(THREE))["text/html"]
    assert '<div class="ocnb-lane-text"><details class="ocnb-steps"><summary>Reasoning, level 2 standard' in html


@pytest.mark.parametrize("count", [1, 2, MANY])
def test_a_few_stand_side_by_side(count: int) -> None:
    html = bundle(gone({f"agent-{n}": said("x") for n in range(count)}))["text/html"]
    assert html.count('<div class="ocnb-lane"') == count
    assert html.count("<hr ") == count  # where there is no style
    assert f'<div class="ocnb-lanes" data-columns="{min(count, 3)}">' in html


def test_many_are_folded_but_for_the_first() -> None:
    html = bundle(gone({f"agent-{n}": said(f"first\n\nlast of {n}") for n in range(MANY + 1)}))["text/html"]
    assert re.findall(r'<details class="ocnb-lane" data-tone="ok"( open)?><summary', html) == [" open"] + [""] * MANY
    assert "agent-6 · done · last of 6 · 388 tokens · 4.1 s · $0.002 first last of 6" in shown(html)
    html = bundle(gone({f"agent-{n}": failed("no model", "so far") for n in range(MANY + 1)}))["text/html"]
    assert "agent-6 · failed · no model · 388 tokens" in shown(html)


def test_the_end_of_a_block_of_code_says_nothing_in_one_line() -> None:
    html = bundle(gone({f"agent-{n}": said("```python\nassert go(3)\n```\n") for n in range(MANY + 1)}))["text/html"]
    assert "agent-6 · done · assert go(3) · 388 tokens" in shown(html)


def test_the_line_below_says_how_they_worked_and_how_their_work_is_taken_over() -> None:
    two = {"coder": said("x"), "tester": said("y")}
    foot = bundle(gone(two, mode="pipeline"), into="team")["text/plain"].split("\n")[-1]
    assert foot == (
        "done · 2 agents, one after another · 776 tokens · 6.2 s · $0.004 · offline · in `team` · "
        "main stays as it was; %openclaw merge tester"
    )
    assert "2 agents at once" in bundle(gone(two))["text/plain"]
    assert bundle(gone({"a b": said("x")}))["text/plain"].endswith("; %openclaw merge")
    assert "merge" not in bundle(gone({"coder": failed("no")}, status=Status.FAILED))["text/plain"]
    assert "merge" not in bundle(gone(two, record=None))["text/plain"]


def test_models_that_differ_are_each_said_where_they_answered() -> None:
    text = bundle(gone({"coder": said("x", model="one"), "tester": said("y", model="two")}))["text/plain"]
    assert "coder · done · 388 tokens · 4.1 s · $0.002 · one\n" in text
    assert "two" not in text.split("\n")[-1]


def test_its_colour_says_whether_all_went_well() -> None:
    def tone(*outcomes: Result | RunError, status: Status = Status.DONE) -> str:
        html = bundle(gone({str(n): outcome for n, outcome in enumerate(outcomes)}, status=status))["text/html"]
        return re.findall(r'<div class="ocnb-foot" data-tone="(\w*)">', html)[0]

    stopped = said("x", status=Status.STOPPED)
    assert tone(said("x"), said("y")) == tone(said("x"), stopped) == "ok"
    assert tone(said("x"), failed("no")) == "warn"
    assert tone(stopped, failed("no"), status=Status.STOPPED) == "stop"
    assert tone(failed("no"), status=Status.FAILED) == "bad"


def test_who_hung_is_shown_where_and_who_never_began_with_why() -> None:
    error = TaskTimeout("tester was given up")
    error.stack = '  File "tool.py", line 3, in run\n    sleep(100)\n'
    data = bundle(gone({"tester": error, "coder": RunError("coder was not started: stopped", code="NOT_STARTED")}))
    assert "<pre><code>File &quot;tool.py&quot;, line 3, in run\n  sleep(100)</code></pre>" in data["text/html"]
    assert '```\nFile "tool.py", line 3, in run\n  sleep(100)\n```' in data["text/markdown"]
    assert 'tester was given up\n\nFile "tool.py", line 3, in run\n  sleep(100)' in data["text/plain"]
    assert "coder · not started\n-------------------\n\ncoder was not started: stopped\n" in data["text/plain"]


def test_long_words_do_not_stand_beside_the_name() -> None:
    why = "stopped because the whole of it had reached its budget"
    data = bundle(gone({"coder": said("x", status=Status.STOPPED, words=why)}, status=Status.STOPPED))
    assert '<span class="ocnb-lane-words">stopped</span>' in data["text/html"]
    assert f'<p class="ocnb-lane-why">{why}</p>' in data["text/html"]


def test_static_bundles_depend_on_the_answers_alone() -> None:
    def bundled(number: int) -> dict[str, str]:
        step = Step("p", "plan", 0, "x", 5, float(number))
        facts = {"seconds": 3.5 * number, "run_id": f"r{number}", "snapshot": f"s{number}", "steps": (step,)}
        work = gone({"coder": said("x", **facts)}, seconds=9.0 * number, run_id=f"{number}", snapshot=f"{number}")
        return bundle(work, live=False)

    assert bundled(1) == bundled(2)


def test_while_they_are_at_work_it_says_how_far_they_are() -> None:
    work = PoolRun("w", "task", "main", "parallel", Slots(per_task=1).queue())
    run, agent = Run("r", model="offline"), OpenClawAgent(client=OpenClawClient())
    members = [Member(name, name, name, name) for name in ("coder", "tester")]
    work.take(Lane(work, member, agent, lambda _: run) for member in members)
    work.begin()
    run.push(Delta(0, "so far", 3))
    assert bundle(work, live=False)["text/plain"] == (
        "coder · streaming · 3 tokens\n----------------------------\n\nso far\n\n"
        "tester · waits, 1 per task\n--------------------------\n\n"
        "0 of 2 ended · 2 agents, 1 at a time · 3 tokens · offline"
    )
    work.lanes[1].cancel()
    run.push(End(Status.DONE, Usage(1, 3)))
    assert bundle(work, live=False) == bundle(work.result(0), live=False)


# -- that it is safe -----------------------------------------------------------------------------------


def attacked(attack: str) -> list[PoolResult]:
    step = Step(attack, attack, 0, f"{attack}\n{attack}", 1, 0.1)
    error = TaskTimeout(attack)
    error.stack, error.partial = attack, said(attack, model=attack)
    one: Outcomes = {
        attack: said(attack, steps=(step,), model=attack, words=attack, status=Status.STOPPED), f"{attack}2": error,
        "3": said(attack, model="other"),
    }  # fmt: skip
    whole = {"words": attack, "session": attack, "run_id": attack, "snapshot": attack}
    return [gone(one, **whole), gone(one | {str(n): said(attack) for n in range(MANY)}, **whole)]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_it_is_markup(attack: str) -> None:
    for result in attacked(attack):
        data = bundle(result, into=attack)
        assert forbidden(data["text/html"]) == []
        assert forbidden(PERMISSIVE.render(f"# In\n\n{data['text/html']}\n")) == []
        for render in (PERMISSIVE.render, MISTUNE, nbconvert):
            assert forbidden(str(render(data["text/markdown"]))) == []


@given(hostile, hostile)
def test_no_text_and_no_name_is_markup(name: str, text: str) -> None:
    hung = TaskTimeout(text)
    hung.stack = text
    data = bundle(gone({name: said(text), f"{name}2": failed(text, text), "3": hung}, session=name))
    assert forbidden(data["text/html"]) == []
    for render in (PERMISSIVE.render, nbconvert):
        assert forbidden(str(render(data["text/markdown"]))) == []
    for form in data.values():
        form.encode()
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", form)


@given(st.text(st.characters(codec=None), max_size=200))
def test_a_name_takes_one_line(name: str) -> None:
    lines = bundle(gone({name: said("x")}, session=name), live=False)["text/plain"].split("\n")
    assert len(lines) == 6
    assert len(lines[0]) < 120


# -- that it lasts -------------------------------------------------------------------------------------


def test_converted_notebooks_read_the_same() -> None:
    outputs = [nbformat.v4.new_output("display_data", data=bundle(gone(THREE)))]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=outputs)])
    html, _ = HTMLExporter().from_notebook_node(book)
    assert shown(bundle(gone(THREE))["text/html"]) in shown(html)
    assert forbidden(html, "ocnb") == []
    written, _ = MarkdownExporter().from_notebook_node(book)
    assert forbidden(PERMISSIVE.render(written)) == []


def test_the_style_stands_in_it_once() -> None:
    assert bundle(gone({f"agent-{n}": said("x") for n in range(9)}))["text/html"].count("<style>") == 1


def test_a_result_is_shown_by_it() -> None:
    assert gone(THREE)._repr_mimebundle_() == bundle(gone(THREE))
