"""What is found of code, tests and pytest's words in what others handed on."""

from __future__ import annotations

import ast
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.models.handed import LONGEST_CODE, Failure, Handed, Outcome, handed_on, outcome_of, syntax
from openclaw_nb.models.question import Question
from openclaw_nb.prompts import Data

CODE = "def add(a, b):\n    return a + b"
TESTS = "from feature import add\n\n\ndef test_add():\n    assert add(1, 2) == 3"

SAID = """\
.FE                                                                      [100%]
==================================== ERRORS ====================================
_______________________ ERROR at setup of test_ready ___________________________
E       fixture 'nothing' not found
=================================== FAILURES ===================================
_________________________________ test_accents _________________________________
test_feature.py:9: in test_accents
    assert slugify("é") == "e"
E   AssertionError: assert 'a very long value indeed' == 'e'
E     - e
_____________________________ test_sizes[3-None] _______________________________
test_feature.py:12: in test_sizes
    raise TypeError
=========================== short test summary info ============================
FAILED test_feature.py::test_accents - AssertionError: assert 'a ver...
FAILED test_feature.py::test_sizes[3-None] - TypeError
ERROR test_feature.py::test_ready
2 failed, 1 passed, 1 error in 0.02s
"""


def fence(code: str, language: str = "python", ticks: str = "```") -> str:
    return f"{ticks}{language}\n{code}\n{ticks}"


def of(text: str = "implement it", **data: str) -> Handed:
    return handed_on(Question(text, tuple(Data(name, "answer", "", body) for name, body in data.items())))


def test_code_and_tests_are_told_apart() -> None:
    handed = of(
        coder=f"Here.\n\n{fence(CODE)}\n\nDone.", tester=f"{fence(TESTS)}\n\n{fence('3 passed in 0.1s', 'text')}"
    )
    assert (handed.code, handed.coder, handed.tests, handed.tester) == (CODE, "coder", TESTS, "tester")
    assert handed.outcome == Outcome("3 passed")


def test_the_newest_code_counts() -> None:
    newer = CODE.replace("a + b", "b + a")
    handed = of(f"Better than\n{fence(CODE)}", coder=fence(CODE), fixer=f"{fence(CODE)}\n{fence(newer)}")
    assert (handed.code, handed.coder) == (newer, "fixer")
    assert of(f"Test\n{fence(CODE)}").coder == "you"


def test_the_newest_outcome_counts() -> None:
    said = of("It was 1 passed in 1s", one="1 failed in 1s", other="nothing").outcome
    assert said == Outcome("1 failed")


@pytest.mark.parametrize("body", [CODE, fence(CODE, ""), fence(CODE, "py"), fence(CODE, "Python", "````")])
def test_ways_to_write_code(body: str) -> None:
    assert of(draft=body).code == CODE


@pytest.mark.parametrize(
    "body",
    [
        "define a function",
        "def add(a, b): returns the sum",
        fence("x = 1"),
        fence("def f {", "js"),
        fence("def f(", ""),
        "",
    ],
)
def test_what_is_no_code(body: str) -> None:
    assert of(draft=body) == Handed()


def test_broken_python_is_still_code() -> None:
    assert of(coder=fence("def add(a, b:\n    pass")).code


def test_a_fence_in_a_fence() -> None:
    code = 'def f():\n    """\n    ```\n    x\n    ```\n    """'
    assert of(coder=fence(code, ticks="````")).code == code


def test_what_pytest_said() -> None:
    outcome = outcome_of(SAID)
    assert outcome is not None
    assert outcome.counts == "2 failed, 1 passed, 1 error"
    assert not outcome.passed
    assert outcome.failures == (
        Failure("test_accents", "AssertionError: assert 'a very long value indeed' == 'e'"),
        Failure("test_sizes[3-None]", "TypeError"),
        Failure("test_ready", ""),
    )


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        ("5 passed in 0.01s", True),
        ("===== 5 passed, 1 skipped, 2 warnings in 0.01s =====", True),
        ("1 failed, 4 passed in 0.01s", False),
        ("4 passed, 1 error in 0.01s", False),
        ("1 skipped in 0.01s", False),
        ("1 failed in 1s\n5 passed in 2s", True),
        ('{"out": "...\\n3 passed in 0.1s\\n"}', True),
    ],
)
def test_whether_it_passed(said: str, passed: bool) -> None:
    outcome = outcome_of(said)
    assert outcome is not None
    assert outcome.passed is passed


@pytest.mark.parametrize(
    "said", ["", "all passed", "5 passed", "no tests ran in 0.00s", "run_tests failed: TimeoutExpired"]
)
def test_no_result_is_none(said: str) -> None:
    assert outcome_of(said) is None


def test_what_is_no_python() -> None:
    assert isinstance(syntax("x = 1"), ast.Module)
    for code in ("def", "\0", "(" * 5_000, "-" * 20_000 + "1", "x = 1\n" * LONGEST_CODE):
        assert isinstance(syntax(code), SyntaxError)


@given(st.text(alphabet="`def test(): \n_EFAILD[]pased1,in.s", max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    handed_on(Question(text, (Data("a", "answer", "", text),)))
    outcome_of(text)


@pytest.mark.parametrize(
    "piece", ["_ a _\n", "FAILED ", "FAILED a\n", "```\n", "```python\n", "def test", "1 passed, ", "E "]
)
def test_a_long_text_takes_no_longer_than_its_length(piece: str) -> None:
    """Eight times the text takes far less than sixty-four times the time, as it would be read again at each place."""
    seconds = []
    for count in (2_000, 16_000):
        began = time.process_time()
        outcome_of(piece * count)
        of(coder=piece * count)
        seconds.append(time.process_time() - began)
    assert seconds[1] < 30 * max(seconds[0], 0.002)
