"""Conversions against their definitions."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.models.question import Question
from openclaw_nb.models.units import _EXACT, Unit, answer, convert, find_unit

UNITS = sorted(_EXACT.values(), key=lambda unit: (unit.dimension, unit.symbol))


def ask(text: str) -> str | None:
    match = re.match(r"(?s).*", text)
    assert match
    return answer(match, Question(text))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("convert 5 miles to km", "**8.04672 km**"),
        ("72 F in C", "**22.2222222222 °C**"),
        ("-40 °C to °F", "**-40 °F**"),
        ("what is 3 hours in minutes?", "**180 min**"),
        ("how many minutes are in 3 hours?", "**180 min**"),
        ("how many feet in a mile", "**5,280 ft**"),
        ("5 in in cm", "**12.7 cm**"),
        ("1/2 cup in mL", "**118.29411825 mL**"),
        ("100 Mb to MB", "**12.5 MB**"),
        ("1 GiB in bytes", "**1,073,741,824 B**"),
        ("300 K in celsius", "**26.85 °C**"),
        ("100 km/h to mph", "**62.1371192237 mph**"),
        ("1 acre in m^2", "**4,046.8564224 m²**"),
        ("1 kWh to kJ", "**3,600 kJ**"),
        ("1 atm in kPa", "**101.325 kPa**"),
        ("1,000 g to kg", "**1 kg**"),
        ("2 hours to hours", "**2 h**"),
        ("98.6 degrees fahrenheit to celsius", "**37 °C**"),
        ("180 degrees in radians", "**3.14159265359 rad**"),
        ("5 miles to kg", "mi measures length and kg measures mass"),
        ("-500 C to K", "below absolute zero"),
        ("5 milse to km", "Did you mean mile"),
    ],
)
def test_what_people_type(text: str, result: str) -> None:
    assert result in (ask(text) or "")


@pytest.mark.parametrize(
    "text",
    ["put 3 apples in a basket", "5 in binary", "write 5 words", "", "5 miles", "what is in sales", "1/0 m in km"],
)
def test_what_is_no_conversion(text: str) -> None:
    assert ask(text) is None


def test_the_working_is_shown() -> None:
    assert ask("5 miles to km") == "5 mi = **8.04672 km**\n\n1 mi = 1.609344 km, so 5 × 1.609344."
    assert ask("500 m to km") == "500 m = **0.5 km**\n\n1 km = 1,000 m, so 500 ÷ 1,000."
    assert (ask("50 F to C") or "").endswith("(50 − 32) × 5/9.")


@given(st.sampled_from(UNITS), st.sampled_from(UNITS), st.fractions(0, 10**6, max_denominator=1000))
def test_there_and_back(a: Unit, b: Unit, number: Fraction) -> None:
    if a.dimension == b.dimension:
        assert convert(convert(number, a, b), b, a) == number
        ask(f"{float(number)} {a.symbol} to {b.symbol}")
    else:
        with pytest.raises(ValueError, match="cannot be converted"):
            convert(number, a, b)


def test_names() -> None:
    names = {"Miles": "mi", "feet": "ft", "inches": "in", "LITRES": "L", "Mb": "Mbit", "MB": "MB", "ms": "ms"}
    for name, symbol in names.items():
        unit = find_unit(name)
        assert unit is not None
        assert unit.symbol == symbol
    assert find_unit("parsnips") is None
