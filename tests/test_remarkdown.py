"""Markdown written for every parser at once: unchanged where they agree, in one way where they do not."""

from __future__ import annotations

import pytest

from openclaw_nb.markup import parse
from openclaw_nb.remarkdown import escape_text, to_markdown


def markdown(text: str) -> str:
    return to_markdown(parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world! It costs 5 % (or so) - fine; a_b_c, 2 * 3, x < 3, ~5, AT&T.",
        "# A\n\nb **c** *d* ~~e~~ `f()`\n\n> g\n\n- h\n- i\n  - j\n\n3. k\n4. l\n\n___\n\nm",
        "| a | b |\n| --- | --: |\n| c | d |",
        "```python\nif a < b:\n    print(\"<b>\")\n\n\n# $x$ ![i](http://e)\n```",
        "````\n```\nfence\n```\n````",
        "[words](https://example.org/a_b?c=1&d=2#e)",
        "Euler: $e^{i\\pi} = -1$",
    ],
)  # fmt: skip
def test_harmless_markdown_stays_as_it_is(text: str) -> None:
    assert markdown(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<b>x</b>", "&lt;b>x&lt;/b>"),
        ("`<b>`", "`<\u200bb>`"),
        ("![alt](https://e.org/p.png)", "[image from e.org: alt](https://e.org/p.png)"),
        ("![alt][r]\n\n[r]: https://e.org/p.png", "[image from e.org: alt](https://e.org/p.png)"),
        ("!\\[a](https://e.org)", "\\!\\[a\\](https://e.org)"),
        ("\\![a](https://e.org)", "\\![a](https://e.org)"),
        ("[x](javascript:a)", "x"),
        ("<javascript:a>", "&lt;javascript:a>"),
        ("<std::string>", "&lt;std::string>"),
        ("```{=latex}\nx\n```", "```\nx\n```"),
        ("~~~js a=`b`\nx\n~~~", "```js\nx\n```"),
        ("```\nnever closed", "```\nnever closed\n```"),
        ("    indented <b>", "```\nindented <b>\n```"),
        ("- ```\n  <b>\n  ```", "- ```\n  <\u200bb>\n  ```"),
        ("C:\\dir and \\\\(x", "C:&#92;dir and &#92;(x"),
        ("\\[ x < y \\]", "$$x \\lt  y$$"),
        ("$5 and $6", "\\$5 and \\$6"),
        ("$\\input{/etc/passwd}$", "\\$&#92;input\\{/etc/passwd}\\$"),
        ("a\n\\- b\n1\\. c", "a\n\\- b\n1\\. c"),
        ("---\ntitle: x\n---", "___\n\n## title: x"),
        ("\\&copy; &amp;lt;b>", "&amp;copy; &amp;lt;b>"),
        ("|a|\n|-|\n|1\\|2|", "| a |\n| --- |\n| 1&#124;2 |"),
        ("|a|\n|-|\n|`1\\|2`|", "| a |\n| --- |\n| `1\\|2` |"),
        ("|a|\n|-|\n|`1\\\\|2`|", "| a |\n| --- |\n| 1&#92;&#124;2 |"),
        ("[x](http://e.org/$a*b(c))", "[x](http://e.org/%24a%2Ab%28c%29)"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_parsers_could_read_differently_is_written_in_one_way(text: str, expected: str) -> None:
    assert markdown(text) == expected


def test_plain_text_is_escaped_line_by_line() -> None:
    assert escape_text("# a\n    <b>\n1. c") == "\\# a\n&lt;b>\n1\\. c"
