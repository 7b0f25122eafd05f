"""A conversation as it stays in the notebook: each message with who said it, as HTML, Markdown and plain text.

As in `render`, all that is shown comes from a model or from elsewhere, and is hostile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .markup import inert
from .remarkdown import escape_text
from .render import SEPARATOR, Facts, Forms, as_code, forms, markdown, page, plain, single_line
from .wording import exchange

__all__ = ["LONGEST", "Said", "dialogue", "of_session"]

LONGEST = 50_000
"""Characters of one message that are shown."""

_FOLDED = 4_000  # characters of what is folded

_HEAD = "font-size:12px;opacity:.65;padding:8px 0 2px"
_TYPED = "white-space:pre-wrap;overflow-wrap:anywhere"


@dataclass(frozen=True, slots=True)
class Said:
    """One message: ``who`` said it, what is known of it in few words, its ``text``, and what is folded beneath it.

    ``typed`` text is shown letter by letter, any other as Markdown. ``folded`` are titles with their text.
    """

    who: str
    text: str = ""
    known: tuple[str, ...] = ()
    typed: bool = False
    folded: tuple[tuple[str, str], ...] = ()


def of_session(messages: Iterable[Any]) -> list[Said]:
    """The messages of a session that is kept here, as `exchange` tells them."""
    return [Said(who, text, typed=not who.startswith("agent")) for who, text in exchange(messages)]


def dialogue(said: Sequence[Said], words: str) -> dict[str, str]:
    """The mimebundle of a conversation: ``text/html``, ``text/markdown`` and ``text/plain``; ``words`` go above it."""
    written = [(one, _forms(one)) for one in said]
    parts = [f'<div style="{_HEAD}">{inert(single_line(words), 2)}</div>', *(_html(*one) for one in written)]
    return {
        "text/html": page("done", parts),
        "text/markdown": "\n\n".join([_escaped(words), *(_markdown(*one) for one in written)]),
        "text/plain": "\n\n".join([single_line(words), *(_plain(*one) for one in written)]),
    }


def _forms(one: Said) -> Forms:
    text = _clipped(one.text, LONGEST)
    if not one.typed:
        return forms(Facts(text=text))
    shown = plain(text.replace("\r\n", "\n"))
    html = f'<div class="ocnb-answer" style="{_TYPED}">{inert(shown)}</div>' if shown.strip() else ""
    return Forms(html, escape_text(shown), shown)


def _clipped(text: str, limit: int) -> str:
    """No more than ``limit`` characters, and how many were left off."""
    return text if len(text) <= limit else f"{text[:limit]}\n\n… {len(text) - limit:,} more characters"


def _head(one: Said) -> str:
    return SEPARATOR.join(map(single_line, (one.who, *one.known)))


def _folds(one: Said) -> Iterator[tuple[str, str]]:
    for title, text in one.folded:
        yield single_line(title), plain(_clipped(text, _FOLDED)).strip()


def _html(one: Said, written: Forms) -> str:
    folds = "".join(
        f'<details class="ocnb-steps"><summary>{inert(title, 2)}</summary>'
        f'<div style="{_TYPED}">{inert(text, 2)}</div></details>'
        for title, text in _folds(one)
    )
    return f'<div style="{_HEAD}">{inert(_head(one), 2)}</div>{folds}{written.html}'


def _markdown(one: Said, written: Forms) -> str:
    folds = [f"{_escaped(title)}\n\n{markdown(as_code(text))}" for title, text in _folds(one)]
    return "\n\n".join(filter(None, (f"**{_escaped(_head(one))}**", *folds, written.markdown)))


def _plain(one: Said, written: Forms) -> str:
    folds = [f"({title}: {' '.join(text.split())[:200]})" for title, text in _folds(one)]
    return "\n".join(
        filter(None, (_head(one), *(re.sub("(?m)^", "  ", part) for part in (*folds, written.plain) if part)))
    )


def _escaped(text: str) -> str:
    return escape_text(single_line(text.replace("`", "")))
