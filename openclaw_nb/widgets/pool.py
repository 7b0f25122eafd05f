"""PoolPicker, a pool's size and its limit per task with their use: live where a page can follow it, and kept in words.

What a page asks for is done on the thread that tells the news, so that a page hears of what came of it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from traitlets import Dict

from ..errors import ConfigError, OpenClawError
from ..pool.threadpool import MOST, ThreadPool
from ..render import counted
from ..seams import local_runtime
from .library import static
from .placed import Placed

__all__ = ["PoolPicker", "kept_form"]

SETTINGS = ("max_threads", "max_per_task")

LARGEST = 2**53
"""A number in a message is at most this, as in JavaScript."""

SQUARES = 24
"""Above so many threads there is a bar, as in the live view."""


@dataclass(frozen=True, slots=True)
class _Use:
    """A pool's size and limit, and how many threads are ``at_work`` and agents ``waiting`` for one."""

    max_threads: int
    max_per_task: int
    at_work: int
    waiting: int


class PoolPicker(Placed):
    """The size of ``pool`` (None: this notebook's), its limit per task, and how much of it is at work.

    Shown as a cell's last value. What is set here holds for the pool at once, also while it works; what is set
    elsewhere moves it. A page hears of news every ``interval`` seconds at most, and always of the last. ``close()``
    ends the live view, and leaves a picture. ConfigError for what is no pool, or where the JavaScript is not built.
    """

    _kind = "pool"
    state = Dict().tag(sync=True)

    def __init__(self, pool: ThreadPool | None = None, *, interval: float = 0.1) -> None:
        if pool is not None and not isinstance(pool, ThreadPool):
            raise ConfigError(
                f"a PoolPicker is of a ThreadPool, or of the notebook's with none given, not of {pool!r:.80}"
            )
        self._pool: ThreadPool = local_runtime().pool if pool is None else pool
        self._asked: deque[tuple[dict[str, int], int]] = deque(maxlen=100)  # what pages have set, by question
        self._answered = 0
        self._refused = ""
        self._shown: _Use
        super().__init__(interval)

    def _begin(self) -> None:
        self._forget = self._pool.subscribe(self._wake)
        self._look()

    # -- what is told, on the thread that tells it -------------------------------------------------

    def _tell(self) -> None:
        with self._lock:
            while self._asked:
                wishes, self._answered = self._asked.popleft()
                self._refused = " ".join(filter(None, (self._set(name, value) for name, value in wishes.items())))
            self._look()

    def _set(self, name: str, value: int) -> str:
        """Why the pool refused it, "" if it did not."""
        try:
            setattr(self._pool, name, value)
        except OpenClawError as error:
            return str(error)
        return ""

    def _look(self) -> None:
        self._shown = _use(self._pool)
        self.state = {
            **asdict(self._shown), "largest": MOST, "line": self._refused,
            "tone": "bad" if self._refused else "", "answered": self._answered,
        }  # fmt: skip

    def _drawn(self, place: str) -> dict[str, str]:
        return _bundle(self._shown, place=place, live=not self._frozen)

    # -- from pages, on any thread -----------------------------------------------------------------

    def _hear(self, content: dict[str, Any]) -> bool:
        match content:
            case {"kind": "set", "ask": int() as ask, **wishes} if (
                0 <= ask <= LARGEST and wishes and all(map(_known, wishes.items()))
            ):
                self._asked.append((wishes, ask))
                self._wake()
                return True
        return False


def _known(wish: tuple[Any, Any]) -> bool:
    """Whether a pool can be asked for it; what it refuses, it refuses with a sentence."""
    name, value = wish
    return name in SETTINGS and type(value) is int and abs(value) <= LARGEST


def _use(pool: ThreadPool) -> _Use:
    return _Use(pool.max_threads, pool.max_per_task, pool.at_work, pool.waiting)


# -- the form that lasts -------------------------------------------------------------------------------


def kept_form(pool: ThreadPool, *, live: bool = True) -> dict[str, str]:
    """The mimebundle of a pool, where there is no widget; without its use where ``live`` is False."""
    return _bundle(_use(pool), live=live)


def _bundle(use: _Use, *, place: str = "", live: bool) -> dict[str, str]:
    """``place`` names the place for the live view of a page that has the widget."""
    attribute = f' data-ocnb-pool="{place}"' if place else ""
    words, css = _words(use, live), _css()
    spans = '<span class="ocnb-sep">, </span>'.join(
        f'<span class="ocnb-count" dir="ltr">{said}</span>' for said in words
    )
    html = (
        f'<div class="ocnb-pool-place"{attribute}><div class="ocnb-pool">{_meter(use.max_threads, use.at_work * live)}'
        f'{spans}<div class="ocnb-reply"></div></div>{f"<style>{css}</style>" if css else ""}</div>'
    )
    return {"text/html": html, "text/plain": ", ".join(words)}


def _words(use: _Use, live: bool) -> list[str]:
    """Without the use where it is not ``live``, so that the same cells give the same words."""
    limit = f"at most {use.max_per_task} per task"
    if not live:
        return [counted(use.max_threads, "thread"), limit]
    waiting = [f"{use.waiting:,} {'waits' if use.waiting == 1 else 'wait'}"] if use.waiting else []
    return [f"{use.at_work} of {use.max_threads} at work", limit, *waiting]


def _meter(size: int, used: int) -> str:
    """A square for each thread, those at work filled; or one bar."""
    if size > SQUARES:
        parts = f'<i class="ocnb-on" style="width:{min(100.0, 100 * used / size):.4g}%"></i>'
    else:
        parts = "".join('<i class="ocnb-on"></i>' if n < used else "<i></i>" for n in range(size))
    return f'<span class="ocnb-meter{" ocnb-bar" * (size > SQUARES)}" aria-hidden="true">{parts}</span>'


@cache
def _css() -> str:
    """The picker's style sheet, as built; "" in a checkout where it is not built yet."""
    try:
        return static("pool.css").strip()
    except ConfigError:
        return ""
