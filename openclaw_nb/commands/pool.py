"""The subcommands of `%openclaw` for agents side by side: how many work at once, and what they are told."""

from __future__ import annotations

from collections.abc import Mapping

from .. import options
from ..errors import ConfigError
from ..notebook import Notebook
from ..options import Option
from ..redaction import redact
from ..render import counted
from ..tables import show_rows
from ..tools import Toolbox
from ..wording import in_words

__all__ = ["POOL", "pool", "pool_words", "role"]

POOL: Mapping[str, Option] = {
    option.name: option
    for option in (
        Option("--per-task", options.whole, "M", "how many may work at one task at once", field="per_task"),
        Option("--timeout", options.positive, "S", "seconds that each may work"),
        Option("--executor", str, "WHERE", "local, a Dask scheduler's address, a Client here, or off"),
    )
}
"""What `%openclaw pool` takes besides a size."""


def pool(notebook: Notebook, words: list[str]) -> None:
    """Show and set how many agents work at once, in all and at one task, for how long at most, and where."""
    values, sizes = options.read(words, POOL)
    if len(sizes) > 1:
        raise ConfigError("write %openclaw pool [N] [--per-task M] [--timeout S] [--executor WHERE]")
    shared = notebook.pool
    before = shared.max_threads
    shared.max_threads = options.whole(sizes[0]) if sizes else before
    if (where := values.get("executor")) is not None:
        try:
            shared.executor = None if where == "off" else notebook.shell.user_ns.get(where, where)
        except ConfigError:
            shared.max_threads = before
            raise
    shared.max_per_task = values.get("per_task", shared.max_per_task)
    shared.timeout = values.get("timeout", shared.timeout)
    rows = [("pool", pool_words(notebook)), ("time limit", f"{shared.timeout:g} s for each agent")]
    if shared.executor is not None:
        rows.append(("agents work", f"at {shared.executor.words}"))
    if shared.at_work or shared.waiting:
        rows.append(("now", f"{counted(shared.at_work, 'agent')} at work, {shared.waiting} waiting"))
    show_rows("pool", rows)


def pool_words(notebook: Notebook) -> str:
    """Its size, in words."""
    shared = notebook.pool
    return f"{counted(shared.max_threads, 'thread')}, {shared.max_per_task} per task"


def role(notebook: Notebook, words: list[str]) -> None:
    """Show the roles, or what one is told; with instructions behind it, make or edit it."""
    from ..pool.roles import known_roles
    from ..pool.roles import role as edit

    match words:
        case []:
            show_rows("roles", [(name, redact(_first_sentence(one.instructions))) for name, one in known_roles.items()])
            return
        case [name]:
            shown = edit(name)
        case [name, *instructions]:
            shown = edit(name, " ".join(instructions))
    told, tools = redact(shown.instructions), ", ".join(tool.name for tool in Toolbox(shown.tools))
    rows = [("role", in_words(shown.name)), ("is told", told or "nothing"), ("tools", tools or "none")]
    if isinstance(shown.model, str):
        rows.append(("model", shown.model))
    show_rows("role", rows)


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".") or "nothing"
