"""The calculator's arithmetic by two other ways: in long decimals, and in whole numbers over one denominator."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Sequence
from decimal import (
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)
from fractions import Fraction

from .calculator import LARGEST, Calculation, Number

__all__ = ["in_decimals", "over_one_denominator"]

DIGITS = 50  # at least, of a decimal
GUARD = 20  # digits beyond those of the largest number on the way
NEAR = Fraction(1, 10**20)  # a rounded value as close as this to a whole number may be on either side of it
MOST_EXPONENT = 50_000
MOST_DIGITS = 500  # of a logarithm or a broken power, whose time grows with the square of them
MOST_BITS = 8 * LARGEST  # of a fraction that is not reduced on the way

_LONG = {
    "pi": Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803"),
    "e": Decimal("2.71828182845904523536028747135266249775724709369995957496696762772407663035354759457138"),
}
_CONSTANTS = {**_LONG, "π": _LONG["pi"], "tau": 2 * _LONG["pi"]}


_ZERO, _HALF, _NO_DIGITS = Fraction(), Fraction(1, 2), Decimal()


class _NoWayError(Exception):
    """This expression cannot be computed that way."""


def in_decimals(calculation: Calculation) -> Fraction | None:
    """The value in decimals of fifty digits, or of as many as its numbers have; None where they cannot tell.

    They cannot where a function has no decimal form here (sines and their like), and where a rounded number stands so
    near to a step of floor, round, // or % that it might be on its other side.
    """
    numbers = [number for step in calculation.work for number in (*step.operands, step.value)]
    digits = max(DIGITS, GUARD + max(map(_digits, numbers), default=0))
    traps = [InvalidOperation, DivisionByZero, Overflow]
    with localcontext(Context(prec=digits, Emax=MOST_EXPONENT, Emin=-MOST_EXPONENT, traps=traps)) as context:
        try:
            value = _Decimals(calculation.expression, context).value(_tree(calculation.expression))
        except (_NoWayError, ArithmeticError, ValueError):
            return None
        largest = max((abs(Fraction(number)) for number in numbers), default=Fraction(1))
        noise = context.flags[Inexact] and abs(Fraction(value)) * 10 ** (digits - GUARD // 2) < largest
        return Fraction(0 if noise else value)


def over_one_denominator(calculation: Calculation) -> Fraction | None:
    """The value as one whole number over another, reduced only at the end; None where there is more than + - * / **."""
    try:
        over, under = _pair(_tree(calculation.expression), calculation.expression)
        return Fraction(over, under)
    except (_NoWayError, ZeroDivisionError, ValueError):
        return None


def _tree(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


def _digits(number: Number) -> int:
    """Digits before or behind the point, whichever are more."""
    if isinstance(number, float):
        return int(abs(math.log10(abs(number)))) + 1 if number else 1
    return int(max(abs(number.numerator), number.denominator).bit_length() * math.log10(2)) + 1


def _literal(node: ast.Constant, source: str) -> str:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise _NoWayError
    return (ast.get_source_segment(source, node) or "").replace("_", "")


# -- decimals ------------------------------------------------------------------------------------


class _Decimals:
    """Walks an expression in a decimal context, which must be the current one."""

    def __init__(self, source: str, context: Context) -> None:
        self._source = source
        self._context = context

    def value(self, node: ast.expr) -> Decimal:
        match node:
            case ast.Constant():
                return Decimal(_literal(node, self._source))
            case ast.Name(id=name):
                self._context.flags[Inexact] = True
                return _CONSTANTS[name]
            case ast.UnaryOp(op=op, operand=operand):
                return -self.value(operand) if isinstance(op, ast.USub) else self.value(operand)
            case ast.BinOp(left=left, op=op, right=right):
                second = self.value(right)  # in the other order than the calculator's
                return self._operation(op, self.value(left), second)
            case ast.Call(func=ast.Name(id=name), args=args) if name in _IN_DECIMALS:
                values = [self.value(argument) for argument in args]
                if name in _SERIES:
                    self.bounded()
                return _IN_DECIMALS[name](self, *values)
        raise _NoWayError

    def _operation(self, op: ast.operator, a: Decimal, b: Decimal) -> Decimal:
        match op:
            case ast.Add():
                return a + b
            case ast.Sub():
                return a - b
            case ast.Mult():
                return a * b
            case ast.Div():
                return a / b
            case ast.Pow():
                return self._power(a, b)
            case ast.FloorDiv():
                return self.whole(Fraction(a) / Fraction(b))
            case ast.Mod():
                return a - b * self.whole(Fraction(a) / Fraction(b))
        raise _NoWayError

    def _power(self, a: Decimal, b: Decimal) -> Decimal:
        if b != b.to_integral_value():
            self.bounded()
        return a**b if a or b else Decimal(1)

    def bounded(self) -> None:
        if self._context.prec > MOST_DIGITS:
            raise _NoWayError

    def whole(
        self, value: Fraction, rounding: Callable[[Fraction], int] = math.floor, edge: Fraction = _ZERO
    ) -> Decimal:
        """The whole number below, or as ``rounding`` says, which has its steps ``edge`` above whole numbers."""
        beside = value - edge
        if self._context.flags[Inexact] and abs(beside - round(beside)) < NEAR:
            raise _NoWayError
        return Decimal(rounding(value))

    def rounded(self, value: Decimal, digits: Decimal = _NO_DIGITS) -> Decimal:
        unit = Fraction(10) ** int(digits)
        return self.whole(Fraction(value) * unit, round, _HALF) / Decimal(10) ** int(digits)


_SERIES = {"exp", "ln", "log", "log10", "log2"}
_IN_DECIMALS: dict[str, Callable[..., Decimal]] = {
    "abs": lambda _, value: abs(value),
    "sqrt": lambda _, value: value.sqrt(),
    "exp": lambda _, value: value.exp(),
    "ln": lambda _, value: value.ln(),
    "log": lambda _, value, *base: value.ln() / base[0].ln() if base else value.ln(),
    "log10": lambda _, value: value.log10(),
    "log2": lambda _, value: value.ln() / Decimal(2).ln(),
    "min": lambda _, *values: min(values),
    "max": lambda _, *values: max(values),
    "hypot": lambda _, *sides: sum((side * side for side in sides), Decimal()).sqrt(),
    "floor": lambda self, value: self.whole(Fraction(value)),
    "ceil": lambda self, value: self.whole(Fraction(value), math.ceil),
    "round": lambda self, *values: self.rounded(*values),
    "factorial": lambda _, value: _product(range(2, int(value) + 1)),
    "perm": lambda _, n, *k: _product(range(int(n) - int(k[0] if k else n) + 1, int(n) + 1)),
    "comb": lambda _, n, k: _product(range(int(n) - int(k) + 1, int(n) + 1)) / _product(range(2, int(k) + 1)),
}


def _product(numbers: Sequence[int]) -> Decimal:
    product = Decimal(1)
    for number in numbers:
        product *= number
    return product


# -- whole numbers -------------------------------------------------------------------------------

_WHOLE: dict[type[ast.operator], Callable[[int, int, int, int], tuple[int, int]]] = {
    ast.Add: lambda a, b, c, d: (a * d + c * b, b * d),
    ast.Sub: lambda a, b, c, d: (a * d - c * b, b * d),
    ast.Mult: lambda a, b, c, d: (a * c, b * d),
    ast.Div: lambda a, b, c, d: (a * d, b * c),
}


def _pair(node: ast.expr, source: str) -> tuple[int, int]:
    match node:
        case ast.Constant():
            number = Fraction(_literal(node, source))
            return number.numerator, number.denominator
        case ast.UnaryOp(op=op, operand=operand):
            over, under = _pair(operand, source)
            return (operator.neg(over) if isinstance(op, ast.USub) else over), under
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _raised(*_pair(left, source), Fraction(*_pair(right, source)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _WHOLE:
            over, under = _WHOLE[type(op)](*_pair(left, source), *_pair(right, source))
            if under == 0 or max(over.bit_length(), under.bit_length()) > MOST_BITS:
                raise _NoWayError
            return over, under
    raise _NoWayError


def _raised(over: int, under: int, exponent: Fraction) -> tuple[int, int]:
    bits = max(over.bit_length(), under.bit_length()) * abs(exponent.numerator)
    if exponent.denominator != 1 or bits > MOST_BITS or (exponent < 0 and over == 0):
        raise _NoWayError
    power = abs(exponent.numerator)
    return (over**power, under**power) if exponent >= 0 else (under**power, over**power)
