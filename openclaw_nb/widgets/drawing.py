"""A timeline that lasts: one bundle of HTML with an SVG in it, and plain text, without a widget or script.

Names and sessions are anybody's text, and nothing of them is read as markup. What a page strips is done without: the
style, then the picture, then the fold; the table under it says in words what the picture shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from html import escape

from ..markup import inert
from ..pool.kept import agents, figures
from ..render import counted
from ..wording import sized
from .outline import NONE, Entry, Outline

__all__ = ["SHOWN", "bundle", "marks"]

SHOWN = 24
"""Snapshots in a picture that is kept; of more, those that tell most."""

WIDTH, EDGE, ROOM = 760, 14, 96  # pixels: of the picture, before the first dot, and after the last for its name
STEP, LANE, TOP = 88, 38, 30
CLOSE, MANY = 26, 8  # pixels between lanes where there are so many
TICK = 96  # pixels between two times at least
CHARACTER = 6.2  # pixels of an average one

_COLOURS = ("#3f8fd6", "#8661d8", "#1f9285", "#c0662a")
_FONT = "font-family:var(--jp-content-font-family,system-ui,sans-serif);font-variant-numeric:tabular-nums"
_CELL = "padding:2px 16px 2px 0;text-align:left;white-space:nowrap;background:none"
_KINDS = {"checkpoint": "in mid-run", "named": "kept by hand"}
_HEAD = ("snapshot", "session", "kept", "what changed", "size", "spent")


def bundle(
    outline: Outline, heads: Mapping[str, int], here: str, *, live: bool = True, place: str = ""
) -> dict[str, str]:
    """The mimebundle of an outline. ``heads`` is where sessions stand, by column; ``here`` the one that is "now".

    ``place`` names the place for the live view of a page that has the widget. With ``live=False`` nothing in it
    depends on the clock, so that equal conversations give equal bytes.
    """
    if not len(outline):
        return {"text/html": _page("<p>no snapshot yet</p>", place), "text/plain": "no snapshot yet"}
    words = marks(outline, heads, here)
    thin, left_out = outline.thinned(_telling(outline, words))
    columns = [outline.column(entry.id) or 0 for entry in thin.entries]
    rows = _filled([_HEAD, *(_row(outline, column, words.get(column, ""), live) for column in columns)])
    words = {number: words.get(column, "") for number, column in enumerate(columns)}
    total = _total(outline, thin)
    fold = f"<details><summary>{total}</summary>{_table(rows)}</details>"
    return {
        "text/html": _page(f"{_picture(thin, left_out, words, total, live)}\n{fold}", place),
        "text/plain": "\n".join([*_lines(rows), total]),
    }


def marks(outline: Outline, heads: Mapping[str, int], here: str) -> dict[int, str]:
    """What is written at the dots: a snapshot's name or the agents of a pool's run, whose part in one it is, which
    sessions stand there, and where a run has no end."""
    said: dict[int, list[str]] = {}
    for column, entry in enumerate(outline.entries):
        if name := entry.label or (f"pool: {agents(entry.pool)}" if entry.pool is not None else ""):
            said[column] = [name]
    for branch in outline.branches:
        if branch.agent:
            said.setdefault(branch.last, []).append(branch.agent)
    for session, column in heads.items():
        said.setdefault(column, []).append("now" if session == here else session)
    for column in outline.unended():
        said.setdefault(column, []).append("not ended")
    return {column: ", ".join(words) for column, words in said.items()}


def _telling(outline: Outline, words: Mapping[int, str]) -> list[int]:
    """The columns worth showing where there is no room for all: the ends, the last run of a pool with its agents, the
    marked, the forks, and the newest."""

    def candidates() -> Iterator[int]:
        yield from (0, len(outline) - 1)
        yield from _last_pool(outline)
        yield from sorted(words, reverse=True)[: SHOWN // 2]
        for branch in reversed(outline.branches[-SHOWN // 4 :]):
            yield from {branch.last, branch.source, branch.first} - {NONE}
        yield from reversed(range(max(0, len(outline) - SHOWN), len(outline)))

    return list(dict.fromkeys(candidates()))[:SHOWN]


def _last_pool(outline: Outline) -> list[int]:
    parts = [branch for branch in outline.branches if branch.agent]
    source = parts[-1].source if parts else NONE
    return [source, *(branch.last for branch in parts if branch.source == source)] if source != NONE else []


def _total(outline: Outline, thin: Outline) -> str:
    every = f"{counted(len(outline), 'snapshot')} on {counted(len(outline.branches), 'branch')}".replace("chs", "ches")
    if len(thin) == len(outline):
        return every
    return f"{every}; {len(thin)} are shown here, and %openclaw snapshots has all"


# -- words ---------------------------------------------------------------------------------------------


def _row(outline: Outline, column: int, words: str, live: bool) -> tuple[str, ...]:
    entry = outline.entries[column]
    id = f"{entry.id[:8]} " if live else ""
    return (
        f"{id}{words}".strip() or f"{column + 1}",
        entry.session,
        f"{datetime.fromtimestamp(entry.created):%Y-%m-%d %H:%M:%S}" if live else "",
        _change(outline, column, live),
        sized(entry.size),
        f"${entry.spent:,.4f}" if entry.spent else "",
    )


def _change(outline: Outline, column: int, live: bool) -> str:
    entry, added = outline.entries[column], outline.added(column)
    if entry.pool is not None:
        return f"pool, {figures(entry.pool, live=live)}"
    parts = [_KINDS.get(entry.kind, entry.kind), counted(added, "message") if added > 0 else ""]
    parts.append(f"level {entry.level}" if entry.level and entry.kind == "turn" else "")
    return ", ".join(filter(None, parts))


def _filled(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The rows without the columns that say nothing below their heads."""
    keep = [number for number, column in enumerate(zip(*rows, strict=True)) if any(column[1:])]
    return [tuple(row[number] for number in keep) for row in rows]


def _lines(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


# -- HTML ----------------------------------------------------------------------------------------------


def _page(body: str, place: str) -> str:
    attribute = f' data-ocnb-timeline="{escape(place)}"' if place else ""
    return f'<div class="ocnb-timeline-place"{attribute} style="{_FONT};font-size:13px">{body}</div>'


def _table(rows: list[tuple[str, ...]]) -> str:
    head = "".join(f'<th style="{_CELL};font-weight:400;opacity:.7">{name}</th>' for name in rows[0])
    body = "".join(f'<tr style="background:none">{"".join(map(_cell, row))}</tr>' for row in rows[1:])
    return f'<table style="border-collapse:collapse;margin:4px 0"><tr>{head}</tr>{body}</table>'


def _cell(text: str) -> str:
    return f'<td style="{_CELL}">{inert(text)}</td>'


# -- SVG -----------------------------------------------------------------------------------------------


def _picture(outline: Outline, left_out: list[int], words: Mapping[int, str], total: str, live: bool) -> str:
    step = min(STEP, (WIDTH - EDGE - ROOM) / max(len(outline) - 1, 1))
    close = outline.lanes >= MANY
    pitch = CLOSE if close else LANE
    shade = "opacity" if close else "stroke-opacity"  # many lines from one dot would add up
    height = TOP + pitch * outline.lanes + (16 if live else -6)
    lanes = [outline.branches[entry.branch].lane for entry in outline.entries]
    points = [(EDGE + step * column, TOP + pitch * lane) for column, lane in enumerate(lanes)]
    lines = [
        f'<path d="{_line(points[entry.parent], points[column])}"{_DASHED if left_out[column] else ""}/>'
        for column, entry in enumerate(outline.entries)
        if entry.parent != NONE
    ]
    dots = [_dot(entry, points[column], lanes[column], words[column]) for column, entry in enumerate(outline.entries)]
    names = [*_names(outline, points, words), *(_times(outline, points, height) if live else ())]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(total)}" '
        f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'style="max-width:100%;height:auto;display:block">'
        f'<g fill="none" stroke="currentColor" {shade}=".22" stroke-width="2">{"".join(lines)}</g>'
        f"<g>{''.join(dots)}</g>"
        f'<g fill="currentColor" fill-opacity=".75" font-size="11" font-family="system-ui,sans-serif">'
        f"{'&#32;'.join(names)}</g></svg>"
    )


_DASHED = ' stroke-dasharray="2 5"'  # something is left out between the two


def _line(start: tuple[float, int], end: tuple[float, int]) -> str:
    (x, y), (to_x, to_y) = start, end
    if y == to_y:
        return f"M{x:.0f} {y}H{to_x:.0f}"
    bend = min(56.0, to_x - x)
    half = x + bend / 2
    return f"M{x:.0f} {y}C{half:.0f} {y} {half:.0f} {to_y} {x + bend:.0f} {to_y}H{to_x:.0f}"


def _dot(entry: Entry, point: tuple[float, int], lane: int, words: str) -> str:
    colour = _COLOURS[lane % len(_COLOURS)]
    style = f' style="fill:var(--jp-brand-color1,{colour})"' if lane == 0 else ""
    radius = 6 if "now" in words.split(", ") else 3 if entry.kind in ("checkpoint", "step") else 4
    return f'<circle cx="{point[0]:.0f}" cy="{point[1]}" r="{radius}" fill="{colour}"{style}/>'


def _names(outline: Outline, points: list[tuple[float, int]], words: Mapping[int, str]) -> Iterator[str]:
    """The words at the dots, cut to the room there is before the next ones in the same lane."""
    begins: dict[int, float] = {}
    close = outline.lanes >= MANY
    for column in reversed(range(len(outline))):
        text, (x, y) = words[column], points[column]
        room = int((begins.get(y, WIDTH) - x) / CHARACTER)
        if not text or (room < 4 and y in begins):
            continue
        behind = close and y > TOP  # below there is the next lane
        at, anchor, below = x - 5, "", 20 if y > TOP else -13
        if behind:
            at, below, room = x + 9, 4, room - 2
        if len(text) > room and y not in begins:  # the last one in its lane: there is room before it
            at, anchor = x + 5, ' text-anchor="end"'
            below = -5 if behind else below
            begins[y] = x - CHARACTER * len(text) - 8
        else:
            begins[y] = x - 8
            text = text if len(text) <= room else text[: room - 1] + "…"
        weight = ' font-weight="600" fill-opacity="1"' if "now" in text.split(", ") else ""
        yield f'<text x="{at:.0f}" y="{y + below}"{anchor}{weight}>{_svg_text(text)}</text>'


def _times(outline: Outline, points: list[tuple[float, int]], height: int) -> Iterator[str]:
    """The time now and then where it is another one, and the day where that is."""
    step = points[-1][0] - points[-2][0] if len(points) > 1 else WIDTH
    day = time = ""
    for column in range(0, len(outline), math.ceil(TICK / step)):
        moment = datetime.fromtimestamp(outline.entries[column].created)
        before, today = (day, time), f"{moment:%d %b}".lstrip("0")
        day, time = today, f"{moment:%H:%M}"
        if (day, time) != before:
            words = time if day == before[0] else f"{day}, {time}"
            yield f'<text x="{points[column][0] - 5:.0f}" y="{height - 6}">{words}</text>'


def _svg_text(text: str) -> str:
    """What `inert` gives, by an element that does not end the picture."""
    return inert(text).replace("span>", "tspan>")
