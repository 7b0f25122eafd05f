"""The subcommands of `%openclaw` for conversations wherever they are kept: list, choose, show, fork, and begin anew."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from typing import Any, TypeVar

from IPython.display import display

from .. import options
from ..client import OpenClawClient
from ..config import AgentURI
from ..dialogue import Said, dialogue, of_session
from ..errors import ConfigError, ConnectionLost, RequestError
from ..notebook import Notebook
from ..options import OPTIONS
from ..protocol.keys import read_session_key, session_key
from ..remote import history as remote_history
from ..remote import sessions as remote_sessions
from ..remote.sessions import ADMIN, RemoteSession, same
from ..render import counted, dollars, static_output
from ..run import Run
from ..tables import show_rows
from ..wording import in_words
from . import sessions as local

__all__ = [
    "ask",
    "ask_elevated",
    "branch",
    "called",
    "chosen_key",
    "elsewhere",
    "history",
    "is_ours",
    "reset",
    "session",
    "sessions",
]

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that a gateway gets to answer a command."""

LISTED = 20
"""Sessions that are listed, and messages that are shown where no number is given."""

SEARCHED = 200
"""Sessions among which one is looked for by its title."""

_SESSION = {"--session": OPTIONS["--session"]}


# -- the gateway that is asked -------------------------------------------------------------------------


def elsewhere(notebook: Notebook) -> bool:
    """Whether cells ask a gateway elsewhere, which keeps its sessions itself."""
    return not AgentURI.parse(notebook.uri or notebook.runtime.uri).is_local


def is_ours(notebook: Notebook) -> bool:
    """Whether that is a gateway of this package, which takes a model with each message."""
    return ask(notebook, lambda client: client.hello()).is_ours


def ask(notebook: Notebook, work: Callable[[OpenClawClient], Coroutine[Any, Any, T]]) -> T:
    """What comes of ``work`` with the client of this notebook, on the runtime's loop.

    ConnectionLost where that takes longer than PATIENCE.
    """
    client = notebook.client()

    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE):
            return await work(client)

    try:
        return notebook.runtime.call(bounded()).result()
    except TimeoutError:
        raise ConnectionLost(f"the gateway at {client.uri} has not answered within {PATIENCE:.0f} s") from None


def ask_elevated(notebook: Notebook, work: Callable[[OpenClawClient], Coroutine[Any, Any, T]]) -> T:
    """The same over a connection of its own that may do what only an administrator may, and that ends with it."""

    async def elevated(client: OpenClawClient) -> T:
        async with client.elevated(ADMIN) as admin:
            return await work(admin)

    try:
        return ask(notebook, elevated)
    except RequestError as error:
        if ADMIN not in str(error):
            raise
        raise RequestError(
            f"the gateway at {notebook.client().uri} allows this to {ADMIN} only, which our token does not grant",
            code=error.code,
        ) from error


def chosen_key(notebook: Notebook, named: str | None = None) -> str:
    """The key at a gateway elsewhere of a session, by default of the one that cells talk in."""
    named = named or notebook.session or "main"
    return notebook.client().key_of(notebook.agent or "main", named)


def called(notebook: Notebook, key: str) -> str:
    """What a session is called here, by which it can be named again: main is the notebook's own."""
    if same(key, chosen_key(notebook, "main")):
        return "main"
    agent, name = read_session_key(key)
    return name if agent == (notebook.agent or "main") and name != "main" else key


# -- which there are, and which one ----------------------------------------------------------------------


def sessions(notebook: Notebook, words: list[str]) -> None:
    """Those of the gateway, newest first, or those of this kernel."""
    if not elsewhere(notebook):
        local.sessions(notebook, words)
        return
    if words:
        raise ConfigError("%openclaw sessions takes nothing after it")
    found = ask(notebook, lambda client: remote_sessions.list_sessions(client, LISTED))
    own, current = chosen_key(notebook, "main"), chosen_key(notebook)
    rows = []
    if not any(same(own, one.key) for one in found.sessions):
        rows.append(("main", " · ".join(_roles(own, own, current)) + f", {own}; it begins with its first message"))
    rows += [(called(notebook, one.key), _facts(notebook, one, own, current)) for one in found.sessions]
    if found.total > len(found.sessions):
        rows.append(("…", f"and {found.total - len(found.sessions):,} more, which were used before these"))
    rows.append(("to choose one", "%openclaw session NAME"))
    show_rows("sessions", rows)


def _facts(notebook: Notebook, one: RemoteSession, own: str, current: str) -> str:
    at_work = one.at_work or (one.at_work is None and one.key in _at_work(notebook))
    parts = (
        *_roles(one.key, own, current),
        "a run is at work" if at_work else "",
        in_words(one.title) if one.title and one.title not in one.key else "",
        in_words(one.model),
        _filled(one),
        dollars(one.cost) if one.cost else "",
        "" if static_output() or one.updated is None else _ago(datetime.now().timestamp() - one.updated),
    )
    return " · ".join(filter(None, parts)) or "empty"


def _roles(key: str, own: str, current: str) -> Iterator[str]:
    if same(key, current):
        yield "cells talk here"
    if same(key, own):
        yield "this notebook's own"


def _at_work(notebook: Notebook) -> set[str]:
    """The sessions of our own runs that are at work; a gateway of protocol 3 does not tell."""
    client = notebook.client()
    return {
        client.key_of(run.agent, run.session)
        for run in notebook.runs.values()
        if isinstance(run, Run) and not run.done()
    }


def _filled(one: RemoteSession) -> str:
    if not one.tokens:
        return ""
    return f"{one.tokens:,} of {one.window:,} tokens" if one.window else counted(one.tokens, "token")


def _ago(seconds: float) -> str:
    """ "just now", "5 min ago", "3 h ago", "12 days ago"."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 2880 else f"{minutes // 1440} days ago"


def session(notebook: Notebook, words: list[str]) -> None:
    """Show or choose the session that cells talk in from now on."""
    match words:
        case []:
            pass
        case [name]:
            name = options.title(name)
            if elsewhere(notebook):
                name = ask(notebook, lambda client: _found(notebook, client, name))
            notebook.session = None if name == "main" else name
            notebook.front.changed()
        case _:
            raise ConfigError("write %openclaw session NAME, or %openclaw session main for the notebook's own")
    show_rows("session", list(_standing(notebook)))


async def _found(notebook: Notebook, client: OpenClawClient, name: str) -> str:
    """``name``, or the key of the one session that has it as its title and not as its name."""
    if name == "main" or await remote_sessions.look(client, chosen_key(notebook, name)) is not None:
        return name
    there = await remote_sessions.list_sessions(client, SEARCHED)
    titled = [one.key for one in there.sessions if one.title == name]
    if len(titled) > 1:
        raise ConfigError(
            f"{len(titled)} sessions have the title {name!r}; name one by its key: {', '.join(titled[:5])}"
        )
    return titled[0] if titled else name


def _standing(notebook: Notebook) -> Iterator[tuple[str, str]]:
    named = notebook.session or "main"
    if not elsewhere(notebook):
        head = notebook.runtime.memory.submit(notebook.runtime.memory.head, named).result()
        yield "cells talk in", f"{in_words(named)}, {counted(head.length if head else 0, 'message')}"
        return
    key = chosen_key(notebook)
    one = ask(notebook, lambda client: remote_sessions.look(client, key))
    whose = ", this notebook's own" if named == "main" else ""
    yield "cells talk in", f"{in_words(named)}{whose}, {key}"
    yield "it holds", "nothing yet: it begins with its first message" if one is None else _facts(notebook, one, "", "")


# -- what was said in one --------------------------------------------------------------------------------


def history(notebook: Notebook, words: list[str]) -> None:
    """Show the newest messages of a session."""
    values, numbers = options.read(words, _SESSION)
    if len(numbers) > 1:
        raise ConfigError("write %openclaw history [N] [--session S]")
    count = options.whole(numbers[0]) if numbers else LISTED
    total: int | None
    if not elsewhere(notebook):
        named = values.get("session") or notebook.session or "main"
        memory = notebook.runtime.memory
        head = memory.submit(memory.head, named).result()
        said = of_session(head.state.get("messages", []) if head else [])
        title, total, said = in_words(named), len(said), said[-count:]
    else:
        key = chosen_key(notebook, values.get("session"))
        told = ask(notebook, lambda client: remote_history.history(client, key, count))
        title, said = key, [_said(message) for message in told.messages]
        total = len(said) if told.total is None and len(said) < count else told.total
    display(dialogue(said, f"session {title}, {_many(len(said), total)}"), raw=True)  # type: ignore[no-untyped-call]


def _many(shown: int, total: int | None) -> str:
    """How many messages are shown of those that there are; of None a gateway of protocol 3 does not tell how many."""
    if total is None:
        return f"the last {counted(shown, 'message')}"
    if total > shown:
        return f"the last {shown:,} of {total:,} messages"
    return counted(total, "message") if total else "nothing was said yet"


_WHO = {"user": "you", "assistant": "agent"}


def _said(message: remote_history.Message) -> Said:
    known = [
        "failed" if message.failed else "",
        message.model,
        counted(message.tokens, "token") if message.tokens else "",
        dollars(message.cost) if message.cost else "",
        "" if static_output() or message.at is None else f"{datetime.fromtimestamp(message.at):%Y-%m-%d %H:%M}",
        *(f"with {in_words(file)}" for file in message.files),
    ]
    folded = [("thought", message.thought)] if message.thought else []
    folded += [(f"calls {in_words(name)}", json.dumps(asked, ensure_ascii=False)) for name, asked in message.calls]
    who, text = _WHO.get(message.role, in_words(message.role) or "message"), message.text
    if message.role == "tool":
        who, text = f"tool {in_words(message.tool)}".rstrip(), ""
        folded.append(("result", message.text))
    return Said(who, text, tuple(filter(None, known)), message.role != "assistant", tuple(folded))


# -- aside, and anew -------------------------------------------------------------------------------------


def branch(notebook: Notebook, words: list[str]) -> None:
    """Begin a session with what was said in another one."""
    if not elsewhere(notebook):
        local.branch(notebook, words)
        return
    match words:
        case [new]:
            parent = chosen_key(notebook)
        case [new, which]:
            parent = chosen_key(notebook, which)
        case _:
            raise ConfigError("write %openclaw branch NEW [SESSION]")
    if (new := options.title(new)) == "main":
        raise ConfigError("main is the notebook's own session; give the branch another name")
    wanted = session_key(read_session_key(parent)[0], new)
    key = ask(notebook, lambda client: remote_sessions.fork(client, parent, wanted))
    begun = f"{in_words(called(notebook, key))} begins with what was said in {in_words(called(notebook, parent))}"
    show_rows("branch", [("session", f"{begun} · %openclaw session {shlex.quote(called(notebook, key))}")])


def reset(notebook: Notebook, words: list[str]) -> None:
    """Begin a session anew."""
    values, others = options.read(words, _SESSION)
    if others:
        raise ConfigError("write %openclaw reset [--session S]")
    if not elsewhere(notebook):
        named = values.get("session") or notebook.session or "main"
        memory = notebook.runtime.memory
        memory.submit(memory.restore, named, None).result()
        kept = "what was said in it is in its snapshots · %openclaw snapshots"
    else:
        key = chosen_key(notebook, values.get("session"))
        ask_elevated(notebook, lambda admin: remote_sessions.reset(admin, key))
        named, kept = called(notebook, key), "what was said in it is in the archive of its gateway"
    show_rows("reset", [("session", f"{in_words(named)} begins anew; {kept}")])
