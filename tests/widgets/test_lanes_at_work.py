"""The lanes view over a real pool: agents on the embedded gateway, each token through its socket."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher

from openclaw_nb.agent import OpenClawAgent
from openclaw_nb.pool import ThreadPool
from openclaw_nb.runtime import Runtime
from openclaw_nb.widgets.lanes import LanesView, show_pool

from .crew import texts
from .streams import WIDGET, Page, timed_page


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    yield from timed_page(time.monotonic, monkeypatch)


@pytest.fixture
def pool(page: Page, shown: CapturingDisplayPublisher) -> Iterator[ThreadPool]:
    with ThreadPool(max_threads=20, max_per_task=20, timeout=60) as pool:
        yield pool
    Runtime.shared().close()


def speaker(name: str, seconds: float, rate: int, go: threading.Event | None = None) -> OpenClawAgent:
    """One that says its name ``rate`` times a second, from ``go`` on."""

    async def model(prompt: str) -> AsyncIterator[str]:
        while go and not go.is_set():  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.001)
        begin = time.monotonic()
        for n in range(int(seconds * rate)):
            yield f"{name} {n} "
            await asyncio.sleep(max(0.0, begin + n / rate - time.monotonic()))

    return OpenClawAgent(name, model=model)


def test_20_lanes_at_80_tokens_a_second(page: Page, pool: ThreadPool, figure: Callable[[str, str], None]) -> None:
    work = pool.execute([speaker(f"agent-{n}", 2, 80) for n in range(20)], "speak")
    view = LanesView(work)
    id = view.model_id
    page.say(view, {"kind": "sync", "lanes": []})
    result = work.result(60)
    view.settled.result(60)
    assert texts(page, id, 20) == [answer.text for answer in result.results.values()]
    assert all(answer.text.endswith(" 159 ") for answer in result.results.values())
    times = [at for at, _, kind, comm_id, _ in page.messages if comm_id == id and kind == "comm_msg"]
    most = max(sum(start <= at < start + 1 for at in times) for start in times)
    figure(
        "lanes of a real pool, 20 at 80 tokens/s",
        f"at most {most} comm messages a second ({len(times)} in {result.seconds:.1f} s), text equal in every lane",
    )
    assert most <= 60


def test_a_pipeline_under_its_eyes(page: Page, pool: ThreadPool, shown: CapturingDisplayPublisher) -> None:
    go = threading.Event()
    work = pool.execute([speaker(name, 0.1, 80, go) for name in ("coder", "tester")], "speak", mode="pipeline")
    view = show_pool(work, into="team")
    id = view.model_id
    waiting = view.get_state("lanes")["lanes"][1]
    go.set()
    result = work.result(60)
    view.settled.result(60)
    assert (waiting["words"], waiting["status"]) == ("waits for coder", "waiting")
    assert texts(page, id, 2) == [answer.text for answer in result.results.values()]
    assert [WIDGET in output["data"] for output in shown.outputs] == [True, False]
    assert "in `team`" in shown.outputs[1]["data"]["text/plain"]
    assert [data["state"]["pool"]["words"] for data in page.of(id) if "state" in data][-1] == "done"


def test_one_is_stopped_and_the_others_end(page: Page, pool: ThreadPool) -> None:
    work = pool.execute([speaker("coder", 600, 80), speaker("tester", 1, 80)], "speak")
    view = LanesView(work)
    while not work.lanes[0].tokens:
        time.sleep(0.01)
    page.say(view, {"kind": "stop", "lane": 0})
    result = work.result(60)
    view.settled.result(60)
    answers: list[Any] = list(result.results.values())
    assert [str(answer.status) for answer in answers] == ["stopped", "done"]
    assert answers[1].text.endswith(" 79 ")
