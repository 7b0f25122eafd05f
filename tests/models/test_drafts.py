"""What is read in a draft: its numbers, its equations, its shape."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.models.drafts import agrees, equations, numbers, same_numbers, shape, signed_numbers, unmarked


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,234.5 and 6", ["1234.5", "6"]),
        ("17*23=391", ["17", "23", "391"]),
        ("5km, .5 and 1_000", ["5", ".5", "1000"]),
        ("1, 2, 3", ["1", "2", "3"]),
        ("log10(x2) v1.2", []),
        ("2.04e90 (91 digits)", ["2.04e90", "91"]),
        ("none", []),
    ],
)
def test_numbers(text: str, found: list[str]) -> None:
    assert numbers(text) == found


@pytest.mark.parametrize(
    ("text", "negative"),
    [("-5", True), ("it is −5.", True), ("5 - 8", False), ("3-8", False), ("= **-8**", True), ("5 × -8", True)],
)
def test_signs(text: str, negative: bool) -> None:
    assert signed_numbers(text)[-1][1] is negative


@pytest.mark.parametrize(
    ("written", "value", "same"),
    [
        ("391", Fraction(391), True),
        ("392", Fraction(391), False),
        ("0.125", Fraction(1, 8), True),
        ("0.13", Fraction(1, 8), False),  # it has an end, so it is written to its end
        ("0.333", Fraction(1, 3), True),
        ("0.334", Fraction(1, 3), False),
        ("0.3", Fraction(1, 3), False),
        ("3.14159", 3.141592653589793, True),
        ("3.14158", 3.141592653589793, False),
        ("2.0370359763e90", Fraction(2) ** 300, True),
        ("1e9999", 1e300, False),
    ],
)
def test_a_number_as_written(written: str, value: Fraction | float, same: bool) -> None:
    assert agrees(written, value) is same


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("17 × 23 = 391", [True]),
        ("`17*23` = **392**", [False]),
        ("3. 0.333333333333 × 3 = 1", [True]),
        ("`1/3` ≈ **0.333333333333**, exactly 1/4", [True, False]),
        ("So 17 × 23 is 391, since 17 × 20 = 340 and 17 × 3 = 51.", [True, True, True]),
        ("17 × 23 = 17 × 20 + 17 × 3 = 340 + 51 = 392", [True, True, False]),
        ("5 km ≈ **3.10685596119 mi**", [True]),
        ("5 km = 4 mi", [False]),
        ("5 km = 3 kg", []),
        ("72 °F ≈ 22.2222222222 °C", [True]),
        ("`2**3` = **8**", [True]),
        ("1,234 × 2 = 2,468", [True]),
        ("5 − 8 = -3", [True]),
        ("5 − 8 = 3", [False]),
        ("The answer is 23", []),
        ("x = 5", []),
        ("1/0 = 7", []),
    ],
)
def test_equations(line: str, found: list[bool]) -> None:
    assert [equation.holds for equation in equations(line)] == found


def test_what_an_equation_says() -> None:
    [equation] = equations("`17*23` = **392**")
    assert (equation.left, equation.right, equation.value) == ("17*23", "392", "391")


def test_the_shape_is_that_of_the_line_with_other_numbers() -> None:
    assert shape("`17*23` = **391**") == shape("`18 * 23` ≈ **1,391.5**")
    assert shape("1. 3 × 4 = 12") == shape("9. 3 + 4 = 7") != shape("3 × 4 = 12")
    assert shape("5 km") != shape("5 mi")
    assert unmarked("12. then") == "then"
    assert unmarked("-3 is less") == "-3 is less"


def test_the_same_numbers() -> None:
    assert same_numbers("3 + 2 = 5", "2 + 3 = 5")
    assert not same_numbers("0 × 0 = 0", "0 × 5 = 0")
    assert same_numbers("5 km = 3.107 mi", "5 km ≈ 3.10685596119 mi")
    assert not same_numbers("5 km = 3.108 mi", "5 km ≈ 3.10685596119 mi")
    assert not same_numbers("1", "1 1")


@given(st.text() | st.text("0123456789.,e+-*/=≈ `is()!√%", max_size=80))
def test_whatever_a_draft_holds(text: str) -> None:
    list(equations(text))
    shape(text)
    assert same_numbers(text, text)
