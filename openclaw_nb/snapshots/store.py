"""SnapshotStore, the memory of every session: snapshots that share their messages, and which session stands where."""

from __future__ import annotations

import builtins
import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate
from types import TracebackType
from typing import Any, Self

from ..errors import SnapshotError
from . import records
from .chains import Chains, Logs
from .database import Database
from .plain import decode, encode, plain, refusal, text, utf8
from .records import Row

__all__ = ["Snapshot", "SnapshotDiff", "SnapshotStore"]


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot:
    """One kept state. ``id`` is 16 hex digits; ``parent`` the id of the snapshot it grew from, which may be pruned
    by now, or None; ``created`` Unix seconds; ``session`` the session it was made in, or None.
    """

    id: str
    parent: str | None
    label: str
    created: float
    session: str | None
    _load: Callable[[], str] = field(compare=False)

    @property
    def state(self) -> dict[str, Any]:
        """The state, as new plain data each time. Raises SnapshotError where it is pruned or damaged."""
        try:
            state: dict[str, Any] = json.loads(self._load())
        except (ValueError, RecursionError) as error:  # a forged file may have sound hashes
            raise SnapshotError(f"snapshot {self.id} was not written by a snapshot store") from error
        return state

    def __repr__(self) -> str:
        label = f" {self.label!r}" if self.label else ""
        session = f" of session {self.session!r}" if self.session is not None else ""
        return (
            f"<Snapshot {self.id}{label}{session}, {datetime.fromtimestamp(self.created, UTC):%Y-%m-%d %H:%M:%S} UTC>"
        )


@dataclass(frozen=True, slots=True, repr=False)
class SnapshotDiff:
    """What two states share and where they part: messages, oldest first, and the names of other keys, sorted."""

    common: list[Any]
    only_a: list[Any]
    only_b: list[Any]
    changed: list[str]

    def __repr__(self) -> str:
        counts = f"{len(self.common)} messages common, {len(self.only_a)} only in a, {len(self.only_b)} only in b"
        return f"<SnapshotDiff {counts}, changed: {', '.join(map(repr, self.changed)) or 'nothing else'}>"


class SnapshotStore:
    """Snapshots in the SQLite file ``path`` (``:memory:`` for none), for any number of threads and processes.

    A new file is readable by its owner only, and so is a new directory for it. A state is plain data: dict with str
    keys, list, str, int, finite float, bool, None. Every failure is a SnapshotError with one sentence.
    """

    def __init__(self, path: str | os.PathLike[str] = ":memory:") -> None:
        self._database = Database(path, records.FORMATS)
        self._chains = Chains()
        self._logs = Logs()

    # -- keeping ---------------------------------------------------------------------------------------

    def put(
        self, state: Mapping[str, Any], *, parent: str | None = None, label: str = "", session: str | None = None
    ) -> Snapshot:
        """Keep ``state``; with a ``session`` it becomes its head, and the head before it the default ``parent``.

        ``state["messages"]``, a list, is stored once: what it shares with any snapshot before costs nothing again.
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
            base = _base(db, parent, manifest.session)
            there, tail = records.known(db, chain.hashes)
            bodies = [encode(value) for value in chain.values[there:]]
            tail = records.add_messages(db, bodies, chain.hashes[there:], tail)
            return self._snapshot(records.add(db, manifest._replace(tail=tail), base, items))

    def append(self, session: str, messages: Iterable[Any], *, label: str = "", **others: Any) -> Snapshot:
        """Keep the head of ``session`` grown by ``messages``, at a cost that does not depend on its length.

        The head's other keys stay, updated by ``others``; a note on one answer belongs into its message.
        """
        bodies = [encode(plain(message, ("messages", index))) for index, message in enumerate(messages)]
        tree, items = records.split(plain(others, "state"))
        title, name = _name(label, "label"), _name(session, "session")
        with self._database.transaction("the turn was not kept", write=True) as db:
            head = records.head(db, name)
            base = head or Row()
            hashes = list(accumulate(bodies, records.link, initial=base.chain or b""))[1:]
            chain = hashes[-1] if hashes else base.chain
            if head and (log := self._logs.take(db, base.chain)) is not None:
                log.extend(bodies)
                self._logs.keep(chain, log)
            manifest = Row(
                label=title,
                session=name,
                created=time.time(),
                length=(base.length or 0) + len(bodies),
                others=encode(records.tree(base) | tree) if tree else base.others,
                tail=records.add_messages(db, bodies, hashes, base.tail),
                chain=chain,
            )
            return self._snapshot(records.add(db, manifest, head, items))

    # -- finding ---------------------------------------------------------------------------------------

    def get(self, id: str | None = None) -> Snapshot:
        """The snapshot ``id``, of which 4 digits are enough where they are unique; the newest one for None.

        Its state is read and checked here, and stays at hand after a prune() or close().
        """
        with self._database.transaction("the newest snapshot" if id is None else f"snapshot {id}") as db:
            row = records.head(db, None) if id is None else records.find(db, id)
            if row is None:
                raise SnapshotError("there is no snapshot yet")
            return self._read(db, row)

    def list(self) -> builtins.list[Snapshot]:
        """All snapshots, oldest first. A state is read when it is asked for; a damaged snapshot is labelled so."""
        with self._database.transaction("the list of snapshots") as db:
            return [self._snapshot(row) if row.sound() else self._damaged(row) for row in records.manifests(db)]

    def head(self, session: str) -> Snapshot | None:
        """The snapshot that ``session`` stands at, or None where it has none; its state is read as `get` does."""
        with self._database.transaction(f"session {session!r}") as db:
            row = records.head(db, _name(session, "session"))
            return self._read(db, row) if row else None

    def point(self, session: str, id: str | None) -> None:
        """Put ``session`` at the snapshot ``id``, which restores it, or branches; None lets it start anew."""
        with self._database.transaction(f"session {session!r}", write=True) as db:
            records.point(db, _name(session, "session"), None if id is None else records.find(db, id))

    def sessions(self) -> dict[str, Snapshot]:
        """The sessions by name, each with the snapshot it stands at."""
        with self._database.transaction("the sessions") as db:
            heads = [(name, records.head(db, name)) for name in records.sessions(db)]
            return {text(name): self._snapshot(row) for name, row in heads if row}

    def diff(self, a: Snapshot | str, b: Snapshot | str) -> SnapshotDiff:
        """What the states of two snapshots share and where they part."""
        ids = [one.id if isinstance(one, Snapshot) else one for one in (a, b)]
        with self._database.transaction("the two snapshots") as db:
            (log_a, values_a), (log_b, values_b) = (records.read(db, records.find(db, id)) for id in ids)
        parted = (n for n, (one, other) in enumerate(zip(log_a, log_b, strict=False)) if one != other)
        common = next(parted, min(len(log_a), len(log_b)))
        shared, only_a, only_b = (
            [decode(body) for body in part] for part in (log_a[:common], log_a[common:], log_b[common:])
        )
        return SnapshotDiff(shared, only_a, only_b, sorted({key for key, _ in values_a.items() ^ values_b.items()}))

    # -- tidying ---------------------------------------------------------------------------------------

    def prune(self, *, keep: int | None = None, older_than: float | None = None) -> int:
        """Remove the snapshots that are not among the newest ``keep`` and are older than ``older_than`` seconds.

        One limit alone decides alone; without any, nothing goes. The newest snapshot and those that sessions stand at
        stay, with all their messages. Gives how many went. A damaged store is left as it is.
        """
        if (keep or 0) < 0 or (older_than or 0) < 0:
            raise SnapshotError("prune() takes limits of 0 or more")
        if keep is None and older_than is None:
            return 0
        before = math.inf if older_than is None else time.time() - older_than
        with self._database.transaction("nothing was pruned", write=True) as db:
            return records.remove(db, keep or 0, before)

    def verify(self) -> builtins.list[str]:
        """Check the whole file, also what no snapshot needs: a sentence for each problem, none where all is sound."""
        found: list[str] = []
        try:
            with self._database.transaction("the check stopped") as db:
                found.extend(records.problems(db))
        except SnapshotError as error:
            found.append(str(error))
        return found

    def close(self) -> None:
        """Close the file. A state that was not read before can then not be read any more."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def path(self) -> str:
        """The file, resolved, or ``:memory:``."""
        return self._database.path

    def __repr__(self) -> str:
        return f"<SnapshotStore {self.path}{' (closed)' if self._database.closed else ''}>"

    def _read(self, db: sqlite3.Connection, row: Row) -> Snapshot:
        document = self._document(db, row)
        return self._snapshot(row, lambda: document)

    def _damaged(self, row: Row) -> Snapshot:
        return Snapshot(row.id, None, "(damaged)", 0.0, None, partial(self._load, row.id))

    def _snapshot(self, row: Row, load: Callable[[], str] | None = None) -> Snapshot:
        """What a sound row says."""
        load = load or partial(self._load, row.id)
        parent = row.parent.hex() if row.parent is not None else None
        session = text(row.session) if row.session is not None else None
        return Snapshot(row.id, parent, text(row.label), row.created, session, load)

    def _load(self, id: str) -> str:
        with self._database.transaction(f"snapshot {id}") as db:
            return self._document(db, records.find(db, id))

    def _document(self, db: sqlite3.Connection, row: Row) -> str:
        """The whole state as JSON."""
        bodies, values = records.read(db, row, self._logs.take(db, row.chain))
        if bodies:
            self._logs.keep(row.chain, bodies)
        if row.length is not None:
            values["messages"] = b"[" + b",".join(bodies) + b"]"
        return text(b"{" + b",".join(encode(key) + b":" + value for key, value in values.items()) + b"}")


def _base(db: sqlite3.Connection, parent: str | None, session: bytes | None) -> Row | None:
    if parent is not None:
        return records.find(db, parent)
    return None if session is None else records.head(db, session)


def _name(value: str, what: str) -> bytes:
    if not isinstance(value, str):
        raise refusal(what, f"a {type(value).__name__} cannot be kept (only str can)")
    return utf8(value)
