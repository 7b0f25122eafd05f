"""What a level picker says in words: each level with what it would take, and why; and the form of it that lasts.

The form is HTML in which a page that strips the style still finds a table, and plain text; there is no script in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from html import escape

from ..errors import ConfigError
from ..markup import inert
from ..outlook import Preview
from ..reasoning.estimates import CostEstimate, Estimate
from ..reasoning.levels import ReasoningLevel
from ..render import counted, dollars, plain
from .library import static

__all__ = ["Choice", "Choices", "bundle", "choices"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of auto and the levels: a short ``figure`` below its ``label``, and in ``detail`` the same with ranges.

    Where it is ``off`` it cannot be chosen, and both say why.
    """

    label: str
    figure: str
    detail: str
    off: bool = False


@dataclass(frozen=True, slots=True)
class Choices:
    """All of them, of which one is ``chosen`` (0 is auto); a ``line`` on why, and what prompt all is ``about``.

    ``trouble`` is why nothing is known of a run, "" where something is.
    """

    chosen: int
    choices: tuple[Choice, ...]
    line: str
    about: str
    trouble: str = ""


def choices(
    level: int | str,
    preview: Preview,
    *,
    max_level: int = 4,
    about: str = "the last prompt",
    trouble: str = "",
    live: bool = True,
) -> Choices:
    """What there is to choose from; ``about`` names the prompt that was looked at, "" for none.

    With ``live=False`` there are no seconds, so that what was measured on another day changes nothing.
    """
    would = f"would take {int(preview.decision.level)}"
    auto = Choice("Auto", would, f"by the prompt at hand it {would}")
    levels = [_choice(one, preview.estimates.get(int(one)), max_level, live) for one in ReasoningLevel]
    chosen = 0 if level == "auto" else int(level)
    reason = preview.decision.reason.removeprefix("auto").lstrip(": ,") if about else "nothing was asked yet"
    reason = reason or "nothing in it asks for more"
    line = trouble or (f"auto: {reason}" if chosen and about else reason)
    return Choices(chosen, (auto, *levels), line, about or "a short prompt", trouble)


def _choice(level: ReasoningLevel, estimate: CostEstimate | None, max_level: int, live: bool) -> Choice:
    if level > max_level:
        return Choice(level.label, f"limited to {max_level}", f"no level above {max_level} is allowed here", off=True)
    if estimate is None:
        return Choice(level.label, "no estimate", "there is no estimate")
    tokens = f"{counted(_rounded(estimate.tokens), 'token')}"
    short = _seconds(estimate.seconds) if live else tokens
    ranges = [_money_range(estimate), *([_seconds_range(estimate.seconds)] if live else []), f"about {tokens}"]
    return Choice(level.label, f"{_money(estimate)} · {short}", "; ".join(ranges))


def _money(estimate: CostEstimate) -> str:
    if not estimate.known:
        return "price unknown"
    return dollars(estimate) if estimate.high else "free"


def _money_range(estimate: CostEstimate) -> str:
    if not estimate.known:
        return "the price of its model is not known"
    if not estimate.high:
        return "free"
    return f"about {dollars(estimate)}, between {dollars(estimate.low)} and {dollars(estimate.high)}"


def _seconds(seconds: float) -> str:
    """As exact as an estimate is: "1 s", "40 s", "3 min"."""
    return f"{max(1, round(seconds))} s" if seconds < 89.5 else f"{round(seconds / 60)} min"


def _seconds_range(seconds: Estimate) -> str:
    return f"about {_seconds(seconds)}, between {_seconds(seconds.low)} and {_seconds(seconds.high)}"


def _rounded(tokens: float) -> int:
    """To two digits that count."""
    return int(float(f"{tokens:.2g}"))


# -- the form that lasts -------------------------------------------------------------------------------


def bundle(shown: Choices, *, place: str = "") -> dict[str, str]:
    """The mimebundle; ``place`` names the place for the live view of a page that has the widget."""
    attribute = f' data-ocnb-level="{escape(place)}"' if place else ""
    cells = "".join(_cell(choice, level == shown.chosen) for level, choice in enumerate(shown.choices))
    css = _css()
    html = (
        f'<div class="ocnb-level-place"{attribute}><div class="ocnb-picker">'
        f'<table class="ocnb-levels" aria-label="reasoning level"><tbody><tr>{cells}</tr></tbody></table>'
        f'<div class="ocnb-why">{inert(shown.line)}</div><div class="ocnb-for">for {inert(shown.about)}</div></div>'
        f"{f'<style>{css}</style>' if css else ''}</div>"
    )
    return {"text/html": html, "text/plain": "\n".join(_lines(shown))}


def _cell(choice: Choice, chosen: bool) -> str:
    state = " ocnb-chosen" if chosen else " ocnb-off" if choice.off else ""
    said = '<span class="ocnb-unseen">, chosen</span>' if chosen else ""
    return (
        f'<td class="ocnb-level{state}" title="{escape(choice.detail)}">'
        f"<b>{inert(choice.label)}{said}</b><br><small>{inert(choice.figure)}</small></td>"
    )


def _lines(shown: Choices) -> list[str]:
    labels, figures = (
        max(map(len, column)) for column in zip(*((one.label, one.figure) for one in shown.choices), strict=True)
    )
    rows = [
        f"{choice.label:<{labels}}  {choice.figure:<{figures}}  {'chosen' if level == shown.chosen else ''}".rstrip()
        for level, choice in enumerate(shown.choices)
    ]
    return [*rows, *filter(None, (plain(shown.line), f"for {shown.about}"))]


@cache
def _css() -> str:
    """The picker's style sheet, as built; "" in a checkout where it is not built yet."""
    try:
        return static("level.css").strip()
    except ConfigError:
        return ""
