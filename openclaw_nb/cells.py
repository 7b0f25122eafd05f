"""Cells: how what stands in a `%%openclaw` cell becomes a run, of one agent or of several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import isasyncgenfunction
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .agent import OpenClawAgent, known_agents
from .client import OpenClawClient
from .errors import ConfigError
from .options import CellOptions
from .outputs import Expected
from .outputs.typenames import type_of
from .prompts import Prompt, fill
from .prompts.files import File, file_of
from .remote.attachments import Takes, pack, takes
from .run import Run

if TYPE_CHECKING:
    from .models.base import Image
    from .notebook import Notebook
    from .pool import PoolRun

__all__ = ["ask"]


def ask(notebook: Notebook, options: CellOptions, cell: str) -> tuple[Run | PoolRun, dict[str, Any]]:
    """Send a cell's prompt; its run, and the variables that are to be kept at its end.

    ConfigError for what cannot be, before anything is sent.
    """
    names = notebook.shell.user_ns
    filled = fill(cell.strip(), names)
    if not filled.text:
        raise ConfigError("the cell has no prompt; write it on the lines below %%openclaw")
    _check_together(options)
    files = [_file(name, names) for name in options.attach]
    wanted = Expected(type_of(options.output, names)).wishes if options.output else {}
    model = options.model or notebook.model
    client = notebook.client(options.to)
    filled, attachments = _packed(notebook, filled, files, client)
    prompt = str(filled)
    if model is not None and client.is_local:
        notebook.runtime.resolve(model)
    kept = _vars_to_keep(notebook, options, client)
    session, base = _place(notebook, options, client)
    wishes: dict[str, Any] = {
        "level": options.level, "complexity": options.complexity, "session": session, "model": model,
        "timeout": options.timeout, "budget": options.budget,
        "attachments": attachments, **wanted,
    }  # fmt: skip
    if options.agents:
        _check_there(notebook, options.agents, client)
        agents = [_agent(notebook, name, client, chosen=options.to is not None) for name in options.agents]
        if base is not None:
            memory = notebook.runtime.memory
            memory.submit(memory.branch, session, base).result()
        return notebook.pool.execute(
            agents, prompt, mode=options.mode or "parallel", client=client, per_task=options.pool, **wishes
        ), kept  # fmt: skip
    busy = options.busy or ("branch" if options.bg and client.is_local else "wait")
    if notebook.agent is not None and options.to is None:
        wishes["agent"] = notebook.agent
    return notebook.front.send(client, prompt, busy=busy, base=base, **wishes), kept


def _file(name: str, names: Mapping[str, Any]) -> File | Image:
    """What goes along by this name: the variable, or else the file."""
    if name in names:
        return file_of(name, names[name])
    if not (path := Path(name).expanduser()).is_file():
        raise ConfigError(f"--attach: there is neither a variable nor a file {name!r}")
    return file_of(path.name, path)


def _packed(
    notebook: Notebook, filled: Prompt, files: Sequence[File | Image], client: OpenClawClient
) -> tuple[Prompt, list[dict[str, str]]]:
    """The prompt and what goes along, as the gateway takes it; elsewhere it is asked for what that is."""
    if client.is_local or not (files or filled.images):
        return pack(filled, files, Takes(), client.uri)
    return pack(filled, files, takes(notebook.runtime.call(client.hello()).result()), client.uri)


def _check_together(options: CellOptions) -> None:
    if options.agents and options.busy:
        raise ConfigError("--busy: agents work on branches of their own, beside whatever is at work")
    for name, value in (("--mode", options.mode), ("--pool", options.pool)):
        if value is not None and not options.agents:
            raise ConfigError(f"{name} says how several agents work; name them by --agents coder,tester,reviewer")


def _agent(notebook: Notebook, name: str, client: OpenClawClient, *, chosen: bool) -> OpenClawAgent:
    """An agent of this notebook by its variable, or whoever has that name or role; ConfigError where nobody has, and
    for one that does not work at a client that was ``chosen`` for the cell."""
    from .pool.roles import RoleAgent, agent_called, known_roles

    known = notebook.shell.user_ns.get(name)
    if isasyncgenfunction(known) and name not in known_agents() and name not in known_roles:
        raise ConfigError(f"{name} is a model, and {name} = OpenClawAgent({name!r}, model={name}) makes an agent of it")
    agent = known if isinstance(known, OpenClawAgent) else agent_called(name, client)
    if isinstance(agent, RoleAgent):
        agent.front = notebook.front
    elif chosen and agent.client is not client:
        raise ConfigError(f"--to: {name} works at {agent.client.uri}; only agents by role work wherever they are sent")
    return agent


def _check_there(notebook: Notebook, names: Sequence[str], client: OpenClawClient) -> None:
    """ConfigError for one that is neither made here nor known to the real gateway that is to be asked for it."""
    from .pool.roles import known_roles
    from .remote.catalog import check_agents

    own = {name for name in names if isinstance(notebook.shell.user_ns.get(name), OpenClawAgent)}
    foreign = [name for name in names if name not in own | known_agents().keys() | known_roles.keys()]
    if client.is_local or not foreign or notebook.runtime.call(client.hello()).result().is_ours:
        return
    notebook.runtime.call(check_agents(client, *foreign)).result()


def _place(notebook: Notebook, options: CellOptions, client: OpenClawClient) -> tuple[str, str | None]:
    """The session that a cell's run works in, and the snapshot that it begins from, if one was chosen."""
    if options.base is None:
        chosen = notebook.session if options.to is None else None  # it is one of the gateway that cells go to
        return options.session or chosen or "main", None
    if not client.is_local:
        if not notebook.runtime.call(client.hello()).result().is_ours:
            raise ConfigError(f"--from: {client.uri} knows no snapshots; %openclaw branch NEW forks a session there")
        if options.session is None or options.agents:
            needed = "works for one agent alone" if options.agents else "needs a --session, which begins there"
            raise ConfigError(f"--from at {client.uri} {needed}")
        return options.session, options.base
    return options.session or _new_session(notebook), notebook.find(options.base).id


def _new_session(notebook: Notebook) -> str:
    """A name that no session of this kernel has, so that all cells run again name the same: main-2, main-3, …"""
    memory = notebook.runtime.memory
    taken = {*memory.submit(memory.sessions).result(), *(run.session for run in notebook.runs.values())}
    return next(name for n in count(2) if (name := f"main-{n}") not in taken)


def _vars_to_keep(notebook: Notebook, options: CellOptions, client: OpenClawClient) -> dict[str, Any]:
    """The variables that a cell wants kept, as they are now: a mistake is better seen before anything is spent."""
    if not options.vars:
        return {}
    from .namespace import take

    if not client.is_local:
        raise ConfigError(f"--vars: the gateway at {client.uri} keeps its sessions itself, without variables")
    if options.into in options.vars:
        raise ConfigError(f"--vars: {options.into!r} is where the answer goes, and that is kept with the session")
    return take(options.vars, notebook.shell.user_ns)
