"""The subcommands of `%openclaw` for sessions: keep where one stands, go back, aside, compare, and choose the place."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from IPython.display import display

from .. import options
from ..config import AgentURI
from ..errors import ConfigError, RunError, SnapshotError, nearest
from ..events import Status
from ..namespace import bring_back, described, read_back, take
from ..notebook import SHORT_ID, Notebook
from ..options import LIMITS, OPTIONS
from ..pool import PoolResult, PoolRun
from ..pool.kept import after, agents, cut_in_session, last_ended
from ..pool.record import Record, merge_recorded
from ..pool.resuming import Left, agents_of, take_up
from ..reasoning.levels import ReasoningLevel, read_level
from ..render import counted, static_output
from ..run import Result, Run
from ..runtime import Runtime
from ..sessions.comparison import compare as compared
from ..sessions.memory import Cut, Memory, cut_in, run_in
from ..sessions.storage import CHOICES, Retention, place
from ..snapshots import Snapshot
from ..tables import show_rows
from ..wording import in_words, setting, sized

__all__ = [
    "branch", "compare", "keep", "merge", "restore", "say_gone_on", "sessions", "snapshot", "snapshots", "standing",
]  # fmt: skip

_SESSION = {"--session": OPTIONS["--session"]}
_SESSION_AND_VARS = _SESSION | {"--vars": OPTIONS["--vars"]}


# -- keeping -------------------------------------------------------------------------------------------


def snapshot(notebook: Notebook, words: list[str]) -> None:
    """Keep where a session stands under a name, with variables."""
    memory = _memory(notebook)
    values, names = options.read(words, _SESSION_AND_VARS)
    if len(names) != 1:
        raise ConfigError("write %openclaw snapshot NAME [--session S] [--vars A,B]")
    name, session = options.title(names[0], "snapshot"), values.get("session") or notebook.session or "main"
    packed = take(values.get("vars", ()), notebook.shell.user_ns)

    def work() -> Snapshot:
        others: dict[str, Any] = {"vars": packed} if packed else {}
        level = read_level(notebook.front.level)
        if level is not None and memory.head(session) is None:
            others["level"] = int(level)
        return memory.store.name(memory.keep(session, "", **others).id, name)

    kept = memory.submit(work).result()
    rows = [("kept", f"{_title(kept)} · session {in_words(session)}, {counted(kept.length, 'message')}")]
    if packed:
        rows.append(("variables", described(packed)))
    show_rows("snapshot", rows)


def snapshots(notebook: Notebook, words: list[str]) -> None:
    """Show all of them, and where they lie."""
    runtime = notebook.runtime
    memory = _memory(notebook)
    values, names = options.read(words, _SESSION)
    if names:
        raise ConfigError("write %openclaw snapshots [--session S]")
    memory.submit(_nothing).result()  # what was taken until now is in the file then
    show_rows("snapshots", [_where(runtime), ("to change it", f"%openclaw keep {_KEEP}")])
    session = values.get("session")
    if notebook.in_kernel and not notebook.static():
        from ..widgets.timeline import SnapshotTimeline

        display(SnapshotTimeline(runtime.store, session=session))  # type: ignore[no-untyped-call]
        return
    from ..widgets.drawing import bundle
    from ..widgets.outline import Outline

    outline = Outline(runtime.store.list())
    heads = outline.heads(memory.sessions(), session)
    display(bundle(outline, heads, session or "main", live=not static_output()), raw=True)  # type: ignore[no-untyped-call]


_KEEP = "[data|beside|memory|FOLDER] [--mb N] [--days N] [--every S]"


def keep(notebook: Notebook, words: list[str]) -> None:
    """Show and set where snapshots lie, how big the file may grow, how long they stay, and how often runs are kept."""
    runtime = notebook.runtime
    values, places = options.read(words, LIMITS)
    if len(places) > 1:
        raise ConfigError(f"write %openclaw keep {_KEEP}")
    storage = place(notebook.shell.user_ns, os.environ | _chosen(places[0])) if places else runtime.storage
    retention = Retention(
        values["mb"] * 1e6 if "mb" in values else runtime.storage.retention.max_bytes,
        values.get("days", runtime.storage.retention.days),
    )
    every = values.get("every", runtime.storage.every)
    if storage.path != runtime.storage.path:
        notebook.restored.clear()  # something else may be left there
    runtime.keep_in(replace(storage, retention=retention, every=every))
    show_rows("keep", [_where(runtime), ("to change it", f"%openclaw keep {_KEEP}")])


def _chosen(word: str) -> dict[str, str]:
    if word not in CHOICES and not Path(word).expanduser().is_absolute():
        near = nearest(word, dict.fromkeys(CHOICES))
        raise ConfigError(f"{word!r} is none of {', '.join(CHOICES)}, and no absolute folder{near}")
    return {"OPENCLAW_NB_SNAPSHOTS": word}


def _where(runtime: Runtime) -> tuple[str, str]:
    """Where snapshots lie, in words; what is another on each machine is left out of static output."""
    storage = runtime.storage
    if runtime.trouble or storage.path is None:
        return "where", runtime.trouble or str(storage)
    if static_output():
        return "where", str(storage).replace(str(storage.path), "a file")
    log = Path(f"{storage.path}-wal")
    size = sum(path.stat().st_size for path in (storage.path, log) if path.exists())
    return "where", f"{storage}; the file has {sized(size)} now"


# -- going back ----------------------------------------------------------------------------------------


def restore(notebook: Notebook, words: list[str]) -> Run | PoolRun | None:
    """Put a session at a snapshot, with its variables; the run that was cut in it, or the pool's, which goes on."""
    memory = _memory(notebook)
    values, names = options.read(words, _SESSION_AND_VARS)
    if len(names) > 1:
        raise ConfigError("write %openclaw restore [ID|NAME] [--session S] [--vars A,B|all]")
    named = notebook.find(names[0]) if names else None
    session: str = values.get("session") or (named.session if named else None) or notebook.session or "main"
    left = _left_behind(notebook).get(session)
    found = named or left or memory.submit(memory.find, None, session).result()
    found = memory.submit(after, memory.store, found).result()
    wanted = values.get("vars", ())
    packed = found.state.get("vars") or {}
    variables = read_back(packed, wanted)  # whatever there is to be refused is refused before anything is moved
    if (cut := cut_in(found)) is not None and cut.model is not None:
        notebook.runtime.resolve(cut.model)
    pools = [one for one in _cut_pools(memory, session, found) if named is None or one[0].id == found.id]
    if pools and not _goes_on(cut):
        _check_agents(notebook, pools[0][1])

    def work() -> tuple[Cut | None, Snapshot | None]:
        return memory.restore(session, found), memory.head(session)

    cut, head = memory.submit(work).result()
    if left is not None and left.id == found.id:
        notebook.restored.add(session)
    _say_restored(session, found, cut, head.length if head else 0)
    _say_back(*bring_back(variables, packed, notebook.shell.user_ns, wanted))
    if cut is None and pools:
        return _resume_pool(notebook, session, *pools[0])
    return notebook.resume(cut, session) if cut else None


def _say_restored(session: str, found: Snapshot, cut: Cut | None, count: int) -> None:
    parts = [f"session {in_words(session)}", f"{_title(found)}", counted(count, "message")]
    if cut is not None:
        asked = f"then the run {in_words(cut.message)!r}"
        parts.append(f"{asked} goes on from character {len(cut.text):,}" if cut.text else f"{asked} is asked again")
        if made := sum("result" in call for call in cut.calls):
            parts.append(f"{counted(made, 'tool call')} of it made already")
    show_rows("restore", [("restored", " · ".join(filter(None, parts)))])


def _cut_pools(memory: Memory, session: str, at: Snapshot) -> list[tuple[Snapshot, Record]]:
    """The pools' runs that a killed kernel left, newest first: not those that are at work here."""
    pools = memory.submit(cut_in_session, memory.store, session, at).result()
    at_work = {run.id for run in Runtime.shared().pool.runs}
    return [(entry, record) for entry, record in pools if record.id not in at_work]


def _goes_on(cut: Cut | None) -> bool:
    return cut is not None and cut.state != "stopped"


def _check_agents(notebook: Notebook, record: Record) -> None:
    """ConfigError where a pool's run cannot go on here."""
    agents_of(record)
    if (model := record.options.get("model")) is not None:
        notebook.runtime.resolve(model)


def _resume_pool(notebook: Notebook, session: str, entry: Snapshot, record: Record) -> PoolRun:
    """Go on with a pool's run, and say how far each agent was."""
    memory = notebook.runtime.memory
    left = memory.submit(take_up, memory, entry, record).result()
    notebook.restored.update(member.session for member in record.members)
    rows = [("the pool's run", f"{in_words(record.task)!r} goes on")]
    rows += [(in_words(member.name), _how_far(member.name, left)) for member in record.members]
    show_rows("pool", rows)
    return notebook.resume_pool(record, session, left)


def _how_far(name: str, left: Left) -> str:
    if (outcome := left.over.get(name)) is not None:
        return "has not been started" if isinstance(outcome, RunError) else f"{outcome.status} already"
    cut = left.cuts.get(name)
    if cut is None:
        return "had not begun"
    return f"goes on from character {len(cut.text):,}" if cut.text else "is asked again"


def _say_back(done: list[str], left: list[str]) -> None:
    rows = [("variables", f"{', '.join(done)} {'is' if len(done) == 1 else 'are'} back")] if done else []
    if left:
        they = f"{left[0]} is another here and was" if len(left) == 1 else f"{', '.join(left)} are others here and were"
        rows.append(("not replaced", f"{they} left; %openclaw restore with --vars {','.join(left)} replaces"))
    if rows:
        show_rows("variables", rows)


def say_gone_on(value: Run | Result | PoolRun | PoolResult) -> None:
    """One line on how a run went on that was cut, where its gateway says it; of a pool's run one for each agent."""
    results = value.results if isinstance(value, PoolResult) else {"the run": value}
    rows = [
        (in_words(name), one.words.removeprefix("done, "))
        for name, one in results.items()
        if isinstance(one, Result) and one.status is Status.DONE and one.words
    ]
    if rows:
        show_rows("restore", rows)


# -- sessions ------------------------------------------------------------------------------------------


def sessions(notebook: Notebook, words: list[str]) -> None:
    """Those of this kernel, then those that earlier kernels left."""
    if words:
        raise ConfigError("%openclaw sessions takes nothing after it")
    memory = notebook.runtime.memory
    rows = [(name, _facts(memory, name, head)) for name, head in memory.submit(memory.sessions).result().items()]
    rows = rows or [("sessions", "none yet")]
    if not static_output():
        behind = {name: left for name, left in _left_behind(notebook).items() if not _is_agents(name, memory)}
        rows += [(name, f"{_when(left)}{_left(memory, name, left)}") for name, left in behind.items()]
    if (uri := _elsewhere(notebook)) is not None:
        rows.append(("runs go to", f"{uri}, which keeps its sessions itself"))
    show_rows("sessions", rows)


def _facts(memory: Memory, name: str, head: Snapshot) -> str:
    facts = head.facts
    level = facts.get("level")
    parts = [
        counted(head.length, "message"),
        setting("spent", facts["spent"]) if facts.get("spent") else "",
        f"level {ReasoningLevel(level).label}" if level in (1, 2, 3, 4) else "",
        f"at {_title(head)}" if head.label or not static_output() else "",
        "a run is at work" if memory.lanes.busy(name) else "",
    ]
    return " · ".join(filter(None, parts))


def _left_behind(notebook: Notebook) -> dict[str, Snapshot]:
    """What earlier kernels left in sessions, until that is restored here."""
    return {name: at for name, at in notebook.runtime.memory.earlier().items() if name not in notebook.restored}


def _is_agents(name: str, memory: Memory) -> bool:
    """Whether it is the session of an agent side by side with others, as main/coder is: main brings it back."""
    return name.rpartition("/")[0] in memory.store.places()


def _left(memory: Memory, name: str, left: Snapshot) -> str:
    try:
        pools = _cut_pools(memory, name, left)
        cut = cut_in(left)
        goes_on = cut is not None and cut.state != "stopped"
        run = run_in(left.state) if goes_on else None
        words = counted(run.at if run else left.length, "message")
    except SnapshotError as error:
        return str(error)
    if cut is not None and goes_on:
        how = "failed" if cut.state == "failed" else "was cut"
        words += f", and {in_words(cut.message)!r} {how} after {counted(len(cut.text), 'character')}"
    for _, record in pools[:1]:
        words += f", and the pool's run {in_words(record.task)!r} of {agents(record)} was cut"
    command = "%openclaw restore" + ("" if name == "main" else f" --session {shlex.quote(name)}")
    return f"{words} · {command}"


def _when(left: Snapshot) -> str:
    return f"left by an earlier kernel, {datetime.fromtimestamp(left.created):%Y-%m-%d %H:%M}: "


def standing(notebook: Notebook) -> Iterator[tuple[str, str]]:
    """The card's rows on what is kept: the newest snapshot of this kernel, where all lie, what earlier ones left."""
    memory = notebook.runtime.memory
    if heads := memory.submit(memory.sessions).result():
        name, newest = max(heads.items(), key=lambda item: item[1].created)
        at = "" if static_output() else f"{datetime.fromtimestamp(newest.created):%H:%M:%S}, "
        yield "last snapshot", f"{at}session {in_words(name)}, {counted(newest.length, 'message')}"
    yield _where(notebook.runtime)
    if not static_output() and (left := _left_behind(notebook).get("main")) is not None:
        yield "left by an earlier kernel", _left(memory, "main", left)


# -- aside ---------------------------------------------------------------------------------------------


def branch(notebook: Notebook, words: list[str]) -> None:
    """Begin a session at a snapshot, or where another one stands."""
    memory = _memory(notebook)
    match words:
        case [new]:
            which = notebook.session or "main"
        case [new, which]:
            pass
        case _:
            raise ConfigError("write %openclaw branch NEW [ID|NAME|SESSION]")
    new = options.title(new)
    at = memory.submit(after, memory.store, notebook.find(which)).result()
    start = memory.submit(memory.branch, new, at.id).result()
    words_of_it = f"{in_words(new)} begins at {_title(start)}, {counted(start.length, 'message')}"
    show_rows("branch", [("session", f"{words_of_it} · %%openclaw --session {shlex.quote(new)}")])


def compare(notebook: Notebook, words: list[str]) -> None:
    """Show two sessions or snapshots side by side."""
    memory = _memory(notebook)
    if len(words) != 2:
        raise ConfigError("write %openclaw compare A B, each a session, or a snapshot's name or id")
    a, b = (replace(notebook.find(word), label=word) for word in words)
    display(memory.submit(compared, memory.store, a, b).result())  # type: ignore[no-untyped-call]


def merge(notebook: Notebook, words: list[str]) -> None:
    """Let a session grow by what an agent of its last pool's run said, or by the task and all answers."""
    memory = _memory(notebook)
    values, names = options.read(words, _SESSION)
    if len(names) > 1:
        raise ConfigError("write %openclaw merge [AGENT] [--session S]")
    session = values.get("session") or notebook.session or "main"
    name = names[0] if names else None

    def work() -> tuple[int, Snapshot]:
        head = memory.head(session)
        record = last_ended(memory.store, session, head)
        return head.length if head else 0, merge_recorded(memory, session, record, name)

    before, merged = memory.submit(work).result()
    added = merged.length - before
    what = f"what {in_words(name)} was asked and said" if name is not None else "the task and all answers"
    how = f"{counted(added, 'message')} more" if added else "there already"
    parts = [what, how, f"session {in_words(session)}", counted(merged.length, "message")]
    show_rows("merge", [("merged", " · ".join(parts))])


# -- words ---------------------------------------------------------------------------------------------


def _memory(notebook: Notebook) -> Memory:
    """The memory of this kernel; ConfigError where runs go to a gateway that has its own."""
    if (uri := _elsewhere(notebook)) is not None:
        raise ConfigError(
            f"the gateway at {uri} keeps its sessions itself; %openclaw connect agent://local goes back to ours"
        )
    return notebook.runtime.memory


def _elsewhere(notebook: Notebook) -> str | None:
    address = AgentURI.parse(notebook.uri or notebook.runtime.uri)
    return None if address.is_local else address.text


def _title(snapshot: Snapshot) -> str:
    """How a snapshot is called: by its name and id, in static output without the id."""
    id = "" if static_output() else snapshot.id[:SHORT_ID]
    return " · ".join(filter(None, (in_words(snapshot.label), id))) or "its snapshot"


def _nothing() -> None:
    """Work that is done when all before it is."""
