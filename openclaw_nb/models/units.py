"""Conversion between units of measurement, by exact factors, with the working shown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from .calculator import format_number, is_exact
from .question import Question

__all__ = [
    "Conversion",
    "Unit",
    "answer",
    "base_unit",
    "convert",
    "find_unit",
    "is_rounded",
    "read_conversion",
]

MOST_DIGITS = 40  # of the number that is to be converted


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: one of it is ``factor`` base units of its dimension; ``zero`` is where its scale begins, in those."""

    symbol: str
    dimension: str
    factor: Fraction
    zero: Fraction = Fraction()


@dataclass(frozen=True, slots=True)
class Conversion:
    """So many of one unit that are wanted in another."""

    number: Fraction
    source: Unit
    target: Unit


# One line for each unit: symbol, factor to the first unit of its dimension, other names. Names match in any case where
# that leaves no doubt (Mb and MB differ). Sources: BIPM SI Brochure; NIST SP 811, appendix B; IEC 80000-13.
_TABLE = {
    "length": """
        m 1 metre meter; km 1000 kilometre kilometer; cm 0.01 centimetre centimeter; mm 0.001 millimetre millimeter
        µm 0.000001 um micrometre micrometer micron; nm 0.000000001 nanometre nanometer; mi 1609.344 mile
        yd 0.9144 yard; ft 0.3048 foot feet; in 0.0254 inch inches; nmi 1852 nautical_mile; au 149597870700
        ly 9460730472580800 lightyear light_year""",
    "mass": """
        kg 1 kilogram kilo; g 0.001 gram gramme; mg 0.000001 milligram; µg 0.000000001 ug microgram
        t 1000 tonne metric_ton; lb 0.45359237 lbs pound; oz 0.028349523125 ounce; st 6.35029318 stone stones
        ton 907.18474 short_ton""",
    "time": """
        s 1 sec second; ms 0.001 millisecond; µs 0.000001 us microsecond; ns 0.000000001 nanosecond; min 60 minute
        h 3600 hr hour; d 86400 day; week 604800 wk; month 2629800; year 31557600 yr; decade 315576000
        century 3155760000 centuries""",
    "temperature": """
        K 1 kelvin; °C 1 c celsius centigrade degc degree_celsius degrees_celsius degree_c degrees_c
        °F 5/9 f fahrenheit degf degree_fahrenheit degrees_fahrenheit degree_f degrees_f""",
    "volume": """
        L 1 litre liter; mL 0.001 millilitre milliliter; cl 0.01 centilitre centiliter; dl 0.1 decilitre deciliter
        m³ 1000 m3 cubic_metre cubic_meter; cm³ 0.001 cm3 cc cubic_centimetre cubic_centimeter
        gal 3.785411784 gallon us_gallon; imp_gal 4.54609 imperial_gallon uk_gallon; qt 0.946352946 quart
        pt 0.473176473 pint; cup 0.2365882365; fl_oz 0.0295735295625 fluid_ounce; tbsp 0.01478676478125 tablespoon
        tsp 0.00492892159375 teaspoon; ft³ 28.316846592 ft3 cubic_foot cubic_feet""",
    "area": """
        m² 1 m2 square_metre square_meter sqm; km² 1000000 km2 square_kilometre square_kilometer
        cm² 0.0001 cm2 square_centimetre square_centimeter; mm² 0.000001 mm2; ha 10000 hectare; acre 4046.8564224
        ft² 0.09290304 ft2 sqft sq_ft square_foot square_feet; in² 0.00064516 in2 square_inch square_inches
        mi² 2589988.110336 mi2 square_mile""",
    "speed": """
        m/s 1 mps metre_per_second meter_per_second metres_per_second meters_per_second
        km/h 5/18 kmh kph km_per_hour kilometres_per_hour kilometers_per_hour; mph 0.44704 mi/h miles_per_hour
        kn 463/900 knot kt; ft/s 0.3048 fps feet_per_second""",
    "data": """
        B 8 byte; bit 1 b; kB 8000 kilobyte; MB 8000000 megabyte; GB 8000000000 gigabyte; TB 8000000000000 terabyte
        PB 8000000000000000 petabyte; KiB 8192 kibibyte; MiB 8388608 mebibyte; GiB 8589934592 gibibyte
        TiB 8796093022208 tebibyte; kbit 1000 kb kilobit; Mbit 1000000 Mb megabit; Gbit 1000000000 Gb gigabit""",
    "energy": """
        J 1 joule; kJ 1000 kilojoule; MJ 1000000 megajoule; cal 4.184 calorie; kcal 4184 kilocalorie; Wh 3600 watt_hour
        kWh 3600000 kilowatt_hour; MWh 3600000000 megawatt_hour; eV 0.0000000000000000001602176634 electronvolt
        BTU 1055.05585262""",
    "pressure": """
        Pa 1 pascal; hPa 100 hectopascal; kPa 1000 kilopascal; MPa 1000000 megapascal; bar 100000
        mbar 100 millibar; atm 101325 atmosphere; psi 6894.757293168; mmHg 133.322387415; torr 20265/152""",
    "angle": """
        ° 1 deg degree; rad 57.29577951308232 radian; turn 360 revolution; gon 0.9 grad""",
}  # fmt: skip
_ZEROS = {"°C": Fraction("273.15"), "°F": Fraction("459.67") * 5 / 9}
_INEXACT = {"rad", "psi", "BTU"}


def _units() -> Iterator[tuple[Unit, list[str]]]:
    for dimension, lines in _TABLE.items():
        for line in re.split(r"[;\n]", lines):
            if words := line.split():
                symbol, factor, *names = words
                unit = Unit(symbol.replace("_", " "), dimension, Fraction(factor), _ZEROS.get(symbol, Fraction()))
                yield unit, [name.replace("_", " ") for name in (symbol, *names)]


_EXACT = {name: unit for unit, names in _units() for name in names}
_BASE = {unit.dimension: unit for unit in reversed(_EXACT.values()) if unit.factor == 1 and not unit.zero}
_FOLDED: dict[str, Unit] = {}
for _name, _unit in _EXACT.items():
    _FOLDED.setdefault(_name.casefold(), _unit)

_NUMBER = r"[-+−]?(?:\d[\d,_ ]*\d|\d)?(?:\.\d+)?(?:e[-+]?\d{1,2})?(?:\s*/\s*\d+)?"
_FORWARD = re.compile(
    rf"^(?:please\s+)?(?:convert|what(?:'s| is)|how much is|express|change)?\s*(?P<number>an?\b|{_NUMBER})\s*"
    r"(?P<source>[^\d\s][^\d]*?[²³23]?)\s+(?:to|in|into|as|=)\s+(?P<target>[^\d\s][^\d]*?[²³23]?)$",
    re.IGNORECASE,
)
_BACKWARD = re.compile(
    rf"^how (?:many|much)\s+(?P<target>[^\d\s][^\d]*?)\s+(?:(?:are|is)(?: there)?\s+in|in|make|is|are)\s+"
    rf"(?P<number>an?\b|{_NUMBER})\s*(?P<source>[^\d\s][^\d]*?[²³23]?)$",
    re.IGNORECASE,
)


def find_unit(name: str) -> Unit | None:
    """The unit of this name or symbol, singular or plural, or None."""
    name = " ".join(name.split()).removeprefix("degrees ").replace("^", "")
    folded = name.casefold()
    if exact := _EXACT.get(name) or _EXACT.get(name.removesuffix("s")):
        return exact
    return _FOLDED.get(folded) or _FOLDED.get(folded.removesuffix("s")) or _FOLDED.get(folded.removesuffix("es"))


def base_unit(unit: Unit) -> Unit:
    """The unit that the others of its dimension are so many of."""
    return _BASE[unit.dimension]


def convert(number: Fraction, source: Unit, target: Unit) -> Fraction:
    """``number`` of one unit in another. Raises ValueError, with one sentence, where they measure different things."""
    if source.dimension != target.dimension:
        raise ValueError(
            f"{source.symbol} measures {source.dimension} and {target.symbol} measures {target.dimension}, "
            "so one cannot be converted into the other"
        )
    base = number * source.factor + source.zero
    if base < 0 and source.dimension == "temperature":
        raise ValueError(f"{format_number(number)} {source.symbol} is below absolute zero")
    return (base - target.zero) / target.factor


def read_conversion(text: str) -> Conversion | str | None:
    """The conversion that a sentence asks for, a hint where it nearly asks for one, None where it does not."""
    text = text.strip().rstrip("?.! ")
    asked = _BACKWARD.match(text) or _FORWARD.match(text)
    if asked is None:
        return None
    source, target = find_unit(asked["source"]), find_unit(asked["target"])
    if source is None and target is None:
        return None
    if source is None or target is None:
        return _unknown(asked["target"] if source else asked["source"], source or target)
    number = _read(asked["number"])
    return None if number is None else Conversion(number, source, target)


def is_rounded(value: Fraction, *units: Unit) -> bool:
    """Whether a value in these units is written rounded, or rests on a factor that is."""
    return not is_exact(value) or any(unit.symbol in _INEXACT for unit in units)


def answer(match: re.Match[str], question: Question) -> str | None:
    """The conversion asked for in a sentence, with its working; None where the sentence is no conversion."""
    asked = read_conversion(match[0])
    if not isinstance(asked, Conversion):
        return asked
    number, source, target = asked.number, asked.source, asked.target
    try:
        value = convert(number, source, target)
    except ValueError as error:
        return f"I did not convert that: {error}."
    sign = "≈" if is_rounded(value, source, target) else "="
    result = f"{format_number(number)} {source.symbol} {sign} **{format_number(value)} {target.symbol}**"
    working = _working(number, source, target)
    return f"{result}\n\n{working}" if working else result


def _read(text: str) -> Fraction | None:
    plain = re.sub(r"[,_\s]", "", text.replace("−", "-").lower())
    if plain in ("", "a", "an"):
        return Fraction(1)
    try:
        return Fraction(plain) if len(plain) <= MOST_DIGITS else None
    except (ValueError, ZeroDivisionError):
        return None


def _working(number: Fraction, source: Unit, target: Unit) -> str:
    if source.symbol == target.symbol or (number == 1 and source.dimension != "temperature"):
        return ""
    shown = format_number(number)
    if source.dimension == "temperature":
        return _temperature_working(shown, source.symbol, target.symbol)
    factor = source.factor / target.factor
    by, one, other = "×", source.symbol, target.symbol
    if not is_exact(factor) or (factor < 1 and is_exact(1 / factor)):
        factor, by, one, other = 1 / factor, "÷", other, one
    sign = "=" if is_exact(factor) else "≈"
    return f"1 {one} {sign} {format_number(factor)} {other}, so {shown} {by} {format_number(factor)}."


def _temperature_working(shown: str, source: str, target: str) -> str:
    return {
        ("°F", "°C"): f"({shown} − 32) × 5/9.",
        ("°C", "°F"): f"{shown} × 9/5 + 32.",
        ("°C", "K"): f"{shown} + 273.15.",
        ("K", "°C"): f"{shown} − 273.15.",
        ("°F", "K"): f"({shown} + 459.67) × 5/9.",
        ("K", "°F"): f"{shown} × 9/5 − 459.67.",
    }[source, target]


def _unknown(name: str, other: Unit | None) -> str | None:
    """A hint where one side is a unit and the other nearly is; else the sentence was about something else."""
    known = [unit_name for unit_name, unit in _EXACT.items() if other and unit.dimension == other.dimension]
    near = difflib.get_close_matches(name.strip()[:40], known, 1, 0.7)
    return f"I know no unit `{name.strip()[:40]}`. Did you mean {near[0]}?" if near else None
