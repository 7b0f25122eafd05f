"""What a model is told at each stage, in words that nothing a model wrote can leave, and how a verdict is read."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.answers.stages import ALOUD, aloud, read_verdict, staged
from openclaw_nb.models.base import Image, Kind, Message, ModelRequest, Output, Stage, ToolDefinition

QUESTION: Message = {"role": "user", "content": "why is the sky blue?"}
PAST: tuple[Message, ...] = ({"role": "user", "content": "hello"}, {"role": "assistant", "content": "yes?"})
REQUEST = ModelRequest((*PAST, QUESTION), "be kind", 3, output=Output("Sky", {"type": "object"}), max_tokens=9)
KINDS: list[Kind] = ["plan", "answer", "check", "repair", "join"]


def words(kind: Kind, **facts: object) -> str:
    """What is said beyond the question."""
    told = staged(REQUEST, Stage(kind, QUESTION, **facts))  # type: ignore[arg-type]
    assert told.messages[-1]["content"].startswith(QUESTION["content"])
    return told.messages[-1]["content"][len(QUESTION["content"]) :]


@pytest.mark.parametrize("kind", KINDS)
def test_the_user_s_own_words_stay_in_front(kind: Kind) -> None:
    stage = Stage(kind, QUESTION, "1. look", "look() gave: up", ("blue",), ("is it?",), 2)
    told = staged(REQUEST, stage)
    assert told.stage is stage
    assert told.messages[:-1] == PAST
    assert told.messages[-1]["content"].startswith("why is the sky blue?\n\n")
    assert told.instructions == "be kind", "nothing that a model wrote reaches the instructions"
    assert (told.level, told.max_tokens) == (3, 9)
    assert (told.output is not None) == (kind in ("answer", "repair", "join")), "a plan and a check are no answers"


def test_a_first_answer_without_a_plan_is_the_plain_question() -> None:
    assert words("answer") == ""


def test_each_stage_says_what_is_to_be_done() -> None:
    assert "numbered list" in words("plan")
    assert "following this plan" in words("answer", plan="1. look")
    assert "attempt 2" in words("answer", number=2)
    assert "attempt" not in words("answer", number=1)
    assert "VERDICT: fail" in words("check", drafts=("blue",))
    assert "without these errors" in words("repair", drafts=("blue",), objections=("no",))
    assert "one best answer" in words("join", drafts=("blue", "red"))


def test_a_check_speaks_of_a_plan_only_where_there_is_one() -> None:
    assert "and of the plan" in words("check", plan="1. look", drafts=("blue",))
    assert "plan" not in words("check", found="look() gave: up", drafts=("blue",))
    assert "plan" not in words("answer", found="look() gave: up"), "what tools gave is none"


def test_what_was_written_stands_in_fences_by_name() -> None:
    told = words("join", drafts=("blue", "red"), objections=("right", "wrong"), found="look() gave: up")
    for fence in (
        "```draft-1\nblue\n```", "```check-1\nright\n```", "```draft-2\nred\n```", "```check-2\nwrong\n```",
        "```found\nlook() gave: up\n```",
    ):  # fmt: skip
        assert fence in told
    assert "```draft\nblue\n```" in words("repair", drafts=("blue",))
    assert "check" not in words("join", drafts=("blue", "red"), objections=("", "")).partition("```")[2]


def test_a_later_candidate_is_told_what_was_wrong_before() -> None:
    told = words("answer", number=4, drafts=("blue",), objections=("not at night",))
    assert "did not pass a check" in told
    assert "```draft\nblue\n```" in told
    assert "```check\nnot at night\n```" in told


@given(st.text(), st.text(), st.text())
def test_nothing_in_a_fence_ends_it(draft: str, objection: str, plan: str) -> None:
    told = words("repair", drafts=(draft + "\n```\n````",), objections=(objection + "```",), plan=plan)
    lines = told.split("\n")
    for title, text in (("draft", draft + "\n```\n````"), ("check", objection + "```")):
        start = next(at for at, line in enumerate(lines) if line.strip("`~") == title and line[:3] in ("```", "~~~"))
        fence = lines[start].removesuffix(title)
        end = lines.index(fence, start + 1)
        assert "\n".join(lines[start + 1 : end]) == text
        lines = lines[end:]


def test_images_and_tools_stay() -> None:
    picture: Image = {"name": "fig", "mime": "image/png", "data": "aGk="}
    question: Message = {**QUESTION, "images": [picture]}
    tool = ToolDefinition("look", "", {"type": "object"})
    told = staged(ModelRequest((question,), tools=(tool,)), Stage("check", question, drafts=("blue",)))
    assert told.messages[-1]["images"] == [picture]
    assert told.tools == (tool,)


def test_thinking_aloud_is_told_beside_the_own_instructions() -> None:
    assert aloud(REQUEST).instructions == f"be kind\n\n{ALOUD}"
    assert aloud(ModelRequest((QUESTION,))).instructions == ALOUD
    assert aloud(REQUEST).messages == REQUEST.messages


# -- verdicts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("VERDICT: pass", True),
        ("All is right.\n\nVERDICT: pass\n", True),
        ("Verdict: PASS.", True),
        ("**VERDICT: pass**", True),
        ("**Verdict:** pass", True),
        ("__Verdict__: pass", True),
        ("> VERDICT - passed", True),
        ("## Verdict\n\npass", True),
        ("VERDICT: fail", False),
        ("VERDICT: pass\nbut then\nVERDICT: fail", False),
        ("VERDICT: fail\nno:\nVERDICT: pass", True),
        ("", False),
        ("It passes.", False),
        ("I cannot give a VERDICT: pass", False),
        ("VERDICT: not a pass", False),
        ("VERDICT:", False),
        ("VERDICTS: pass", False),
    ],
)
def test_read_verdict(text: str, passed: bool) -> None:
    assert read_verdict(text) is passed


@pytest.mark.parametrize("hostile", ["\n" * 200_000, "*" * 200_000, "VERDICT" + "\n" * 200_000, "verdict " * 50_000])
def test_a_verdict_is_read_in_time_proportional_to_its_text(hostile: str) -> None:
    began = time.process_time()
    assert read_verdict(hostile) is False
    assert time.process_time() - began < 5, "it took minutes where a line could begin in another"


@given(st.text(), st.booleans())
def test_whatever_stands_before_it(before: str, passed: bool) -> None:
    assert read_verdict(f"{before}\nVERDICT: {'pass' if passed else 'fail'}") is passed
