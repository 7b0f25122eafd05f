"""SnapshotTimeline, every state of a store as a picture in the cell: live where a page can follow it, and kept as SVG.

What is displayed is the picture itself, without a widget, so that it lasts; a page that has the widget puts the live
view in its place. One thread tells pages the news while there is any; handlers of their messages may run on any.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Any

from ..errors import OpenClawError, SnapshotError, one_line
from ..snapshots import Snapshot, SnapshotStore
from .deeds import Deeds
from .drawing import bundle
from .outline import Outline
from .placed import Placed
from .places import find_places

__all__ = ["SnapshotTimeline"]

HELD = 1.5  # s for which the first snapshot of a run is not shown: a run that ends sooner takes it back
FIRST_WHOLE = 2.0  # s until all is told again where no page was heard


class SnapshotTimeline(Placed):
    """The snapshots of ``store`` (None: of this process's `Runtime`), by time and branch; shown as a cell's last value.

    Restoring moves ``session``, or else the session that the snapshot was made in. A page hears of new snapshots every
    ``interval`` seconds at most; those that other processes write to the same file come with a new timeline. The
    output is a picture (SVG) and a table in words; it is drawn again when it is calm, and by ``close()``, which ends
    the live view. With ``OPENCLAW_NB_RENDER=static`` there is no other. Raises SnapshotError for a store that cannot be
    read, ConfigError where the JavaScript is not built.
    """

    _kind = "timeline"

    def __init__(
        self, store: SnapshotStore | None = None, *, session: str | None = None, interval: float = 0.25
    ) -> None:
        self._store, self._places = find_places(store)
        self._session = session
        self._deeds = Deeds(self._store, self._places, session)
        self._fresh: deque[tuple[float, Snapshot]] = deque()
        self._epoch = self._told = 0
        self._facts: dict[str, Any] = {}
        self._heads: dict[str, int] = {}
        self._renamed: set[int] = set()
        self._heard = self._doubtful = False
        self._whole_at, self._wait = monotonic() + FIRST_WHOLE, FIRST_WHOLE
        super().__init__(interval)

    def _begin(self) -> None:
        self._forget = self._store.subscribe(self._on_snapshot)
        self._outline = Outline(self._store.list())
        self._see_heads()

    def _drawn(self, place: str) -> dict[str, str]:
        return bundle(self._outline, self._heads, self._here(), live=not self._frozen, place=place)

    # -- from the store, on the thread that wrote --------------------------------------------------

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        self._fresh.append((monotonic(), snapshot))
        self._wake()

    # -- to the pages, on a thread that ends when it is calm ---------------------------------------

    def _tell(self) -> None:
        """Send what the pages have not got; all of it from time to time until one is heard."""
        with self._lock:
            self._look()
            if not self._heard and monotonic() >= self._whole_at:
                self._told, self._wait = 0, 2 * self._wait
                self._whole_at = monotonic() + self._wait
            self._send_news()

    def _look(self) -> None:
        """Note what the store has told."""
        if self._frozen:
            self._outline = Outline(self._store.list())
        if self._doubtful:
            self._doubtful = False
            self._read_again()
        named, held = False, []
        while self._fresh:
            at, snapshot = told = self._fresh.popleft()
            if self._outline.may_go(snapshot) and not any(new.parent == snapshot.id for _, new in self._fresh):
                if monotonic() - at < HELD:
                    held.append(told)
                    continue
                if not self._has(snapshot):
                    continue
            column = self._outline.add(snapshot)
            named |= column is None
            self._doubtful |= column is not None and self._outline.beside(column)
        self._fresh.extendleft(reversed(held))
        if named:
            self._renamed.update(self._outline.relabel(self._store.list()))
        if held or self._doubtful:
            self._woken.set()
        self._see_heads()

    def _has(self, snapshot: Snapshot) -> bool:
        try:
            self._store.peek(snapshot.id)
        except SnapshotError:
            return False
        return True

    def _see_heads(self) -> None:
        """Where the sessions stand."""
        self._heads = self._outline.heads(self._places.sessions(), self._session)

    def _here(self) -> str:
        if self._session is not None:
            return one_line(self._session)
        return "main" if "main" in self._heads else max(self._heads, key=self._heads.__getitem__, default="")

    def _send_news(self) -> None:
        facts = {"heads": self._heads, "here": self._here(), "unended": list(self._outline.unended())}
        since, self._told = min(self._told, len(self._outline)), len(self._outline)
        labels = {str(column): self._outline.entries[column].label for column in self._renamed if column < since}
        self._renamed.clear()
        ended = self._outline.pools(column for column in self._outline.ended() if column < since)
        if since == len(self._outline) and facts == self._facts and not labels and not ended:
            return
        self._facts = facts
        news = self._outline.columns(since)
        news["pools"] |= ended
        self.send({"kind": "news", "epoch": self._epoch, **news, **facts, "renamed": labels})

    # -- from pages, on any thread -----------------------------------------------------------------

    def _hear(self, content: dict[str, Any]) -> bool:
        match content:
            case {"kind": "sync", "have": int() as have, "epoch": int() as epoch}:
                self._resend(have, epoch)
                return True
            case {"kind": str(), "ask": int() as ask}:
                return self._answer(content, ask)
            case _:
                return False

    def _resend(self, have: int, epoch: int) -> None:
        """Send a page all from column ``have`` on, or where it has something else all there is."""
        with self._lock:
            self._look()
            self._told = min(self._told, max(have, 0)) if epoch == self._epoch else 0
            self._heard, self._used, self._facts = True, self._used and have > 0, {}
            self._send_news()

    def _answer(self, content: dict[str, Any], ask: int) -> bool:
        """Do what was asked, and say in words what came of it; False for what is no request."""
        try:
            answer = self._deeds.do(content)
        except OpenClawError as error:
            answer = {"words": str(error), "tone": "bad"}
            if isinstance(error, SnapshotError):
                self._guarded(self._read_again)
        if answer is None:
            return False
        self.send({"kind": "answer", "ask": ask, **answer})
        self._wake()
        return True

    def _read_again(self) -> None:
        """Begin anew where the store has no more what was read of it, as after a prune."""
        with self._lock:
            snapshots = self._store.list()
            if self._outline.gone({snapshot.id for snapshot in snapshots}):
                self._outline, self._epoch, self._told = Outline(snapshots), self._epoch + 1, 0
