"""The picture that lasts: what is in it, that nothing of it is markup, and that it stays small."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore
from openclaw_nb.widgets.drawing import CLOSE, LANE, SHOWN, bundle, marks
from openclaw_nb.widgets.outline import Outline

from .pooled import Pooled

TAGS = {
    "div", "p", "svg", "g", "path", "circle", "text", "tspan", "details", "summary", "table", "tr", "th", "td", "span",
}  # fmt: skip
SHAPES = re.compile(r"[MHC0-9 .-]+")


class Finder(HTMLParser):
    """Elements and attributes that no picture needs, and the text that is left where all markup is stripped."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[object] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.found.append(tag)
        for name, value in attributes:
            if name.startswith("on") or name in {"href", "src"} or re.search(r"url|script|expression", value or ""):
                self.found.append((tag, name, value))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.found.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def read(html: str) -> Finder:
    finder = Finder()
    finder.feed(html)
    finder.close()
    return finder


@pytest.fixture
def store() -> Iterator[SnapshotStore]:
    """Main with a name, a branch of two, and a run that was cut."""
    with SnapshotStore() as store:
        start = store.append("main", ["a", "b"], label="start", kind="turn", level=3, spent=0.0054)
        store.append("main", ["c", "d"], kind="turn", level=2, spent=0.0066)
        store.point("try", start.id)
        store.append("try", ["e", "f"], kind="turn")
        store.append("try", ["g", "h"], kind="turn")
        store.append("main", ["i", "j"], kind="checkpoint", merge=False)
        yield store


def outline_of(store: SnapshotStore) -> tuple[Outline, dict[str, int]]:
    outline = Outline(store.list())
    return outline, {name: outline.column(head.id) or 0 for name, head in store.sessions().items()}


def svg(html: str) -> ElementTree.Element:
    """The picture, by a parser that forgives nothing."""
    return ElementTree.fromstring(re.findall(r"<svg.*?</svg>", html, re.DOTALL)[0])


def test_it_shows_branches_names_times_changes_and_sizes(store: SnapshotStore) -> None:
    outline, heads = outline_of(store)
    html = bundle(outline, heads, "main")["text/html"]
    picture = svg(html)
    words = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"start", "now", "try", "not ended"} < set(words)
    assert any(re.fullmatch(r"\d+ \w+, \d\d:\d\d", word or "") for word in words)
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}circle"))) == 5
    lines = [path.get("d") or "" for path in picture.iter("{http://www.w3.org/2000/svg}path")]
    assert len(lines) == 4
    assert sum("C" in line for line in lines) == 2
    assert all(SHAPES.fullmatch(line) for line in lines)
    assert picture.get("aria-label") == "5 snapshots on 3 branches"
    assert "turn, 2 messages, level 3" in html
    assert re.search(r"<td[^>]*>6 B</td>", html)
    assert "$0.0054" in html


def test_the_words_alone_say_it_too(store: SnapshotStore) -> None:
    outline, heads = outline_of(store)
    both = bundle(outline, heads, "main")
    text = both["text/plain"].splitlines()
    assert text[0].split() == ["snapshot", "session", "kept", "what", "changed", "size", "spent"]
    assert len(text) == 7
    assert re.fullmatch(r"[0-9a-f]{8} start +main +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +turn, 2 messages.*", text[1])
    assert "in mid-run, 2 messages" in text[5]
    assert text[-1] == "5 snapshots on 3 branches"
    stripped = read(both["text/html"]).text
    assert "start" in stripped.split()
    assert "now" in stripped.split()


def test_where_sessions_stand_is_written_at_the_dots(store: SnapshotStore) -> None:
    outline, heads = outline_of(store)
    assert marks(outline, heads, "try") == {0: "start", 1: "main", 3: "now", 4: "not ended"}
    assert marks(outline, {"main": 0, "try": 0}, "main") == {0: "start, now, try", 4: "not ended"}


def pooled(count: int) -> tuple[Outline, dict[str, int]]:
    """Something said, a pool's run of so many agents, of which the second fails, and something said after it."""
    with SnapshotStore() as store:
        memory = Memory(store)
        memory.append("main", ["a", "b"], kind="turn")
        pool = Pooled(memory, *(f"a{n}" for n in range(count)))
        for n in range(count):
            pool.on_the_way(f"a{n}")
        for n in range(count):
            pool.answers(f"a{n}")
        pool.record.tokens, pool.record.seconds = 1204, 12.08
        pool.ends(0.004, a1="the model failed")
        memory.append("main", ["c", "d"], kind="turn")
        outline = Outline(store.list())
        return outline, outline.heads(memory.sessions())


def test_a_pools_run_is_one_dot_with_a_line_for_each_agent() -> None:
    outline, heads = pooled(3)
    both = bundle(outline, heads, "main")
    picture = svg(both["text/html"])
    words = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"pool: a0, a1, a2", "a0", "a1", "a2", "now"} <= set(words)
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}circle"))) == 9
    assert {int(dot.get("cy") or 0) for dot in picture.iter("{http://www.w3.org/2000/svg}circle")} == {
        30 + LANE * lane for lane in range(4)
    }  # fmt: skip
    assert "pool, parallel, 2 of 3 done, the model failed: a1, 1,204 tokens, 12.1 s" in both["text/plain"]
    assert "main/a0" in both["text/plain"]
    assert "12.1 s" not in bundle(outline, heads, "main", live=False)["text/plain"]
    assert marks(outline, heads, "main")[1] == "pool: a0, a1, a2"


def test_twenty_agents_are_all_there_with_their_names() -> None:
    outline, heads = pooled(20)
    picture = svg(bundle(outline, heads, "main")["text/html"])
    words = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {f"a{n}" for n in range(20)} | {"now", "pool: a0, a1, a2 and 17 more"} <= set(words)
    dots = list(picture.iter("{http://www.w3.org/2000/svg}circle"))
    assert len({dot.get("cy") for dot in dots}) == 21
    assert int(picture.get("height") or 0) < 30 + CLOSE * 22


def test_without_the_clock_equal_conversations_give_equal_bytes() -> None:
    bundles = []
    for _ in range(2):
        with SnapshotStore() as store:
            store.append("main", ["a"], kind="turn", label="start")
            store.append("main", ["b"], kind="turn")
            outline, heads = outline_of(store)
            bundles.append(bundle(outline, heads, "main", live=False))
    assert bundles[0] == bundles[1]
    assert "kept" not in bundles[0]["text/plain"].split()


def test_no_snapshot_is_said_so() -> None:
    assert bundle(Outline(), {}, "main", place="p")["text/plain"] == "no snapshot yet"
    assert 'data-ocnb-timeline="p"' in bundle(Outline(), {}, "main", place="p")["text/html"]
    assert "data-ocnb" not in bundle(Outline(), {}, "main")["text/html"]


@given(st.text(st.characters(), min_size=1, max_size=30), st.text(st.characters(), min_size=1, max_size=30))
@example("</text></svg><script>pwned()</script>", "\"><img src=x onerror='pwned()'>")
@example("$$\\href{javascript:pwned()}{x}$$", "a\n\nb <!-- --> ]]> &lt;")
@example("\ud800\x1b]0;x\x07\u202e", "\r\n")
def test_names_are_nobodys_markup(label: str, session: str) -> None:
    with SnapshotStore() as store:
        store.append(session, ["a"], label=label, kind=label[:8])
        outline, heads = outline_of(store)
        both = bundle(outline, heads, session, place="0")
    found = read(both["text/html"]).found
    assert found == []
    svg(both["text/html"])
    assert "\n\n" not in both["text/html"]  # would end the block of HTML in Markdown
    for text in both.values():
        text.encode()
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


@pytest.mark.parametrize("marked", ["none", "all named", "all forks"])
def test_ten_thousand_are_drawn_small(marked: str, figure: Callable[[str, str], None]) -> None:
    with SnapshotStore() as store:
        first = store.append("main", [0], label="start")
        for number in range(1, 10_000 if marked == "none" else 1_000):
            origin = first.id if marked == "all forks" else None
            store.append("main", [number], label=f"n{number}" if marked == "all named" else "", parent=origin)
        outline, heads = outline_of(store)
    both = bundle(outline, heads, "main")
    html = both["text/html"]
    picture = svg(html)
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}circle"))) == SHOWN
    assert f"{len(outline):,} snapshots on" in both["text/plain"]
    assert f"{SHOWN} are shown here, and %openclaw snapshots has all" in html
    assert "start" in html
    assert "now" in html
    if marked == "none":
        assert sum(path.get("stroke-dasharray") is not None for path in picture.iter()) == 1
        figure("a picture of 10,000 snapshots", f"{len(html) / 1000:.0f} kB of HTML")
    assert len(html) < 40_000
