"""The calculator against Python, and against those who would make it hang."""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openclaw_nb.models.calculator import LARGEST, answer, calculate, format_number, is_exact, read_arithmetic
from openclaw_nb.models.question import Question


def ask(text: str) -> str | None:
    match = re.match(r"(?s).*", text)
    assert match
    return answer(match, Question(text))


EXPRESSIONS = st.recursive(
    st.integers(0, 99).map(str),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map("({0[0]} {0[1]} {0[2]})".format),
        st.tuples(inner, st.integers(-3, 3)).map("({0[0]}) ** {0[1]}".format),
        inner.map("(-{})".format),
    ),
    max_leaves=8,
)


class Exact(ast.NodeTransformer):
    """Fractions for numbers and for what `//` gives, which would be an int; exponents stay as they are."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Call(ast.Name("Fraction", ast.Load()), [node], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        node.left = self.visit(node.left)
        if isinstance(node.op, ast.Pow):
            return node
        node.right = self.visit(node.right)
        return ast.Call(ast.Name("Fraction", ast.Load()), [node], []) if isinstance(node.op, ast.FloorDiv) else node


@given(EXPRESSIONS)
@example("(-((0 // 1) ** 0 / 3))")
@example("((-(0 // 1))) ** -1")
@example("(-(-((3 // 1)) ** -1))")
def test_agrees_with_python(expression: str) -> None:
    exact = ast.fix_missing_locations(Exact().visit(ast.parse(expression, mode="eval")))
    try:
        expected = eval(compile(exact, "", "eval"), {"Fraction": Fraction})
    except ZeroDivisionError:
        with pytest.raises(ValueError, match="division by zero"):
            calculate(expression)
        return
    try:
        value = calculate(expression).value
    except ValueError:
        assert len(expression) > 300 or max(abs(expected.numerator), expected.denominator).bit_length() > LARGEST
    else:
        assert value == expected


@given(st.decimals(-(10**9), 10**9, places=6), st.decimals(-(10**9), 10**9, places=6))
def test_decimals_are_exact(a: object, b: object) -> None:
    assert calculate(f"({a}) + ({b})").value == Fraction(str(a)) + Fraction(str(b))


@given(st.text(max_size=400))
def test_whatever_is_typed_gives_a_number_or_a_sentence(text: str) -> None:
    with suppress(ValueError):
        calculate(text)
    ask(text)


@given(st.text(alphabet="0123456789+-*/%^()., !esqrtpilogfact", max_size=300))
def test_arithmetic_looking_text_is_bounded(text: str) -> None:
    shown = ask(text)
    assert shown is None or len(shown) < 10_000


HOSTILE = [
    "9**9**9",
    "9^9^9^9",
    "2**-99999999999",
    "factorial(100000)",
    "factorial(factorial(20))",
    "comb(10**9, 5)",
    "1e999",
    "gcd(1.5, 2)",
    "1/0",
    "0**-1",
    "5 % 0",
    "5 // 0",
    "sqrt(-1)",
    "log(0)",
    "asin(2)",
    "(-8)**(1/3)",
    "9" * 400,
    "(" * 250 + "1" + ")" * 9,
    "-" * 290 + "1" + "+",
    "*".join(["2**19000"] * 9),
    "round(1.5, 10**9)",
    "exp(10**6)",
    "__import__('os')",
    "().__class__",
    "pi.real",
    "x",
    "'a'*9",
    "[1]*9",
    "True + 1",
    "1 if 1 else 2",
    "lambda: 1",
    "f(1)",
    "sin(1, 2)",
    "sin()",
    "max()",
    "log(8, base=2)",
    "1;2",
    "1 < 2",
    "1 and 2",
    "~1",
    "1 << 9",
    "1j",
    "",
    "\x00",
    "1 @ 2",
]


@pytest.mark.parametrize("expression", HOSTILE)
def test_refused_in_a_sentence(expression: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        calculate(expression)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("what is 15% of 80?", "**12**"),
        ("2 plus 2", "**4**"),
        ("What's 12 squared?", "**144**"),
        ("5!", "**120**"),
        ("square root of 16", "**4**"),
        ("√2", "**1.41421356237**"),
        ("0.1 + 0.2", "**0.3**"),
        ("1/3", "exactly 1/3"),
        ("200 + 10%", "**220**"),
        ("80 - 25 percent", "**60**"),
        ("10 % 3", "**1**"),
        ("10 mod 3", "**1**"),
        ("calculate 1,234 + 1", "**1,235**"),
        ("max(1,234)", "**234**"),
        ("6 × 7", "**42**"),
        ("3 x 4", "**12**"),
        ("2 to the power of 10", "**1,024**"),
        ("2^10 =", "**1,024**"),
        ("3 times 4 plus 5", "**17**"),
        ("100 divided by 8", "**12.5**"),
        ("-7 // 2", "**-4**"),
        ("what is pi", "**3.14159265359**"),
        ("7 − 9", "**-2**"),
        ("sin(pi/2)", "**1**"),
        ("log(100, 10)", "**2**"),
        ("2**5000", "(1,506 digits)"),
        ("1/0", "by zero"),
        ("9**9**9", "did not calculate"),
    ],
)
def test_what_people_type(text: str, result: str) -> None:
    assert result in (ask(text) or "")


@pytest.mark.parametrize(
    "text", ["what is love", "7", "hello", "2024-01-05", "the 3 best + why", "", "a+b", "x = 5", "1e"]
)
def test_what_is_no_arithmetic(text: str) -> None:
    assert read_arithmetic(text) is None


def test_the_working() -> None:
    assert calculate("2 + 3 * 4").steps == ["3 × 4 = 12", "2 + 12 = 14"]
    assert (ask("2 + 3 * 4") or "").endswith("1. 3 × 4 = 12\n2. 2 + 12 = 14")
    assert "more steps" in (ask("+".join("1" * 40)) or "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(0), "0"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(1234567), "1,234,567"),
        (Fraction(1, 3), "0.333333333333"),
        (2.5, "2.5"),
        (Fraction(10**70), "1.0000000000e70 (71 digits)"),
        (Fraction(-(10**70) + 1), "-9.9999999999e69 (70 digits)"),
        (1e300, "1e+300"),
        (Fraction(10**7 + 1, 10**7), "1.0000001"),
        (Fraction(20_000, 3), "6,666.666667"),
    ],
)
def test_numbers_as_people_read_them(value: Fraction | float, text: str) -> None:
    assert format_number(value) == text


def test_exactness() -> None:
    assert is_exact(Fraction(1, 8))
    assert not is_exact(Fraction(1, 3))
    assert not is_exact(0.5)
