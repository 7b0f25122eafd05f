"""From a model's Markdown, which is hostile, to a checked stream of tokens, and from that to HTML.

Every address is decided on here, once, so the two writers (`to_html` and `remarkdown.to_markdown`) never meet
one that is not allowed. markdown-it-py and Pygments are loaded by the first answer, not by the extension.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

__all__ = ["inert", "language", "parse", "to_html"]

# In units of the 10 µs that markdown-it-py takes for a mark of emphasis; a bracket takes five, a line's end two.
_MAX_WORK = 120_000
_MAX_DEPTH = 30
# One long reference definition may be used many times: what links add may not outgrow the text.
_MAX_LINKS_GROWTH = 4
_MAX_IMAGE = 512 * 1024
_MAX_HIGHLIGHT = 100_000

_MARKS = re.compile(r"[!\[*_`~<&\\$|]")
_LINKABLE = frozenset(("", "http", "https", "mailto"))
# Links and images of these lose the address and keep their words; with any other scheme, say `<std::string>`, it is
# likelier that no link was meant, and the text stays as typed.
_FORBIDDEN = frozenset(("data", "file", "javascript", "vbscript"))
_SCHEME = re.compile(r"\s*([^/?#:]*):")
_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")
_LANGUAGE = re.compile(r"[A-Za-z][A-Za-z0-9_+#-]{0,31}")


def parse(text: str) -> list[Token]:
    """Tokens of CommonMark with tables, strikethrough and math; addresses and images are already decided on.

    ``text`` holds no control characters (see `render.plain`). Where its nesting is pathological the stream is a
    single token ``verbatim`` with the whole text, so that the time stays proportional to the length.
    """
    from markdown_it.token import Token

    verbatim = [Token("verbatim", "", 0, content=text)]
    if len(_MARKS.findall(text)) + 4 * text.count("[") + 2 * text.count("\n") > _MAX_WORK:
        return verbatim
    tokens = _parser().parse(text)
    limit = _MAX_LINKS_GROWTH * len(text) + 10_000
    for token in tokens:
        for child in token.children or ():
            limit -= len(str(child.attrs.get("href") or child.attrs.get("src") or ""))
            if child.level > _MAX_DEPTH:
                return verbatim
        if token.level > _MAX_DEPTH or limit < 0:
            return verbatim
    for token in tokens:
        if token.children:
            token.children = list(_decided(token.children))
    return tokens


def to_html(tokens: Sequence[Token]) -> str:
    """HTML of `parse`'s tokens: no script, nothing that loads from elsewhere, classes as in the live view."""
    parser = _parser()
    env = {"dollars": sum(token.content.count("$") for token in tokens), "highlight": _MAX_HIGHLIGHT}
    html: str = parser.renderer.render(tokens, parser.options, env)
    return html


def inert(text: str, dollars: int | None = None) -> str:
    """``text`` as HTML that shows it literally, also where MathJax typesets what looks like TeX.

    ``dollars`` is how many dollar signs its surroundings hold, where they are more than ``text``: one alone is a price.
    """
    starts = _TEX_STARTS if (text.count("$") if dollars is None else dollars) > 1 else _TEX_BACKSLASHES
    return starts.sub(r"<span>\g<0></span>", escape(text))


# MathJax looks for delimiters within one text node, so an element around the first character hides them.
_TEX_BACKSLASHES = re.compile(r"\\(?=[(\[\])$]|begin|ref|eqref|$)")
_TEX_STARTS = re.compile(rf"\$|{_TEX_BACKSLASHES.pattern}")


def language(info: str) -> str:
    """The language a fence's info string names, safe as a class name and as an info string; "" where none is."""
    found = _LANGUAGE.match(info.strip())
    return found[0].lower() if found else ""


# -- addresses -----------------------------------------------------------------------------------------


def _scheme(url: str) -> str:
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


def _may_parse(url: str) -> bool:
    """Whether markdown-it-py makes a link or image of it, for `_decided` to decide on."""
    return _scheme(url) in _LINKABLE | _FORBIDDEN


def _is_inline_image(url: str) -> bool:
    return len(url) <= _MAX_IMAGE and _IMAGE.fullmatch(url) is not None


def _decided(children: Sequence[Token]) -> Iterator[Token]:
    """The inline tokens with images that would be fetched as words behind a link, and links checked."""
    linked: list[bool] = []
    for token in children:
        match token.type:
            case "link_open":
                url = str(token.attrs["href"])
                linked.append(_scheme(url) in _LINKABLE)
                yield _link(url) if linked[-1] else _words("<" if token.markup == "autolink" else "")
            case "link_close":
                yield token if linked.pop() else _words(">" if token.markup == "autolink" else "")
            case "image":
                yield from _image(token, any(linked))
            case _:
                yield token


def _image(token: Token, in_link: bool) -> Iterator[Token]:
    from markdown_it.token import Token

    source = str(token.attrs["src"])
    alt = " ".join("".join(" " if t.type.endswith("break") else t.content for t in token.children or ()).split())
    if _is_inline_image(source):
        token.attrs = {"src": source, "alt": alt}
        yield token
        return
    words = _words(f"{_origin(source)}: {alt}" if alt else _origin(source))
    if in_link or _scheme(source) not in _LINKABLE:
        yield words
    else:
        yield from (_link(source), words, Token("link_close", "a", -1))


def _origin(source: str) -> str:
    if _scheme(source) not in _LINKABLE | {"file"}:
        return "image"
    try:
        return f"image from {urlsplit(source).hostname or 'a file'}"
    except ValueError:
        return "image"


def _link(url: str) -> Token:
    from markdown_it.token import Token

    return Token("link_open", "a", 1, {"href": url, "rel": "noopener noreferrer", "target": "_blank"})


def _words(text: str) -> Token:
    from markdown_it.token import Token

    return Token("text", "", 0, content=text)


# -- math ----------------------------------------------------------------------------------------------

_MATH = {"$$": "$$", "$": "$", "\\(": "\\)", "\\[": "\\]"}
_MAX_MATH = 2_000
_ENVIRONMENT = r"(?:[bBpvV]?matrix|smallmatrix|cases|array|(?:align|gather)(?:ed)?|split|equation|eqnarray)\*?"
# TeX that reads or writes files, defines commands, or makes links and styles; text that another Markdown parser,
# knowing no math, could take for a link or an image; and the quote, because JupyterLab puts math back into finished
# HTML, where it may be the tail of an address it made a link of.
_UNSAFE_TEX = re.compile(
    r"\\[A-Za-z]*(?:input|includ|read|write|open(?:in|out)|special|csname|code|def|let(?![a-z])|new|scan|file|lua|shell"
    r"|href|url|macro|command|require|class|Id\b|html|data|mml|bbox|verb|every|graphic|fontfam|import|usepackage)"
    r"|\\style\b|\\[A-Za-z]*@|\^\^|[`\x22]|!\[|\][(\[:]|\\(?:begin|end)(?!\{" + _ENVIRONMENT + r"\})"
)


def _is_safe_tex(tex: str) -> bool:
    """Whether it only sets symbols, and every environment it begins ends in it."""
    return not _UNSAFE_TEX.search(tex) and all(
        f"\\end{{{found[1]}}}" in tex[found.end() :] for found in re.finditer(r"\\begin\{([^}]*)\}", tex)
    )


def _math(state: StateInline, silent: bool) -> bool:
    """``$…$``, ``$$…$$``, ``\\(…\\)`` and ``\\[…\\]``, by the rules of Pandoc and GitHub: prices stay prices."""
    text, start = state.src, state.pos
    opener = next((o for o in _MATH if text.startswith(o, start)), "")
    if not opener:
        return False
    inside = start + len(opener)
    end = text.find(_MATH[opener], inside, min(state.posMax, inside + _MAX_MATH))
    if end < 0:
        return False
    tex, after = text[inside:end], end + len(_MATH[opener])
    beside = text[max(start - 1, 0) : start] + text[after : after + 1]
    if opener == "$" and (tex != tex.strip() or tex.endswith("\\") or any(map(str.isalnum, beside))):
        return False
    if not tex.strip() or (opener[0] == "\\" and "$" in tex) or not _is_safe_tex(tex):
        return False
    if not silent:
        token = state.push("math", "", 0)
        token.content, token.markup = tex.strip(), "$$" if opener in ("$$", "\\[") else "$"
    state.pos = after
    return True


# -- HTML ----------------------------------------------------------------------------------------------


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_DEPTH + 10, "xhtmlOut": False})
    parser.enable(["table", "strikethrough"])
    parser.validateLink = _may_parse  # type: ignore[method-assign]
    parser.inline.ruler.before("escape", "math", _math)
    for name, rule in (
        ("code_block", _code), ("fence", _code), ("math", _math_html), ("text", _text), ("verbatim", _verbatim),
    ):  # fmt: skip
        parser.add_render_rule(name, rule)
    return parser


def _text(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return inert(tokens[index].content, env["dollars"])


def _math_html(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    return f'<span class="ocnb-math">{token.markup}{escape(token.content)}{token.markup}</span>'


def _verbatim(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return "<p>" + inert(tokens[index].content).replace("\n", "<br>\n") + "</p>\n"


def _code(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: dict[str, int]) -> str:
    token = tokens[index]
    name = language(token.info)
    env["highlight"] -= len(token.content)
    colour = name in _LEXERS and env["highlight"] >= 0
    body = "".join(_coloured(token.content, _LEXERS[name])) if colour else escape(token.content)
    attribute = f' class="language-{name}"' if name else ""
    return f'<div class="ocnb-code"><pre><code{attribute}>{body}</code></pre></div>\n'


# Only these: some of Pygments' rarer lexers take exponential time on text made for it, and looking up an unknown
# name imports every plugin there is.
_LEXERS: Mapping[str, str] = {
    alias: lexer
    for lexer, aliases in {
        "bash": "bash sh shell zsh", "c": "c h", "cpp": "cpp c++ cc", "csharp": "csharp cs c#", "css": "css",
        "diff": "diff patch", "go": "go golang", "html": "html", "ini": "ini", "java": "java",
        "javascript": "javascript js jsx", "json": "json", "julia": "julia jl", "kotlin": "kotlin",
        "latex": "latex tex", "pycon": "pycon", "python": "python py python3 ipython ipython3", "r": "r",
        "ruby": "ruby rb", "rust": "rust rs", "sql": "sql", "swift": "swift", "toml": "toml",
        "typescript": "typescript ts tsx", "xml": "xml svg", "yaml": "yaml yml",
    }.items()
    for alias in aliases.split()
}  # fmt: skip


def _coloured(code: str, lexer: str) -> Iterator[str]:
    """``code`` in spans of the classes k, s, c, m, nf and o; neighbours of one class share a span."""
    from itertools import groupby

    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped, unused-ignore]

    found = get_lexer_by_name(lexer, stripnl=False, ensurenl=False)
    for kind, run in groupby(found.get_tokens(code), key=lambda item: _kind(item[0])):
        text = escape("".join(value for _, value in run))
        yield f'<span class="{kind}">{text}</span>' if kind and text.strip() else text


@cache
def _kind(token: Any) -> str:
    from pygments.token import (  # type: ignore[import-untyped, unused-ignore]
        Comment,
        Keyword,
        Name,
        Number,
        Operator,
        String,
    )

    for kind, kinds in {
        "k": (Keyword, Operator.Word, Name.Tag), "s": (String,), "c": (Comment,), "m": (Number,),
        "nf": (Name.Function, Name.Class, Name.Decorator), "o": (Operator,),
    }.items():  # fmt: skip
        if any(token in k for k in kinds):
            return kind
    return ""
