"""The subcommands of `%openclaw` for what a gateway has: its agents, its models, and what was used of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from .. import options
from ..agent import known_agents
from ..errors import ConfigError
from ..notebook import Notebook
from ..options import Option, whole
from ..pool.roles import known_roles
from ..protocol.thinking import nearest
from ..reasoning.levels import ReasoningLevel
from ..redaction import redact
from ..remote import catalog, sessions
from ..remote import usage as remote_usage
from ..remote.catalog import RemoteAgent, RemoteModel
from ..render import counted, dollars
from ..spending import Spending
from ..spending import Used as Spent
from ..tables import show_rows
from ..wording import in_words
from .remote import ask, ask_elevated, called, chosen_key, elsewhere, is_ours

__all__ = ["agent", "agents", "model", "models", "spent", "spent_by_model", "usage"]

DAYS = 30
"""Days that usage is shown of where no number is given."""

_DAYS = {"--days": Option("--days", whole, "N", "of how many days")}


# -- agents --------------------------------------------------------------------------------------------


def agents(notebook: Notebook, words: list[str]) -> None:
    """Those of the gateway, or the roles and agents of this notebook."""
    if words:
        raise ConfigError("%openclaw agents takes nothing after it; %openclaw agent NAME chooses one")
    if not elsewhere(notebook):
        rows = [(name, "an agent of this notebook") for name in known_agents()]
        rows += [(name, in_words(redact(one.instructions))) for name, one in known_roles.items()]
        show_rows("agents", [*rows, ("to ask them", "%%openclaw --agents A,B")])
        return
    found = ask(notebook, catalog.list_agents)
    rows = [(one.id, _agent_words(notebook, one)) for one in found] or [("agents", "the gateway tells of none")]
    show_rows("agents", [*rows, ("to ask them", "%openclaw agent NAME · %%openclaw --agents A,B")])


def _agent_words(notebook: Notebook, one: RemoteAgent) -> str:
    asked = one.id == notebook.agent if notebook.agent else one.default
    parts = (
        "cells ask it" if asked else "",
        in_words(one.name) if one.name and one.name != one.id else "",
        in_words(one.model),
        "the gateway's default" if one.default else "",
    )
    return " · ".join(filter(None, parts)) or "ready"


def agent(notebook: Notebook, words: list[str]) -> None:
    """Show or choose the agent of the gateway that cells ask from now on."""
    match words:
        case []:
            pass
        case [name] if elsewhere(notebook):
            ask(notebook, lambda client: catalog.check_agents(client, name))
            notebook.agent, notebook.session = name, None
            notebook.front.changed()
        case [_]:
            raise ConfigError(
                "cells ask the gateway in this kernel for an agent by %%openclaw --agents NAME; "
                "%openclaw agent chooses among those of a gateway elsewhere"
            )
        case _:
            raise ConfigError("write %openclaw agent NAME; %openclaw agents lists them")
    rows = [("cells ask", in_words(notebook.agent or "main"))]
    if elsewhere(notebook):
        rows.append(("they talk in", chosen_key(notebook)))
    show_rows("agent", rows)


# -- models --------------------------------------------------------------------------------------------


def models(notebook: Notebook, words: list[str]) -> None:
    """Those of the gateway with how deep each can think, or how one is named here."""
    if words:
        raise ConfigError("%openclaw models takes nothing after it; %openclaw model M chooses one")
    if not elsewhere(notebook):
        rows = [
            ("runs take", notebook.model or notebook.runtime.model or "offline"),
            ("there are", "offline · PROVIDER:NAME, as in anthropic:NAME or ollama:NAME · a function of this notebook"),
            ("to choose one", "%openclaw model M"),
        ]
        show_rows("models", rows)
        return
    rows = [(one.id, _model_words(one)) for one in ask(notebook, catalog.list_models)]
    rows = rows or [("models", "the gateway tells of none")]
    show_rows("models", [*rows, ("to choose one", "%openclaw model M")])


def _model_words(one: RemoteModel) -> str:
    parts = (
        in_words(one.name) if one.name and one.name not in one.id else "",
        f"{counted(one.window, 'token')} of context" if one.window else "",
        _thinking(one),
        "the default" if one.default else "",
        "not available" if one.available is False else "",
    )
    return " · ".join(filter(None, parts))


def _thinking(one: RemoteModel) -> str:
    """How deep it can think, and what our levels are there; at protocol 3 what they are for every model."""
    if one.thinking is None and one.reasoning is None:
        return ""
    if one.thinking in ((), ("off",)) or not (one.thinking or one.reasoning):
        return "does not think"
    offered = one.thinking or ()
    levels = ", ".join(f"{int(level)} {in_words(nearest(level.thinking, offered))}" for level in ReasoningLevel)
    return f"thinks {', '.join(map(in_words, offered))}".rstrip() + f": level {levels}"


def model(notebook: Notebook, words: list[str]) -> None:
    """Show or set the model of the session that cells talk in, at the gateway that keeps it."""
    key = chosen_key(notebook)
    match words:
        case []:
            one = ask(notebook, lambda client: sessions.look(client, key))
            name = one.model if one is not None else ""
        case [name]:
            wanted = None if name == "default" else name
            protocol = ask(notebook, lambda client: client.hello()).protocol
            asking = ask if protocol > 3 else ask_elevated
            name = asking(notebook, lambda client: sessions.set_model(client, key, wanted))
            notebook.front.changed()
        case _:
            raise ConfigError("write %openclaw model NAME; %openclaw models lists them")
    rows = [("model", in_words(name) or "the agent's own"), ("of session", f"{called(notebook, key)}, {key}")]
    show_rows("model", rows)


# -- what was used -------------------------------------------------------------------------------------


def usage(notebook: Notebook, words: list[str]) -> None:
    """Tokens and cost at the gateway by model and day, and those of this notebook."""
    values, others = options.read(words, _DAYS)
    if others:
        raise ConfigError("write %openclaw usage [--days N]")
    rows: list[tuple[str, str]] = []
    counts = elsewhere(notebook) and not is_ours(notebook)  # one of ours leaves that to its clients
    if counts:
        today, days = datetime.now(UTC).date(), values.get("days", DAYS)
        rows += _used(ask(notebook, lambda client: remote_usage.usage(client, today, days)))
    spending = notebook.runtime.spending
    rows.append(("this notebook", spent(spending)))
    show_rows("usage", rows if counts else [*rows, *spent_by_model(spending)])


def _used(told: remote_usage.Usage) -> Iterator[tuple[str, str]]:
    counting = "; the gateway is still counting" if told.counting else ""
    yield "at the gateway", f"{_sum(told.total)} from {told.first} to {told.last}{counting}"
    for name, one in told.models.items():
        yield name, f"{counted(one.calls, 'call')}, {_sum(one)}" if one.calls else _sum(one)
    for day, one in told.days.items():
        yield day, _sum(one)


def _sum(used: remote_usage.Used) -> str:
    apart = f" ({used.input:,} in, {used.output:,} out)" if used.input or used.output else ""
    return f"{counted(used.tokens, 'token')}{apart}, {dollars(used.cost)}"


def spent(spending: Spending) -> str:
    """What all runs of a notebook used, and of how much."""
    budget, total = spending.budget, spending.total
    if budget is None:
        return _spent(total)
    at_work = f", {dollars(budget.held)} held by what is at work" if budget.held else ""
    return f"{_spent(total, always=True)} of {dollars(budget.limit)}{at_work}"


def spent_by_model(spending: Spending) -> Iterator[tuple[str, str]]:
    """The same for each model and level, the dearest first."""
    for (name, level), used in spending.rows():
        yield f"{name or 'a model'}, level {ReasoningLevel(level).label}", _spent(used)


def _spent(used: Spent, *, always: bool = False) -> str:
    cost = f", {dollars(used.cost)}" if used.cost or always else ""
    return f"{counted(used.runs, 'run')}, {counted(used.output_tokens, 'token')}{cost}"
