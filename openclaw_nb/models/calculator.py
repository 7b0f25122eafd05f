"""A calculator that reads what people type: exact where it can be, bounded always, and never `eval`."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from .question import Question

__all__ = [
    "CONSTANTS",
    "LARGEST",
    "Calculation",
    "Number",
    "Step",
    "answer",
    "calculate",
    "format_number",
    "is_exact",
    "read_arithmetic",
    "shown_expression",
    "sign_of",
]

Number = Fraction | float

LONGEST_EXPRESSION = 300  # characters
LARGEST = 20_000  # bits of a numerator or denominator, about 6,000 digits
LARGEST_COUNT = 1_500  # argument of factorial, comb and perm
MOST_STEPS = 12
MOST_DIGITS = 60  # of one number in an answer

_TOO_LARGE = f"the result has more than {int(LARGEST * 0.30103):,} digits"

CONSTANTS: dict[str, Number] = {"pi": math.pi, "π": math.pi, "tau": math.tau, "e": math.e}

_OPERATORS: dict[type[ast.operator], tuple[str, Callable[[Number, Number], Number]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("−", operator.sub),
    ast.Mult: ("×", operator.mul),
    ast.Div: ("÷", operator.truediv),
    ast.FloorDiv: ("//", lambda a, b: Fraction(a // b)),  # of two Fractions it is an int, which would not stay exact
    ast.Mod: ("mod", operator.mod),
    ast.Pow: ("^", lambda base, exponent: _power(base, exponent)),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One operation, by its sign, or one function, by its name; ``str`` writes it as a line."""

    name: str
    operands: tuple[Number, ...]
    value: Number

    def __str__(self) -> str:
        shown = [format_number(operand) for operand in self.operands]
        work = f"{self.name}({', '.join(shown)})" if self.name in _FUNCTIONS else f" {self.name} ".join(shown)
        return f"{work} {sign_of(self.value)} {format_number(self.value)}"


@dataclass(frozen=True, slots=True)
class Calculation:
    """An expression as it was read, its value, and each step on the way."""

    expression: str
    value: Number
    work: list[Step] = field(default_factory=list)

    @property
    def steps(self) -> list[str]:
        """Each step as a line."""
        return [str(step) for step in self.work]


# -- functions -----------------------------------------------------------------------------------


def _whole(value: Number) -> int:
    if value != int(value):
        raise ValueError("that needs whole numbers")
    return int(value)


def _count(value: Number) -> int:
    count = _whole(value)
    if not 0 <= count <= LARGEST_COUNT:
        raise ValueError(f"that needs a whole number from 0 to {LARGEST_COUNT:,}")
    return count


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        bits = max(abs(base.numerator), base.denominator).bit_length() - 1
        if bits * abs(exponent.numerator) > LARGEST:
            raise ValueError(_TOO_LARGE)
        return Fraction(base**exponent.numerator)
    if base < 0 and exponent != int(exponent):
        raise ValueError("a negative number to a broken power is not a real number")
    return math.pow(base, exponent)


def _root(value: Number) -> Number:
    if value < 0:
        raise ValueError("the square root of a negative number is not a real number")
    if isinstance(value, Fraction):
        over, under = math.isqrt(value.numerator), math.isqrt(value.denominator)
        if (over**2, under**2) == (value.numerator, value.denominator):
            return Fraction(over, under)
    return math.sqrt(value)


def _rounded(value: Number, digits: Number = Fraction()) -> Number:
    places = _whole(digits)
    if abs(places) > 100:
        raise ValueError("rounding takes at most 100 digits")
    rounded = round(value, places)
    return rounded if isinstance(rounded, Fraction) else Fraction(repr(rounded))


def _logarithm(value: Number, base: Number | None = None) -> Number:
    return math.log(value) if base is None else math.log(value, base)


def _on_floats(function: Callable[[float], float]) -> Callable[..., Number]:
    return lambda value: function(float(value))


def _on_whole(function: Callable[..., int], check: Callable[[Number], int]) -> Callable[..., Number]:
    return lambda *values: Fraction(function(*map(check, values)))


_OF_FLOATS = (
    "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "exp", "cbrt", "log10", "log2",
    "degrees", "radians",
)  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    **{name: _on_floats(getattr(math, name)) for name in _OF_FLOATS},
    **{name: _on_whole(getattr(math, name), _count) for name in ("factorial", "comb", "perm")},
    **{name: _on_whole(getattr(math, name), _whole) for name in ("gcd", "lcm")},
    "abs": abs,
    "sqrt": _root,
    "log": _logarithm,
    "ln": _logarithm,
    "round": _rounded,
    "floor": lambda value: Fraction(math.floor(value)),
    "ceil": lambda value: Fraction(math.ceil(value)),
    "min": min,
    "max": max,
    "hypot": lambda *sides: math.hypot(*map(float, sides)),
    "atan2": lambda y, x: math.atan2(float(y), float(x)),
}


# -- evaluation ----------------------------------------------------------------------------------


def calculate(expression: str) -> Calculation:
    """Evaluate Python-like arithmetic; ``^`` is a power too. Integers and decimals stay exact through + - * / // % **.

    Raises ValueError, with one sentence, for what is no arithmetic, has no value, or is too large.
    """
    source = expression.strip().replace("^", "**")
    if len(source) > LONGEST_EXPRESSION:
        raise ValueError(f"an expression has at most {LONGEST_EXPRESSION} characters")
    steps: list[Step] = []
    try:
        tree = ast.parse(source, mode="eval").body
        value = _evaluate(tree, source, steps)
    except ZeroDivisionError:
        raise ValueError("division by zero has no value") from None
    except OverflowError:
        raise ValueError("the result is too large for a decimal number") from None
    except (SyntaxError, MemoryError, RecursionError, TypeError):
        raise ValueError(f"{expression.strip()!r} is not arithmetic I can read") from None
    except ValueError as error:
        words = str(error)
        raise ValueError("that has no real value" if words.startswith(("math domain", "expected")) else words) from None
    return Calculation(source, value, steps)


def _evaluate(node: ast.expr, source: str, steps: list[Step]) -> Number:
    match node:
        case ast.Constant(value=bool()):
            raise TypeError
        case ast.Constant(value=int(value)):
            return Fraction(value)
        case ast.Constant(value=float(value)):
            return _decimal(value, ast.get_source_segment(source, node) or "")
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, source, steps)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _evaluate(operand, source, steps)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            a, b = _evaluate(left, source, steps), _evaluate(right, source, steps)
            sign, function = _OPERATORS[type(op)]
            return _step(Step(sign, (a, b), function(a, b)), steps)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            values = tuple(_evaluate(argument, source, steps) for argument in args)
            return _step(Step(name, values, _FUNCTIONS[name](*values)), steps)
        case _:
            raise TypeError


def _decimal(value: float, text: str) -> Number:
    """The literal as written, exactly; an exponent goes through the float, whose own is bounded."""
    if math.isinf(value):
        raise OverflowError
    return Fraction(text if re.fullmatch(r"[\d_.]+", text) else repr(value))


def _step(step: Step, steps: list[Step]) -> Number:
    value = step.value
    if isinstance(value, Fraction):
        if max(abs(value.numerator), value.denominator).bit_length() > 2 * LARGEST:
            raise ValueError(_TOO_LARGE)
    elif not math.isfinite(value):
        raise OverflowError
    steps.append(step)
    return value


# -- numbers as people read them -----------------------------------------------------------------


def is_exact(value: Number) -> bool:
    """Whether `format_number` writes all of it."""
    if isinstance(value, float):
        return False
    return value.denominator == 1 or _places(value) is not None


def sign_of(value: Number) -> str:
    """The sign before a number as `format_number` writes it."""
    return "=" if is_exact(value) else "≈"


def _places(value: Fraction) -> int | None:
    """Decimal places of a fraction whose decimals end within fifteen, else None."""
    return next((places for places in range(16) if 10**places % value.denominator == 0), None)


def format_number(value: Number) -> str:
    """Decimal digits with thousands separators: all of them where they end, else twelve significant ones."""
    if isinstance(value, Fraction):
        places = _places(value)
        if places is not None and abs(value.numerator) < 10**MOST_DIGITS:
            whole, part = divmod(abs(value.numerator) * 10**places // value.denominator, 10**places)
            sign = "-" if value < 0 else ""
            return f"{sign}{whole:,}" + (f".{part:0{places}}" if places else "")
        if abs(value) >= 10**15:
            return _scientific(value)
    number = float(value)
    text = f"{number:.12g}"
    return text if "e" in text or "." not in text or abs(number) < 1000 else f"{number:,.6f}".rstrip("0").rstrip(".")


def _scientific(value: Fraction) -> str:
    """A number too long to write out, and how long it is; float() would overflow on it."""
    digits = math.floor(abs(value))
    length = int(digits.bit_length() * math.log10(2)) + 1
    length -= 10 ** (length - 1) > digits
    lead = str(digits // 10 ** (length - 11))
    return f"{'-' if value < 0 else ''}{lead[0]}.{lead[1:]}e{length - 1} ({length:,} digits)"


# -- words ---------------------------------------------------------------------------------------

_N = r"-?\d[\d_]*(?:\.\d+)?"
_WORDS: tuple[tuple[str, str], ...] = (
    (r"[×·⋅]|(?<=\d)\s*x\s*(?=\d)", "*"),
    (r"÷", "/"),
    (r"−", "-"),
    (r"²", "**2"),
    (r"³", "**3"),
    (r"√\s*(\d[\d.]*|(?=\())", r"sqrt(\1)"),
    (rf"^(.+?)\s*([+-])\s*({_N})\s*(?:%|percent)$", r"(\1)*(1\2\3/100)"),
    (rf"({_N})\s*(?:%|percent)\s+of\b", r"\1/100*"),
    (rf"({_N})(?:%|\s*percent)(?=\s*(?:$|[*/)])|\s+[-+]\s)", r"(\1/100)"),
    (rf"\b(square|cube) root of\s+({_N})", r"\1root(\2)"),
    (r"\b(square|cube) root of\s*\(", r"\1root("),
    (r"\b(?:squareroot|sqroot)\(", "sqrt("),
    (r"\bcuberoot\(", "cbrt("),
    (rf"\b(sin|cos|tan|log|ln|factorial)(?:\s+of)?\s+({_N}|pi)", r"\1(\2)"),
    (rf"({_N})\s*!", r"factorial(\1)"),
    (r"\bsquared\b", "**2"),
    (r"\bcubed\b", "**3"),
    (r"\b(?:raised )?to the power of\b", "**"),
    (r"\bplus\b|\badded to\b", "+"),
    (r"\bminus\b", "-"),
    (r"\b(?:multiplied by|times)\b", "*"),
    (r"\b(?:divided by|over)\b", "/"),
    (r"\b(?:modulo|mod)\b", "%"),
)
_ASKING = re.compile(
    r"^(?:please\s+)?(?:(?:what(?:'s| is| are)|how much is|calculate|compute|evaluate|work out|solve|and)\s+)*"
    r"(?:the\s+(?:result|value)\s+of\s+|the\s+)?",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"\s*(?:(?P<name>[^\W\d]\w*)|\d[\d_]*\.?\d*(?:e[-+]?\d+)?|\.\d+|[-+*/%^(),])\s*")


def read_arithmetic(text: str) -> str | None:
    """The expression in a sentence such as "what is 15% of 80?", or None where the sentence is something else."""
    body = _ASKING.sub("", text.strip().strip("`").rstrip("?=. "))
    if not body or len(body) > 2 * LONGEST_EXPRESSION:
        return None
    body = body.lower().strip("` ")
    if not re.search(r"[a-z]\(", body):  # between arguments a comma is no separator of thousands
        body = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", body)
    for pattern, replacement in _WORDS:
        body = re.sub(pattern, replacement, body)
    at, working = 0, False
    while at < len(body):
        token = _TOKEN.match(body, at)
        if token is None or (token["name"] and token["name"] not in _FUNCTIONS and token["name"] not in CONSTANTS):
            return None
        working = working or bool(token["name"]) or token[0].strip() in set("+-*/%^")
        at = token.end()
    return body if working and _parses(body) else None


def _parses(expression: str) -> bool:
    try:
        ast.parse(expression.replace("^", "**"), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def shown_expression(sentence: str) -> str:
    """The arithmetic of a sentence as it was typed, to be shown."""
    return _ASKING.sub("", sentence.strip().rstrip("?").strip()).strip("` ")


def answer(match: re.Match[str], question: Question) -> str | None:
    """The result of the arithmetic in a sentence, with the steps to it."""
    expression = read_arithmetic(match[0])
    if expression is None:
        return None
    shown = shown_expression(match[0])
    try:
        result = calculate(expression)
    except ValueError as error:
        return f"I did not calculate `{shown[:100]}`: {error}."
    sign = sign_of(result.value)
    text = f"`{shown}` {sign} **{format_number(result.value)}**"
    if isinstance(result.value, Fraction) and sign == "≈" and result.value.denominator < 10**9:
        text += f", exactly {result.value.numerator:,}/{result.value.denominator:,}"
    if len(result.work) > 1:
        more = len(result.work) - MOST_STEPS
        lines = [f"{at}. {step}" for at, step in enumerate(result.work[:MOST_STEPS], 1)]
        text += "\n\n" + "\n".join(lines + ([f"\n… {more} more steps"] if more > 0 else []))
    return text
