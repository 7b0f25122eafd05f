"""The subcommands of `%openclaw`: one table from which they are run, completed and explained."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path

from IPython.core.error import StdinNotImplementedError

from . import completion, options, session_commands
from .config import AgentURI, known_token
from .controls import controls
from .doctor import examine
from .errors import ConfigError
from .front import Front
from .nested import set_nested
from .notebook import SHORT_ID, Notebook
from .reasoning.levels import ReasoningLevel, read_level
from .render import counted, dollars
from .run import Run
from .secret import Secret
from .spending import Spending, Used
from .tables import show_rows
from .tokens import TokenFile

__all__ = ["COMMANDS", "Command", "complete", "execute", "say_settled"]


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand: what it takes, what it does, and the function that does it."""

    takes: str
    help: str
    run: Callable[[Notebook, list[str]], Run | None]


def execute(notebook: Notebook, line: str) -> Run | None:
    """Run one `%openclaw` line; the run that it takes up again, which is to be waited for, if there is one.

    ConfigError is one sentence about what is wrong with the line.
    """
    words = options.split(line)
    if not words:
        _card(notebook)
        return None
    name, *rest = words
    if name not in COMMANDS:
        raise ConfigError(f"%openclaw has no command {name!r}{options.nearest(name, COMMANDS)}")
    return COMMANDS[name].run(notebook, rest)


def complete(notebook: Notebook, line: str) -> list[str]:
    """What may stand where the line ends."""
    return completion.complete(notebook, line, COMMANDS)


# -- the commands ----------------------------------------------------------------------------------


def _card(notebook: Notebook) -> None:
    """Where runs go and why, level, sessions, and what was used."""
    runtime = notebook.runtime
    uri, model = notebook.uri or runtime.uri, notebook.model or runtime.model
    where = "in this kernel" if AgentURI.parse(uri).url is None else "a gateway"
    chosen = "because none was chosen"
    if model:
        chosen = "chosen here" if notebook.model else "from OPENCLAW_MODEL"
    keys = [name for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY") if os.environ.get(name)]
    found = f"{', '.join(keys)} {'is' if len(keys) == 1 else 'are'} set and unused · " if keys and not model else ""
    show_rows("openclaw", [
        ("runs go to", f"{uri}, {where}; model {model or 'offline'}, {chosen}"),
        ("to use yours", f"{found}%openclaw model PROVIDER:NAME · %openclaw connect ws://…"),
        ("level", _level_words(notebook.front)),
        ("sessions", ", ".join(runtime.memory.sessions()) or "none yet"),
        *session_commands.standing(notebook),
        ("this notebook", _spent(runtime.spending)),
        ("more", "%openclaw help"),
    ])  # fmt: skip


def _connect(notebook: Notebook, words: list[str]) -> None:
    match words:
        case [uri]:
            token = None
        case [uri, "--token-env", variable]:
            token = os.environ.get(variable)
            if token is None:
                raise ConfigError(f"the environment variable {variable} is not set")
        case [uri, "--token", reference]:
            token = Secret(reference)
        case [uri, "--token-file", path]:
            token = TokenFile(Path(path).expanduser()).current()[0]
        case _:
            raise ConfigError(
                "write %openclaw connect URI [--token-env VARIABLE | --token REFERENCE | --token-file FILE]"
            )
    address = AgentURI.parse(uri)
    if address.url and token is None and not known_token(address.url):
        token = _ask_token(uri)
    client = notebook.runtime.client(address.text, token)
    hello = notebook.runtime.call(client.hello()).result()
    notebook.uri = address.text
    notebook.model = None  # it was one of the gateway before
    notebook.front.changed()
    show_rows("connected", [("runs go to", f"{address.text}, protocol {hello.protocol}")])


def _ask_token(uri: str) -> str:
    try:
        return getpass(f"token of {uri}: ")
    except (EOFError, StdinNotImplementedError):
        raise ConfigError(f"nobody is here to be asked; write %openclaw connect {uri} --token-env VAR") from None


def _model(notebook: Notebook, words: list[str]) -> None:
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
    rows = [("this notebook", _spent(spending))]
    for (model, level), used in spending.rows():
        label = ReasoningLevel(level).label
        rows.append((f"{model or 'a model'}, level {label}", _used(used)))
    show_rows("budget", rows)


def _spent(spending: Spending) -> str:
    """What all runs used, and of how much."""
    budget, total = spending.budget, spending.total
    if budget is None:
        return _used(total)
    at_work = f", {dollars(budget.held)} held by what is at work" if budget.held else ""
    return f"{_used(total, always=True)} of {dollars(budget.limit)}{at_work}"


def _used(used: Used, *, always: bool = False) -> str:
    cost = f", {dollars(used.cost)}" if used.cost or always else ""
    return f"{counted(used.runs, 'run')}, {counted(used.output_tokens, 'token')}{cost}"


def _runs(notebook: Notebook, words: list[str]) -> None:
    _take_none("runs", words)
    rows = [(run.id[:SHORT_ID], _describe(run)) for run in notebook.runs.values()]
    show_rows("runs", rows or [("runs", "none yet")])


def _describe(run: Run) -> str:
    prompt = " ".join(run.prompt.split())
    shown = prompt if len(prompt) <= 60 else prompt[:59] + "…"
    return f"{run.words or run.status} · {counted(run.tokens, 'token')} · session {run.session} · {shown}"


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


def say_settled(notebook: Notebook, runs: list[Run]) -> None:
    """One line about the runs that `wait` waited for."""
    rows = [("settled", counted(len(runs), "run"))]
    if notebook.background:
        rows.append(("at work", counted(len(notebook.background), "run")))
    show_rows("wait", rows)


def _doctor(notebook: Notebook, words: list[str]) -> None:
    _take_none("doctor", words)
    findings = examine(notebook.runtime, notebook.uri, notebook.model)
    show_rows("doctor", [(("ok: " if fine else "look: ") + name, words) for name, fine, words in findings])


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
    "branch": Command(
        "NEW [ID|NAME|SESSION]", "begin a session at a snapshot, or where another one stands", session_commands.branch
    ),
    "budget": Command("[USD|off]", "what all runs of this notebook may cost together, and what they did", _budget),
    "cancel": Command("[RUN]", "stop one run, or all that are at work", _cancel),
    "compare": Command("A B", "two sessions or snapshots side by side", session_commands.compare),
    "connect": Command(
        "URI [--token-env VAR]",
        "send runs to a gateway; its token comes from VAR, --token env:NAME, a --token-file, or a prompt",
        _connect,
    ),
    "controls": Command("", "choose how deep runs think, and see what each level would take", controls),
    "doctor": Command("", "look for what does not work, and say what would help", _doctor),
    "help": Command("", "this list", _help),
    "keep": Command(
        "[data|beside|memory|FOLDER] [--mb N] [--days N] [--every S]",
        "where snapshots lie, how big their file may grow, and how long they stay",
        session_commands.keep,
    ),
    "level": Command("[auto|1-4] [--max 1-4]", "how deep runs think from now on, and at most", _level),
    "model": Command("[M]", "the model runs take from now on", _model),
    "nested": Command("on|off", "allow asyncio.run() in cells", _nested),
    "restore": Command(
        "[ID|NAME] [--session S] [--vars A,B|all]",
        "put a session at a snapshot, by default where an earlier kernel left it; a run that was cut goes on",
        session_commands.restore,
    ),
    "runs": Command("", "the runs of this notebook", _runs),
    "sessions": Command("", "the conversations, and where they stand", session_commands.sessions),
    "snapshot": Command(
        "NAME [--session S] [--vars A,B]", "keep where a session stands, under a name", session_commands.snapshot
    ),
    "snapshots": Command("[--session S]", "all that is kept, as a timeline", session_commands.snapshots),
    "wait": Command("", "wait for all background runs and settle their output", _wait),
}
