"""What is kept of pools' runs: how each went, in words, and which were cut.

Two snapshots of its session keep a run, and nothing is said in either: one of kind "pool" when it begins, from which
the agents' sessions grow, and one of kind "pool end" where its session stands by then. What grows from them inherits
their ``pool``, so it is read of these two kinds only.
"""

from __future__ import annotations

from contextlib import suppress

from msgspec.structs import replace

from ..errors import ConfigError, SnapshotError
from ..render import counted
from ..snapshots import Snapshot, SnapshotStore
from ..wording import in_words
from .record import Record, record_in

__all__ = [
    "BEGAN", "ENDED", "after", "agents", "cut_in_session", "figures", "kept_in", "last_ended", "outcomes", "settled",
    "whole",
]  # fmt: skip

BEGAN, ENDED = "pool", "pool end"
"""The kinds of its two snapshots."""

_NAMED = 4  # agents whose names are told


# -- in words ------------------------------------------------------------------------------------------


def agents(record: Record) -> str:
    """ "coder, tester, reviewer", or of many the first ones."""
    return _listed([member.name for member in record.members])


def figures(record: Record, *, live: bool = True) -> str:
    """How it worked, how many are done and how the others ended, and what it took; without ``live`` no seconds."""
    count = counted(len(record.members), "agent")
    others: list[str] = []
    if record.ended is not None:
        count = f"{sum(map(_is_done, record.ended.values()))} of {len(record.members)} done"
        others = [words for words in outcomes(record) if not _is_done(words)]
    tokens = counted(record.tokens, "token") if record.tokens else ""
    seconds = f"{record.seconds:,.1f} s" if live and record.seconds else ""
    return ", ".join(filter(None, (in_words(record.mode), count, *others, tokens, seconds)))


def outcomes(record: Record) -> list[str]:
    """How the agents ended, with those that ended so: "done: coder, tester"."""
    ended = record.ended or {}
    by_words: dict[str, list[str]] = {}
    for member in record.members:
        words = ended.get(member.name, "not ended").removeprefix(f"{member.name} ")  # it stands behind
        by_words.setdefault(in_words(words), []).append(member.name)
    return [f"{words}: {_listed(names)}" for words, names in by_words.items()]


def _is_done(words: str) -> bool:
    return words.startswith("done")


def _listed(names: list[str]) -> str:
    shown = names if len(names) <= _NAMED else names[: _NAMED - 1]
    more = len(names) - len(shown)
    return ", ".join(map(in_words, shown)) + (f" and {more:,} more" if more else "")


# -- in a store ----------------------------------------------------------------------------------------


def kept_in(snapshot: Snapshot) -> Record | None:
    """What a snapshot says of the pool's run that begins or ends in it; None for any other."""
    if snapshot.facts.get("kind") in (BEGAN, ENDED):
        with suppress(SnapshotError):  # pruned or damaged
            return record_in(snapshot.state)
    return None


def settled(record: Record, end: Record) -> Record:
    """The same with what is kept of its end."""
    return replace(record, ended=end.ended, tokens=end.tokens, seconds=end.seconds)


def whole(store: SnapshotStore, snapshot: Snapshot, record: Record) -> Record:
    """What is known of the pool's run that begins in ``snapshot``, its end included if it has one."""
    ends = (one for one in store.list() if one.facts.get("kind") == ENDED and one.created >= snapshot.created)
    found = (end for end in map(kept_in, ends) if end is not None and end.id == record.id)
    return settled(record, next(found, record))


def after(store: SnapshotStore, snapshot: Snapshot) -> Snapshot:
    """Where a session stands after the pool's run that began in ``snapshot``: at its end, if it has one and nothing
    was said in between."""
    if snapshot.facts.get("kind") == BEGAN:
        ends = {(one.parent, one.length): one for one in store.list() if one.facts.get("kind") == ENDED}
        while (end := ends.get((snapshot.id, snapshot.length))) is not None:
            snapshot = end
    return snapshot


def last_ended(store: SnapshotStore, session: str, at: Snapshot | None) -> Record:
    """The last pool's run of ``session`` where it stands ``at``. ConfigError where there is none, or it has no end."""
    every = {one.id: one for one in store.list()} if at is not None and "pool" in at.keys else {}
    here = at.id if at is not None else None
    while (one := every.get(here or "")) is not None:
        if one.session == session and (record := kept_in(one)) is not None:
            if record.ended is None:
                raise ConfigError(
                    f"the pool's run {in_words(record.task)!r} has not ended; %openclaw wait waits for it, and "
                    "%openclaw restore goes on with one that was cut"
                )
            return record
        here = one.parent
    raise ConfigError(
        f"no pool's run has ended in session {session!r}; %%openclaw --agents coder,tester,reviewer begins one"
    )


def cut_in_session(store: SnapshotStore, session: str, at: Snapshot) -> list[tuple[Snapshot, Record]]:
    """The pools' runs of ``session`` that have no end, each with the snapshot it began in, newest first: of those that
    it has behind it where it stands ``at``."""
    if "pool" not in at.keys:
        return []
    every = {one.id: one for one in store.list()}
    ended = {record.id for one in every.values() if one.facts.get("kind") == ENDED and (record := kept_in(one))}
    found = []
    here: str | None = at.id
    while (one := every.get(here or "")) is not None:
        record = kept_in(one) if one.facts.get("kind") == BEGAN and one.session == session else None
        if record is not None and record.id not in ended:
            found.append((one, record))
        here = one.parent
    return found
