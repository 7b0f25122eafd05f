"""How the live view of a pool's run is shown, and what of it stays when all have ended."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher

from openclaw_nb.events import End, Status
from openclaw_nb.runtime import Runtime
from openclaw_nb.widgets.lanes import show_pool
from openclaw_nb.widgets.library import open_library

from .crew import Crew, chorus, states, texts, told
from .streams import WIDGET, Page, VirtualLoop, timed_page

pytestmark = pytest.mark.usefixtures("shown")


@pytest.fixture
def page(loop: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    yield from timed_page(loop.time, monkeypatch)


@pytest.fixture
def crew(loop: VirtualLoop, page: Page) -> Crew:
    return Crew(loop, "coder", "tester", "reviewer")


def test_every_display_becomes_one_bundle_without_a_widget(
    page: Page, crew: Crew, shown: CapturingDisplayPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runtime, "loop", crew.loop)
    monkeypatch.setattr(Runtime, "shared", lambda: Runtime)
    view = show_pool(crew.work)
    assert show_pool(crew.work) is view
    assert [WIDGET in output["data"] for output in shown.outputs] == [True, True]
    ids = [output["transient"]["display_id"] for output in shown.outputs]

    async def feed() -> None:
        crew.feeders[1].text("the **answer**")

    crew.do(feed)
    crew.end(view)
    finals = shown.outputs[2:]
    assert [output["transient"]["display_id"] for output in finals] == ids
    assert all(output["update"] and WIDGET not in output["data"] for output in finals)
    assert "<strong>answer</strong>" in finals[0]["data"]["text/html"]
    assert page.messages[-1][2] == "comm_close"
    view.redisplay()
    assert shown.outputs[4:] == finals


def test_the_page_has_all_of_every_lane_when_it_reads_of_the_end(page: Page, crew: Crew) -> None:
    view = crew.view()
    id = view.model_id

    async def feed() -> None:
        for feeder in crew.feeders:
            feeder.text("word " * 1000)
            feeder.run.push(End(Status.DONE))

    crew.do(feed)
    crew.end(view)
    assert texts(page, id, 3) == crew.texts
    assert [states(page, id, n)[-1][0] for n in range(3)] == ["done"] * 3
    assert told(page, id)[-1]["pool"]["status"] == "done"


def test_what_is_over_opens_no_widget(page: Page, crew: Crew, shown: CapturingDisplayPublisher) -> None:
    async def feed() -> None:
        for feeder in crew.feeders:
            feeder.text("done before")
            feeder.run.push(End(Status.DONE))

    crew.do(feed)
    view = crew.view()
    view.display()
    view.settled.result(0)
    assert page.messages == []
    assert "done before" in shown.outputs[0]["data"]["text/plain"]


def test_nothing_keeps_what_a_view_showed(page: Page, crew: Crew) -> None:
    view = crew.view()
    crew.end(view)
    gone = weakref.ref(crew.work)
    crew.work, crew.feeders = None, []  # type: ignore[assignment]
    gc.collect()
    assert gone() is None


def test_no_timer_is_left(page: Page, crew: Crew, loop: VirtualLoop) -> None:
    view = crew.view()
    crew.do(lambda: chorus(crew, 1, 10))
    assert not all(timer.cancelled() for timer in loop._scheduled)
    crew.end(view)
    assert all(timer.cancelled() for timer in loop._scheduled)


def test_its_code_travels_once_and_no_prompt_does(page: Page, loop: VirtualLoop) -> None:
    crews = [Crew(loop, "coder", "tester") for _ in range(3)]
    views = [crew.view() for crew in crews]
    opened = [data["state"] for _, _, kind, _, data in page.messages if kind == "comm_open"]
    assert [state["_model_name"] for state in opened] == ["LayoutModel", "WidgetModel", *["AnyModel"] * 3]
    assert {view._library for view in views} == {open_library("lanes").model_id}
    for crew, view in zip(crews, views, strict=True):
        crew.end(view)
    assert "secret" not in json.dumps([message[4] for message in page.messages])
