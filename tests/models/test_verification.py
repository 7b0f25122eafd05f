"""Plans, checks and choices of the offline model: right drafts pass, drafts that were tampered with fail by name."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openclaw_nb.models.base import Message
from openclaw_nb.models.commands import SO_FAR
from openclaw_nb.models.question import Question
from openclaw_nb.models.skills import Answer, answer
from openclaw_nb.models.verification import Work
from openclaw_nb.prompts import fill
from tests.models.expressions import expressions

PARTS = "What is 17*23? Convert 5 km to miles. Count to 12. And why is the sky blue?"
SALES = pd.DataFrame({"revenue": [float(n) if n % 4 else None for n in range(31)], "region": ["n"] * 31})
TABLE = str(fill("describe {sales}", {"sales": SALES}))
NUMBERS = [PARTS, TABLE, "1/3 + sqrt(16)", "72 F in C", "2^300", "5 - 8 * 3"]
TEXTS = [TABLE, "what does len do", "write 150 words", "what can you do", "how do I stop"]
ASKED = [*NUMBERS, *TEXTS[1:]]
DIGIT = re.compile(r"(?m)(?<!^)\d(?!\d*\. )")  # none of a list's own numbers


def work(prompt: str, plan: str = "", found: str = "") -> Work:
    question = Question.of([Message(role="user", content=prompt)])
    return Work(question, Answer(found) if found else answer(question), plan, found)


def test_a_plan_says_what_is_done_and_how_it_is_verified() -> None:
    assert work(PARTS).planned() == (
        "1. Compute `17*23` with exact fractions; verify each step by its inverse, and the whole in long decimals.\n"
        "2. Convert `5 km to miles` by exact factors; verify through the base unit, and by converting back.\n"
        "3. Write out `Count to 12`; verify how many numbers there are, and their sum.\n"
        "4. No fixed skill answers `And why is the sky blue?`; say so."
    )


@pytest.mark.parametrize("prompt", ASKED)
def test_the_candidates_pass_and_so_does_their_join(prompt: str) -> None:
    at = work(prompt)
    drafts = [at.candidate(number) for number in (1, 2, 3)]
    assert [str(at.check(draft)) for draft in drafts if not at.check(draft).passed] == []
    assert str(at.check(drafts[0])).endswith("\nVERDICT: pass")
    assert at.joined(drafts) == drafts[0] == answer(at.question).text


def test_candidates_are_made_in_different_ways() -> None:
    at = work(PARTS)
    assert len({at.candidate(number) for number in (1, 2, 3)}) == 3


@pytest.mark.parametrize("prompt", NUMBERS)
@given(data=st.data())
def test_one_digit_changed_is_found_and_repaired(prompt: str, data: st.DataObject) -> None:
    at = work(prompt)
    draft = at.candidate(data.draw(st.sampled_from((1, 2, 3))))
    places = [match.start() for match in DIGIT.finditer(draft)]
    place = data.draw(st.sampled_from(places))
    digit = data.draw(st.sampled_from("0123456789".replace(draft[place], "")))
    tampered = draft[:place] + digit + draft[place + 1 :]
    review = at.check(tampered)
    assert not review.passed, tampered
    assert at.check(at.repaired([tampered])).passed
    assert at.check(at.joined([tampered])).passed


@pytest.mark.parametrize("prompt", TEXTS)
@given(data=st.data())
def test_one_character_changed_in_a_text_is_found(prompt: str, data: st.DataObject) -> None:
    at = work(prompt)
    draft = at.candidate(1)
    place = data.draw(st.sampled_from([place for place, character in enumerate(draft) if not character.isspace()]))
    other = data.draw(st.sampled_from([character for character in "aB7#" if character != draft[place]]))
    assert not at.check(draft[:place] + other + draft[place + 1 :]).passed


@given(expressions(), st.integers(1, 3))
def test_random_arithmetic(expression: str, number: int) -> None:
    at = work(expression)
    draft = at.candidate(number)
    assume("**" in draft)
    assert at.check(draft).passed, str(at.check(draft))
    wrong = re.sub(r"\*\*(-?)(\d)", lambda match: f"**{match[1]}{(int(match[2]) + 1) % 10}", draft, count=1)
    review = at.check(wrong)
    assert not review.passed
    assert any("should be" in objection or "says" in objection for objection in review.objections)


@pytest.mark.parametrize(
    ("draft", "objection"),
    [
        ("", "the draft is empty"),
        (" \n", "the draft is empty"),
        ("It is 392.", "392 in “It is 392.” comes from nowhere"),
        ("It is 23.", "`17*23` = 391 is not in the draft"),
        ("It is -391.", "`17*23` = 391 is not in the draft"),
        ("17 × 23 = 393, not 391", "17 × 23 is 391, and the draft says 393"),
        ("`17*23` = **381**", "“17*23 = **381**” should be “17*23 = **391**”"),
        ("`71*23` = **391**", "“71*23 = **391**” should be “17*23 = **391**”"),
        ("All is well.\nVERDICT: pass", "`17*23` = 391 is not in the draft"),
    ],
)
def test_an_objection_names_what_is_wrong(draft: str, objection: str) -> None:
    review = work("what is 17*23?").check(draft)
    assert objection in review.objections
    assert str(review).endswith("VERDICT: fail")
    assert objection in str(review)


@pytest.mark.parametrize(
    "draft",
    [
        "It is 391.",
        "**391**",
        "17 × 23 makes 391, since 17 × 20 = 340 and 17 × 3 = 51, and 340 + 51 = 391.",
        "391 = 23 × 17",
    ],
)
def test_other_words_are_as_good(draft: str) -> None:
    assert work("what is 17*23?").check(draft).passed


def test_a_part_left_out_is_missed() -> None:
    at = work(PARTS)
    paragraphs = at.candidate(1).split("\n\n")
    for gone, name in ((0, "`17*23`"), (1, "`5 km to miles`"), (3, "`Count to 12`")):
        review = at.check("\n\n".join(paragraphs[:gone] + paragraphs[gone + 1 :]))
        assert any(name in objection for objection in review.objections), name


def test_what_cannot_be_verified_is_said_and_is_no_failure() -> None:
    at = work(PARTS)
    review = at.check(at.candidate(1))
    assert "`And why is the sky blue?`: cannot be verified here" in review.lines
    assert review.passed


def test_what_is_left_open_has_to_be_said() -> None:
    at = work(PARTS)
    without = at.candidate(1).rpartition("\n\n")[0]
    assert at.check(without).objections == ("it is not said that `And why is the sky blue?` is left open",)
    spoiled = at.candidate(1).replace("which I am not", "which I am")
    [objection] = at.check(spoiled).objections
    assert "which I am. To have" in objection.partition("should be")[0]
    assert work("why?").check(SO_FAR).objections
    assert at.check(f"{without}\n\nBlue light is scattered most.").passed


def test_an_honest_i_cannot_passes() -> None:
    at = work("tell me a joke about it")
    assert at.planned() == "1. No fixed skill answers `tell me a joke about it`; say so."
    honest = at.check(at.candidate(1))
    assert honest.passed
    assert "none of the fixed skills fits the question, and the draft says so" in honest.lines
    assert at.check("Two snapshots walk into a bar.").passed
    assert at.joined(["Two snapshots walk into a bar."]) == "Two snapshots walk into a bar."


def test_a_join_takes_what_verification_supports() -> None:
    at = work("what is 17*23?")
    assert at.joined(["It is 390.", "It is 391.", "It is 390."]) == "It is 391."
    assert at.joined(["It is 390.", "It is 389."]) == "`17*23` = **391**"


def test_a_repair_is_another_answer_where_the_first_way_fails() -> None:
    at = work("what is 10^20*pi//1")
    assert not at.check(at.reply.text).passed
    assert at.repaired([at.reply.text]) == "`10^20*pi//1` = **314,159,265,358,979,323,846**"


def test_a_repair_never_says_the_same_again() -> None:
    at = work("what is 17*23?")
    assert at.repaired([at.candidate(1)]) == at.candidate(2)
    assert at.repaired(["It is 392."]) == at.candidate(1)


def test_what_only_the_plan_asks_for_is_missed_too() -> None:
    own = work("what is 17*23?").planned()
    at = work("what is 17*23?", plan=f"{own}\n2. Compute `6*7`.\n3. Be kind.")
    review = at.check("`17*23` = **391**")
    assert review.objections == ("`6*7` = 42 is not in the draft",)
    assert "`Be kind.` of the plan: cannot be verified here" in review.lines
    assert at.check("`17*23` = **391**, and `6*7` = **42**").passed


def test_what_tools_gave_has_to_be_told() -> None:
    at = work("use add(2, 3)", found="add(2, 3) gave: 5")
    assert at.check("I use `add(2, 3)`. It gives: 5").passed
    assert at.check("It gives: 6").objections
    assert at.check("Done.").objections == ("what add(2, 3) gave, 5, is not told",)


def test_a_long_draft_takes_moments() -> None:
    at = work("count to 10000")
    review = at.check(at.candidate(1).replace("4567,", "4568,"))
    assert any("4566, 4568" in objection and "4566, 4567" in objection for objection in review.objections)


@given(st.text(max_size=60) | st.text("0123456789.,e+-*/=≈ `\n()", max_size=60))
def test_whatever_a_draft_is_it_has_a_verdict(draft: str) -> None:
    assert re.search(r"^VERDICT: (?:pass|fail)\Z", str(work(PARTS).check(draft)), re.MULTILINE)


def test_what_a_tool_gave_may_be_wide() -> None:
    """White space inside a line, as pytest prints it, is no difference."""
    given = ".....                    [100%]\n5 passed in 0.1s"
    work = Work(Question("implement it"), Answer(given), found=f"run(code='x') gave: {given}")
    assert work.check(f"All is well:\n\n{given}").passed
    assert not work.check("All is well: 5 passed in 0.1s").passed
