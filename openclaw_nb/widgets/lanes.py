"""LanesView, the live picture of agents side by side: one widget model, and one message at a time for all lanes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from traitlets import Unicode

from ..errors import ConfigError
from ..events import RunEvent, Status, Step
from ..pool.lane import Lane
from ..pool.work import PoolRun
from ..runtime import Runtime
from .feed import SMALL, Feed, clean
from .live import Live

__all__ = ["LanesFeed", "LanesView", "show_pool"]

FEW = 20
"""Lanes of which the whole state is sent while they hold little text; of more it would be much without any."""


class _LaneFeed(Feed):
    """The messages of one lane, which has words before it has anything to say."""

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane)
        self._lane = lane

    def _facts(self) -> dict[str, Any]:
        return super()._facts() | {"line": clean(self._lane.line), "cost": self._lane.cost}

    def state(self) -> dict[str, Any]:
        return super().state() | {"name": clean(self._lane.name)}


class LanesFeed:
    """The messages of a pool's run: of each lane what it has to tell, all in one."""

    keys = ("lanes", "pool")

    def __init__(self, work: PoolRun) -> None:
        self._work = work
        self._lanes = tuple(map(_LaneFeed, work.lanes))
        self._numbers = {lane.name: number for number, lane in enumerate(work.lanes)}
        self._stirred: deque[tuple[int, RunEvent | None]] = deque()
        self.stir()
        self._said: tuple[Any, ...] = ()
        self._small = len(self._lanes) <= FEW

    @property
    def small(self) -> bool:
        """Whether the whole is hardly more than what is new of it."""
        self._small = self._small and sum(lane.size for lane in self._lanes) <= SMALL
        return self._small

    def state(self) -> dict[str, Any]:
        """The whole, by ``keys``, as it is now."""
        return {"lanes": [lane.state() for lane in self._lanes], "pool": self._facts()}

    def told(self, state: dict[str, Any]) -> int:
        """Note that a state was sent; how much of its text was new in the lane with most, in UTF-16 units."""
        return max((lane.told(whole) for lane, whole in zip(self._lanes, state["lanes"], strict=True)), default=0)

    def came(self, lane: Lane, event: RunEvent | None) -> None:
        """Note that something came of a lane; from any thread."""
        self._stirred.append((self._numbers[lane.name], event))

    def stir(self) -> None:
        """Note that there may be something to tell of every lane; from any thread."""
        self._stirred.extend((number, None) for number in range(len(self._lanes)))

    def ask(self, wanted: Iterable[tuple[int, int, int]]) -> None:
        """Note what a front end has of some lanes: the lane's number, and as in `Feed.ask`."""
        for number, have, steps in wanted:
            self._lanes[number].ask(have, steps)
            self._stirred.append((number, None))

    def retell(self, number: int) -> None:
        """Note that a page may believe of a lane what is not so."""
        self._lanes[number].retell()
        self._stirred.append((number, None))

    def news(self) -> list[dict[str, Any]]:
        """The one message that brings every front end up to date, or none."""
        lanes = [{"n": number, "news": news} for number in self._take_stirred() if (news := self._lanes[number].news())]
        pool, facts = {}, self._facts()
        if (said := (facts["status"], facts["words"])) != self._said:
            self._said, pool = said, {"pool": facts}
        if not (lanes or pool):
            return []
        return [{"kind": "lanes", "at": facts["seconds"], "lanes": lanes} | pool]

    def _take_stirred(self) -> list[int]:
        stirred, moved = set(), False
        while self._stirred:
            number, event = self._stirred.popleft()
            stirred.add(number)
            moved = moved or event is None
            if isinstance(event, Step):
                self._lanes[number].rewritten(event.key, event.offset)
        if moved:  # where one has begun or ended, those behind it move up
            stirred.update(n for n, lane in enumerate(self._work.lanes) if lane.status is Status.WAITING)
        return sorted(stirred)

    def _facts(self) -> dict[str, Any]:
        work = self._work
        return {
            "status": str(work.status), "words": clean(work.words), "mode": work.mode, "tokens": work.tokens,
            "seconds": round(work.seconds, 3), "cost": work.cost,
        }  # fmt: skip


class LanesView(Live):
    """The live view of a pool's run; see `Live` for the rest."""

    _code = "lanes"
    _work: PoolRun
    _feed: LanesFeed
    _loop: asyncio.AbstractEventLoop
    text = Unicode("the answers will be here when they are complete").tag(sync=True)

    def __init__(
        self, work: PoolRun, interval: float = 0.05, *, into: str = "", loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        if not isinstance(work, PoolRun):
            raise ConfigError(f"a LanesView is of a PoolRun, as ThreadPool.execute gives it, not of {work!r:.80}")
        self._posted = False
        loop = loop or Runtime.shared().loop
        super().__init__(work, LanesFeed(work), interval, into=into, loop=loop)
        _views[work] = self

    def _follow(self) -> Callable[[], None]:
        return self._work.subscribe(self._on_event)

    def _on_event(self, lane: Lane | None, event: RunEvent | None) -> None:
        """Note it, on whichever thread; at most once between two messages the loop is woken for it."""
        if lane is None:
            self._finish()
            return
        self._feed.came(lane, event)
        if not self._posted:
            self._posted = True
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._guarded, self._came)

    def _send_news(self) -> int:
        self._posted = False  # before the news are gathered: what comes from now on may be too late for them
        return super()._send_news()

    def _hear(self, content: dict[str, Any]) -> bool:
        match content:
            case {"kind": "stop", "lane": int() as number} if self._is_lane(number):
                self._guarded(self._work.lanes[number].cancel)
            case {"kind": "allow" | "deny" as kind, "lane": int() as number, "id": str() as id, **rest} if (
                self._is_lane(number) and not rest
            ):
                approvals = self._work.lanes[number].approvals
                self._decide(approvals, id, kind == "allow", partial(self._feed.retell, number))
            case {"kind": "sync", "lanes": [*wanted]} if all(map(self._is_wish, wanted)):
                self._note(self._resend, wanted)
            case _:
                return False
        return True

    def _is_lane(self, number: object) -> bool:
        return type(number) is int and 0 <= number < len(self._work.lanes)

    def _is_wish(self, wish: object) -> bool:
        """Whether it is a lane's number and what a page has of its text and of its steps."""
        match wish:
            case [number, int(), int()]:
                return self._is_lane(number)
        return False

    def _resend(self, wanted: list[tuple[int, int, int]]) -> None:
        self._feed.ask(wanted)
        self._wake()

    def _render(self) -> dict[str, str]:
        from ..side_by_side import bundle

        return bundle(self._work, into=self.into)

    def _text(self) -> str:
        return "\n\n".join(f"{lane.name}\n{lane.text}" for lane in self._work.lanes)


_views: WeakKeyDictionary[PoolRun, LanesView] = WeakKeyDictionary()


def show_pool(work: PoolRun, *, into: str = "") -> LanesView:
    """Show a pool's run in the current cell, by the view it has already or by a new one."""
    view = _views.get(work) or LanesView(work, work.interval, into=into)
    view.display()
    return view
