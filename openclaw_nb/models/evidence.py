"""What can be shown for each part of an answer: the same by other ways, and what was tried to refute it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from ..prompts import Data
from .calculator import (
    Calculation,
    Number,
    calculate,
    format_number,
    read_arithmetic,
    shown_expression,
    sign_of,
)
from .drafts import agrees, numbers
from .inverses import Trial, verify
from .question import Question
from .recomputation import in_decimals, over_one_denominator
from .recounting import recount
from .skills import Part
from .units import Conversion, base_unit, convert, is_rounded, read_conversion

__all__ = ["Evidence", "evidence", "method"]

MOST_TRIALS = 3  # that are told one by one
LONGEST_NAME = 60  # characters of what a part is called

_ROUNDING = Fraction(1, 10**30)  # of decimals, relative to the largest number on the way

_METHODS = {
    "arithmetic": (
        "compute {} with exact fractions",
        "verify each step by its inverse, and the whole in long decimals",
    ),
    "units": ("convert {} by exact factors", "verify through the base unit, and by converting back"),
    "counting": ("write out {}", "verify how many numbers there are, and their sum"),
    "placeholder text": ("write out {}", "verify by counting the words"),
    "code": ("answer {} by what is known by heart or read in the code", "verify by asking it again"),
    "the variables": ("describe {} from its block in the prompt", "verify by counting in the block again"),
}
_LOOKED_UP = ("answer {} from {}", "verify by asking it again")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One part: ``texts`` are right answers to it, one by each way.

    ``value`` is its number where it is one, and ``result`` how that is written, its sign in front.
    """

    part: Part
    texts: tuple[str, ...]
    trials: tuple[Trial, ...] = ()
    value: Number | None = None
    result: str = ""

    @property
    def name(self) -> str:
        return _named(self.part.asked)

    @property
    def holds(self) -> bool:
        return all(trial.agrees for trial in self.trials)

    def __str__(self) -> str:
        """What was verified, in a line."""
        what = f"{self.name} {self.result}".rstrip()
        tried = [
            *(trial for trial in self.trials if not trial.agrees),
            *filter(lambda trial: trial.agrees, self.trials),
        ]
        if not tried:
            return f"{what}: cannot be verified here"
        more = len(tried) - MOST_TRIALS
        words = "; ".join([trial.text for trial in tried[:MOST_TRIALS]] + ([f"and {more} more"] if more > 0 else []))
        return f"{what}: {words}, {'agrees' if self.holds else 'does not agree'}"


def method(part: Part) -> str:
    """How a part is answered and verified, in a line of a plan."""
    does, tries = _METHODS.get(part.skill, _LOOKED_UP)
    does = does.format(_named(part.asked), part.skill)
    return f"{does[0].upper()}{does[1:]}; {tries}."


def evidence(part: Part, question: Question, again: str) -> Evidence:
    """What can be shown for one part; ``again`` is what its skill says when it is asked once more."""
    try:
        found = _FINDERS[part.skill](part, question) if part.skill in _FINDERS else None
    except (ValueError, ArithmeticError):
        found = None
    return found or Evidence(part, (part.text,), (Trial("asked again, the same word for word", again == part.text),))


def _named(asked: str) -> str:
    asked = re.sub(r"^convert\s+", "", shown_expression(asked) or asked.strip(), flags=re.IGNORECASE).rstrip(".?! ")
    short = asked if len(asked) <= LONGEST_NAME else f"{asked[: LONGEST_NAME - 1]}…"
    return f"`{short}`" if "`" not in short else short


# -- arithmetic ----------------------------------------------------------------------------------


def _arithmetic(part: Part, question: Question) -> Evidence | None:
    expression = read_arithmetic(part.asked)
    if expression is None:
        return None
    calculation = calculate(expression)
    decimals, whole = in_decimals(calculation), over_one_denominator(calculation)
    value, same = _settled(calculation, decimals)
    trials = [Trial(f"in long decimals {format_number(decimals)}", same)] if decimals is not None else []
    trials += [trial for step in calculation.work if (trial := verify(step))]
    sign = "≈" if isinstance(calculation.value, float) else sign_of(value)
    result = f"`{shown_expression(part.asked)}` {sign} **{format_number(value)}**"
    texts = [part.text] if _tells(part.text, value) else []
    texts.append(f"{result}, computed in long decimals" if decimals is not None else result)
    texts.append(f"{result}, computed in whole numbers over one denominator" if whole == value else result)
    return Evidence(part, tuple(texts), tuple(trials), value, f"{sign} {format_number(value)}")


def _settled(calculation: Calculation, decimals: Fraction | None) -> tuple[Number, bool]:
    """The value to go by, and whether the long decimals agree: they know more than a float, less than a fraction."""
    passed = [number for step in calculation.work for number in (*step.operands, step.value)]
    value = calculation.value
    if decimals is None:
        return value, True
    if any(isinstance(number, float) for number in (*passed, value)):
        return decimals, True
    largest = max((abs(Fraction(number)) for number in passed), default=Fraction(1))
    return value, abs(decimals - Fraction(value)) <= _ROUNDING * largest


def _tells(text: str, value: Number) -> bool:
    """Whether the result in an answer of the calculator is all of that value's digits."""
    bold = re.search(r"\*\*(-?)([^*]+)\*\*", text)
    return bold is not None and any(agrees(f"{bold[1]}{number}", value) for number in numbers(bold[2])[:1])


# -- units ---------------------------------------------------------------------------------------


def _conversion(part: Part, question: Question) -> Evidence | None:
    asked = read_conversion(part.asked)
    if not isinstance(asked, Conversion):
        return None
    number, source, target = asked.number, asked.source, asked.target
    value, base = convert(number, source, target), base_unit(source)
    middle = convert(number, source, base)
    other, back = convert(middle, base, target), convert(value, target, source)
    start = f"{format_number(number)} {source.symbol}"
    end = f"{'≈' if is_rounded(value, source, target) else '='} **{format_number(value)} {target.symbol}**"
    through = f"{'≈' if is_rounded(middle, source) else '='} {format_number(middle)} {base.symbol}"
    trials = (
        Trial(f"through {base.symbol} {format_number(other)} {target.symbol}", other == value),
        Trial(f"converted back {format_number(back)} {source.symbol}", back == number),
    )
    texts = (part.text, f"{start} {through} {end}", f"{start} {end}, and converted back {start}")
    return Evidence(part, texts, trials, value, end.replace("**", ""))


# -- demonstrations and data ---------------------------------------------------------------------


def _counting(part: Part, question: Question) -> Evidence | None:
    told = [int(number) for number in re.findall(r"\d+", part.text.partition(".\n")[0])]
    asked = [int(number) for number in numbers(part.asked)]
    first, last = (asked[0] if len(asked) > 1 else 1), asked[-1]
    step = 1 if last >= first else -1
    total = Fraction(len(told) * (told[0] + told[-1]), 2)
    ends = told[0] == first and (told[-1] == last or "I stop here" in part.text)
    trials = (
        Trial(
            f"{len(told):,} numbers from {told[0]:,} to {told[-1]:,}", ends and len(told) == abs(told[-1] - first) + 1
        ),
        Trial(f"their sum is {sum(told):,}, as n × (first + last) ÷ 2 is {format_number(total)}", sum(told) == total),
        Trial(
            f"each is one {'more' if step > 0 else 'less'}",
            all(b - a == step for a, b in pairwise(told)),
        ),
    )
    return Evidence(part, (part.text,), trials)


def _words(part: Part, question: Question) -> Evidence | None:
    wanted = numbers(part.asked)
    counted = sum(1 for _ in re.finditer(r"\S+", part.text))
    if not wanted:
        return None
    return Evidence(part, (part.text,), (Trial(f"{counted:,} words counted", counted == int(wanted[0])),))


def _variable(part: Part, question: Question) -> Evidence | None:
    def of_name(data: Iterable[Data]) -> Data | None:
        return next((one for one in data if one.name == part.asked), None)

    data = of_name(question.data)
    return Evidence(part, (part.text,), tuple(recount(data))) if data else None


_FINDERS: dict[str, Callable[[Part, Question], Evidence | None]] = {
    "arithmetic": _arithmetic,
    "units": _conversion,
    "counting": _counting,
    "placeholder text": _words,
    "the variables": _variable,
}
