"""kinds: one value at a time, what it becomes, and that a wrong one is shown only where it can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openclaw_nb.config.document import Mark, Reading, Scalar
from openclaw_nb.config.kinds import Choice, Duration, File, Kind, Number, Share, Text, Truth, Whole, shown
from openclaw_nb.errors import ConfigError

HERE = Reading("c.yaml", Path("/here"))


def read(kind: Kind, text: str, *, plain: bool = True) -> Any:
    return kind.read(Scalar(Mark(1, 1), text, plain), HERE)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Duration(0, 10, "ms"), "50", 0.05),
        (Duration(0, 10, "ms"), "0.5", 0.0005),
        (Duration(0, 10, "s"), "5", 5.0),
        (Duration(0, 10), "500ms", 0.5),
        (Duration(0, 10), "0.5s", 0.5),
        (Duration(0, 7_200), "1.5h", 5_400.0),
        (Duration(0, 7_200), "2m", 120.0),
        (Share(), "1%", 0.01),
        (Share(), "0.5%", 0.005),
        (Share(), "100%", 1.0),
        (Share(), "0.01", 0.01),
        (Number(10), "0.5", 0.5),
        (Number(10), "10", 10.0),
        (Whole(1, 10), "10", 10),
        (Truth(), "TRUE", True),
        (Truth(), "false", False),
        (Choice(("a", "b")), "b", "b"),
        (Text("a word", r"[a-z]+", str.upper), "abc", "ABC"),
        (File(), "a/b", Path("/here/a/b")),
        (File(), "/a", Path("/a")),
    ],
)
def test_what_values_become(kind: Kind, text: str, value: object) -> None:
    found = read(kind, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Duration(0, 10), "5"),
        (Duration(0, 10), "1 s"),
        (Duration(0, 10), "1e3ms"),
        (Duration(0, 10), "٣s"),
        (Duration(1, 10, "s"), "0.5"),
        (Duration(1, 10, "s"), "true"),
        (Share(), "1"),
        (Share(), "0"),
        (Share(), "-1%"),
        (Share(), "0.0"),
        (Number(10), "0"),
        (Number(10), "true"),
        (Whole(1, 10), "true"),
        (Choice(("a", "b")), "A"),
        (Text("a word", r"[a-z]+"), "abc\n"),
        (Text("a word", r"[a-z]+"), "true"),
        (File(), ""),
        (File(), "a\tb"),
    ],
)
def test_what_is_none(kind: Kind, text: str) -> None:
    with pytest.raises(ConfigError):
        read(kind, text)


def test_quotes_make_text() -> None:
    for kind, text in ((Truth(), "true"), (Whole(1, 9), "5"), (Duration(0, 9, "s"), "5"), (Share(), "0.5")):
        read(kind, text)
        with pytest.raises(ConfigError, match="leave out the quotes"):
            read(kind, text, plain=False)


def test_what_may_be_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "correct-horse")
    assert shown("5 parsecs") == "'5 parsecs'"
    for text in ("correct-horse", "x" * 41, "a\x1bb", "Bearer abcdefgh12345678", "wss://pass", "a?b", "ä"):
        assert shown(text) == "this"
