"""The few small programs that the offline model knows by heart, each with what it assumes and with tests of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["PROGRAMS", "Program", "find_program"]


@dataclass(frozen=True, slots=True)
class Program:
    """``pattern`` finds its name in a task; ``assumes`` is what its task leaves open; ``tests`` call ``function``."""

    name: str
    pattern: str
    function: str
    assumes: str
    code: str
    tests: str


def find_program(task: str) -> Program | None:
    """The program that a task names, the first where it names several."""
    found = ((match.start(), one) for one in PROGRAMS if (match := re.search(one.pattern, task, re.IGNORECASE)))
    return min(found, key=lambda place: place[0], default=(0, None))[1]


_SLUGIFY = Program(
    "slugify",
    r"\bslug(?:s|ify|ification)?\b",
    "slugify",
    "accents are dropped (`é` is `e`), and what has no ASCII form is left out",
    '''\
import re
import unicodedata


def slugify(text: str) -> str:
    """The text for a web address: lower-case ASCII letters and digits, words with hyphens.

    Accents are dropped, what has no ASCII form is left out; "" where nothing is left.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower()))''',
    """\
def test_words_are_joined_by_one_hyphen():
    assert slugify("Hello,   World") == "hello-world"


def test_accents_are_dropped():
    assert slugify("Crème Brûlée") == "creme-brulee"


def test_no_hyphen_at_the_ends():
    assert slugify("  -- rock & roll! --") == "rock-roll"


def test_digits_stay():
    assert slugify("Top 10 of 2026") == "top-10-of-2026"


def test_nothing_is_left():
    assert slugify("") == ""
    assert slugify("?!") == \"\"""",
)

_FIZZBUZZ = Program(
    "fizzbuzz",
    r"\bfizz[\s-]?buzz\b",
    "fizzbuzz",
    "the lines come back as a list, and nothing is printed",
    '''\
def fizzbuzz(last: int) -> list[str]:
    """The numbers up to ``last``, with "Fizz" for multiples of 3, "Buzz" of 5, "FizzBuzz" of both.

    Empty where ``last`` is 0; ValueError where it is negative.
    """
    if last < 0:
        raise ValueError(f"last has to be 0 or more, not {last}")
    lines = []
    for n in range(1, last + 1):
        word = "Fizz" * (n % 3 == 0) + "Buzz" * (n % 5 == 0)
        lines.append(word or str(n))
    return lines''',
    """\
def test_the_first_five():
    assert fizzbuzz(5) == ["1", "2", "Fizz", "4", "Buzz"]


def test_a_multiple_of_both():
    assert fizzbuzz(15)[-1] == "FizzBuzz"


def test_as_many_lines_as_asked_for():
    assert len(fizzbuzz(100)) == 100


def test_none_at_all():
    assert fizzbuzz(0) == []


def test_a_negative_number():
    with pytest.raises(ValueError):
        fizzbuzz(-1)""",
)

_ROMAN = Program(
    "Roman numerals",
    r"\broman(?: number| numeral)?s?\b",
    "to_roman",
    "numbers become numerals, not the other way round, in the usual subtractive form (4 is IV)",
    '''\
NUMERALS = {
    1000: "M", 900: "CM", 500: "D", 400: "CD", 100: "C", 90: "XC",
    50: "L", 40: "XL", 10: "X", 9: "IX", 5: "V", 4: "IV", 1: "I",
}


def to_roman(number: int) -> str:
    """A number from 1 to 3999 as a Roman numeral; ValueError for any other."""
    if not 1 <= number <= 3999:
        raise ValueError(f"a Roman numeral is from 1 to 3999, not {number}")
    numeral = ""
    for value, letters in NUMERALS.items():
        count, number = divmod(number, value)
        numeral += letters * count
    return numeral''',
    """\
def test_sums():
    assert to_roman(3) == "III"
    assert to_roman(2026) == "MMXXVI"


def test_differences():
    assert [to_roman(n) for n in (4, 9, 40, 90, 400, 900)] == ["IV", "IX", "XL", "XC", "CD", "CM"]


def test_the_smallest_and_the_largest():
    assert to_roman(1) == "I"
    assert to_roman(3999) == "MMMCMXCIX"


@pytest.mark.parametrize("number", [0, -1, 4000])
def test_what_has_no_numeral(number):
    with pytest.raises(ValueError):
        to_roman(number)""",
)

_AVERAGE = Program(
    "a moving average",
    r"\b(?:moving|rolling|running) (?:average|mean)s?\b",
    "moving_average",
    "only full windows count, so the result is shorter than the values by `window - 1`",
    '''\
from collections.abc import Sequence


def moving_average(values: Sequence[float], window: int) -> list[float]:
    """The mean of each ``window`` neighbours, from the first full window to the last.

    Empty where there are fewer values than that; ValueError where ``window`` is less than 1.
    """
    if window < 1:
        raise ValueError(f"window has to be 1 or more, not {window}")
    starts = range(len(values) - window + 1)
    return [sum(values[start : start + window]) / window for start in starts]''',
    """\
def test_pairs():
    assert moving_average([1, 2, 4, 8], 2) == [1.5, 3, 6]


def test_a_window_of_one():
    assert moving_average([3, 1, 2], 1) == [3, 1, 2]


def test_a_window_of_all():
    assert moving_average([1, 2, 3], 3) == [2]


def test_fewer_values_than_the_window():
    assert moving_average([1, 2], 3) == []
    assert moving_average([], 1) == []


@pytest.mark.parametrize("window", [0, -1])
def test_no_window(window):
    with pytest.raises(ValueError):
        moving_average([1, 2], window)""",
)

_DURATION = Program(
    "parsing durations",
    r"\b(?:pars\w+|read\w*)\b.*\bdurations?\b|\bdurations?\b.*\bpars\w+|\bparse_duration\b",
    "parse_duration",
    "units are d, h, m and s, each a whole number, from the largest to the smallest",
    '''\
import re


def parse_duration(text: str) -> int:
    """A duration such as "1h 30m" or "2d" in seconds; each unit at most once, days first.

    ValueError where it is anything else, or nothing.
    """
    units = r"(?:(\\d+)d)?\\s*(?:(\\d+)h)?\\s*(?:(\\d+)m)?\\s*(?:(\\d+)s)?"
    match = re.fullmatch(units, text.strip(), re.ASCII)
    if match is None or not any(match.groups()):
        raise ValueError(f"a duration is written like 1h 30m, not {text!r}")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds''',
    """\
@pytest.mark.parametrize(("text", "seconds"), [("1d", 86400), ("1h", 3600), ("1m", 60), ("1s", 1), ("0s", 0)])
def test_one_unit(text, seconds):
    assert parse_duration(text) == seconds


def test_several_units():
    assert parse_duration("1h 30m") == 5400
    assert parse_duration("1d2h3m4s") == 93784


def test_spaces_around_it():
    assert parse_duration(" 5s ") == 5


@pytest.mark.parametrize("text", ["", "  ", "5", "m", "-1h", "1.5h", "30m 1h", "1h 1h", "1w"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError):
        parse_duration(text)""",
)

_FIBONACCI = Program(
    "Fibonacci numbers",
    r"\bfibonacci\b",
    "fibonacci",
    "the series begins with 0 and 1, and that many of its numbers are given",
    '''\
def fibonacci(count: int) -> list[int]:
    """The first ``count`` Fibonacci numbers, from 0 and 1 on; ValueError where it is negative."""
    if count < 0:
        raise ValueError(f"count has to be 0 or more, not {count}")
    numbers = []
    current, following = 0, 1
    for _ in range(count):
        numbers.append(current)
        current, following = following, current + following
    return numbers''',
    """\
def test_the_first_eight():
    assert fibonacci(8) == [0, 1, 1, 2, 3, 5, 8, 13]


def test_none_and_one():
    assert fibonacci(0) == []
    assert fibonacci(1) == [0]


def test_large_numbers_are_exact():
    assert fibonacci(101)[-1] == 354224848179261915075


def test_a_negative_count():
    with pytest.raises(ValueError):
        fibonacci(-1)""",
)

PROGRAMS = (_SLUGIFY, _FIZZBUZZ, _ROMAN, _AVERAGE, _DURATION, _FIBONACCI)
"""All of them, as `coding` lists them."""
