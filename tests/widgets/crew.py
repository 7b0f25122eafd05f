"""A pool's run whose agents are fed by hand, and what a page makes of what it is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from openclaw_nb.agent import OpenClawAgent
from openclaw_nb.client import OpenClawClient
from openclaw_nb.events import End, Status
from openclaw_nb.pool.lane import Lane
from openclaw_nb.pool.record import Member
from openclaw_nb.pool.slots import Slots
from openclaw_nb.pool.work import PoolRun
from openclaw_nb.run import Run
from openclaw_nb.widgets.lanes import LanesView

from .streams import Feeder, Page

__all__ = ["Crew", "chorus", "news_of_lanes", "states", "texts", "told"]


class Crew:
    """A pool's run whose agents are fed by hand: ``feeders`` are those of the lanes, whether they have begun or not."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *names: str,
        at_once: int = 100,
        cancel: Callable[[Run], None] | None = None,
    ) -> None:
        agent = OpenClawAgent(client=OpenClawClient())  # whose threads and connections none of them needs
        self.loop = loop
        self.feeders = [Feeder(loop, prompt="a secret prompt", level=2, cancel=cancel) for _ in names]
        self.slots = Slots(most=at_once, per_task=at_once)
        self.work = PoolRun("0123456789", "a secret prompt", "main", "parallel", self.slots.queue())
        runs = {name: feeder.run for name, feeder in zip(names, self.feeders, strict=True)}
        self.work.take(
            Lane(self.work, Member(name, name, f"main/{name}", name), agent, lambda lane: runs[lane.name])
            for name in names
        )
        self.work.begin()

    def view(self, **options: Any) -> LanesView:
        return LanesView(self.work, loop=self.loop, **options)

    def do(self, steps: Callable[[], Any]) -> None:
        """Run a coroutine function that feeds, and let what it noted be sent."""

        async def work() -> None:
            await steps()
            await asyncio.sleep(0)

        self.loop.run_until_complete(work())

    def end(self, view: LanesView, status: Status = Status.DONE) -> None:
        async def end() -> None:
            for feeder in self.feeders:
                feeder.run.push(End(status))
            await asyncio.sleep(1)

        self.do(end)
        view.settled.result(60)

    @property
    def texts(self) -> list[str]:
        return [feeder.run.text for feeder in self.feeders]


async def chorus(crew: Crew, seconds: float, rate: int, token: str = "word") -> None:
    """All of them at once, ``rate`` tokens per second each."""
    for n in range(int(seconds * rate)):
        for number, feeder in enumerate(crew.feeders):
            feeder.text(f"{token}{number}.{n} ")
        await asyncio.sleep(1 / rate)


def told(page: Page, id: str) -> list[dict[str, Any]]:
    """The messages for all lanes."""
    return page.custom(id, "lanes")


def texts(page: Page, id: str, count: int, lose: Callable[[dict[str, Any]], bool] = lambda _: False) -> list[str]:
    """What the lanes' texts are to the page, put together as js/src/lib/answer.ts does."""
    units = [b""] * count
    for data in page.of(id):
        for number, lane in enumerate(data.get("state", {}).get("lanes", ())):
            units[number] = max(units[number], lane["text"].encode("utf-16-le"), key=len)
        content = data.get("content", {})
        for number, news in news_of_lanes([] if lose(content) else [content]):
            if news["kind"] == "delta" and 2 * news["offset"] <= len(units[number]):
                text = units[number][: 2 * news["offset"]] + news["text"].encode("utf-16-le")
                units[number] = max(units[number], text, key=len)
    return [text.decode("utf-16-le") for text in units]


def news_of_lanes(messages: Sequence[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for message in messages:
        for lane in message.get("lanes", ()):
            for news in lane["news"]:
                yield lane["n"], news


def states(page: Page, id: str, number: int) -> list[tuple[str, str, str]]:
    """(status, words, line) of a lane, each time it was told."""
    news = [news for n, news in news_of_lanes(told(page, id)) if n == number and news["kind"] == "state"]
    return [(state["status"], state["words"], state["line"]) for state in news]
