"""The timeline over the real widget classes, with a recording comm in place of the page."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import ipywidgets
import pytest
from IPython.core.displaypub import CapturingDisplayPublisher

from openclaw_nb.errors import SnapshotError
from openclaw_nb.sessions.memory import Memory
from openclaw_nb.snapshots import SnapshotStore
from openclaw_nb.widgets import placed
from openclaw_nb.widgets import timeline as module
from openclaw_nb.widgets.library import close_library, static
from openclaw_nb.widgets.placed import MOST
from openclaw_nb.widgets.timeline import SnapshotTimeline

from . import pages
from .pages import opened, wait_until
from .pooled import Pooled

pytestmark = pytest.mark.usefixtures("shown")

WIDGET = "application/vnd.jupyter.widget-view+json"


class Page(pages.Page):
    """What it makes of the news, as js/src/lib/timeline/entries.ts does."""

    def news(self, timeline: SnapshotTimeline) -> list[dict[str, Any]]:
        return [message for message in self.custom(timeline) if message["kind"] == "news"]

    def answers(self, timeline: SnapshotTimeline) -> list[dict[str, Any]]:
        return [message for message in self.custom(timeline) if message["kind"] == "answer"]

    def ids(self, timeline: SnapshotTimeline) -> list[str]:
        ids: list[str] = []
        epoch = -1
        for message in self.news(timeline):
            if message["epoch"] != epoch:
                ids, epoch = [], message["epoch"]
            if message["at"] <= len(ids):
                ids[message["at"] :] = message["ids"].split() + ids[message["at"] + len(message["ids"].split()) :]
        return ids


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    opened(page := Page(), monkeypatch)
    yield page
    ipywidgets.Widget.close_all()
    close_library()


@pytest.fixture
def store() -> Iterator[SnapshotStore]:
    with SnapshotStore() as store:
        store.append("main", ["a", "b"], label="start")
        store.append("main", ["c", "d"])
        yield store


def sync(page: Page, timeline: SnapshotTimeline, have: int = 0, epoch: int = -1) -> None:
    page.say(timeline, {"kind": "sync", "have": have, "epoch": epoch})


# -- what is displayed -------------------------------------------------------------------------------


def test_what_is_displayed_is_the_picture_with_a_place_for_the_live_view(
    store: SnapshotStore, page: Page, shown: CapturingDisplayPublisher
) -> None:
    timeline = SnapshotTimeline(store)
    timeline._ipython_display_()
    (output,) = shown.outputs
    assert set(output["data"]) == {"text/html", "text/plain"}
    assert f'data-ocnb-timeline="{timeline.place}"' in output["data"]["text/html"]
    assert "start" in output["data"]["text/plain"]
    assert timeline._repr_mimebundle_()[0] == output["data"]


@pytest.mark.parametrize("name", ["VSCODE_PID", "COLAB_RELEASE_TAG"])
def test_front_ends_that_keep_widgets_apart_get_the_widget_beside_it(
    store: SnapshotStore, page: Page, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setenv(name, "1")
    timeline = SnapshotTimeline(store)
    assert set(timeline._repr_mimebundle_()[0]) == {WIDGET, "text/html", "text/plain"}
    monkeypatch.setenv("JPY_SESSION_NAME", "test.ipynb")
    assert set(timeline._repr_mimebundle_()[0]) == {"text/html", "text/plain"}


def test_static_output_opens_no_widget_and_has_no_clock(
    store: SnapshotStore, page: Page, shown: CapturingDisplayPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCLAW_NB_RENDER", "static")
    timeline = SnapshotTimeline(store)
    timeline._ipython_display_()
    store.append("main", ["e"], label="later")
    timeline._ipython_display_()
    first, second = (output["data"] for output in shown.outputs)
    assert "data-ocnb" not in first["text/html"]
    assert store.list()[0].id[:8] not in first["text/plain"]
    assert "later" in second["text/plain"]
    assert page.sent == []


def test_the_end_leaves_the_picture_of_now(store: SnapshotStore, page: Page, shown: CapturingDisplayPublisher) -> None:
    timeline = SnapshotTimeline(store)
    timeline._ipython_display_()
    timeline._ipython_display_()
    store.append("main", ["e"], label="later")
    timeline.close()
    last = shown.outputs[-2:]
    for output in last:
        assert output["update"]
        assert "data-ocnb" not in output["data"]["text/html"]
        assert "later" in output["data"]["text/plain"]
    assert {output["transient"]["display_id"] for output in last} == {
        output["transient"]["display_id"] for output in shown.outputs[:2]
    }
    assert page.sent[-1][0] == "comm_close"
    count = len(shown.outputs)
    store.append("main", ["f"])
    timeline.close()
    assert len(shown.outputs) == count


def test_the_picture_is_drawn_again_when_it_is_calm_but_not_under_somebodys_hands(
    store: SnapshotStore, page: Page, shown: CapturingDisplayPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placed, "CALM", 0.1)
    timeline = SnapshotTimeline(store, interval=0.02)
    timeline._ipython_display_()
    page.say(timeline, {"kind": "use", "on": True})
    store.append("main", ["e"], label="later")
    wait_until(lambda: page.ids(timeline) and timeline._thread is None)
    assert len(shown.outputs) == 1
    page.say(timeline, {"kind": "use", "on": False})
    wait_until(lambda: len(shown.outputs) == 2)
    assert "later" in shown.outputs[1]["data"]["text/plain"]
    assert f'data-ocnb-timeline="{timeline.place}"' in shown.outputs[1]["data"]["text/html"]


# -- what a page is told -------------------------------------------------------------------------------


def test_a_page_is_told_all_and_then_only_what_is_new(store: SnapshotStore, page: Page) -> None:
    timeline = SnapshotTimeline(store, interval=0.02)
    assert page.custom(timeline) == []
    sync(page, timeline)
    (first,) = page.news(timeline)
    assert (first["at"], first["heads"], first["here"]) == (0, {"main": 1}, "main")
    new = store.append("main", ["e"])
    wait_until(lambda: len(page.news(timeline)) == 2)
    last = page.news(timeline)[-1]
    assert (last["at"], last["ids"], last["heads"]) == (2, new.id, {"main": 2})
    sync(page, timeline, have=1, epoch=0)
    assert page.news(timeline)[-1]["at"] == 1
    assert page.ids(timeline) == [snapshot.id for snapshot in store.list()]


def test_many_snapshots_are_a_few_messages(store: SnapshotStore, page: Page) -> None:
    timeline = SnapshotTimeline(store, interval=0.2)
    sync(page, timeline)
    began = time.monotonic()
    for number in range(300):
        store.append("main", [number])
        time.sleep(0.002)
    wait_until(lambda: len(page.ids(timeline)) == 302)
    assert len(page.news(timeline)) <= 3 + (time.monotonic() - began) / 0.2
    assert page.ids(timeline) == [snapshot.id for snapshot in store.list()]


def test_who_writes_does_not_wait_for_who_is_told(store: SnapshotStore, page: Page) -> None:
    timeline = SnapshotTimeline(store, interval=0.02)
    with timeline._lock:  # the timeline is busy
        writer = threading.Thread(target=store.append, args=("main", ["e"]))
        writer.start()
        writer.join(60)
        assert not writer.is_alive()
        assert page.ids(timeline) == []
    wait_until(lambda: len(page.ids(timeline)) == 3)


def test_all_is_told_again_until_a_page_is_heard(
    store: SnapshotStore, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_WHOLE", 0.05)
    timeline = SnapshotTimeline(store, interval=0.02)

    def told_thrice() -> bool:
        store.append("main", ["e"])
        return len([message for message in page.news(timeline) if message["at"] == 0]) >= 3

    wait_until(told_thrice)
    sync(page, timeline)
    count = len(page.news(timeline))
    store.append("main", ["f"])
    wait_until(lambda: len(page.news(timeline)) > count)
    assert page.news(timeline)[-1]["at"] > 0


def test_what_a_short_run_takes_back_is_not_shown(
    store: SnapshotStore, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD", 3600.0)
    timeline = SnapshotTimeline(store, interval=0.02)
    sync(page, timeline)
    step = store.append("main", ["e"], kind="step", merge=False)
    turn = store.append("main", ["e", "f"], kind="turn")
    store.retract(step.id)
    wait_until(lambda: turn.id in page.ids(timeline))
    monkeypatch.setattr(module, "HELD", 0.0)
    wait_until(lambda: not timeline._fresh)
    assert step.id not in [id for message in page.news(timeline) for id in message["ids"].split()]


def test_what_a_run_takes_back_later_goes(store: SnapshotStore, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD", 0.05)
    timeline = SnapshotTimeline(store, interval=0.02)
    sync(page, timeline)
    step = store.append("main", ["e"], kind="step", merge=False)
    wait_until(lambda: step.id in page.ids(timeline))
    turn = store.append("main", ["e", "f"], kind="turn")
    store.retract(step.id)
    wait_until(lambda: page.ids(timeline)[-1] == turn.id and step.id not in page.ids(timeline))
    grown = store.append("main", ["g"], kind="checkpoint", merge=False)
    store.append("main", ["h"], kind="checkpoint", merge=False, parent=grown.id)
    store.append("main", ["g", "h"], kind="turn")
    wait_until(lambda: len(page.ids(timeline)) == 6)
    assert page.ids(timeline) == [snapshot.id for snapshot in store.list()]


def test_a_name_given_elsewhere_comes_and_one_that_moved_goes(store: SnapshotStore, page: Page) -> None:
    first, second = store.list()
    store.name(second.id, "here")
    timeline = SnapshotTimeline(store, interval=0.02)
    sync(page, timeline)
    store.name(first.id, "here")
    wait_until(lambda: len(page.news(timeline)) == 2)
    assert page.news(timeline)[-1]["renamed"] == {"0": "here", "1": ""}


def test_a_page_is_told_how_a_pools_run_ended_without_another_entry(store: SnapshotStore, page: Page) -> None:
    pool = Pooled(Memory(store), "coder")
    timeline = SnapshotTimeline(store, interval=0.02)
    sync(page, timeline)
    assert page.news(timeline)[-1]["pools"] == {"2": ["coder", "parallel, 1 agent", 0]}
    assert page.news(timeline)[-1]["heads"] == {"main": 2}
    assert page.news(timeline)[-1]["unended"] == [2]
    pool.answers("coder")
    pool.ends(0.5)
    wait_until(lambda: page.news(timeline)[-1]["unended"] == [])
    told = [message["pools"] for message in page.news(timeline)[1:]]
    assert {"2": ["coder", "parallel, 1 of 1 done", 500_000]} in told
    assert len(page.ids(timeline)) == 4
    assert page.news(timeline)[-1]["heads"] == {"main": 2}


def test_the_thread_ends_when_it_is_calm(store: SnapshotStore, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placed, "CALM", 0.1)
    timeline = SnapshotTimeline(store, interval=0.02)
    assert timeline._thread is None
    with timeline._lock:  # so that it is not calm yet
        store.append("main", ["e"])
        assert timeline._thread is not None
    wait_until(lambda: timeline._thread is None)
    store.append("main", ["f"])
    wait_until(lambda: len(page.ids(timeline)) == 4)


def test_a_forgotten_store_makes_no_harm(store: SnapshotStore, page: Page, caplog: pytest.LogCaptureFixture) -> None:
    timeline = SnapshotTimeline(store, interval=0.02)
    store.close()
    with caplog.at_level(logging.ERROR, "openclaw_nb"):
        page.say(timeline, {"kind": "restore", "id": "0" * 16, "ask": 1})
        (answer,) = page.answers(timeline)
        timeline.close()
    assert (answer["tone"], caplog.records) == ("bad", [])
    with pytest.raises(SnapshotError):
        SnapshotTimeline(store)
    assert not store._listeners


def test_the_oldest_of_many_is_left_as_its_picture(store: SnapshotStore, page: Page) -> None:
    timelines = [SnapshotTimeline(store) for _ in range(MOST + 1)]
    assert [timeline.comm is None for timeline in timelines] == [True, *[False] * MOST]
    assert len(store._listeners) == MOST


# -- what a page may say -------------------------------------------------------------------------------


def test_answers_carry_the_number_that_was_asked_with(store: SnapshotStore, page: Page) -> None:
    timeline = SnapshotTimeline(store, interval=0.02)
    sync(page, timeline)
    first = store.list()[0]
    page.say(timeline, {"kind": "restore", "id": first.id, "ask": 7})
    (answer,) = page.answers(timeline)
    assert (answer["ask"], answer["tone"]) == (7, "ok")
    assert store.head("main") == first
    wait_until(lambda: page.news(timeline)[-1]["heads"] == {"main": 0})


def test_after_a_prune_all_begins_anew(store: SnapshotStore, page: Page) -> None:
    timeline = SnapshotTimeline(store, interval=0.02)
    sync(page, timeline)
    gone = store.list()[0]
    store.prune(keep=1)
    page.say(timeline, {"kind": "restore", "id": gone.id, "ask": 1})
    assert page.answers(timeline)[0]["words"].startswith(f"there is no snapshot {gone.id}")
    wait_until(lambda: page.ids(timeline) == [store.list()[0].id])
    assert page.news(timeline)[-1]["epoch"] == 1
    sync(page, timeline, have=2, epoch=0)  # a page that missed it
    assert page.news(timeline)[-1]["at"] == 0


@pytest.mark.parametrize(
    "content",
    [
        None, 7, [], "restore", {}, {"kind": "sync"}, {"kind": "sync", "have": "0", "epoch": 0}, {"kind": "use"},
        {"kind": "restore", "id": "abcd"}, {"kind": "restore", "id": ["abcd"], "ask": 1}, {"kind": "stop", "ask": 1},
        {"kind": "name", "id": "abcd", "name": 7, "ask": 1}, {"kind": None, "ask": 1}, {"kind": "x" * 100_000},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_ignored(
    store: SnapshotStore, page: Page, caplog: pytest.LogCaptureFixture, content: Any
) -> None:
    timeline = SnapshotTimeline(store)
    before = len(page.sent)
    with caplog.at_level(logging.WARNING, "openclaw_nb"):
        page.say(timeline, content)
    (record,) = caplog.records
    assert "ignored a message" in record.getMessage()
    assert len(record.getMessage()) < 300
    assert len(page.sent) == before


@pytest.mark.parametrize(
    "message", [None, {}, {"content": 7}, {"content": {"data": {"method": "update", "state": {"place": "x"}}}}]
)
def test_a_page_cannot_change_the_model(store: SnapshotStore, page: Page, message: Any) -> None:
    timeline = SnapshotTimeline(store)
    place = timeline.place
    timeline._handle_msg(message)
    assert timeline.place == place


@pytest.mark.parametrize(("have", "epoch"), [(-5, 0), (10**9, 0), (1, 77), (10**9, -3)])
def test_a_page_may_say_it_has_anything(store: SnapshotStore, page: Page, have: int, epoch: int) -> None:
    timeline = SnapshotTimeline(store)
    sync(page, timeline)
    sync(page, timeline, have, epoch)
    assert page.ids(timeline) == [snapshot.id for snapshot in store.list()]


def test_the_built_files_are_small() -> None:
    assert len(static("timeline.js").encode()) < 26_000
    assert len(static("timeline.css").encode()) < 3_500
