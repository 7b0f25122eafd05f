"""Hostile Markdown as HTML: addresses, math, code, and text made to take long."""

from __future__ import annotations

import re
from html import unescape

import pytest

from openclaw_nb.markup import inert, parse, to_html


def html_of(text: str) -> str:
    return to_html(parse(text))


def answer(text: str) -> str:
    return html_of(text).strip()


def test_code_is_coloured_with_the_classes_of_the_live_view() -> None:
    html = answer("```python\n@cache\ndef f(x):\n    return x + 1  # one\n```")
    assert html.startswith('<div class="ocnb-code"><pre><code class="language-python">')
    for part in (
        '<span class="nf">@cache</span>', '<span class="k">def</span>', '<span class="nf">f</span>',
        '<span class="o">+</span>', '<span class="m">1</span>', '<span class="c"># one</span>',
    ):  # fmt: skip
        assert part in html


def test_code_keeps_every_character() -> None:
    code = "\n\na\n\n\n  b\t&amp;\n\n"
    for info in ("", "python", "unknown"):
        assert unescape(re.sub(r"<[^>]*>", "", html_of(f"```{info}\n{code}```"))) == f"{code}\n"


def test_prices_are_not_typeset_and_math_is() -> None:
    assert answer("$5 and $6") == "<p><span>$</span>5 and <span>$</span>6</p>"
    assert answer("it is $5") == "<p>it is $5</p>"
    assert answer("so \\(a_1 < b_2\\)") == '<p>so <span class="ocnb-math">$a_1 &lt; b_2$</span></p>'


def test_a_link_opens_elsewhere_and_tells_nothing() -> None:
    assert (
        answer("[a](https://e.org)") == '<p><a href="https://e.org" rel="noopener noreferrer" target="_blank">a</a></p>'
    )


def test_a_language_is_a_plain_class_name() -> None:
    assert '<code class="language-c++">' in answer("```C++ x\n```")
    assert "<code>" in answer('```" onclick="x\n```')
    assert '<code class="language-py">' in answer('```py"onclick\n```')


@pytest.mark.parametrize("piece", ["[", "![", "*", "`", "`a", "> ", "a\n\n", "|a", "$a ", "<a:b> ", "\\(a", "- \n"])
def test_a_megabyte_of_marks_becomes_plain_text(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    html = html_of(text)
    assert html.count("<p>") == 1
    assert len(html) < 12 * len(text)


def test_nesting_without_end_becomes_plain_text() -> None:
    text = "".join("  " * depth + "- x\n" for depth in range(200))
    assert answer(text).count("- x") == 200
    assert "<em>" in answer("*a _b " * 10 + "b_ a*" * 10)
    assert "<em>" not in answer("*a _b " * 100 + "b_ a*" * 100)


def test_a_long_address_used_often_does_not_multiply() -> None:
    text = f"[a]: http://e.org/{'y' * 20_000}\n\n" + "[a] " * 5_000
    assert len(html_of(text)) < 10 * len(text)


def test_inert_text_keeps_a_price_and_hides_what_looks_like_tex() -> None:
    assert inert("<b> $5") == "&lt;b&gt; $5"
    assert inert("$x$ \\(y") == "<span>$</span>x<span>$</span> <span>\\</span>(y"
    assert inert("$5", dollars=2) == "<span>$</span>5"
