"""Each step of a calculation tried by its inverse: a right one stands, a wrong one does not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given

from openclaw_nb.models.calculator import _FUNCTIONS, _OPERATORS, Step, calculate
from openclaw_nb.models.inverses import _TRIALS, verify
from tests.models.expressions import expressions

OF_FUNCTIONS = [
    "sqrt(49)", "sqrt(2)", "cbrt(27)", "exp(2)", "ln(10)", "log(8, 2)", "log(10)", "log10(500)", "log2(9)", "sin(1)",
    "cos(4)", "tan(0.3)", "asin(0.5)", "acos(0.5)", "atan(10^12)", "sinh(2)", "cosh(2)", "tanh(0.7)", "degrees(2)",
    "radians(90)", "hypot(3, 4)", "atan2(1, -1)", "factorial(20)", "factorial(0)", "comb(10, 3)", "perm(10, 3)",
    "perm(5)", "gcd(84, 36, 60)", "lcm(4, 6, 10)", "abs(-5)", "min(3, 1, 2)", "max(3, 1, 2)", "floor(-2.5)",
    "ceil(-2.5)", "round(2.5)", "round(2.675, 2)", "2^0.5", "2^200", "(2/3)^-100", "0^5", "0*7", "-7//2", "-7%3",
    "7.5 % -2",
]  # fmt: skip


def last(expression: str) -> Step:
    return calculate(expression).work[-1]


def test_there_is_a_trial_for_each_operation() -> None:
    assert {sign for sign, _ in _OPERATORS.values()} | set(_FUNCTIONS) == set(_TRIALS)


@given(expressions())
def test_right_steps_stand_and_wrong_ones_fall(expression: str) -> None:
    try:
        work = calculate(expression).work
    except ValueError:
        return
    for step in work:
        trial = verify(step)
        assert trial is not None, step
        assert trial.agrees, trial
        wrong = verify(replace(step, value=step.value + Fraction(1, 7)))
        assert wrong is None or not wrong.agrees, wrong


@pytest.mark.parametrize("expression", OF_FUNCTIONS)
def test_functions(expression: str) -> None:
    step = last(expression)
    right, wrong = verify(step), verify(replace(step, value=step.value * 2 + Fraction(1, 3)))
    assert right is not None
    assert right.agrees, right
    assert wrong is None or not wrong.agrees, wrong


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("17*23", "391 ÷ 23 = 17"),
        ("5-8", "-3 + 8 = 5"),
        ("7/2", "3.5 × 2 = 7"),
        ("2^10", "1,024 ÷ 2, 10 times, = 1"),
        ("7%3", "2 × 3 + 1 = 7"),
        ("sqrt(49)", "7 × 7 = 49"),
        ("comb(5, 2)", "10 × 2! = 20"),
    ],
)
def test_what_was_tried_is_said(expression: str, words: str) -> None:
    trial = verify(last(expression))
    assert trial is not None
    assert trial.text == words


@pytest.mark.parametrize("expression", ["exp(-800)", "lcm(0, 4)", "tanh(400)", "10^300 * pi % pi"])
def test_where_there_is_no_inverse(expression: str) -> None:
    assert verify(last(expression)) is None
