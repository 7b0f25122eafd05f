"""comparison: what two snapshots share, and what was said in each since, in data, as text and as a table."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from typing import Any

import pytest

from openclaw_nb.errors import SnapshotError
from openclaw_nb.sessions.comparison import WIDTH, compare
from openclaw_nb.snapshots import SnapshotStore
from tests.conversations import answered, asked

HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e $x$ \\(y\\) <img src=x onerror=alert(1)>\n\n# heading"


@pytest.fixture
def store() -> SnapshotStore:
    """Two branches after one turn: `main`, dear and deep, and `other`, which was stopped and has a variable."""
    store = SnapshotStore()
    start = store.append("main", [asked("what is it?"), answered("a table")], level=2, spent=0.01, kind="turn")
    store.append("main", [asked("why?"), answered("because", level=3, model="anthropic:x", cost=0.02, tokens=[10, 20])])
    store.append("main", [asked("really?"), answered("yes " * 2000, cost=0.03, tokens=[30, 40])], level=3, spent=0.06)
    store.point("other", start.id)
    table = {"df": {"format": "arrow", "data": "x" * 5000}}
    store.append("other", [asked("where?"), answered("here", stopped=True)], vars=table, kind="named")
    store.name(store.sessions()["other"].id, "before lunch")
    return store


def test_what_is_shared_and_what_is_not(store: SnapshotStore) -> None:
    found = compare(store, "main", "other")
    assert found.common == 2
    assert [m["content"] for m in found.a.messages] == ["why?", "because", "really?", "yes " * 2000]
    assert (found.a.cost, found.a.tokens) == (0.05, (40, 60))
    assert (found.a.levels, found.a.models) == ((3, 2), ("anthropic:x", "offline"))
    assert found.a.figures == "4 messages · level 3 deep, 2 standard · 40 + 60 tokens · $0.05 · anthropic:x, offline"
    assert (found.b.cost, found.b.tokens, found.b.levels) == (None, (0, 0), (2,))
    assert found.b.figures == "2 messages · level 2 standard · offline"
    assert found.changed == {"level": (3, 2), "spent": (0.06, 0.01)}
    assert found.variables == {"df": (None, {"format": "arrow", "data": "x" * 5000})}
    main, other = (store.sessions()[name].id for name in ("main", "other"))
    assert repr(found) == f"<Comparison: 2 messages common, {main} with 4 of its own and {other} with 2 of its own>"


def test_each_may_be_given_in_any_way(store: SnapshotStore) -> None:
    heads = store.sessions()
    wanted = {one.id for one in heads.values()}
    for a, b in (("main", "before lunch"), (heads["main"], heads["other"].id), (heads["main"].id[:9], "other")):
        found = compare(store, a, b)
        assert {found.a.snapshot.id, found.b.snapshot.id} == wanted
    assert compare(store, "main", "before lunch").b.title == f"before lunch · {heads['other'].id}"
    assert compare(store, "main", heads["other"].id[:9]).b.title == heads["other"].id
    nothing = compare(store, "main", heads["main"])
    assert (nothing.common, nothing.a.figures, nothing.changed, nothing.variables) == (6, "nothing since", {}, {})


@pytest.mark.parametrize(("which", "words"), [("nobody", "'nobody' is no snapshot id"), ("0000", "no snapshot 0000")])
def test_one_that_is_not_there(store: SnapshotStore, which: str, words: str) -> None:
    with pytest.raises(SnapshotError, match=words):
        compare(store, "main", which)


def test_as_text(store: SnapshotStore) -> None:
    main, other = (store.sessions()[name].id for name in ("main", "other"))
    cut = ["yes " * 21 + "yes", "yes " * 21 + "yes", "yes " * 20 + "yes …"]
    assert str(compare(store, "main", "other")).splitlines() == [
        "common    2 messages",
        "",
        f"a         main · {main}",
        "          4 messages · level 3 deep, 2 standard · 40 + 60 tokens · $0.05 · anthropic:x, offline",
        "  you     why?",
        "  agent   because",
        "  you     really?",
        f"  agent   {cut[0]}".rstrip(),
        *(" " * 10 + line for line in cut[1:]),
        "",
        f"b         other · {other}",
        "          2 messages · level 2 standard · offline",
        "  you     where?",
        "  agent, stopped here",
        "",
        "df        a: not there · b: arrow, 5.0 kB",
        "level     a: 3 · b: 2",
        "spent     a: $0.06 · b: $0.01",
    ]


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


@pytest.mark.parametrize("text", ["数" * 5000, "x" * 5000, "数 " * 5000, "x数x" * 500, "a\n\t" * 400, "", HOSTILE])
def test_no_line_is_too_wide_or_steers_the_terminal(text: str) -> None:
    with SnapshotStore() as store:
        store.append("a", [asked(text), answered(text), {"role": text, "content": text}], **{text or "k": text})  # type: ignore[arg-type]
        store.append(text or "b", [answered(text, model=text or "m")], vars={text: {"format": text, "data": text}})
        lines = str(compare(store, "a", text or "b")).split("\n")
    assert max(map(columns, lines)) <= WIDTH
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", "".join(lines))


class Reader(HTMLParser):
    """Collects what a browser would see: tags, and the text of each cell."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"style"}
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows:
            self.rows[-1][-1] += data


def test_as_a_table(store: SnapshotStore) -> None:
    bundle = compare(store, "main", "other")._repr_mimebundle_()
    assert bundle["text/plain"] == str(compare(store, "main", "other"))
    html = bundle["text/html"]
    assert "2 messages common" in html
    rows = Reader(html).rows
    assert all(len(row) == 3 for row in rows)
    assert rows[2] == ["", "you why?", "you where?"]
    assert rows[3] == ["", "agent because", "agent, stopped here"]
    assert rows[5][1].startswith("agent yes yes")
    assert rows[5][1].endswith("yes …")
    assert len(rows[5][1]) < 320
    assert rows[5][2].strip() == ""
    assert rows[-1] == ["spent", "$0.06", "$0.01"]
    assert "color:#" not in html


def test_nothing_in_a_table_is_markup() -> None:
    with SnapshotStore() as store:
        store.append("a", [asked(HOSTILE), answered("one $")], **{HOSTILE: HOSTILE})  # type: ignore[arg-type]
        store.append(HOSTILE, [answered(HOSTILE, model=HOSTILE)], vars={HOSTILE: {"format": HOSTILE, "data": HOSTILE}})
        html = compare(store, "a", HOSTILE)._repr_mimebundle_()["text/html"]
    assert Reader(html).tags == {"table", "caption", "colgroup", "col", "tr", "td", "span"}
    assert "\n" not in html
    assert html.count("$") == html.count("<span>$</span>") > 9
    assert "\\(" not in html
    assert "\x1b" not in html
    assert html.count("&lt;script&gt;") >= 6


@pytest.mark.parametrize(
    "message",
    ["text", 7, None, {"role": "assistant"}, answered("x", level="3", cost="much", tokens=[1], model=7),
     answered("x", level=True, cost=True, tokens={"in": 1}), answered("x", level=[], tokens=["a", "b"])],
)  # fmt: skip
def test_states_of_any_make(message: Any) -> None:
    with SnapshotStore() as store:
        store.put({"messages": [message], "vars": 7}, session="a")
        store.put({"vars": {"x": 7}, "run": 7}, session="b")
        found = compare(store, "a", "b")
        assert (found.common, found.a.messages, found.b.messages) == (0, [message], [])
        assert found.a.cost is None
        assert found.a.tokens == (0, 0)
        assert str(found)
        assert found._repr_mimebundle_()
