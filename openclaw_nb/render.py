"""What stays in the notebook when a run ends: one bundle of HTML, Markdown and plain text, without a widget or script.

A model's text, its step titles, model names and error sentences are hostile here: nothing of them may run, load
something from elsewhere, or steer a terminal, now, when the notebook is opened again, or after it was converted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .errors import RunError
from .outputs.answers import pretty
from .prompts import fence_for
from .reasoning.levels import ReasoningLevel

if TYPE_CHECKING:
    from .events import Step
    from .run import Result, Run

__all__ = ["Footer", "bundle", "clean", "counted", "dollars", "footer", "markdown", "plain", "static_output"]

Tone = Literal["ok", "stop", "bad", "warn", ""]

_CSS = Path(__file__).with_name("static") / "view.css"
_SEPARATOR = " · "
_MAX_WORDS = 400
_MAX_LINE = 100  # characters of a step, as in the live view


@dataclass(frozen=True, slots=True)
class Footer:
    """The one line under an answer: what state it is in, what is known about it, and last who gave it."""

    state: str
    tone: Tone
    parts: tuple[str, ...]
    end: str = ""

    def __str__(self) -> str:
        return _SEPARATOR.join(filter(None, (self.state, *self.parts, self.end)))


def bundle(run: Run | Result, *, live: bool = True, into: str = "") -> dict[str, str]:
    """The mimebundle of a run or result: ``text/html``, ``text/markdown`` and ``text/plain``.

    ``into`` is the variable that keeps the answer. With ``live=False`` nothing in it depends on the clock, so that
    the same answer gives the same bytes.
    """
    from .markup import parse, to_html
    from .remarkdown import escape_text, to_markdown

    facts = _facts(run)
    line = footer(run, live=live, into=into)
    text = pretty(facts.text) if facts.json else facts.text
    tokens = parse(_shown(_as_code(text) if facts.json and text.strip() else text))
    answer = to_html(tokens) if text.strip() else ""
    body = to_markdown(tokens)
    if facts.status != "done":  # an answer that is not whole must say so in every form
        body = f"{body}\n\n{escape_text(str(line).replace('`', ''))}".lstrip("\n")
    return {
        "text/html": _page(facts, answer, line, live),
        "text/markdown": body,
        "text/plain": f"{plain(text)}\n\n{line}".lstrip("\n"),
    }


def static_output() -> bool:
    """Whether ``OPENCLAW_NB_RENDER=static`` asks for output that is the same each time, without a live view."""
    return os.environ.get("OPENCLAW_NB_RENDER") == "static"


def markdown(text: str) -> str:
    """``text`` as Markdown in which no parser finds a tag, a script's address or an image to fetch."""
    from .markup import parse
    from .remarkdown import to_markdown

    return to_markdown(parse(_shown(text)))


# -- characters ----------------------------------------------------------------------------------------

_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_VISIBLE: dict[int, str | None] = (
    {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t\r"}
    | {ord("\r"): None, 0x7F: "\u2421"}
    | dict.fromkeys(range(0x80, 0xA0), "\ufffd")
    | dict.fromkeys(_BIDI)
)


def clean(text: str) -> str:
    """``text`` with every lone surrogate as U+FFFD, and every pair as the character it stands for."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def plain(text: str) -> str:
    """``text`` safe for a terminal: control characters as pictures, carriage returns and bidi overrides gone.

    It looks at single characters only, so a sequence cut in two by a stream is as harmless as a whole one.
    """
    return clean(text).translate(_VISIBLE)


def _shown(text: str) -> str:
    return plain(text.replace("\r\n", "\n").replace("\r", "\n"))


def _words(text: str) -> str:
    """One line for people out of any text."""
    line = " ".join(plain(text).split())
    return line if len(line) <= _MAX_WORDS else line[: _MAX_WORDS - 1] + "…"


# -- what is known -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Facts:
    text: str
    status: str
    words: str
    level: int | None
    reason: str
    tokens: int
    cost: float | None
    model: str
    seconds: float
    steps: tuple[Step, ...]
    branch: str = ""
    json: bool = False


def _facts(run: Run | Result) -> _Facts:
    reason, branch = run.level_reason, ""
    if not isinstance(run, str):
        branch = run.session if run.branch_of else ""
        settled = _settled(run)
        if settled is None:
            return _Facts(
                run.text, run.status, run.words, run.level, reason, run.tokens, None, run.model, run.seconds, run.steps,
                branch, bool(run.output),
            )  # fmt: skip
        run = settled
    return _Facts(
        run.text, run.status, run.words, run.level, reason, run.usage.output_tokens, run.cost, run.model, run.seconds,
        run.steps, branch, bool(run.output),
    )  # fmt: skip


def _as_code(text: str) -> str:
    """JSON as a block of code, which is what a structured answer is."""
    fence = fence_for(text)
    return f"{fence}json\n{text}\n{fence}"


def _settled(run: Run) -> Result | None:
    if not run.done():
        return None
    try:
        return run.result(0)
    except RunError as error:
        return error.partial


# -- the footer ----------------------------------------------------------------------------------------


def footer(run: Run | Result, *, live: bool = True, into: str = "") -> Footer:
    """The footer of a run or result, in words; without seconds and rates where ``live`` is False."""
    facts = _facts(run)
    model = _words(facts.model)
    words = _words(facts.words)
    match facts.status:
        case "done":
            return Footer("done", "ok", tuple(_figures(facts, live)), model)
        case "stopped":
            return Footer(words or "stopped by you", "stop", (_kept(facts, into),), model)
        case "failed":
            kept = (_kept(facts, into),) if facts.tokens else ()
            return Footer(words or "failed", "bad", kept, "" if kept else "%openclaw doctor")
        case "reconnecting":
            safe = f"{counted(facts.tokens, 'token')} {'is' if facts.tokens == 1 else 'are'} safe"
            return Footer(words or "reconnecting", "warn", (safe,) if facts.tokens else ())
        case _:
            return Footer(words or facts.status, "", tuple(_figures(facts, live)), model)


def _figures(facts: _Facts, live: bool) -> Iterator[str]:
    if facts.branch:
        yield f"in session {_words(facts.branch)}"
    if facts.level is not None:
        yield ", ".join(filter(None, (f"level {_level(facts.level)}", _words(facts.reason))))
    if facts.tokens:
        yield counted(facts.tokens, "token")
    if live and facts.seconds > 0:
        yield _seconds(facts.seconds)
        if facts.status == "streaming":
            yield f"{facts.tokens / facts.seconds:,.0f}/s"
    if facts.cost is not None:
        yield dollars(facts.cost)


def counted(count: int, noun: str) -> str:
    """ "1 token", "1,200 tokens"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _kept(facts: _Facts, into: str) -> str:
    if not facts.tokens:
        return "nothing had come yet"
    places = [f"in `{into}`"] if into.isidentifier() else []
    if facts.status != "failed":  # of a failed run the session may be as lost as its gateway
        places.append("in the session")
    return f"{counted(facts.tokens, 'token')} kept, {' and '.join(places) or 'above'}"


def _level(level: int) -> str:
    try:
        return ReasoningLevel(level).label
    except ValueError:
        return str(level)


def _seconds(seconds: float) -> str:
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def dollars(cost: float) -> str:
    """Two decimals, or below ten cents two significant digits: "$1.20", "$0.04", "$0.0054"."""
    if cost >= 0.1 or cost <= 0:
        return f"${cost:,.2f}"
    digits = f"{cost:.2g}"
    return f"${float(digits):.6f}".rstrip("0") if cost >= 1e-6 else "under $0.000001"


# -- HTML ----------------------------------------------------------------------------------------------


def _page(facts: _Facts, answer: str, line: Footer, live: bool) -> str:
    css = _css()
    html = "".join(
        (
            f'<div class="ocnb" data-status="{facts.status}">',
            _steps(facts, live) if facts.steps else "",
            f'<div class="ocnb-answer">{answer}</div>' if answer else "",
            _foot(line),
            f"<style>{css}</style>" if css else "",
            "</div>",
        )
    )
    # In Markdown a blank line ends a block of HTML: what follows would be read as Markdown by what nbconvert writes.
    return re.sub(r"\n(?=[ \t]*\n)", "&#10;", html)


@cache
def _css() -> str:
    """The view's style sheet, as built; "" in a checkout where it is not built yet."""
    try:
        css = _CSS.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    return re.sub(r"\n\s*", "\n", css).strip() + _HIDE


def _steps(facts: _Facts, live: bool) -> str:
    count = f"{len(facts.steps)} step{'' if len(facts.steps) == 1 else 's'}"
    level = "" if facts.level is None else f"level {_level(facts.level)}, "
    rows = "".join(_step(step, live) for step in facts.steps)
    return f'<details class="ocnb-steps" open><summary>Reasoning, {level}{count}</summary>{rows}</details>'


def _step(step: Step, live: bool) -> str:
    """One line, and where that is not all of it the whole text to unfold."""
    from .markup import inert

    text = _shown(step.text).strip()
    took = [_seconds(step.seconds)] if live and step.seconds is not None else []
    took += [counted(step.tokens, "token")] if step.tokens else []
    line = text.rpartition("\n")[2]
    long = len(text) > _MAX_LINE or line != text
    if len(line) > _MAX_LINE:
        line = line[:_MAX_LINE] + "…"
    summary = f"<b>{inert(_words(step.title))}</b>"
    summary += f"{_BETWEEN if line else ''}<span>{inert(line)}</span>"
    summary += f"{_BETWEEN if took else ''}<span>{_SEPARATOR.join(took)}</span>"
    attribute, whole = (' data-long="true"', f"<div>{inert(text)}</div>") if long else ("", "")
    return f'<details class="ocnb-step"{attribute}><summary>{summary}</summary>{whole}</details>'


def _foot(line: Footer) -> str:
    from .markup import inert

    parts = [re.sub(r"`(\w+)`", r"<code>\1</code>", inert(part)) for part in line.parts]
    spans = [f'<span class="ocnb-state"><span class="ocnb-dot"></span>{inert(line.state)}</span>']
    spans += [f"<span>{part}</span>" for part in parts]
    spans += [f'<span class="ocnb-end">{inert(line.end)}</span>'] if line.end else []
    return f'<div class="ocnb-foot" data-tone="{line.tone}">{_BETWEEN.join(spans)}</div>'


# Where there is no style, on GitHub or in an untrusted notebook, this keeps the words apart.
_BETWEEN = f'<span class="ocnb-sep">{_SEPARATOR}</span>'
_HIDE = ".ocnb-sep{display:none}"
