"""What stays in the notebook when agents side by side have ended: each with its name, its answer and its figures.

As in `render`, all that comes from a model is hostile, and so are the agents' names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from textwrap import dedent
from typing import TYPE_CHECKING

from .errors import RunError
from .markup import inert
from .render import (
    BETWEEN,
    SEPARATOR,
    Facts,
    Footer,
    Forms,
    Tone,
    approved,
    as_code,
    counted,
    dollars,
    facts_of,
    foot,
    forms,
    markdown,
    page,
    plain,
    single_line,
    step_by_step,
    timed,
)

if TYPE_CHECKING:
    from .pool.work import PoolResult, PoolRun
    from .run import Result, Run

__all__ = ["bundle"]

MANY = 6
"""Lanes that stand side by side at most; more are folded, one under the other."""

COLUMNS = (1, 1, 2, 3, 4, 3, 3)
"""Side by side where there is room, by how many there are."""

_LONGEST_NAME = 60
_SHORT = 28  # characters of words beside the name, as in the live view
_LONGEST_LINE = 100
_RULE = 72

_TONES: dict[str, Tone] = {"done": "ok", "stopped": "stop", "failed": "bad", "reconnecting": "warn"}
_RULED = '<hr class="ocnb-sep">'  # where there is no style
_NAME = re.compile(r"[\w.-]{1,60}")


def bundle(work: PoolRun | PoolResult, *, live: bool = True, into: str = "") -> dict[str, str]:
    """The mimebundle of a pool's run or its result: ``text/html``, ``text/markdown`` and ``text/plain``.

    ``into`` is the variable that keeps it. With ``live=False`` nothing in it depends on the clock, so that the same
    answers give the same bytes.
    """
    parts = [_part(*named) for named in _outcomes(work)]
    models = {part.facts.model for part in parts} - {""}
    common = models.pop() if len(models) == 1 else ""  # what all have is said once
    line = _footer(work, parts, live, into, common)
    written = [_written(part, live, common) for part in parts]
    return {
        "text/html": page(
            str(work.status), [_lanes(written, live), _RULED, foot(line)], kind="ocnb-work", sheets=("view", "lanes")
        ),
        "text/markdown": "\n\n".join([*map(_as_markdown, written), _escaped(str(line))]),
        "text/plain": "\n\n".join([*map(_as_text, written), str(line)]),
    }


# -- what is known -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """One agent's. ``words`` are few; where they do not say all, ``why`` is a sentence, and ``stack`` where it hung."""

    name: str
    facts: Facts
    words: str
    why: str = ""
    stack: str = ""


@dataclass(frozen=True, slots=True)
class _Written:
    """One agent's, its answer in each form, and the line of figures that goes with it."""

    part: _Part
    answer: Forms
    figures: str


def _outcomes(work: PoolRun | PoolResult) -> Iterator[tuple[str, Result | RunError | Run | None, str]]:
    """Of each agent its name, what came of it or its run or nothing yet, and its state in words."""
    if isinstance(work, str):
        for name, outcome in work.results.items():
            yield name, outcome, outcome.words if isinstance(outcome, str) else ""
        return
    for lane in work.lanes:
        yield lane.name, lane.run if lane.outcome is None else lane.outcome, lane.words


def _part(name: str, outcome: Result | RunError | Run | None, words: str) -> _Part:
    name, words, stack = _clipped(name), single_line(words), ""
    if isinstance(outcome, RunError):
        begun = outcome.code != "NOT_STARTED"
        known = facts_of(outcome.partial) if outcome.partial is not None else Facts()
        facts, why = replace(known, status="failed" if begun else "stopped"), single_line(str(outcome))
        stack, words = dedent(plain(getattr(outcome, "stack", "")).strip("\n")), "failed" if begun else "not started"
    else:
        facts = Facts() if outcome is None else facts_of(outcome)
        words = words or facts.status
        words, why = (words, "") if len(words) <= _SHORT else (facts.status, words)
    return _Part(name, facts, words, why, stack)


def _written(part: _Part, live: bool, common: str) -> _Written:
    facts = replace(part.facts, model="") if common else part.facts
    return _Written(part, forms(facts), SEPARATOR.join(_figures(facts, live)))


def _clipped(name: str) -> str:
    line = single_line(name)
    return line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 1] + "…"


def _figures(facts: Facts, live: bool) -> Iterator[str]:
    if facts.tokens:
        yield counted(facts.tokens, "token")
    if live and facts.seconds > 0:
        yield timed(facts.seconds)
    if facts.cost is not None:
        yield dollars(facts.cost)
    if facts.model:
        yield single_line(facts.model)


def _footer(work: PoolRun | PoolResult, parts: Sequence[_Part], live: bool, into: str, model: str) -> Footer:
    statuses = {part.facts.status for part in parts}
    tone = "warn" if {"done", "failed"} <= statuses else _TONES.get(work.status, "")
    tokens = sum(part.facts.tokens for part in parts)
    figures = _figures(Facts(tokens=tokens, seconds=work.seconds, cost=work.cost, model=model), live)
    kept = [f"in `{into}`"] if into.isidentifier() else []
    words = single_line(work.words) or str(work.status)
    return Footer(words, tone, (_at_a_time(work, len(parts)), *figures, *kept), _merging(work, parts))


def _at_a_time(work: PoolRun | PoolResult, count: int) -> str:
    most, agents = work.per_task, counted(count, "agent")
    if count < 2:
        return agents
    if work.mode == "pipeline":
        return f"{agents}, one after another"
    return f"{agents}, {most} at a time" if most < count else f"{agents} at once"


def _merging(work: PoolRun | PoolResult, parts: Sequence[_Part]) -> str:
    """That the session is as it was, and how that is changed."""
    done = [part.name for part in parts if part.facts.status == "done"]
    if not (done and work.record):
        return ""
    name = done[-1 if work.mode == "pipeline" else 0]
    return f"{single_line(work.session)} stays as it was; %openclaw merge{f' {name}' if _NAME.fullmatch(name) else ''}"


# -- HTML ----------------------------------------------------------------------------------------------


def _lanes(written: Sequence[_Written], live: bool) -> str:
    if len(written) > MANY:
        lanes = "".join(_folded(one, live, unfolded=n == 0) for n, one in enumerate(written))
        return f'<div class="ocnb-lanes" data-columns="1" data-many="true">{lanes}</div>'
    lanes = _RULED.join(_lane(one, live) for one in written)
    return f'<div class="ocnb-lanes" data-columns="{COLUMNS[len(written)]}">{lanes}</div>'


def _lane(one: _Written, live: bool) -> str:
    foot = f'<div class="ocnb-lane-foot">{inert(one.figures)}</div>'
    head = f'<div class="ocnb-lane-head">{_head(one.part)}</div>'
    return f'<div class="ocnb-lane" data-tone="{_tone(one)}">{head}{_text(one, live)}{foot}</div>'


def _folded(one: _Written, live: bool, unfolded: bool) -> str:
    """One line: the name, the state, how it ends, and the figures; the rest is unfolded."""
    last = one.part.why or one.answer.plain.rstrip("`~ \n").rpartition("\n")[2].strip()  # no end of a block of code
    cells = [_head(one.part), f'<span class="ocnb-lane-last">{inert(last[:_LONGEST_LINE])}</span>' if last else ""]
    cells += [f'<span class="ocnb-lane-figures">{inert(one.figures)}</span>' if one.figures else ""]
    head = f'<summary class="ocnb-lane-head">{BETWEEN.join(filter(None, cells))}</summary>'
    state = " open" if unfolded else ""
    return f'<details class="ocnb-lane" data-tone="{_tone(one)}"{state}>{head}{_text(one, live)}</details>'


def _tone(one: _Written) -> Tone:
    return _TONES.get(one.part.facts.status, "")


def _head(part: _Part) -> str:
    return f'<b>{inert(part.name)}</b>{BETWEEN}<span class="ocnb-lane-words">{inert(part.words)}</span>'


def _text(one: _Written, live: bool) -> str:
    part = one.part
    why = f'<p class="ocnb-lane-why">{inert(part.why)}</p>' if part.why else ""
    where = f'<div class="ocnb-code"><pre><code>{inert(part.stack)}</code></pre></div>' if part.stack else ""
    steps = step_by_step(part.facts, live=live, unfolded=False)
    return f'<div class="ocnb-lane-text">{steps}{one.answer.html}{why}{where}</div>'


# -- Markdown and plain text ---------------------------------------------------------------------------


def _as_markdown(one: _Written) -> str:
    from .remarkdown import escape_text

    part = one.part
    known = SEPARATOR.join(filter(None, (part.words, one.figures)))
    where = markdown(as_code(part.stack)) if part.stack else ""
    asked = map(escape_text, approved(part.facts))
    head = f"**{_escaped(part.name)}** · {_escaped(known)}"
    return "\n\n".join(filter(None, (head, one.answer.markdown, *asked, _escaped(part.why), where, "___")))


def _escaped(text: str) -> str:
    from .remarkdown import escape_text

    return escape_text(text.replace("`", ""))


def _as_text(one: _Written) -> str:
    part = one.part
    head = SEPARATOR.join(filter(None, (part.name, part.words, one.figures)))
    asked = "\n".join(approved(part.facts))
    said = (f"{head}\n{'-' * min(len(head), _RULE)}", one.answer.plain.strip("\n"), asked, part.why, part.stack)
    return "\n\n".join(filter(None, said))
