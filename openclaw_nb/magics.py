"""The magics: `%%openclaw` asks, `%openclaw` shows and sets; and what `%load_ext` adds to IPython and takes back.

A cell that blocks the kernel's main thread cannot hear its own Stop button (ipykernel 7.4), so at the top level of
a cell the magic is awaited; under `%%capture`, `%%time` and the like, which run their cell themselves, it blocks.

Loading imports next to nothing; what the first cell needs is imported in a thread as soon as the kernel is idle.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from IPython.core.magic import no_var_expand

from . import options
from .run import Result, Run

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .notebook import Notebook

__all__ = ["OpenClawMagics", "load", "unload"]

AWAITED = "openclaw_awaited"
"""The cell and line magic that a top-level `openclaw` becomes: the same, as a coroutine."""

_CALLS = ("get_ipython().run_cell_magic('openclaw', ", "get_ipython().run_line_magic('openclaw', 'wait')")

_EXTENSION = "_openclaw_nb"

IDLE = 0.05
"""Seconds after loading at which the rest is imported."""


class OpenClawMagics:
    """The extension in one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self._depth = 0
        self._warming = threading.Timer(IDLE, self._warm)

    @cached_property
    def notebook(self) -> Notebook:
        from .notebook import Notebook

        return Notebook(self.shell)

    @property
    def in_kernel(self) -> bool:
        """Whether there is a front end that could show widgets, or only a terminal."""
        return hasattr(self.shell, "kernel")

    def _warm(self) -> None:
        from . import commands, render  # noqa: F401 - imported for its time
        from .models import offline  # noqa: F401
        from .widgets import library, stream  # noqa: F401

        if self.in_kernel:
            library.open_library()

    # -- the magics ------------------------------------------------------------------------------

    @no_var_expand
    def cell(self, line: str, cell: str) -> Any:
        """Ask an agent: options on the first line, the prompt below. `%openclaw help` lists the options."""
        chosen = options.parse(line)
        run = self.notebook.start(chosen, cell)
        if chosen.bg:
            return self.notebook.shown(run)
        self.notebook.wait(run)
        return self.notebook.finish(run, chosen)

    @no_var_expand
    async def cell_awaited(self, line: str, cell: str) -> Any:
        chosen = options.parse(line)
        run = self.notebook.start(chosen, cell)
        if chosen.bg:
            return self.notebook.shown(run)
        await self.notebook.wait_async(run)
        return self.notebook.finish(run, chosen)

    def line(self, line: str) -> None:
        """Show and set where runs go, which model and level they take, and what is at work. `%openclaw help`."""
        from .commands import execute

        execute(self.notebook, line)

    async def line_awaited(self, line: str) -> None:
        from .commands import say_settled

        say_settled(self.notebook, await self.notebook.wait_all())

    # -- hooks -----------------------------------------------------------------------------------

    def transform(self, lines: list[str]) -> list[str]:
        """Await a magic that stands first in a top-level cell."""
        if self._depth == 0 and self.in_kernel and lines and lines[0].startswith(_CALLS):
            return ["await " + lines[0].replace("'openclaw'", f"'{AWAITED}'", 1), *lines[1:]]
        return lines

    def enter_cell(self, *_: Any) -> None:
        self._depth += 1

    def leave_cell(self, *_: Any) -> None:
        self._depth = max(0, self._depth - 1)

    def complete(self, _: Any, event: Any) -> list[str]:
        """Options after `%%openclaw`, subcommands after `%openclaw`."""
        from .commands import complete

        return complete(self.notebook, event.line)

    def show_value(self, value: Run | Result) -> None:
        """Show a cell's last value, unless it is what its own cell has just shown."""
        if self.notebook.was_shown(value):
            return
        if isinstance(value, Result):
            raise NotImplementedError  # IPython goes on to its other representations
        self.notebook.show_again(value)

    def load(self) -> None:
        shell: Any = self.shell  # its hooks are typed too narrowly, or not at all
        self._warming.daemon = True
        self._warming.start()
        shell.register_magic_function(self.cell, "cell", "openclaw")
        shell.register_magic_function(self.line, "line", "openclaw")
        shell.register_magic_function(self.cell_awaited, "cell", AWAITED)
        shell.register_magic_function(self.line_awaited, "line", AWAITED)
        shell.input_transformers_post.append(self.transform)
        shell.events.register("pre_run_cell", self.enter_cell)
        shell.events.register("post_run_cell", self.leave_cell)
        shell.set_hook("complete_command", self.complete, str_key="%openclaw")
        shell.set_hook("complete_command", self.complete, str_key="%%openclaw")
        for kind in (Run, Result):
            shell.display_formatter.ipython_display_formatter.for_type(kind, self.show_value)

    def unload(self) -> None:
        shell: Any = self.shell
        for name in ("openclaw", AWAITED):
            shell.magics_manager.magics["cell"].pop(name, None)
            shell.magics_manager.magics["line"].pop(name, None)
        shell.input_transformers_post.remove(self.transform)
        shell.events.unregister("pre_run_cell", self.enter_cell)
        shell.events.unregister("post_run_cell", self.leave_cell)
        for key in ("%openclaw", "%%openclaw"):
            shell.strdispatchers["complete_command"].strs.pop(key, None)
        for kind in (Run, Result):
            shell.display_formatter.ipython_display_formatter.pop(kind, None)
        self._warming.cancel()
        self._warming.join()
        self.notebook.close()
        from .widgets.library import close_library

        close_library()


def load(shell: InteractiveShell) -> None:
    """Add the extension to a shell; once."""
    if not hasattr(shell, _EXTENSION):
        extension = OpenClawMagics(shell)
        extension.load()
        setattr(shell, _EXTENSION, extension)


def unload(shell: InteractiveShell) -> None:
    """Take everything back: magics, hooks, the runtime with its thread and port."""
    extension: OpenClawMagics | None = getattr(shell, _EXTENSION, None)
    if extension is not None:
        delattr(shell, _EXTENSION)
        extension.unload()
