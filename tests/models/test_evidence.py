"""What is shown for a part of an answer: other ways to the same value, and trials that could have refuted it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openclaw_nb.models.base import Message
from openclaw_nb.models.evidence import Evidence, evidence, method
from openclaw_nb.models.question import Question
from openclaw_nb.models.skills import answer
from openclaw_nb.prompts import fill


def shown(prompt: str) -> Evidence:
    question = Question.of([Message(role="user", content=prompt)])
    [part] = answer(question).parts
    return evidence(part, question, part.text)


@pytest.mark.parametrize(
    ("prompt", "line"),
    [
        ("what is 17*23?", "`17*23` = 391: in long decimals 391; 391 ÷ 23 = 17, agrees"),
        ("5 km in miles", "through m 3.10685596119 mi; converted back 5 km, agrees"),
        (
            "count to 4",
            "4 numbers from 1 to 4; their sum is 10, as n × (first + last) ÷ 2 is 10; each is one more, agrees",
        ),
        ("count from 3 to 1", "their sum is 6, as n × (first + last) ÷ 2 is 6; each is one less, agrees"),
        ("write 30 words", "`write 30 words`: 30 words counted, agrees"),
        ("1/0", "`1/0`: asked again, the same word for word, agrees"),
        ("what does len do", "`what does len do`: asked again, the same word for word, agrees"),
        (str(fill("describe {x}", {"x": [1, 2]})), "`x`: 2 items counted in the block, agrees"),
        (str(fill("describe {x}", {"x": len})), "`x`: cannot be verified here"),
        (
            "1+2+3+4",
            "`1+2+3+4` = 10: in long decimals 10; 3 − 2 = 1; 6 − 3 = 3; and 1 more, agrees",
        ),
    ],
)  # fmt: skip
def test_a_line_of_a_check(prompt: str, line: str) -> None:
    assert str(shown(prompt)).endswith(line)


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("17*23", ("**391**, computed in long decimals", "**391**, computed in whole numbers over one denominator")),
        ("5 km in miles", ("5 km = 5,000 m ≈ **3.10685596119 mi**", "**3.10685596119 mi**, and converted back 5 km")),
        ("sin(1)", ("`sin(1)` ≈ **0.841470984808**",)),
    ],
)
def test_other_ways(prompt: str, texts: tuple[str, ...]) -> None:
    found = shown(prompt)
    assert found.texts[0] == found.part.text
    for text in texts:
        assert any(other.endswith(text) for other in found.texts[1:])


@pytest.mark.parametrize(
    ("prompt", "value"), [("10^20*pi//1", "**314,159,265,358,979,323,846**"), ("sqrt(2)*sqrt(2)-2", "≈ **0**")]
)
def test_an_answer_that_a_float_spoiled_is_no_right_one(prompt: str, value: str) -> None:
    found = shown(prompt)
    assert found.part.text not in found.texts
    assert value in found.texts[0]


@pytest.mark.parametrize("prompt", ["count to 9", "write 30 words", "what does len do"])
def test_what_a_skill_got_wrong_does_not_stand(prompt: str) -> None:
    question = Question(prompt)
    [part] = answer(question).parts
    wrong = replace(part, text=part.text.replace("9", "10").replace("Lorem ", "").replace("number", "count"))
    assert not evidence(wrong, question, part.text).holds


def test_a_line_of_a_plan() -> None:
    lines = [method(part) for part in answer(Question("what is 17*23? 5 km in miles? what does len do")).parts]
    assert lines == [
        "Compute `17*23` with exact fractions; verify each step by its inverse, and the whole in long decimals.",
        "Convert `5 km in miles` by exact factors; verify through the base unit, and by converting back.",
        "Answer `what does len do` from documentation; verify by asking it again.",
    ]
