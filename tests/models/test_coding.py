"""Which part an agent has, and what the offline model says for it alone."""

from __future__ import annotations

import pytest

from openclaw_nb.models.coding import announced, job_of, known_tests
from openclaw_nb.models.handed import Handed, handed_on
from openclaw_nb.models.question import Question
from openclaw_nb.models.skills import answer
from openclaw_nb.prompts import Data

CODER = "You write the code of this team. Tests are written by others."
TESTER = "You test the code of this team. Do not review it."
REVIEWER = "You review the work of this team: code and tests."


def ask(text: str, instructions: str = "", **data: str) -> str:
    return answer(question(text, instructions, **data)).text


def question(text: str, instructions: str = "", **data: str) -> Question:
    blocks = tuple(Data(name, "answer", str(len(body)), body) for name, body in data.items())
    return Question(text, blocks, instructions=instructions)


@pytest.mark.parametrize(
    ("instructions", "text", "job"),
    [
        (CODER, "test it", "write"),
        (TESTER, "implement it", "test"),
        (REVIEWER, "implement it", "review"),
        ("You are a tester.", "", "test"),
        ("You write tests for programs", "", "test"),
        ("You review code and run tests", "", "review"),
        ("You are the coder\nYou never test", "", "write"),
        ("You answer in French. You test nothing.", "", "write"),
        ("", "implement slugify with tests", "write"),
        ("", "Test this", "test"),
        ("", "write some tests for it", "test"),
        ("", "Review this", "review"),
        ("You answer in French.", "review it", "review"),
        ("", "attest this", "write"),
    ],
)
def test_which_part(instructions: str, text: str, job: str) -> None:
    assert job_of(question(text, instructions)) == job


def test_the_coder() -> None:
    text = ask("Implement slugify.", CODER)
    assert text.startswith("I know a program for slugify by heart.\n\n```python\nimport re\n")
    assert text.endswith("is left out.")
    assert text.count("```") == 2
    assert handed_on(question("", coder=text)).code.startswith("import re")


@pytest.mark.parametrize(
    "text",
    [
        "implement fizzbuzz",
        "Write a function for Roman numerals",
        "please build a moving average",
        "show me code for fibonacci numbers",
    ],
)
def test_ways_to_ask(text: str) -> None:
    assert "```python" in ask(text)


@pytest.mark.parametrize("text", ["Implement feature X.", "write a function that sorts", "implement world peace"])
@pytest.mark.parametrize("instructions", ["", CODER, TESTER])
def test_what_it_does_not_know(text: str, instructions: str) -> None:
    said = ask(text, instructions)
    assert said.startswith(f"I know no {'tests' if instructions == TESTER else 'program'} for this")
    assert "only slugify, fizzbuzz, Roman numerals, a moving average, parsing durations and Fibonacci numbers." in said
    assert "%openclaw model" in said
    assert "```" not in said


@pytest.mark.parametrize(
    "text", ["write a poem", "make a chart", "build me up", "test", "review my week", "check the weather"]
)
def test_what_is_about_no_code(text: str) -> None:
    assert answer(Question(text)).skills == ()


def test_a_tester_that_cannot_run_says_so() -> None:
    assert "I was given no code, so these were **not run**.\n\n```python" in ask("implement slugify", TESTER)
    told = ask("implement slugify", TESTER, coder=ask("implement slugify", CODER))
    assert "I have no tool that runs tests, so these were **not run**." in told
    assert "def test_accents_are_dropped" in told
    assert "Missing values" not in told
    assert "answer of" not in told


def test_tests_for_code_without_a_name() -> None:
    code = "```python\ndef fibonacci(count):\n    return []\n```"
    assert "from feature import fibonacci" in ask("Is this right?", TESTER, draft=code)


def test_tests_that_were_handed_on() -> None:
    handed = Handed("def f(): ...", "draft", "def test_f():\n    assert f", "you")
    assert known_tests(question("implement slugify"), handed) == handed.tests
    assert announced(handed, handed.tests).startswith("I run your tests on draft's code.")
    assert announced(handed, "other").startswith("I run tests of mine on draft's code.")
    assert known_tests(question("anything"), Handed()) == ""


def test_the_reviewer() -> None:
    coder = ask("implement a moving average", CODER)
    tester = f"{ask('implement a moving average', TESTER)}\n\n```text\n6 passed in 0.01s\n```"
    said = ask("implement a moving average", REVIEWER, coder=coder, tester=tester)
    assert said.startswith("I read coder's code and tester's tests with Python's own parser")
    assert "1. Pytest said: 6 passed.\n2. 5 tests with 6 checks call `moving_average`" in said
    assert said.endswith("Verdict: ready.")


def test_the_reviewer_of_something_bad() -> None:
    said = ask("What do you say?", REVIEWER, draft="def f(x):\n    return x")
    assert said.startswith("I read draft's code with")
    assert "1. **Nobody shows what pytest said" in said
    assert "\n4. **`x` of `f` has no type.**" in said
    assert said.endswith("Verdict: not ready, because nobody shows what pytest said, so nothing is known to work.")


def test_the_reviewer_of_nothing() -> None:
    assert ask("implement slugify", REVIEWER).startswith("I was given no code")


def test_other_questions_stay_what_they_were() -> None:
    assert "**4**" in ask("What is 2+2?", REVIEWER, coder="```python\ndef f(): ...\n```")
    assert "a text of" in answer(Question("describe `x`", (Data("x", "str", "3", "abc"),), instructions=TESTER)).text
