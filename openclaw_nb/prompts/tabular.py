"""Tables, columns and arrays as bounded Markdown: their size, statistics by column, first values."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..redaction import redact
from .kinds import scalar

__all__ = ["array", "frame"]

COLUMN_LIMIT = 20
HEAD_ROWS = 5
CELL_LIMIT = 40  # characters
SAMPLE_ROWS = 100_000  # counting distinct values is the one statistic that is slow on millions of rows


def frame(value: Any) -> str:
    """A pandas or polars table or column: size, statistics by column, first rows, all as Markdown."""
    single = len(value.shape) == 1
    if single:
        value = value.to_frame(value.name if value.name not in (None, "") else "value")
    rows, width = value.shape
    pandas = hasattr(value, "iloc")
    columns = list(_pandas_columns(value) if pandas else _polars_columns(value))
    more = f"\n\n… {width - COLUMN_LIMIT:,} more columns" if width > COLUMN_LIMIT else ""
    title = f"{rows:,} values" if single else f"{rows:,} rows × {width:,} columns"
    parts = [title, _table(["column", "dtype", "missing", "unique", "min", "mean", "max"], columns) + more]
    if rows and width:
        names = [column[0] for column in columns]
        head = value.iloc[:HEAD_ROWS, :COLUMN_LIMIT] if pandas else value[:HEAD_ROWS, :COLUMN_LIMIT]
        lines = head.itertuples(index=False, name=None) if pandas else head.iter_rows()
        labels = list(head.index) if pandas else range(rows)
        index = (head.index.name or "") if pandas else ""
        table = _table([index, *names], ([label, *line] for label, line in zip(labels, lines, strict=False)))
        parts.append(f"First {min(rows, HEAD_ROWS)} rows:\n\n{table}")
    return "\n\n".join(parts)


def _pandas_columns(table: Any) -> Iterator[list[Any]]:
    step = _sample_step(len(table))
    for at, name in enumerate(table.columns[:COLUMN_LIMIT]):
        column = table.iloc[:, at]
        kind = getattr(column.dtype, "kind", "O")
        unique = _attempt(column.iloc[::step].nunique)
        yield [
            name, column.dtype, _attempt(lambda c: c.isna().sum(), column),
            f"at least {unique}" if step > 1 and unique != "" else unique,
            *_range(column, ordered=kind in "biufMm", mean=kind in "biuf"),
        ]  # fmt: skip


def _polars_columns(table: Any) -> Iterator[list[Any]]:
    step = _sample_step(len(table))
    for column in table.get_columns()[:COLUMN_LIMIT]:
        numeric = column.dtype.is_numeric()
        unique = _attempt(column.gather_every(step).drop_nulls().n_unique)
        yield [
            column.name, column.dtype, column.null_count(),
            f"at least {unique}" if step > 1 and unique != "" else unique,
            *_range(column, ordered=numeric or column.dtype.is_temporal(), mean=numeric),
        ]  # fmt: skip


def _sample_step(rows: int) -> int:
    return rows // SAMPLE_ROWS | 1  # odd, so that values that come in twos, fours or tens are all met


def _range(column: Any, ordered: bool, mean: bool) -> list[Any]:
    return [
        _attempt(column.min) if ordered else "",
        _attempt(column.mean) if mean else "",
        _attempt(column.max) if ordered else "",
    ]


def _attempt(statistic: Callable[..., Any], *arguments: Any) -> Any:
    """A statistic, or "" where this column has none (mixed types, unhashable values, all missing)."""
    try:
        value = scalar(statistic(*arguments))
    except Exception:
        return ""
    return "" if value is None or str(value) in ("nan", "NaT", "<NA>") else value


def array(values: Any) -> str:
    size = " × ".join(f"{side:,}" for side in values.shape)
    lines = [f"shape {size or 'scalar'}, dtype {_cell(values.dtype)}, {values.size:,} values"]
    if values.size and values.dtype.kind in "biuf":
        numpy = sys.modules["numpy"]
        known = numpy.ma.compressed(values)
        missing = values.size - numpy.count_nonzero(known == known)  # a NaN is unequal to itself
        figures = [missing, *(_attempt(of, values) for of in (numpy.nanmin, numpy.nanmean, numpy.nanmax))]
        lines.append(_table(["missing", "min", "mean", "max"], [figures]))
    first = ", ".join(_cell(scalar(item)) for item in values.flat[:10])
    lines.append(f"First values: {first}{', …' if values.size > 10 else ''}")
    return "\n\n".join(lines)


def _table(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    cells = [[_cell(cell) for cell in row] for row in (header, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(cells[0]), *lines[1:]])


def _cell(value: Any) -> str:
    """One line of at most CELL_LIMIT characters that cannot end its table cell."""
    value = scalar(value)
    if type(value) is float:
        text = f"{value:.2f}".rstrip("0").rstrip(".") if 1e4 <= abs(value) < 1e15 else f"{value:.6g}"
    else:
        text = " ".join(redact(str(value)).split()).removesuffix(" 00:00:00")
    if len(text) > CELL_LIMIT:
        text = text[: CELL_LIMIT - 1] + "…"
    return text.replace("|", "\\|")
