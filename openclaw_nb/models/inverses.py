"""Each operation of the calculator verified by its inverse, or by what defines its result."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from typing import NamedTuple

from .calculator import Number, Step, format_number

__all__ = ["Trial", "verify"]

CLOSE = 1e-9  # relative, between two ways through floating point
LONGEST_DIVISION = 64  # times that a power is divided by its base; above, both are compared modulo a prime
PRIMES = (2**61 - 1, 2**89 - 1)


class Trial(NamedTuple):
    """What was computed to try a step, in a few words, and whether it agrees."""

    text: str
    agrees: bool


def verify(step: Step) -> Trial | None:
    """A trial of one step; None where there is none for it."""
    trial = _TRIALS.get(step.name)
    try:
        return trial(*step.operands, step.value) if trial else None
    except (ArithmeticError, ValueError, TypeError):  # the inverse has no value there, or none that a float holds
        return None


def _close(a: Number, b: Number, scale: Number = 0) -> bool:
    """Equal where both are exact, else as close as floats are on numbers of the size of ``scale``."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    return math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE * abs(float(scale)))


def _shown(*parts: Number | str) -> str:
    return " ".join(part if isinstance(part, str) else format_number(part) for part in parts)


def _says(*parts: Number | str, result: Number, expected: Number, scale: Number = 0) -> Trial:
    agrees = _close(result, expected, scale)
    sign = "=" if isinstance(result, Fraction) else "≈"
    return Trial(_shown(*parts, sign, expected if agrees else result), agrees)


# -- operators -----------------------------------------------------------------------------------


def _times(a: Number, b: Number, c: Number) -> Trial:
    if b == 0:
        return Trial(_shown("one factor is", b, "and so is the product"), c == 0)
    return _says(c, "÷", b, result=c / b, expected=a)


def _whole_quotient(a: Number, b: Number, c: Number) -> Trial | None:
    rest = a - c * b
    if c != int(c):
        return Trial(_shown(c, "is not whole"), agrees=False)
    return _is_rest(_shown(c, "×", b, "leaves", rest), a, b, rest)


def _rest(a: Number, b: Number, c: Number) -> Trial | None:
    whole = Fraction(round((a - c) / b))
    if not _close(whole * b, a - c, a):
        return Trial(_shown(a, "−", c, "is no multiple of", b), agrees=False)
    return _is_rest(_shown(whole, "×", b, "+", c, "=", a), a, b, c)


def _is_rest(text: str, a: Number, b: Number, rest: Number) -> Trial | None:
    """Whether it is less than the divisor and has its sign, as far as floats can tell."""
    share = rest / b
    if isinstance(share, Fraction):
        return Trial(text, 0 <= share < 1)
    room = CLOSE * max(1.0, abs(float(a / b)))
    return Trial(text, -room <= share <= 1 + room) if room < 1 else None


def _power(a: Number, b: Number, c: Number) -> Trial | None:
    if not (isinstance(a, Fraction) and isinstance(b, Fraction) and isinstance(c, Fraction) and b.denominator == 1):
        return _says("e^(", b, "× ln", a, ")", result=math.exp(b * math.log(a)), expected=c, scale=c)
    times = abs(b.numerator)
    if a == 0:
        return Trial(_shown("a power of", a), c == (1 if b == 0 else 0))
    if times > LONGEST_DIVISION:
        return _modulo_prime(a, b.numerator, c)
    left = c
    for _ in range(times):
        left = left / a if b > 0 else left * a
    sign = "÷" if b > 0 else "×"
    return _says(c, f"{sign} {format_number(a)}, {times} times,", result=left, expected=Fraction(1))


def _modulo_prime(a: Fraction, exponent: int, c: Fraction) -> Trial | None:
    for prime in PRIMES:
        if a.numerator % prime and a.denominator % prime and c.denominator % prime:
            base = a.numerator * pow(a.denominator, -1, prime) % prime
            said = c.numerator * pow(c.denominator, -1, prime) % prime
            return Trial(f"both leave {said:,} modulo {prime:,}", pow(base, exponent, prime) == said)
    return None


# -- functions -----------------------------------------------------------------------------------


def _square(a: Number, c: Number) -> Trial:
    return _says(c, "×", c, result=c * c, expected=a, scale=a)


def _cube(a: Number, c: Number) -> Trial:
    return _says(c, "^ 3", result=c**3, expected=a, scale=a)


def _logarithm(a: Number, *rest: Number) -> Trial:
    *base, c = rest
    if base:
        return _says(base[0], "^", c, result=math.pow(base[0], c), expected=a)
    return _says("e^", c, result=math.exp(c), expected=a)


def _by(form: str, other: Callable[[float], float]) -> Callable[[Number, Number], Trial]:
    """Another form of the function, computed from the same argument."""
    return lambda a, c: _says(form.format(format_number(a)), result=other(float(a)), expected=c, scale=1)


def _back(form: str, inverse: Callable[[float], float]) -> Callable[[Number, Number], Trial]:
    """The inverse function, computed from the result."""
    return lambda a, c: _says(form.format(format_number(c)), result=inverse(float(c)), expected=a, scale=1)


def _factorial(n: Number, c: Number) -> Trial:
    left = Fraction(c)
    for divisor in range(2, int(n) + 1):
        left /= divisor
    return _says(c, "÷ 1 ÷ … ÷", n, result=left, expected=Fraction(1))


def _combinations(n: Number, k: Number, c: Number) -> Trial:
    orders = Fraction(math.factorial(int(k)))
    expected = Fraction(math.perm(int(n), int(k)))
    return _says(c, "×", f"{format_number(k)}!", result=c * orders, expected=expected)


def _permutations(n: Number, *rest: Number) -> Trial:
    *some, c = rest
    left = int(n) - int(some[0] if some else n)
    if left < 0:
        return Trial("there are more places than things", c == 0)
    return _says(
        c, "×", Fraction(left), "!", result=c * math.factorial(left), expected=Fraction(math.factorial(int(n)))
    )


def _common_divisor(*values: Number) -> Trial | None:
    *numbers, c = values
    if c == 0 or not numbers:
        return None
    shares = [Fraction(number) / Fraction(c) for number in numbers]
    whole = all(share.denominator == 1 for share in shares)
    coprime = whole and reduce(_euclid, (abs(int(share)) for share in shares)) == 1
    return Trial(
        _shown("divided by", c, "they are", ", ".join(map(format_number, shares)), "without a common divisor"), coprime
    )


def _common_multiple(*values: Number) -> Trial | None:
    *numbers, c = values
    if c == 0 or not numbers:
        return None
    shares = [Fraction(c) / Fraction(number) for number in numbers]
    whole = all(share.denominator == 1 for share in shares)
    least = whole and reduce(_euclid, (abs(int(share)) for share in shares)) == 1
    return Trial(_shown(c, "holds them", ", ".join(map(format_number, shares)), "times"), least)


def _euclid(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a


def _extreme(least: bool) -> Callable[..., Trial]:
    def trial(*values: Number) -> Trial:
        *numbers, c = values
        beyond = [number for number in numbers if (number < c if least else number > c)]
        return Trial(_shown("none is", "less than" if least else "more than", c), c in numbers and not beyond)

    return trial


def _rounded(a: Number, *rest: Number) -> Trial:
    *digits, c = rest
    half = Fraction(1, 2) / Fraction(10) ** int(digits[0] if digits else 0)
    room = Fraction(CLOSE * abs(a)) if isinstance(a, float) else 0
    off = abs(Fraction(a) - Fraction(c))
    return Trial(_shown(a, "is", off, "off", c), off <= half + room)


def _diagonal(*values: Number) -> Trial:
    *sides, c = values
    total = sum(float(side) ** 2 for side in sides)
    return _says("the sum of the squares", result=total, expected=float(c) ** 2, scale=1)


_TRIALS: dict[str, Callable[..., Trial | None]] = {
    "+": lambda a, b, c: _says(c, "−", b, result=c - b, expected=a, scale=max(abs(b), abs(c))),
    "−": lambda a, b, c: _says(c, "+", b, result=c + b, expected=a, scale=max(abs(b), abs(c))),
    "×": _times,
    "÷": lambda a, b, c: _says(c, "×", b, result=c * b, expected=a),
    "//": _whole_quotient,
    "mod": _rest,
    "^": _power,
    "sqrt": _square,
    "cbrt": _cube,
    "exp": lambda a, c: _says("ln", c, result=math.log(c), expected=a, scale=1),
    "log": _logarithm,
    "ln": _logarithm,
    "log10": lambda a, c: _says("10^", c, result=math.pow(10, c), expected=a),
    "log2": lambda a, c: _says("2^", c, result=math.pow(2, c), expected=a),
    "sin": _by("the imaginary part of e^({}i)", lambda x: cmath.exp(1j * x).imag),
    "cos": _by("the real part of e^({}i)", lambda x: cmath.exp(1j * x).real),
    "tan": _by("sin({0}) ÷ cos({0})", lambda x: math.sin(x) / math.cos(x)),
    "asin": _back("sin({})", math.sin),
    "acos": _back("cos({})", math.cos),
    "atan": _by("the phase of 1 + {}i", lambda x: cmath.phase(complex(1, x))),
    "sinh": _by("(e^{0} − e^-{0}) ÷ 2", lambda x: (math.exp(x) - math.exp(-x)) / 2),
    "cosh": _by("(e^{0} + e^-{0}) ÷ 2", lambda x: (math.exp(x) + math.exp(-x)) / 2),
    "tanh": _by("1 − 2 ÷ (e^(2 × {0}) + 1)", lambda x: 1 - 2 / (math.exp(2 * x) + 1)),
    "degrees": lambda a, c: _says(c, "× π ÷ 180", result=float(c) * math.pi / 180, expected=a),
    "radians": lambda a, c: _says(c, "× 180 ÷ π", result=float(c) * 180 / math.pi, expected=a),
    "hypot": _diagonal,
    "atan2": lambda y, x, c: _says(
        "the phase of", x, "+", y, "i", result=cmath.phase(complex(float(x), float(y))), expected=c, scale=1
    ),
    "factorial": _factorial,
    "comb": _combinations,
    "perm": _permutations,
    "gcd": _common_divisor,
    "lcm": _common_multiple,
    "abs": lambda a, c: Trial(_shown("either", c, "or its negative is", a), c >= 0 and a in (c, -c)),
    "min": _extreme(least=True),
    "max": _extreme(least=False),
    "floor": lambda a, c: Trial(_shown(a, "is less than one above", c), 0 <= a - c < 1),
    "ceil": lambda a, c: Trial(_shown(a, "is less than one below", c), 0 <= c - a < 1),
    "round": _rounded,
}
