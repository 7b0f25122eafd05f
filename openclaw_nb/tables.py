"""Small two-column cards, as the `%openclaw` commands show them: HTML for notebooks, text for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from IPython.display import display

from .render import clean, plain

__all__ = ["show_rows"]

_TABLE = "border-collapse:collapse;font-size:13px;line-height:1.5;text-align:left"
_CELL = "padding:2px 16px 2px 0;text-align:left;vertical-align:top;background:none"


def show_rows(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Show (name, words) rows. Both are text: nothing in them is read as markup."""
    safe = [(clean(plain(name)), clean(plain(words))) for name, words in rows]
    width = max(len(name) for name, _ in safe)
    body = "".join(
        f'<tr style="background:none"><td style="{_CELL};opacity:.65;white-space:nowrap">{escape(name)}</td>'
        f'<td style="{_CELL}">{escape(words)}</td></tr>'
        for name, words in safe
    )
    html = f'<table aria-label="{escape(title)}" style="{_TABLE}">{body}</table>'
    text = "\n".join(f"{name:<{width}}  {words}" for name, words in safe)
    display({"text/html": html, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call]
