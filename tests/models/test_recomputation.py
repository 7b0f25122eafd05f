"""The same arithmetic by two other ways: it agrees with the calculator, and knows where it cannot tell."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given

from openclaw_nb.models.calculator import calculate, format_number
from openclaw_nb.models.recomputation import in_decimals, over_one_denominator
from tests.models.expressions import expressions


def decimals(expression: str) -> Fraction | None:
    return in_decimals(calculate(expression))


@given(expressions())
def test_all_ways_agree(expression: str) -> None:
    try:
        exact = calculate(expression)
    except ValueError:
        return
    value, whole = Fraction(exact.value), over_one_denominator(exact)
    assert whole is None or whole == value
    long = in_decimals(exact)
    largest = max([Fraction(1), *(abs(Fraction(n)) for step in exact.work for n in (*step.operands, step.value))])
    assert long is None or abs(long - value) <= largest / 10**30


@pytest.mark.parametrize(
    ("expression", "digits"),
    [
        ("10^20 * pi // 1", "314,159,265,358,979,323,846"),  # a float knows sixteen of them
        ("sqrt(2)*sqrt(2) - 2", "0"),
        ("10^25 + 1 - 10^25", "1"),
        ("floor(10^18 * e)", "2,718,281,828,459,045,235"),
        ("2^100", "1,267,650,600,228,229,401,496,703,205,376"),
        ("ln(10)", "2.30258509299"),
        ("comb(52, 5) + factorial(5) + perm(5, 2)", "2,599,100"),
        ("round(2.675, 2) + round(-2.5)", "0.68"),
        ("-7 // 2 + -7 % 3", "-2"),
        ("0.1 + 0.2", "0.3"),
        ("0^0", "1"),
        ("log(8, 2) + log10(1000) + log2(8)", "9"),
    ],
)
def test_long_decimals(expression: str, digits: str) -> None:
    assert format_number(decimals(expression) or Fraction()) == digits


@pytest.mark.parametrize(
    "expression",
    [
        "sin(1)",  # has no decimal form here
        "floor(1/3*3)",  # a hair below 1, or 1
        "(1/3*3) % 1",
        "round(1/6*3)",
        "ln(2) + 0*3^2000",  # a logarithm of 1,000 digits would take seconds
    ],
)
def test_where_decimals_cannot_tell(expression: str) -> None:
    assert decimals(expression) is None


@pytest.mark.parametrize(
    ("expression", "value"),
    [("1/3 - 1/6", Fraction(1, 6)), ("(2/3)^-3", Fraction(27, 8)), ("-0.5 * 4", Fraction(-2)), ("2 ** 10", 1024)],
)
def test_over_one_denominator(expression: str, value: Fraction) -> None:
    assert over_one_denominator(calculate(expression)) == value


@pytest.mark.parametrize(
    "expression", ["sqrt(4)", "7 // 2", "2^0.5", "pi", " * ".join(["(2/3)^12000*(3/2)^12000"] * 9)]
)
def test_more_than_whole_numbers(expression: str) -> None:
    assert over_one_denominator(calculate(expression)) is None
