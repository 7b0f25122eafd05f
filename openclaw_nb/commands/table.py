"""The subcommands of `%openclaw`: one table from which they are run, completed and explained."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import options
from ..config import AgentURI
from ..controls import controls
from ..errors import ConfigError, nearest
from ..front import Front
from ..nested import set_nested
from ..notebook import SHORT_ID, Notebook
from ..reasoning.levels import ReasoningLevel, read_level
from ..redaction import redact
from ..render import counted, static_output
from ..run import Run
from ..tables import show_rows
from . import approvals, catalog, completion, config, endpoints, metrics, offers, pool, remote, sessions
from .connect import connect
from .doctor import doctor

if TYPE_CHECKING:
    from ..notebook import Work

__all__ = ["COMMANDS", "Command", "complete", "execute", "say_settled"]


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand: what it takes, what it does, and the function that does it."""

    takes: str
    help: str
    run: Callable[[Notebook, list[str]], Work | None]


def execute(notebook: Notebook, line: str) -> Work | None:
    """Run one `%openclaw` line; the run that it takes up again, which is to be waited for, if there is one.

    ConfigError is one sentence about what is wrong with the line.
    """
    words = options.split(line)
    if not words:
        _card(notebook)
        return None
    name, *rest = words
    if name not in COMMANDS:
        raise ConfigError(f"%openclaw has no command {name!r}{nearest(name, COMMANDS)}")
    return COMMANDS[name].run(notebook, rest)


def complete(notebook: Notebook, line: str) -> list[str]:
    """What may stand where the line ends."""
    return completion.complete(notebook, line, COMMANDS)


# -- the commands ----------------------------------------------------------------------------------


def _card(notebook: Notebook) -> None:
    """Where runs go and why, level, sessions, and what was used."""
    runtime = notebook.runtime
    show_rows("openclaw", [
        *(_there(notebook) if remote.elsewhere(notebook) else _here(notebook)),
        ("level", _level_words(notebook.front)),
        ("pool", pool.pool_words(notebook)),
        ("sessions", _session_words(notebook)),
        *sessions.standing(notebook),
        *approvals.standing(notebook),
        *config.standing(notebook),
        *metrics.standing(notebook),
        ("this notebook", catalog.spent(runtime.spending)),
        ("more", "%openclaw help"),
    ])  # fmt: skip


def _there(notebook: Notebook) -> Iterator[tuple[str, str]]:
    """Nobody is asked for it: the card comes at once, whether the gateway answers or not."""
    uri = notebook.uri or notebook.runtime.uri
    answered = notebook.runtime.spending.model(AgentURI.parse(uri).text, notebook.agent or "main")
    model = notebook.model or (f"{answered}, which answered last" if answered else "that of the session")
    yield "runs go to", f"{uri}, a {'cluster' if AgentURI.parse(uri).cluster else 'gateway'}; model {model}"
    yield from endpoints.standing(notebook)
    yield (
        "what it has",
        "%openclaw sessions · agents · models · usage; %openclaw connect agent://local goes back",
    )


def _here(notebook: Notebook) -> Iterator[tuple[str, str]]:
    uri, model = notebook.uri or notebook.runtime.uri, notebook.model or notebook.runtime.model
    chosen = "because none was chosen"
    if model:
        chosen = "chosen here" if notebook.model else "from OPENCLAW_MODEL"
    keys = [name for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY") if os.environ.get(name)]
    found = f"{', '.join(keys)} {'is' if len(keys) == 1 else 'are'} set and unused · " if keys and not model else ""
    yield "runs go to", f"{uri}, in this kernel; model {model or 'offline'}, {chosen}"
    yield "to use yours", f"{found}%openclaw model PROVIDER:NAME · %openclaw connect ws://…"


def _session_words(notebook: Notebook) -> str:
    chosen = f"cells talk in {notebook.session or 'main'}"
    if remote.elsewhere(notebook):
        return f"{chosen}, kept by the gateway; %openclaw sessions lists them"
    names = _session_names(notebook.runtime.memory.sessions())
    return f"{names}; {chosen}" if notebook.session else names


def _session_names(names: Collection[str]) -> str:
    """Those that the user knows; those of agents side by side, such as main/coder, are counted."""
    own = [name for name in names if "/" not in name or name.partition("/")[0] not in names]
    others = f"; {counted(len(names) - len(own), 'session')} of agents" if len(names) > len(own) else ""
    return (", ".join(own) or "none yet") + others


def _model(notebook: Notebook, words: list[str]) -> None:
    if remote.elsewhere(notebook) and not remote.is_ours(notebook):
        catalog.model(notebook, words)
        return
    match words:
        case []:
            pass
        case [name]:
            notebook.runtime.resolve(name)
            notebook.model = name
            notebook.front.changed()
        case _:
            raise ConfigError("write %openclaw model NAME, as in %openclaw model openai-chat:gpt-5-mini")
    show_rows("model", [("model", notebook.model or notebook.runtime.model or "offline")])


def _level(notebook: Notebook, words: list[str]) -> None:
    match words:
        case []:
            pass
        case [level]:
            notebook.front.set_level(level)
        case [level, "--max", highest]:
            read_level(level)  # both are taken, or neither
            notebook.front.max_level = highest
            notebook.front.set_level(level)
        case _:
            raise ConfigError("write %openclaw level auto, 1, 2, 3 or 4, and --max 3 behind it to take no more than 3")
    known = ", ".join(one.label for one in ReasoningLevel)
    show_rows("level", [("level", _level_words(notebook.front)), ("there are", f"auto, {known}")])


def _level_words(front: Front) -> str:
    level = read_level(front.level)
    limit = f", up to {front.max_level}" if front.max_level < max(ReasoningLevel) else ""
    return (level.label if level else "auto") + limit


def _budget(notebook: Notebook, words: list[str]) -> None:
    spending = notebook.runtime.spending
    match words:
        case []:
            pass
        case ["off"]:
            spending.limit(None)
        case [limit]:
            spending.limit(options.positive(limit.removeprefix("$")))
        case _:
            raise ConfigError("write %openclaw budget USD, as in %openclaw budget 0.50, or %openclaw budget off")
    if words:
        notebook.front.changed()
    rows = [("this notebook", catalog.spent(spending)), *catalog.spent_by_model(spending)]
    show_rows("budget", rows)


def _runs(notebook: Notebook, words: list[str]) -> None:
    _take_none("runs", words)
    names = [f"{n + 1}" if static_output() else id[:SHORT_ID] for n, id in enumerate(notebook.runs)]  # ids are chance
    rows = list(zip(names, map(_describe, notebook.runs.values()), strict=True))
    show_rows("runs", rows or [("runs", "none yet")])


def _describe(run: Work) -> str:
    agents = [] if isinstance(run, Run) else [_short(", ".join(lane.name for lane in run.lanes))]
    facts = [counted(run.tokens, "token"), f"session {run.session}", _short(redact(run.prompt))]
    return " · ".join([approvals.state(run) or run.words or str(run.status), *agents, *facts])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"


def _cancel(notebook: Notebook, words: list[str]) -> None:
    active = [run for run in notebook.runs.values() if not run.done()]
    match words:
        case []:
            chosen = active
        case [id]:
            chosen = [run for run in active if run.id.startswith(id)]
            if not chosen:
                raise ConfigError(f"no run at work is called {id!r}; %openclaw runs lists them")
        case _:
            raise ConfigError("write %openclaw cancel, or %openclaw cancel RUN")
    for run in chosen:
        run.cancel()
    show_rows("cancel", [("stopped", ", ".join(run.id[:SHORT_ID] for run in chosen) or "nothing was at work")])


def _wait(notebook: Notebook, words: list[str]) -> None:
    _take_none("wait", words)
    say_settled(notebook, notebook.settle_all())


def say_settled(notebook: Notebook, runs: Sequence[Work]) -> None:
    """One line about the runs that `wait` waited for."""
    rows = [("settled", counted(len(runs), "run"))]
    if notebook.background:
        rows.append(("at work", counted(len(notebook.background), "run")))
    show_rows("wait", rows)


def _nested(notebook: Notebook, words: list[str]) -> None:
    match words:
        case ["on" | "off" as word]:
            show_rows("nested", [("nested", set_nested(word == "on"))])
        case _:
            raise ConfigError("write %openclaw nested on, or %openclaw nested off")


def _help(notebook: Notebook, words: list[str]) -> None:
    _take_none("help", words)
    rows = [(f"%openclaw {name} {command.takes}".rstrip(), command.help) for name, command in COMMANDS.items()]
    rows += [(f"%%openclaw {name} {option.value}".rstrip(), option.help) for name, option in options.OPTIONS.items()]
    show_rows("help", rows)


def _take_none(name: str, words: list[str]) -> None:
    if words:
        raise ConfigError(f"%openclaw {name} takes nothing after it")


COMMANDS: Mapping[str, Command] = {
    "allow": Command("[ID]", "allow once what waits for your approval", approvals.allow),
    "agent": Command("[NAME]", "the agent of a gateway elsewhere that cells ask from now on", catalog.agent),
    "agents": Command("", "who can be asked: the gateway's agents, or the roles of this notebook", catalog.agents),
    "branch": Command(
        "NEW [ID|NAME|SESSION]",
        "begin a session at a snapshot, or where another one stands, also at a gateway elsewhere",
        remote.branch,
    ),
    "budget": Command("[USD|off]", "what all runs of this notebook may cost together, and what they did", _budget),
    "cancel": Command("[RUN]", "stop one run, or all that are at work", _cancel),
    "compare": Command("A B", "two sessions or snapshots side by side", sessions.compare),
    "config": Command("[FILE]", "take what a configuration says, or show what applies now", config.config),
    "connect": Command(
        "URI [--token-env VAR]",
        "send runs to a gateway; its token comes from VAR, --token env:NAME, a --token-file, "
        "OpenClaw's configuration, or a prompt",
        connect,
    ),
    "controls": Command(
        "", "choose how deep runs think, and see what each level would take; and how many agents work at once", controls
    ),
    "deny": Command("[ID]", "deny what waits for your approval", approvals.deny),
    "doctor": Command("[--probe]", "measure what is slow or does not work, and say what to change", doctor),
    "help": Command("", "this list", _help),
    "history": Command(
        "[N] [--session S]",
        "what was said in a session: its N newest messages, 20 if left out",
        remote.history,
    ),
    "keep": Command(
        "[data|beside|memory|FOLDER] [--mb N] [--days N] [--every S]",
        "where snapshots lie, how big their file may grow, and how long they stay",
        sessions.keep,
    ),
    "level": Command("[auto|1-4] [--max 1-4]", "how deep runs think from now on, and at most", _level),
    "merge": Command(
        "[AGENT] [--session S]",
        "let the session grow by what an agent of its last pool's run said, or by all answers",
        sessions.merge,
    ),
    "metrics": Command(
        "[on|off] [--port N]",
        "what was measured of all runs, as a picture; on lets Prometheus read it, on this machine",
        metrics.metrics,
    ),
    "model": Command("[M]", "the model runs take from now on; at a gateway elsewhere the one of their session", _model),
    "models": Command("", "the models of the gateway, and how deep each can think", catalog.models),
    "nested": Command("on|off", "allow asyncio.run() in cells", _nested),
    "offers": Command("", "the functions that the assistant of a gateway elsewhere may call", offers.offers),
    "pool": Command(
        "[N] [--per-task M] [--timeout S] [--executor WHERE]",
        "how many agents work at once, how long, and where",
        pool.pool,
    ),
    "reset": Command("[--session S]", "begin a session anew; what was said in it is kept", remote.reset),
    "restore": Command(
        "[ID|NAME] [--session S] [--vars A,B|all]",
        "put a session at a snapshot, by default where an earlier kernel left it; a run that was cut goes on",
        sessions.restore,
    ),
    "role": Command("[NAME [INSTRUCTIONS]]", "what an agent of a pool is told that has this role", pool.role),
    "runs": Command("", "the runs of this notebook", _runs),
    "session": Command(
        "[NAME|KEY]",
        "the conversation that cells talk in from now on; main is this notebook's own",
        remote.session,
    ),
    "sessions": Command("", "the conversations, and where they stand; those of a gateway elsewhere", remote.sessions),
    "snapshot": Command(
        "NAME [--session S] [--vars A,B]", "keep where a session stands, under a name", sessions.snapshot
    ),
    "snapshots": Command("[--session S]", "all that is kept, as a timeline", sessions.snapshots),
    "usage": Command(
        "[--days N]", "tokens and cost by model and day at the gateway, and of this notebook", catalog.usage
    ),
    "wait": Command("", "wait for all background runs and settle their output", _wait),
}
