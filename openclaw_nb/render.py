"""What stays in the notebook when a run ends: one bundle of HTML, Markdown and plain text, without a widget or script.

A model's text, its step titles, model names and error sentences are hostile here: nothing of them may run, load
something from elsewhere, or steer a terminal, now, when the notebook is opened again, or after it was converted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .approval_words import STEP, WAITS, one_line, visible
from .errors import RunError
from .outputs.answers import pretty
from .prompts import fence_for
from .reasoning.levels import ReasoningLevel

if TYPE_CHECKING:
    from .events import Step
    from .run import Result, Run

__all__ = [
    "BETWEEN", "SEPARATOR", "Facts", "Footer", "Forms", "Tone", "approved", "as_code", "bundle", "clean", "counted",
    "dollars", "facts_of", "foot", "footer", "forms", "markdown", "page", "plain", "single_line", "static_output",
    "step_by_step", "timed",
]  # fmt: skip

Tone = Literal["ok", "stop", "bad", "warn", ""]

_STATIC = Path(__file__).with_name("static")
SEPARATOR = " · "
_MAX_WORDS = 400
_MAX_LINE = 100  # characters of a step, as in the live view
_CODE = ("tool:", STEP)  # what the keys of steps begin with whose text is a command or what it wrote, as in steps.ts


@dataclass(frozen=True, slots=True)
class Footer:
    """The one line under an answer: what state it is in, what is known about it, and last who gave it."""

    state: str
    tone: Tone
    parts: tuple[str, ...]
    end: str = ""

    def __str__(self) -> str:
        return SEPARATOR.join(filter(None, (self.state, *self.parts, self.end)))


def bundle(run: Run | Result, *, live: bool = True, into: str = "") -> dict[str, str]:
    """The mimebundle of a run or result: ``text/html``, ``text/markdown`` and ``text/plain``.

    ``into`` is the variable that keeps the answer. With ``live=False`` nothing in it depends on the clock, so that
    the same answer gives the same bytes.
    """
    from .remarkdown import escape_text

    facts = facts_of(run)
    line = footer(run, live=live, into=into)
    answer = forms(facts)
    body = answer.markdown
    asked = _asked(run)
    said = [*approved(facts), *map(str, asked)]
    if facts.status != "done":  # an answer that is not whole must say so in every form
        said.append(str(line).replace("`", ""))
    if said:
        body = "\n\n".join([body, *map(escape_text, said)]).lstrip("\n")
    return {
        "text/html": page(facts.status, [step_by_step(facts, live=live), answer.html, *map(foot, [*asked, line])]),
        "text/markdown": body,
        "text/plain": "\n".join([answer.plain, "", *approved(facts), *map(str, [*asked, line])]).lstrip("\n"),
    }


def _asked(run: Run | Result) -> list[Footer]:
    """What still waits for a person though its run has ended, as some gateways let it; with the way to decide."""
    if isinstance(run, str) or not run.done():
        return []
    return [
        Footer(WAITS, "warn", (single_line(f"{one.title}: {one_line(one.command)}"),), f"%openclaw allow {one.id[:8]}")
        for one in run.approvals.pending
    ]


def approved(facts: Facts) -> list[str]:
    """What a person was asked on the way, a line for each: "allowed once: make test"."""
    return [f"{step.title}: {single_line(step.text)}" for step in facts.steps if step.key.startswith(STEP)]


@dataclass(frozen=True, slots=True)
class Forms:
    """An answer as HTML, "" where there is none, as Markdown, and as plain text."""

    html: str
    markdown: str
    plain: str


def forms(facts: Facts) -> Forms:
    """The answer itself, without what is known about it; harmless in each form."""
    from .markup import parse, to_html
    from .remarkdown import to_markdown

    text = pretty(facts.text) if facts.json else facts.text
    tokens = parse(_shown(as_code(text, "json") if facts.json and text.strip() else text))
    html = f'<div class="ocnb-answer">{to_html(tokens)}</div>' if text.strip() else ""
    return Forms(html, to_markdown(tokens), plain(text))


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


def single_line(text: str) -> str:
    """One line for people out of any text, safe for a terminal."""
    line = " ".join(plain(text).split())
    return line if len(line) <= _MAX_WORDS else line[: _MAX_WORDS - 1] + "…"


# -- what is known -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an answer, whoever gave it; seconds, tokens and USD."""

    text: str = ""
    status: str = "waiting"
    words: str = ""
    level: int | None = None
    reason: str = ""
    tokens: int = 0
    cost: float | None = None
    model: str = ""
    seconds: float = 0.0
    steps: tuple[Step, ...] = ()
    branch: str = ""
    json: bool = False


def facts_of(run: Run | Result) -> Facts:
    """Those of a run or result, as they are now."""
    reason, branch = run.level_reason, ""
    if not isinstance(run, str):
        branch = run.session if run.branch_of else ""
        settled = _settled(run)
        if settled is None:
            return Facts(
                run.text, run.status, run.words, run.level, reason, run.tokens, None, run.model, run.seconds, run.steps,
                branch, bool(run.output),
            )  # fmt: skip
        run = settled
    return Facts(
        run.text, run.status, run.words, run.level, reason, run.usage.output_tokens, run.cost, run.model, run.seconds,
        run.steps, branch, bool(run.output),
    )  # fmt: skip


def as_code(text: str, language: str = "") -> str:
    """Markdown of a block of code."""
    fence = fence_for(text)
    return f"{fence}{language}\n{text}\n{fence}"


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
    facts = facts_of(run)
    model = single_line(facts.model)
    words = single_line(facts.words)
    match facts.status:
        case "done":
            if not live and words.startswith("done, "):  # how it went on that day, as seconds are
                words = ""
            return Footer(words or "done", "ok", tuple(_figures(facts, live)), model)
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


def _figures(facts: Facts, live: bool) -> Iterator[str]:
    if facts.branch:
        yield f"in session {single_line(facts.branch)}"
    if facts.level is not None:
        yield ", ".join(filter(None, (f"level {_level(facts.level)}", single_line(facts.reason))))
    if facts.tokens:
        yield counted(facts.tokens, "token")
    if live and facts.seconds > 0:
        yield timed(facts.seconds)
        if facts.status == "streaming":
            yield f"{facts.tokens / facts.seconds:,.0f}/s"
    if facts.cost is not None:
        yield dollars(facts.cost)


def counted(count: int, noun: str) -> str:
    """ "1 token", "1,200 tokens"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _kept(facts: Facts, into: str) -> str:
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


def timed(seconds: float) -> str:
    """ "4.1 s", "2 min 05 s"."""
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


def page(status: str, parts: Iterable[str], *, kind: str = "", sheets: tuple[str, ...] = ("view",)) -> str:
    """Parts of HTML as one output, with its style; ``kind`` is a class beside the usual one."""
    css = "".join(map(_css, sheets))
    style = f"<style>{css}{_HIDE}</style>" if css else ""
    html = f'<div class="{f"ocnb {kind}".rstrip()}" data-status="{status}">{"".join(parts)}{style}</div>'
    # In Markdown a blank line ends a block of HTML: what follows would be read as Markdown by what nbconvert writes.
    return re.sub(r"\n(?=[ \t]*\n)", "&#10;", html)


@cache
def _css(name: str) -> str:
    """A style sheet, as built; "" in a checkout where it is not built yet."""
    try:
        css = (_STATIC / f"{name}.css").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    return re.sub(r"\n\s*", "\n", css).strip()


def step_by_step(facts: Facts, *, live: bool, unfolded: bool = True) -> str:
    """The reasoning as HTML, "" where there is none; ``live`` as in `bundle`."""
    if not facts.steps:
        return ""
    count = counted(len(facts.steps), "step")
    level = "" if facts.level is None else f"level {_level(facts.level)}, "
    rows = "".join(_step(step, live) for step in facts.steps)
    head = f"<summary>Reasoning, {level}{count}</summary>"
    return f'<details class="ocnb-steps"{" open" if unfolded else ""}>{head}{rows}</details>'


def _step(step: Step, live: bool) -> str:
    """One line, and where that is not all of it the whole text to unfold."""
    from .markup import inert

    text = _shown(step.text).strip()
    took = [timed(step.seconds)] if live and step.seconds is not None else []
    took += [counted(step.tokens, "token")] if step.tokens else []
    line = text.rpartition("\n")[2]
    long = len(text) > _MAX_LINE or line != text
    if len(line) > _MAX_LINE:
        line = line[:_MAX_LINE] + "…"
    summary = f"<b>{inert(single_line(visible(step.title)))}</b>"
    summary += f"{BETWEEN if line else ''}<span>{inert(line)}</span>"
    summary += f"{BETWEEN if took else ''}<span>{SEPARATOR.join(took)}</span>"
    attribute, whole = (' data-long="true"', f"<div>{inert(text)}</div>") if long else ("", "")
    attribute += ' data-code="true"' if step.key.startswith(_CODE) else ""
    return f'<details class="ocnb-step"{attribute}><summary>{summary}</summary>{whole}</details>'


def foot(line: Footer) -> str:
    """A footer as HTML."""
    from .markup import inert

    parts = [re.sub(r"`(\w+)`", r"<code>\1</code>", inert(part)) for part in line.parts]
    spans = [f'<span class="ocnb-state"><span class="ocnb-dot"></span>{inert(line.state)}</span>']
    spans += [f"<span>{part}</span>" for part in parts]
    spans += [f'<span class="ocnb-end">{inert(line.end)}</span>'] if line.end else []
    return f'<div class="ocnb-foot" data-tone="{line.tone}">{BETWEEN.join(spans)}</div>'


# Where there is no style, on GitHub or in an untrusted notebook, this keeps the words apart.
BETWEEN = f'<span class="ocnb-sep">{SEPARATOR}</span>'
_HIDE = ".ocnb-sep{display:none}"
