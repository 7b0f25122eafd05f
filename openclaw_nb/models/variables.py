"""What can be said about the values in a prompt by looking at them: tables, and the sentences that follow from them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..prompts import Data, fence_for

__all__ = ["Column", "describe", "read_columns", "wants_description"]

SHOWN = 1_500  # characters of a value that is no table
MOST_SENTENCES = 4

_TABLE_TITLE = re.compile(r"([\d,]+) (?:rows × ([\d,]+) columns|values)\n\n\| column \|")
_IMAGE = re.compile(r"\(image \d+\)")
_CELLS = re.compile(r"(?<!\\)\|")
_DESCRIBE = re.compile(
    r"\b(describe|summari[sz]e|summary|overview|show|looks? (?:at|like)|columns?|missing|gaps|dtypes?|shape|statistics"
    r"|stats|how many (?:rows|columns|values|items|words))\b",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"`[^`]*`|\b(?:what|is|are|the|a|in|of|and|or|explain|tell|me|about|this|here|please|data)\b|\W", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Column:
    """One line of the statistics of a table; a figure that the column does not have is ""."""

    name: str
    dtype: str
    missing: str
    unique: str
    least: str
    mean: str
    most: str


def wants_description(text: str) -> bool:
    """Whether a description of the data answers the question, or only what can be said without understanding it."""
    return bool(_DESCRIBE.search(text)) or not _FILLER.sub("", text)


def describe(data: Data, question: str = "") -> str:
    """One value as Markdown; columns that ``question`` names come first, in a sentence each."""
    title = _TABLE_TITLE.match(data.body)
    if title is None or data.type == "str":
        return _describe_plain(data)
    columns = read_columns(data.body)
    rows = int(title[1].replace(",", ""))
    size = f"{title[1]} rows and {title[2]} columns" if title[2] else f"{title[1]} values"
    lead = f"**`{data.name}`** is a {data.type} of {size}."
    sentences = [*_asked_for(columns, rows, question), *_findings(columns, rows)]
    return "\n\n".join([lead, "\n".join(f"- {sentence}" for sentence in sentences), _after_title(data.body)])


def read_columns(body: str) -> list[Column]:
    """The columns in a table's statistics, as `openclaw_nb.prompts.fill` writes them."""
    lines = body.split("\n\n", 2)[1].split("\n")[2:]
    rows = ([cell.strip().replace("\\|", "|") for cell in _CELLS.split(line)[1:-1]] for line in lines)
    return [Column(*row) for row in rows if len(row) == 7]


def _after_title(body: str) -> str:
    return body.partition("\n\n")[2]


def _describe_plain(data: Data) -> str:
    if _IMAGE.fullmatch(data.body) and data.type != "str":
        pixels = data.shape.replace("x", " × ")
        return f"**`{data.name}`** is an image of {pixels} pixels ({data.type}). I cannot look at pictures."
    fence = fence_for(data.body)
    shown, more = data.body[:SHOWN], len(data.body) - SHOWN
    tail = f"\n\n… {more:,} more characters." if more > 0 else ""
    if data.type == "ndarray" and data.body.startswith("shape "):
        return f"**`{data.name}`** is an array: {data.body}"
    if data.type == "str":
        words, lines = len(data.body.split()), data.body.count("\n") + 1
        size = f"a text of {int(data.shape or 0):,} characters, {words:,} words, {lines:,} lines"
    elif data.shape.isdigit():
        size = f"a {data.type} of {int(data.shape):,} items"
    else:
        size = f"a {data.type}" + (f" of shape {data.shape}" if data.shape else "")
    language = "text" if data.type == "str" else "python"
    return f"**`{data.name}`** is {size}.\n\n{fence}{language}\n{shown}\n{fence}{tail}"


def _asked_for(columns: list[Column], rows: int, question: str) -> list[str]:
    words = {word.casefold() for word in re.findall(r"\w+", re.sub(r"`[^`]*`", "", question))}
    return [_line(column, rows) for column in columns if column.name.casefold() in words][:MOST_SENTENCES]


def _line(column: Column, rows: int) -> str:
    parts = [column.dtype, f"{column.missing} of {rows:,} missing"]
    if column.unique:
        parts.append(f"{column.unique} distinct")
    if column.least:
        parts.append(f"from {column.least} to {column.most}")
    if column.mean:
        parts.append(f"mean {column.mean}")
    return f"`{column.name}`: {', '.join(parts)}."


def _findings(columns: list[Column], rows: int) -> list[str]:
    """What stands out: gaps, the largest value, columns that hold one value only."""
    found = []
    gaps = [(int(column.missing), column) for column in columns if column.missing.isdigit()]
    total, widest = sum(count for count, _ in gaps), max(gaps, key=lambda gap: gap[0], default=None)
    if total == 0 or widest is None:
        found.append("No value is missing.")
    else:
        share = 100 * widest[0] / rows
        which = "Missing values are in" if widest[0] == total else "Most missing values are in"
        found.append(f"{which} `{widest[1].name}`: {widest[0]:,} of {rows:,} ({share:.0f} %).")
    numbers = [(float(column.most), column) for column in columns if column.mean and _is_number(column.most)]
    if numbers:
        largest = max(numbers, key=lambda number: number[0])[1]
        found.append(f"The largest value is {largest.most}, in `{largest.name}` (mean {largest.mean}).")
    if rows > 1 and (constant := [f"`{column.name}`" for column in columns if column.unique == "1"]):
        found.append(f"One value only: {', '.join(constant[:5])}.")
    if copies := [f"`{c.name}`" for c in columns if c.unique == str(rows) and c.dtype in ("str", "object", "int64")]:
        found.append(f"Different in every row, so perhaps a key: {', '.join(copies[:5])}.")
    return found[:MOST_SENTENCES]


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", text) is not None
