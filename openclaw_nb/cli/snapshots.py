"""`openclaw-nb snapshots`: what is kept of sessions, to look at, compare, go back to, thin out and check."""

from __future__ import annotations

import argparse
import json
import math
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import ConfigError, SnapshotError
from ..options import OPTIONS
from ..render import counted, plain
from ..sessions.comparison import compare
from ..sessions.memory import Memory, cut_in
from ..snapshots import Snapshot, SnapshotStore
from ..wording import exchange, in_words, setting, sized, variable
from .output import say, write
from .stores import add_place, opened

__all__ = ["describe"]

_DAY = 86_400
_read_session = OPTIONS["--session"].read or str


def describe(commands: Any, name: str) -> None:
    """Add the command and its own commands."""
    snapshots = commands.add_parser(name, help="look into what is kept of sessions, and go back in it")
    parts = snapshots.add_subparsers(required=True, metavar="list|show|diff|restore|prune|verify")

    def add(name: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        part: argparse.ArgumentParser = parts.add_parser(name, help=help)
        add_place(part)
        part.set_defaults(run=run)
        return part

    part = add("list", _list, "the snapshots, oldest first")
    part.add_argument("--session", metavar="S", help="those of one session")
    part.add_argument("--limit", type=_count, metavar="N", help="the newest N")
    part.add_argument("--json", action="store_true", help="as JSON")
    part = add("show", _show, "one state: what was said, and what else is in it")
    part.add_argument("id", metavar="ID", help="a snapshot's id, the beginning of one, or its name")
    part.add_argument("--json", action="store_true", help="as JSON, with the content of variables")
    part = add("diff", _diff, "what two states share, and what was said in each since")
    part.add_argument("a", metavar="A", help="a session, a snapshot's name or its id")
    part.add_argument("b", metavar="B", help="another one")
    part = add("restore", _restore, "put a session at a snapshot")
    part.add_argument("id", metavar="ID", help="a snapshot's id, the beginning of one, or its name")
    part.add_argument("--session", metavar="S", required=True, help="the session, which may be a new one")
    part.add_argument("--to", type=Path, metavar="FILE", help="in another store, made if it is not there")
    part = add("prune", _prune, "remove snapshots; the newest, named ones and those that sessions stand at stay")
    part.add_argument("--keep", type=_count, metavar="N", help="spare the newest N")
    part.add_argument("--older-than", type=_amount, metavar="DAYS", help="remove those that are older")
    part.add_argument("--max-mb", type=_amount, metavar="N", help="remove the oldest while the file is larger")
    part.add_argument("--named", action="store_true", help="remove named ones too")
    part.add_argument("--dry-run", action="store_true", help="only say how many would go")
    add("verify", _verify, "check the whole file")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not 0 or more")
    return value


# -- list ----------------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    with opened(options) as store:
        snapshots = store.list()
        facts = _Marks(store)
        lengths = {snapshot.id: snapshot.length for snapshot in snapshots}
        chosen = [one for one in snapshots if options.session is None or one.session == options.session]
        chosen = chosen[len(chosen) - min(options.limit, len(chosen)) :] if options.limit is not None else chosen
        entries = [_entry(one, lengths, facts) for one in chosen]
    if options.json:
        write(json.dumps(entries, indent=1) + "\n")
        return 0
    if not entries:
        say("[none yet]")
    rows = [_row(entry) for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")
    return 0


class _Marks:
    """Where sessions stand, by id, and in which snapshots a run was cut that could go on."""

    def __init__(self, store: SnapshotStore) -> None:
        self.heads: dict[str, list[str]] = {}
        self.cut: set[str] = set()
        memory = Memory(store)
        try:
            for session, id in store.places().items():
                if id is not None:
                    self.heads.setdefault(id, []).append(session)
                with suppress(KeyError, TypeError):  # a state that no engine wrote
                    latest = memory.latest(session)
                    if latest is not None and (cut := cut_in(latest)) is not None and cut.state != "stopped":
                        self.cut.add(latest.id)
        except SnapshotError as error:
            say(f"[where sessions stand is not known: {error}]")


def _entry(snapshot: Snapshot, lengths: dict[str, int], marks: _Marks) -> dict[str, Any]:
    """One snapshot as JSON has it; ``added`` are messages, None where what it grew from is gone."""
    base = 0 if snapshot.parent is None else lengths.get(snapshot.parent)
    return {
        "id": snapshot.id,
        "parent": snapshot.parent,
        "created": snapshot.created,
        "session": snapshot.session,
        "name": snapshot.label,
        "messages": snapshot.length,
        "added": None if base is None else snapshot.length - base,
        "size": snapshot.size,
        "facts": snapshot.facts,
        "stands_here": marks.heads.get(snapshot.id, []),
        "cut": snapshot.id in marks.cut,
    }


def _row(entry: dict[str, Any]) -> list[str]:
    kind = entry["facts"].get("kind")
    marks = [in_words(entry["name"])] if entry["name"] else []
    marks += [f"here: {', '.join(map(in_words, entry['stands_here']))}"] if entry["stands_here"] else []
    marks += ["cut in the middle of a run"] if entry["cut"] else []
    return [
        entry["id"],
        _when(entry["created"])[:16],
        "" if entry["session"] is None else in_words(entry["session"]),
        in_words(kind) if isinstance(kind, str) else "",
        "" if entry["added"] is None else f"{entry['added']:+}",
        counted(entry["messages"], "message"),
        sized(entry["size"]),
        " · ".join(marks),
    ]


def _when(created: float) -> str:
    """Local time, or "" for a damaged snapshot."""
    with suppress(OverflowError, ValueError, OSError):
        return f"{datetime.fromtimestamp(created):%Y-%m-%d %H:%M:%S}" if created else ""
    return "?"


# -- show, diff ----------------------------------------------------------------------------------------


def _show(options: argparse.Namespace) -> int:
    with opened(options) as store:
        snapshot = store.find(options.id)
        state = snapshot.state
        marks = _Marks(store)
        entry = _entry(snapshot, {}, marks)
        facts = list(_facts(snapshot, state, marks))
    if options.json:
        del entry["added"], entry["facts"]
        write(json.dumps(entry | {"state": state}, indent=1) + "\n")
        return 0
    for name, words in facts:
        write(f"{name:<10}{words}\n")
    messages = state.get("messages")
    for who, text in exchange(messages if isinstance(messages, list) else []):
        body = text.replace("\n", "\n  ")  # no line of a text passes as one of ours
        write(f"\n{who}\n  {body}\n")
    return 0


def _facts(snapshot: Snapshot, state: dict[str, Any], marks: _Marks) -> Iterator[tuple[str, str]]:
    yield "id", snapshot.id
    if snapshot.label:
        yield "name", in_words(snapshot.label)
    if snapshot.session is not None:
        yield "session", in_words(snapshot.session)
    for session in marks.heads.get(snapshot.id, []):
        yield "here", f"session {in_words(session)} stands here"
    yield "made", _when(snapshot.created)
    if snapshot.parent is not None:
        yield "parent", snapshot.parent
    yield "messages", f"{snapshot.length:,}, {sized(snapshot.size)} of them new"
    for name, value in state.items():
        if name == "vars" and isinstance(value, dict):
            yield from (("variable", f"{in_words(one)}: {variable(kept)}") for one, kept in value.items())
        elif name == "run":
            yield from _run_facts(snapshot)
        elif name != "messages":
            yield in_words(name), setting(name, value)


def _run_facts(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    with suppress(KeyError, TypeError):
        if (cut := cut_in(snapshot)) is not None:
            yield "run", f"{in_words(cut.state)}, {counted(cut.tokens, 'token')} had come; {in_words(cut.message)}"


def _diff(options: argparse.Namespace) -> int:
    with opened(options) as store:
        write(f"{compare(store, options.a, options.b)}\n")
    return 0


# -- restore -------------------------------------------------------------------------------------------


def _restore(options: argparse.Namespace) -> int:
    session = _read_session(options.session)
    with opened(options) as store:
        snapshot = store.find(options.id)
        if options.to is not None:
            with SnapshotStore(options.to) as other:
                there = other.put(snapshot.state, label=snapshot.label, session=session, merge=False)
                _put_there(other, session, there)
        else:
            _put_there(store, session, snapshot)
    return 0


def _put_there(store: SnapshotStore, session: str, snapshot: Snapshot) -> None:
    cut = Memory(store).restore(session, snapshot)
    where = "before the question that was cut" if cut else f"at {snapshot.id}"
    write(f"session {session} in {store.path} stands {where}\n")
    say(
        "[a gateway that serves this file goes on from there with the next message, and a notebook that keeps its "
        f"snapshots in it after %openclaw restore {snapshot.id[:8]}]"
    )


# -- prune, verify -------------------------------------------------------------------------------------


def _prune(options: argparse.Namespace) -> int:
    limits = {
        "keep": options.keep,
        "older_than": None if options.older_than is None else options.older_than * _DAY,
        "max_bytes": None if options.max_mb is None else options.max_mb * 1e6,
    }
    if all(limit is None for limit in limits.values()):
        raise ConfigError("say what may go: --keep N, --older-than DAYS or --max-mb N")
    with opened(options) as store:
        if options.dry_run:
            with tempfile.TemporaryDirectory(dir=Path(store.path).parent) as folder:
                _copy(store.path, copy := os.path.join(folder, "copy.db"))
                with SnapshotStore(copy) as other:
                    gone = other.prune(**limits, spare_named=not options.named)
                    left = len(other.list())
        else:
            gone = store.prune(**limits, spare_named=not options.named)
            left = len(store.list())
    verb = "would go" if options.dry_run else "removed"
    write(f"{counted(gone, 'snapshot')} {verb}, {left:,} {'would stay' if options.dry_run else 'stay'}\n")
    return 0


def _copy(source: str, target: str) -> None:
    """The file as it is at one moment, whoever writes to it meanwhile."""
    try:
        with closing(sqlite3.connect(source)) as there, closing(sqlite3.connect(target)) as here:
            there.backup(here)
    except sqlite3.Error as error:
        raise SnapshotError(f"the store cannot be copied to try it on the copy: {error}") from error


def _verify(options: argparse.Namespace) -> int:
    with opened(options) as store:
        problems = store.verify()
        for problem in problems:
            write(f"{plain(problem)}\n")
        if not problems:
            counts = counted(len(store.list()), "snapshot"), counted(len(store.sessions()), "session")
            write(f"sound: {', '.join(counts)}\n")
    return 1 if problems else 0
