"""SnapshotStore, the memory of every session: snapshots that share their messages, and which session stands where."""

from __future__ import annotations

import builtins
import logging
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

from ..errors import SnapshotError
from . import pointers, records
from .chains import Chains, Recent
from .checking import problems
from .database import Database
from .messages import Log, add_messages, known, links
from .plain import decode, encode, plain, refusal, text, utf8
from .pruning import remove, retract
from .records import Row
from .snapshot import Kept, Snapshot, SnapshotDiff
from .tips import Tip, Tips

__all__ = ["SnapshotStore"]

log = logging.getLogger("openclaw_nb")


class SnapshotStore:
    """Snapshots in the SQLite file ``path`` (``:memory:`` for none), for any number of threads and processes.

    A new file is readable by its owner only, and so is a new directory for it. A state is plain data: dict with str
    keys, list, str, int, finite float, bool, None. Every failure is a SnapshotError with one sentence.
    """

    def __init__(self, path: str | os.PathLike[str] = ":memory:") -> None:
        self._database = Database(path, records.FORMATS)
        self._chains = Chains()
        self._recent = Recent(alone=self.in_memory)
        self._tips = Tips(alone=self.in_memory)
        self._listeners: builtins.list[Callable[[Snapshot], None]] = []

    # -- keeping ---------------------------------------------------------------------------------------

    def put(
        self,
        state: Mapping[str, Any],
        *,
        parent: str | None = None,
        label: str = "",
        session: str | None = None,
        merge: bool = True,
    ) -> Snapshot:
        """Keep ``state``; with a ``session`` it becomes its head, and the head before it the default ``parent``.

        Without ``merge`` it is a fork: of that session, which stays where it stands. ``state["messages"]``, a list,
        is stored once: what it shares with any snapshot before costs nothing again.
        """
        if not isinstance(state, Mapping):
            raise refusal("state", f"a {type(state).__name__} cannot be kept (a state is a mapping)")
        others = dict(state)
        messages = others.pop("messages")[:] if type(others.get("messages")) is list else None
        if "messages" in others:
            raise refusal("state.messages", f"a {type(others['messages']).__name__} cannot be kept (only a list can)")
        tree, items = records.split(plain(others, "state"))
        chain = self._chains.of(messages or [])
        manifest = Row(
            label=_name(label, "label"),
            session=None if session is None else _name(session, "session"),
            created=time.time(),
            length=None if messages is None else len(chain.hashes),
            others=encode(tree),
            chain=chain.hashes[-1] if messages else None,
        )
        with self._database.transaction("the snapshot was not kept", write=True) as db:
            self._tips.clear()
            base = self._base(db, parent, manifest.session)
            there, tail = _shared(chain.hashes, base)
            more, tail = known(db, chain.hashes[there:], tail)
            bodies = [encode(value) for value in chain.values[there + more :]]
            tail = add_messages(db, bodies, chain.hashes[there + more :], tail)
            row = records.add(db, manifest._replace(tail=tail), base, items)
            pointers.stand(db, row, merge=merge)
            self._recent.add(row)
            snapshot = self._snapshot(row, size=sum(map(len, bodies)))
        return self._tell(snapshot)

    def append(
        self,
        session: str,
        messages: Iterable[Any],
        *,
        label: str = "",
        parent: str | None = None,
        merge: bool = True,
        **others: Any,
    ) -> Snapshot:
        """Keep ``parent`` grown by ``messages``, at a cost that does not depend on its length.

        None means the head of ``session``, "" nothing. Its other keys stay, updated by ``others``; a note on one
        answer belongs into its message. ``merge`` as in `put`.
        """
        bodies = [encode(plain(message, ("messages", index))) for index, message in enumerate(messages)]
        tree, items = records.split(plain(others, "state"))
        title, name = _name(label, "label"), _name(session, "session")
        with self._database.transaction("the turn was not kept", write=True) as db:
            tip = self._tips.take(name) if merge else None
            if parent is not None:
                tip = None
            head = tip.row if tip else self._base(db, parent, name)
            base = head or Row()
            hashes = links(base.chain, bodies)
            chain = hashes[-1] if hashes else base.chain
            log = tip.log if tip else self._recent.take(base.chain, base.length or 0)
            if log is not None:
                log.bodies.extend(bodies)
                log.hashes.extend(hashes)
            elif not base.length and self.in_memory:
                log = Log(bodies[:], hashes[:])
            there, tail = known(db, hashes, base.tail)
            new = bodies[there:]
            manifest = Row(
                label=title,
                session=name,
                created=time.time(),
                length=(base.length or 0) + len(bodies),
                others=encode(records.tree(base) | tree) if tree else base.others,
                tail=add_messages(db, new, hashes[there:], tail),
                chain=chain,
            )
            row = records.add(db, manifest, head, items)
            pointers.stand(db, row, merge=merge)
            self._recent.add(row)
            # Of one log there is one owner, as it grows; and a label may be given to another snapshot.
            if log is not None and (title or not merge or not self._tips.put(name, Tip(row, log))):
                self._recent.keep(log)
            snapshot = self._snapshot(row, size=sum(map(len, new)))
        return self._tell(snapshot)

    def name(self, id: str, label: str) -> Snapshot:
        """Give the snapshot ``id`` a name, which stands at no other one then; "" takes the one away that it was given.

        What it was labelled with when it was made cannot be taken away, only named over, or given to another.
        """
        with self._database.transaction(f"snapshot {id} was not named", write=True) as db:
            self._tips.clear()
            row = records.find(db, id)
            pointers.name(db, row, _name(label, "label"))
            snapshot = self._snapshot(row, label=label or text(row.label))
        return self._tell(snapshot)

    def subscribe(self, listener: Callable[[Snapshot], None]) -> Callable[[], None]:
        """Call ``listener`` with each snapshot that this object keeps or names from now on, on the thread that did;
        returns the way to unsubscribe.
        """
        self._listeners.append(listener)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def _tell(self, snapshot: Snapshot) -> Snapshot:
        for listener in tuple(self._listeners):
            try:
                listener(snapshot)
            except Exception:
                log.exception("a listener of %r failed", self)
        return snapshot

    # -- finding ---------------------------------------------------------------------------------------

    def get(self, id: str | None = None) -> Snapshot:
        """The snapshot ``id``, of which 4 digits are enough where they are unique; the newest one for None.

        Its state is read and checked here, and stays at hand after a prune() or close().
        """
        with self._database.transaction("the newest snapshot" if id is None else f"snapshot {id}") as db:
            row = pointers.head(db, None) if id is None else records.find(db, id)
            if row is None:
                raise SnapshotError("there is no snapshot yet")
            return self._read(db, row)

    def peek(self, id: str) -> Snapshot:
        """The snapshot of that id, as `list` has it: its state is read when it is asked for."""
        with self._database.transaction(f"snapshot {id}") as db:
            row = records.find(db, id)
            return self._snapshot(row, label=_label(row, pointers.names(db)))

    def find(self, which: str) -> Snapshot:
        """The snapshot of that name, or else of that id; its state is read as `get` does."""
        with self._database.transaction(f"snapshot {which}") as db:
            named = pointers.find_named(db, _name(which, "name"))
            return self._read(db, named or records.find(db, which))

    def list(self) -> builtins.list[Snapshot]:
        """All snapshots, oldest first. A state is read when it is asked for; a damaged snapshot is labelled so."""
        with self._database.transaction("the list of snapshots") as db:
            names, sizes = pointers.names(db), records.sizes(db)
            return [
                self._snapshot(row, label=_label(row, names), size=sizes[row.seq])
                if row.sound()
                else self._damaged(row)
                for row in records.manifests(db)
            ]

    def head(self, session: str) -> Snapshot | None:
        """The snapshot that ``session`` stands at, or None where it has none; its state is read as `get` does."""
        name = _name(session, "session")
        if (tip := self._tips.find(name)) is not None:
            return self._snapshot(tip.row, load=tip.load)
        with self._database.transaction(f"session {session!r}") as db:
            row = pointers.head(db, name, self._recent.rows(db), alone=self.in_memory)
            return self._read(db, row) if row else None

    def last(self, session: str) -> Snapshot | None:
        """The newest snapshot made in ``session``, but not by hand (whose ``kind`` is "named"); whether it stands there
        or not.
        """
        with self._database.transaction(f"session {session!r}") as db:
            row = records.last(db, _name(session, "session"))
            return self._read(db, row) if row else None

    def point(self, session: str, id: str | None) -> None:
        """Put ``session`` at the snapshot ``id``, which restores it, or branches; None lets it start anew."""
        with self._database.transaction(f"session {session!r}", write=True) as db:
            self._tips.clear()
            pointers.point(db, _name(session, "session"), None if id is None else records.find(db, id))

    def sessions(self) -> dict[str, Snapshot]:
        """The sessions by name, each with the snapshot it stands at."""
        with self._database.transaction("the sessions") as db:
            heads = [(name, pointers.head(db, name)) for name in pointers.sessions(db)]
            names = pointers.names(db)
            return {text(name): self._snapshot(row, label=_label(row, names)) for name, row in heads if row}

    def places(self) -> dict[str, str | None]:
        """Where each session that has or had a snapshot stands, by name: an id, or None for before all of them."""
        with self._database.transaction("the sessions") as db:
            heads = {name: pointers.head(db, name, begun=True) for name in pointers.sessions(db)}
            return {text(name): row.id if row else None for name, row in heads.items()}

    def diff(self, a: Snapshot | str, b: Snapshot | str) -> SnapshotDiff:
        """What the states of two snapshots share and where they part."""
        ids = [one.id if isinstance(one, Snapshot) else one for one in (a, b)]
        with self._database.transaction("the two snapshots") as db:
            ((log_a, _), values_a), ((log_b, _), values_b) = (records.read(db, records.find(db, id)) for id in ids)
        parted = (n for n, (one, other) in enumerate(zip(log_a, log_b, strict=False)) if one != other)
        common = next(parted, min(len(log_a), len(log_b)))
        shared, only_a, only_b = (
            [decode(body) for body in part] for part in (log_a[:common], log_a[common:], log_b[common:])
        )
        return SnapshotDiff(shared, only_a, only_b, sorted({key for key, _ in values_a.items() ^ values_b.items()}))

    # -- tidying ---------------------------------------------------------------------------------------

    def prune(
        self,
        *,
        keep: int | None = None,
        older_than: float | None = None,
        max_bytes: float | None = None,
        spare_named: bool = False,
    ) -> int:
        """Remove the snapshots that are not among the newest ``keep`` and are older than ``older_than`` seconds.

        One of these limits alone decides alone. Then, while the file is larger than ``max_bytes``, more go: those taken
        in the middle of a run first (whose ``kind`` is "checkpoint"), oldest first. Without any limit nothing goes. The
        newest snapshot and those that sessions stand at stay, with all their messages, and with ``spare_named`` those
        that have a label or a name. Gives how many went. A damaged store is left as it is.
        """
        limits = [limit for limit in (keep, older_than, max_bytes) if limit is not None]
        if any(limit < 0 for limit in limits):
            raise SnapshotError("prune() takes limits of 0 or more")
        if not limits:
            return 0
        before = math.inf if older_than is None else time.time() - older_than
        if keep is None and older_than is None:
            before = -math.inf
        room = math.inf if max_bytes is None else max_bytes
        self._tips.clear()
        return remove(self._database, keep or 0, before, room, spare_named)

    def retract(self, id: str) -> None:
        """Take back a snapshot of which another has the messages, as of a run that has ended."""
        with self._database.transaction(f"snapshot {id} was not taken back", write=True) as db:
            retract(db, records.find(db, id))

    def verify(self) -> builtins.list[str]:
        """Check the whole file, also what no snapshot needs: a sentence for each problem, none where all is sound."""
        found: list[str] = []
        try:
            with self._database.transaction("the check stopped") as db:
                found.extend(problems(db))
        except SnapshotError as error:
            found.append(str(error))
        return found

    def close(self) -> None:
        """Close the file. A state that was not read before can then not be read any more."""
        self._tips.clear()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def in_memory(self) -> bool:
        """Whether it ends with this process."""
        return self.path == ":memory:"

    @property
    def path(self) -> str:
        """The file, resolved, or ``:memory:``."""
        return self._database.path

    def __repr__(self) -> str:
        return f"<SnapshotStore {self.path}{' (closed)' if self._database.closed else ''}>"

    def _base(self, db: sqlite3.Connection, parent: str | None, session: bytes | None) -> Row | None:
        """What a new snapshot grows from."""
        known = self._recent.rows(db)
        if parent is not None:
            return records.find(db, parent, known) if parent else None
        return None if session is None else pointers.head(db, session, known, alone=self.in_memory)

    def _read(self, db: sqlite3.Connection, row: Row) -> Snapshot:
        kept = self._kept(db, row)
        return self._snapshot(row, label=_label(row, pointers.names(db)), load=lambda: kept)

    def _damaged(self, row: Row) -> Snapshot:
        return Snapshot(row.id, None, "(damaged)", 0.0, None, 0, b"{}", lambda: 0, partial(self._load, row.id))

    def _snapshot(
        self, row: Row, *, label: str | None = None, size: int | None = None, load: Callable[[], Kept] | None = None
    ) -> Snapshot:
        """What a sound row says."""
        return Snapshot(
            row.id,
            row.parent.hex() if row.parent is not None else None,
            text(row.label) if label is None else label,
            row.created,
            text(row.session) if row.session is not None else None,
            row.length or 0,
            row.others,
            partial(self._size, row.seq) if size is None else lambda: size,
            load or partial(self._load, row.id),
        )

    def _size(self, seq: int) -> int:
        with self._database.transaction("the size of a snapshot") as db:
            return records.sizes(db).get(seq, 0)

    def _load(self, id: str) -> Kept:
        with self._database.transaction(f"snapshot {id}") as db:
            return self._kept(db, records.find(db, id))

    def _kept(self, db: sqlite3.Connection, row: Row) -> Kept:
        """The whole state, encoded."""
        self._recent.rows(db)
        log, values = records.read(db, row, self._recent.take(row.chain, row.length or 0))
        self._recent.keep(log)
        messages = None if row.length is None else log.bodies[:]  # the log may grow
        return messages, values


def _shared(hashes: list[bytes], base: Row | None) -> tuple[int, int | None]:
    """How many messages of a conversation are those of its base, and the row of the last of them."""
    if base and base.length and base.length <= len(hashes) and hashes[base.length - 1] == base.chain:
        return base.length, base.tail
    return 0, None


def _label(row: Row, names: dict[int, bytes]) -> str:
    """The name that was given to it, or what it was labelled with, unless another one was given that name since."""
    given = names.get(row.seq)
    return text(given if given is not None else b"" if row.label in names.values() else row.label)


def _name(value: str, what: str) -> bytes:
    if not isinstance(value, str):
        raise refusal(what, f"a {type(value).__name__} cannot be kept (only str can)")
    return utf8(value)
