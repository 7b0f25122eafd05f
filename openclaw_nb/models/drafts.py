"""What a draft says: the numbers in its lines, and the equations, each of which can be computed anew."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise, takewhile
from typing import NamedTuple

from .calculator import Number, calculate, format_number, is_exact, read_arithmetic
from .units import Unit, convert, find_unit, is_rounded

__all__ = ["Equation", "agrees", "equations", "numbers", "same_numbers", "shape", "signed_numbers", "unmarked"]

LONGEST_LINE = 600  # characters that are read for equations
LONGEST_NUMBER = 1_000  # characters
UNIT_WORDS = 3  # in the name of a unit, such as cubic metres per second
MOST_WORDS = 40  # on one side of an equation
ROUNDED = 10  # digits; a number with as many was perhaps rounded when it was written
FEWEST = 3  # significant digits of a number that may stand for a longer one
CLOSE = 1e-9  # relative, where an operand was rounded

_NUMBER = re.compile(r"(?<![\w.])(?:\d+(?:[,_]\d{3}(?!\d))*(?:\.\d+)?|\.\d+)(?:e[-+]?\d{1,4})?(?!\d)", re.IGNORECASE)
_MINUS = re.compile(r"(?:\A|[^\d)\s]\s*|(?<![\d)])\s)[-−]\Z")
_MARKER = re.compile(r"\s*(?:\d+[.)]|[-•])\s+")
_SIGN = re.compile(r"[=≈]|\b(?:is|are|equals?|gives|makes|exactly)\b", re.IGNORECASE)
_END = re.compile(r"[,;:]\s|[.,;:]\Z|\.\s|\s\(")
_BEGINS = re.compile(r"[\d(.√πe+−-]|[a-z]\w*\(|(?:square|cube|sin|cos|tan|log|ln|factorial|pi|tau)\b", re.IGNORECASE)
_GOES_ON = re.compile(
    rf"{_BEGINS.pattern}|[×*·÷/^%),!−²³]|(?:plus|minus|times|over|mod|modulo|divided|multiplied|added|raised|by|to|the|power"
    r"|of|percent|root|squared|cubed)\b",
    re.IGNORECASE,
)
_MASK = re.compile(r"[-−+×÷*/^%=≈\d.,_\s]+")


class Equation(NamedTuple):
    """Two sides as they were written, and whether they are equal."""

    left: str
    right: str
    value: str
    holds: bool


class _Side(NamedTuple):
    text: str
    value: Number
    unit: Unit | None = None

    @property
    def is_rounded(self) -> bool:
        return any(len(re.sub(r"\D", "", number)) >= ROUNDED for number in numbers(self.text))

    @property
    def is_number(self) -> bool:
        return not read_arithmetic(self.text)


def numbers(text: str) -> list[str]:
    """The numbers in a text, without their signs and without separators."""
    return [number for number, _ in signed_numbers(text)]


def signed_numbers(text: str) -> list[tuple[str, bool]]:
    """The numbers in a text, and of each whether it is negative: a minus stands before it that takes nothing away."""
    found = (match for match in _NUMBER.finditer(text) if len(match[0]) <= LONGEST_NUMBER)
    return [(_plain(match[0]), bool(_MINUS.search(text, max(0, match.start() - 3), match.start()))) for match in found]


def agrees(written: str, value: Number) -> bool:
    """Whether a number as it was written is that value: all of it where it has an end, else rounded rightly."""
    if written == _plain(format_number(value).partition(" ")[0]):
        return True
    try:
        number = Fraction(written)
        exact = Fraction(value)
    except (ValueError, OverflowError):
        return False
    if is_exact(value):
        return number == exact
    mantissa, _, exponent = written.lower().partition("e")
    digits = mantissa.replace("-", "").replace(".", "").lstrip("0")
    unit = Fraction(10) ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return len(digits) >= FEWEST and abs(number - exact) <= unit * Fraction(51, 100)


def same_numbers(line: str, known: str) -> bool:
    """Whether two lines hold the same numbers, where a long one may have been rounded further."""
    ours, theirs = (sorted(numbers(text), key=lambda number: Fraction(number)) for text in (line, known))
    return len(ours) == len(theirs) and all(map(_stands_for, ours, theirs))


def _stands_for(written: str, known: str) -> bool:
    digits = len(re.sub(r"\D", "", known))
    return Fraction(written) == Fraction(known) or (
        digits >= ROUNDED and "." in known and agrees(written, float(known))
    )


def unmarked(line: str) -> str:
    """A line of a list without what it begins with."""
    return _MARKER.sub("", line, count=1) if _MARKER.match(line) else line


def shape(line: str) -> str:
    """A line without its numbers and signs: what was tampered with in these alone keeps its shape."""
    body = unmarked(line)
    return ("§" if body != line else "") + _MASK.sub("#", body.replace("**", ""))


def equations(line: str) -> Iterator[Equation]:
    """Those of a line that can be computed: arithmetic on one side at least, or a unit on both."""
    if len(line) > LONGEST_LINE:
        return
    parts = _SIGN.split(unmarked(line))
    for before, after in pairwise(parts):
        left, right = _ending(before), _beginning(after)
        if left and right and (equation := _equation(left, right)):
            yield equation


def _equation(left: _Side, right: _Side) -> Equation | None:
    value = left.value
    if left.unit and right.unit:
        try:
            value = convert(Fraction(left.value), left.unit, right.unit)
        except ValueError:
            return None
        loose = left.is_rounded or is_rounded(value, left.unit, right.unit)
    elif left.unit or right.unit:
        return None
    else:
        loose = left.is_rounded
    written = f"{'-' if right.value < 0 else ''}{_plain(right.text.lstrip('-−'))}"
    holds = agrees(written, value) if right.is_number else _close(value, right.value)
    return Equation(left.text, right.text, format_number(value), holds or (loose and _close(value, right.value)))


def _close(a: Number, b: Number) -> bool:
    try:
        return a == b or math.isclose(a, b, rel_tol=CLOSE)
    except OverflowError:
        return False


def _ending(text: str) -> _Side | None:
    """What an equation's left side is: code at the end of the text, or as many of its last words as can be read."""
    text = text.rstrip(" *,:")
    if text.endswith("`"):
        return _read(text[:-1].rpartition("`")[2])
    words = _prose(text).split()[-MOST_WORDS:]
    begins = (at for at, word in enumerate(words) if _BEGINS.match(word))
    return next(filter(None, (_read(" ".join(words[at:])) for at in begins)), None)


def _beginning(text: str) -> _Side | None:
    text = text.lstrip(" *")
    if text.startswith("`"):
        return _read(text[1:].partition("`")[0])
    words = _prose(_END.split(text, maxsplit=1)[0]).split()[:MOST_WORDS]
    if not words or not _BEGINS.match(words[0]):
        return None
    most = sum(1 for _ in takewhile(_GOES_ON.match, words)) + UNIT_WORDS
    return next(filter(None, (_read(" ".join(words[:at])) for at in range(min(most, len(words)), 0, -1))), None)


def _prose(text: str) -> str:
    """Without the marks of bold text, and without separators of thousands, which between arguments would be commas."""
    return re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text.replace("**", ""))


def _read(text: str) -> _Side | None:
    if expression := read_arithmetic(text):
        try:
            return _Side(text, calculate(expression).value)
        except ValueError:
            return None
    number = re.match(rf"[-−]?{_NUMBER.pattern}", text, re.IGNORECASE)
    if number is None:
        return None
    value = Fraction(_plain(number[0].replace("−", "-")))
    rest = text[number.end() :].strip()
    unit = find_unit(rest) if rest else None
    return _Side(number[0], value, unit) if unit or not rest else None


def _plain(number: str) -> str:
    return number.replace(",", "").replace("_", "")
