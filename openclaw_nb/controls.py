"""`%openclaw controls`: how deep runs think, with what each level would take, and how many agents work at once."""

from __future__ import annotations

from IPython.display import display

from .errors import ConfigError
from .notebook import Notebook
from .render import static_output

__all__ = ["controls"]


def controls(notebook: Notebook, words: list[str]) -> None:
    """Show the levels, and below them the pool; where there is no front end for widgets, as pictures or in words."""
    if words:
        raise ConfigError("%openclaw controls takes nothing after it")
    from .widgets import level, pool

    front, threads = notebook.front, notebook.runtime.pool
    if notebook.in_kernel and not notebook.static():
        display(level.LevelPicker(front), pool.PoolPicker(threads))  # type: ignore[no-untyped-call]
    else:
        live = not static_output()
        display(level.kept_form(front, live=live), pool.kept_form(threads, live=live), raw=True)  # type: ignore[no-untyped-call]
