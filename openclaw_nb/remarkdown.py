"""From checked tokens back to Markdown that every parser reads alike.

JupyterLab, GitHub, VS Code, nbconvert and Pandoc each parse in their own way, so an escape that holds in one may open
a tag in another. What is written here is a small dialect: one form for each construct, entities where a backslash
could be miscounted, and no raw HTML, reference, autolink or image at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .markup import language

if TYPE_CHECKING:
    from markdown_it.token import Token

__all__ = ["escape_text", "to_markdown"]

_GAP = "\u200b"  # zero-width space: seen by parsers, not by people


def to_markdown(tokens: Sequence[Token]) -> str:
    """Markdown of `markup.parse`'s tokens; only fenced code at column 0 is verbatim."""
    return _Writer().write(tokens)


def escape_text(text: str) -> str:
    """Text of any number of lines as Markdown that shows it literally."""
    return "\n".join(_escape_line(line.strip()) for line in text.split("\n"))


# `<` and `&` only where a tag or an entity could begin; `*`, `_` and `~` only where they could mark emphasis.
_SPECIAL = re.compile(
    r"<(?![\s\d=-])|&(?=#?\w+;)|[\[\]\\`{|$]|!(?=\[|$)|(?<!\s)\*|\*(?!\s)|(?<![^\W_])_|_(?![^\W_])|~(?=~|$)|(?<=~)~|^~"
)
_LINE_START = re.compile(r"(\s*)(?:([#>+=:%*-])|(\d{1,9})([.)]))")
# Parsers disagree on what a backslash does before some of these, but none takes an entity for syntax.
_ENTITIES = {"<": "&lt;", "&": "&amp;", "`": "&#96;", "|": "&#124;", "\\": "&#92;"}


def _escape(text: str) -> str:
    return _SPECIAL.sub(lambda found: _ENTITIES.get(found[0]) or "\\" + found[0], text)


def _escape_line(line: str) -> str:
    escaped = _escape(line)
    if found := _LINE_START.match(escaped):
        space, mark, number, delimiter = found.groups()
        escaped = f"{space}{number or ''}\\{mark or delimiter}{escaped[found.end() :]}"
    return escaped


# Code that a parser might fail to see as code: it must not hold a tag, an image, a link that could lead to a script, or
# the start of TeX that runs on.
_SOFT = re.compile(r"<(?=[A-Za-z/!?])|\$(?=\$)|\\(?=[\[(\])]|begin|end)|!(?=\[)|\](?=[(:]\s*[^)\n]{0,200}?[:&])")


def _soft(code: str) -> str:
    return _SOFT.sub(rf"\g<0>{_GAP}", code)


def _code_span(code: str, in_table: bool) -> str:
    code = _soft(code)
    if "``" in code or (in_table and "\\" in code and "|" in code):
        return _escape(code)
    if in_table:
        code = code.replace("|", "\\|")
    ticks = "``" if "`" in code else "`"
    pad = " " if "`" in (code[:1], code[-1:]) or (code[:1] == code[-1:] == " " and code.strip()) else ""
    return f"{ticks}{pad}{code}{pad}{ticks}"


def _fenced(code: str, info: str) -> list[str]:
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence + language(info), *code.removesuffix("\n").split("\n"), fence]


_TEX_LOOKALIKES = re.compile(r"\\\\(?=[\[(\])])")
_TEX_COMMENT = re.compile(r"(?<!\\)%[^\n]*")


def _math(token: Token, in_table: bool) -> str:
    tex = " ".join(_TEX_COMMENT.sub("", token.content).split())
    tex = _TEX_LOOKALIKES.sub(r"\\\\ ", tex.replace("<", "\\lt "))
    return token.markup + (tex.replace("|", "\\vert ") if in_table else tex) + token.markup


_ADDRESS = re.compile(r"[A-Za-z0-9;/?:@&=+,\-_.!~'#%]*")
_ENTITY_LIKE = re.compile(r"&(?=#?\w+;)")


def _address(url: str) -> str | None:
    """``url`` in the characters no parser minds, or None where that cannot be."""
    url = url.translate({ord(c): f"%{ord(c):02X}" for c in "()*$"})
    return _ENTITY_LIKE.sub("&amp;", url) if _ADDRESS.fullmatch(url) else None


def _inline(children: Iterable[Token], in_table: bool = False) -> str:
    out: list[str] = []
    links: list[str | None] = []
    for token in children:
        match token.type:
            case "text":
                at_start = not out or out[-1].endswith("\n")
                out.append(_escape_line(token.content) if at_start else _escape(token.content))
            case "code_inline":
                out.append(_code_span(token.content, in_table))
            case "math":
                out.append(_math(token, in_table))
            case "softbreak":
                out.append("\n")
            case "hardbreak":
                out.append("  \n")
            case "image":
                out.append(_escape(f"image: {token.attrs['alt']}"))
            case "link_open":
                links.append(_address(str(token.attrs["href"])))
                out.append("" if links[-1] is None else "[")
            case "link_close":
                url = links.pop()
                out.append("" if url is None else f"]({url})")
            case _:
                out.append(token.markup)
    return "".join(out)


@dataclass(slots=True)
class _Box:
    """A quote or list item: what its first line begins with, and what the others do."""

    first: str
    rest: str
    used: bool = False


_RULE = {"text-align:left": ":--", "text-align:center": ":-:", "text-align:right": "--:"}


class _Writer:
    """Writes block tokens as lines, with a blank line between blocks except inside tight lists."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._boxes: list[_Box] = []
        self._gap = False
        self._table: list[str] | None = None
        self._row: list[str] = []
        self._rules: list[str] = []

    def write(self, tokens: Sequence[Token]) -> str:
        for index, token in enumerate(tokens):
            self._block(token, tokens[index - 1] if index else None, tokens[index + 1 : index + 2])
        return "\n".join(self._lines)

    def _block(self, token: Token, before: Token | None, after: Sequence[Token]) -> None:
        match token.type:
            case "inline":
                self._text(token, before)
            case "fence" | "code_block":
                code = _soft(token.content) if self._boxes else token.content
                self._put(_fenced(code, token.info))
            case "verbatim":
                self._put(escape_text(token.content).split("\n"))
            case "hr":
                self._put(["___"])
            case "blockquote_open":
                self._boxes.append(_Box("> ", "> "))
            case "list_item_open":
                self._open_item(token, before, after)
            case "bullet_list_open" | "ordered_list_open":
                # After a paragraph a list needs a blank line only where it is ordered and does not start with 1.
                if before is not None and before.hidden and token.attrs.get("start", 1) == 1:
                    self._gap = False
            case "blockquote_close" | "list_item_close":
                self._close_box()
            case "table_open":
                self._table = []
            case "th_open":
                self._rules.append(_RULE.get(str(token.attrs.get("style", "")), "---"))
            case "tr_close":
                self._end_row()
            case "table_close":
                table, self._table = self._table or [], None
                self._put(table)

    def _text(self, token: Token, before: Token | None) -> None:
        if self._table is not None:
            self._row.append(_inline(token.children or (), in_table=True))
            return
        text = _inline(token.children or ())
        if before is not None and before.type == "heading_open":
            text = re.sub(r"#$", r"\#", " ".join(text.split("\n")))
            self._put(["#" * int(before.tag[1]) + " " + text])
        else:
            self._put(text.split("\n"))

    def _end_row(self) -> None:
        if self._table is None:
            return
        self._table.append(f"| {' | '.join(self._row)} |")
        if self._rules:
            self._table.append(f"| {' | '.join(self._rules)} |")
        self._row, self._rules = [], []

    def _open_item(self, token: Token, before: Token | None, after: Sequence[Token]) -> None:
        first = before is not None and before.type.endswith("list_open")
        if not first and after and after[0].hidden:
            self._gap = False
        marker = f"{token.info}{token.markup} "
        self._boxes.append(_Box(marker, " " * len(marker)))

    def _close_box(self) -> None:
        if not self._boxes[-1].used:
            self._gap = bool(self._lines)  # a lone dash right under text would make that a heading
            self._put([""])
        self._boxes.pop()

    def _put(self, lines: Sequence[str]) -> None:
        if self._gap:
            begun = []
            for box in self._boxes:
                if not box.used:
                    break
                begun.append(box.rest)
            self._lines.append("".join(begun).rstrip())
        for line in lines:
            prefix = "".join(box.rest if box.used else box.first for box in self._boxes)
            for box in self._boxes:
                box.used = True
            self._lines.append(prefix + line if line else prefix.rstrip())
        self._gap = True
