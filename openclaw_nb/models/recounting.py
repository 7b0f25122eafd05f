"""What a description says of data, counted again from the block that the prompt shows."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Sequence

from ..prompts import Data
from .inverses import Trial
from .variables import Column, read_columns

__all__ = ["recount"]

CLOSE = 1e-5  # relative: figures in a table have six digits

_TITLE = re.compile(r"([\d,]+) (?:rows × ([\d,]+) columns|values)\n\n\| column \|")
_CELL = re.compile(r"(?<!\\)\|")
_MISSING = {"nan", "NaN", "NaT", "None", "<NA>", "null"}


def recount(data: Data) -> list[Trial]:
    """Each thing that can be counted again, and whether it agrees; [] where the block shows too little for any."""
    title = _TITLE.match(data.body)
    if data.type == "str":
        return _of_text(data)
    return _of_table(data.body, title) if title else _of_items(data)


def _of_text(data: Data) -> list[Trial]:
    words = sum(1 for _ in re.finditer(r"\S+", data.body))
    trials = [Trial(f"{words:,} words counted one by one", words == len(data.body.split()))]
    if len(data.body) == int(data.shape or -1):
        trials.append(Trial(f"{data.shape} characters", True))
    return trials


def _of_items(data: Data) -> list[Trial]:
    try:
        value = ast.literal_eval(data.body)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return []
    if not data.shape.isdigit() or not hasattr(value, "__len__"):
        return []
    return [Trial(f"{len(value):,} items counted in the block", len(value) == int(data.shape))]


def _of_table(body: str, title: re.Match[str]) -> list[Trial]:
    rows, width = int(title[1].replace(",", "")), int((title[2] or "1").replace(",", ""))
    columns, head = read_columns(body), _head(body)
    left_out = re.search(r"… ([\d,]+) more columns", body)
    more = int(left_out[1].replace(",", "")) if left_out else 0
    trials = [Trial(f"{width:,} columns counted", len(columns) + more == width)]
    for at, column in enumerate(columns):
        cells = [row[at + 1] for row in head if len(row) == len(columns) + 1]
        trials += _of_column(column, cells, rows)
    return trials


def _head(body: str) -> list[list[str]]:
    """The rows that are shown, their labels first."""
    lines = body.partition("\nFirst ")[2].partition("\n\n")[2].split("\n")[2:]
    return [[cell.strip() for cell in _CELL.split(line)[1:-1]] for line in lines]


def _of_column(column: Column, cells: Sequence[str], rows: int) -> Iterator[Trial]:
    name, missing = f"`{column.name}`", _number(column.missing)
    gaps = sum(cell in _MISSING for cell in cells)
    if missing is not None and len(cells) == rows:
        yield Trial(f"{gaps} of {rows} missing in {name}", gaps == missing)
    elif missing is not None:
        yield Trial(f"{name}: {gaps} missing of the {len(cells)} rows shown", gaps <= missing <= rows)
        if missing:
            yield Trial(f"{missing:,.0f} ÷ {rows:,} = {100 * missing / rows:.0f} %", 0 < missing <= rows)
    shown = [number for cell in cells if (number := _number(cell)) is not None]
    least, mean, most = map(_number, (column.least, column.mean, column.most))
    if least is None or mean is None or most is None or not shown:
        return
    if len(cells) == rows and len(shown) + gaps == rows:
        counted = (min(shown), math.fsum(shown) / len(shown), max(shown))
        same = all(map(_close, counted, (least, mean, most)))
        yield Trial(f"{name}: least, mean and most counted again", same)
    else:
        slack = CLOSE * max(abs(least), abs(most))
        inside = least - slack <= min(shown) and max(shown) <= most + slack and least - slack <= mean <= most + slack
        yield Trial(f"{name}: the rows shown and the mean lie from {column.least} to {column.most}", inside)


def _number(cell: str) -> float | None:
    return float(cell) if re.fullmatch(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", cell) else None


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE)
