"""`%openclaw controls`: how deep runs think, and what each level would take, in a form that can be chosen from."""

from __future__ import annotations

from IPython.display import display

from .errors import ConfigError
from .notebook import Notebook
from .render import static_output

__all__ = ["controls"]


def controls(notebook: Notebook, words: list[str]) -> None:
    """Show the levels; where there is no front end for a widget, as a table or in words."""
    if words:
        raise ConfigError("%openclaw controls takes nothing after it")
    from .widgets.level import LevelPicker, kept_form

    if notebook.in_kernel and not notebook.static():
        display(LevelPicker(notebook.front))  # type: ignore[no-untyped-call]
    else:
        display(kept_form(notebook.front, live=not static_output()), raw=True)  # type: ignore[no-untyped-call]
