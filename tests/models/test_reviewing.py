"""What a review by reading sees, and what it does not take for wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.models.handed import Handed, Outcome
from openclaw_nb.models.reviewing import read

CODE = '''\
def add(first: int, second: int = 0) -> int:
    """The sum of both."""
    return first + second
'''
TESTS = """\
from feature import add


def test_sums():
    assert add(1, 2) == 3


def test_nothing():
    assert add(0) == 0
"""
TRIES = "    try:\n        1\n    "
RAISES = "    if first:\n        raise ValueError('no')\n"
CATCHES = "catches everything, a stop by the user included; name the error"
SWALLOWS = "swallows an error; let it rise, or say what it means"
GREEN = Outcome("2 passed")


def wrong(code: str = CODE, tests: str = TESTS, outcome: Outcome | None = GREEN) -> tuple[str, ...]:
    return read(Handed(code, "coder", tests, "tester", outcome)).wrong


def test_nothing_is_wrong() -> None:
    reading = read(Handed(CODE, "coder", TESTS, "tester", GREEN))
    assert reading.wrong == ()
    assert reading.seen == (
        "pytest said: 2 passed",
        "2 tests with 2 checks call `add`, also with something empty, or 0",
        "`add` has a docstring, and types throughout",
    )


@pytest.mark.parametrize(
    ("right", "broken", "objection"),
    [
        ('    """The sum of both."""\n', "", "`add` has no docstring"),
        ("first: int", "first", "`first` of `add` has no type"),
        (" -> int", "", "`add` does not say what type it gives"),
        ("add", "addBoth", "`addBoth` is not in snake_case"),
        ("first", "list", "`list` of `add` hides Python's own"),
        ("second: int = 0", "second: list = []", "a default of `add` is shared by all its calls; take None"),
        ("return first", "return eval('1') + first", "line 3 runs text as code by `eval`"),
        ("    return", f"{TRIES}except:\n        2\n    return", f"line 5 {CATCHES}"),
        ("    return", f"{TRIES}except ValueError:\n        pass\n    return", f"line 5 {SWALLOWS}"),
        ("    return", f"{RAISES}    return", "no test expects the `ValueError` that it raises"),
        ("def add", "print('hi')\n\n\ndef add", "line 1 runs when the module is imported"),
        ("    return", "    1\n" * 40 + "    return", "`add` has 43 lines; make two of it"),
        ("second\n", "second\n\n\ndef less(a: int) -> int:\n    'Less.'\n    return a\n", "no test calls `less`"),
        ("return first", "return first first", "the code is no Python in line 3: invalid syntax"),
    ],
)
def test_what_is_wrong_with_code(right: str, broken: str, objection: str) -> None:
    tests = TESTS.replace("add", "addBoth") if "addBoth" in broken else TESTS
    assert CODE.count(right) >= 1
    assert wrong(CODE.replace(right, broken), tests) == (objection,)


@pytest.mark.parametrize(
    ("tests", "objection"),
    [
        ("", "there are no tests"),
        ("def test_it(:", "there are no tests"),
        (TESTS.replace("add(0) == 0", "add(1) == 1"), "no test passes in anything empty, or 0"),
        (TESTS.replace("add(0) == 0", "add(False) == 0"), "no test passes in anything empty, or 0"),
        (TESTS.replace("    assert add(1, 2) == 3", "    add(1, 2)"), "`test_sums` checks nothing"),
        (TESTS.replace("add(", "sub("), "no test calls `add`"),
    ],
)
def test_what_is_wrong_with_tests(tests: str, objection: str) -> None:
    assert wrong(tests=tests) == (objection,)


def test_an_expected_error_is_seen() -> None:
    code = CODE.replace("    return", "    if first:\n        raise ValueError('no')\n    return")
    tests = f"{TESTS}\n\ndef test_no():\n    with pytest.raises((TypeError, ValueError)):\n        add(1)\n"
    reading = read(Handed(code, "coder", tests, "tester", GREEN))
    assert reading.wrong == ()
    assert "the `ValueError` that it raises is expected by a test" in reading.seen


def test_parameters_of_a_test_count() -> None:
    tests = 'import pytest\n\n@pytest.mark.parametrize("n", [1, 0])\ndef test_sums(n):\n    assert add(n) == n\n'
    assert wrong(tests=tests) == ()


def test_what_pytest_said_comes_first() -> None:
    code = CODE.replace("first: int", "first")
    assert wrong(code, outcome=None)[0] == "nobody shows what pytest said, so nothing is known to work"
    assert wrong(code, outcome=Outcome("1 failed, 1 passed"))[0] == "pytest said: 1 failed, 1 passed"
    assert len(wrong(code, outcome=None)) == 2


def test_methods_and_hidden_functions() -> None:
    methods = 'class Sum:\n    def add(self, first: int) -> int:\n        """It."""\n        return first\n'
    assert wrong(methods) == ()
    assert wrong(f"{CODE}\n\ndef _helper(x):\n    return x\n") == ()


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_read(code: str, tests: str) -> None:
    read(Handed(code, "a", tests, "b"))


@given(
    st.lists(
        st.sampled_from([*CODE.split(" "), "\n", "    ", "class", "lambda", "*", "raise", "x.y()", "[]"]), max_size=40
    )
)
def test_anything_like_code_is_read(pieces: list[str]) -> None:
    code = " ".join(pieces)
    read(Handed(code, "a", code, "b", GREEN))
