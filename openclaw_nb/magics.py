"""The magics: `%%openclaw` asks, `%openclaw` shows and sets; and what `%load_ext` adds to IPython and takes back.

A cell that blocks the kernel's main thread cannot hear its own Stop button (ipykernel 7.4), so at the top level of
a cell the magic is awaited; under `%%capture`, `%%time` and the like, which run their cell themselves, it blocks.

Loading imports next to nothing; what the first cell needs is imported in a thread as soon as the kernel is idle.
"""

from __future__ import annotations

import re
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.magic import no_var_expand

from . import options
from .waiting import Waker

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .notebook import Notebook, Outcome, Work

__all__ = ["OpenClawMagics", "load", "unload"]

_EXTENSION = "_openclaw_nb"

_AWAITED = re.compile(
    r"""get_ipython\(\)\.run_(cell)_magic\('openclaw', |"""
    r"""get_ipython\(\)\.run_(line)_magic\('openclaw', (?=['"](?:wait|restore)\b)"""
)
"""What IPython makes of a magic that waits for runs; at the top level of a cell it becomes a coroutine."""

_LINE = re.compile(r"\s*(%%?openclaw\s.*?)([^\s=]*)", re.DOTALL)
"""A line of ours up to the cursor: all before the word that is being typed, and that word."""

_SHOWN = [("run", "Run"), ("run", "Result"), ("pool.work", "PoolRun"), ("pool.work", "PoolResult")]
"""What cells show in our way, by module and name: nothing is imported for it."""

IDLE = 0.05
"""Seconds after the cell that loads it at which the rest is imported."""


class OpenClawMagics:
    """The extension in one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self._depth = 0
        self._waker = Waker()
        self._just_shown: Work | Outcome | None = None
        self._warming = threading.Timer(IDLE, self._warm)
        self._warm_yet = False

    @cached_property
    def notebook(self) -> Notebook:
        from .notebook import Notebook

        return Notebook(self.shell)

    @property
    def in_kernel(self) -> bool:
        """Whether there is a front end that could show widgets, or only a terminal."""
        return hasattr(self.shell, "kernel")

    def _warm(self) -> None:
        self._warm_yet = True
        from . import commands, render  # noqa: F401 - imported for its time
        from .models import offline  # noqa: F401
        from .widgets import library, stream  # noqa: F401

        if self.in_kernel and not render.static_output():
            library.open_library()

    # -- the magics ------------------------------------------------------------------------------

    @no_var_expand
    def cell(self, line: str, cell: str) -> Any:
        """Ask an agent: options on the first line, the prompt below. `%openclaw help` lists the options."""
        chosen = options.parse(line)
        run = self.notebook.start(chosen, cell)
        if chosen.bg:
            return self._shown(run)
        self.notebook.wait(run)
        return self._shown(self.notebook.finish(run, chosen))

    async def cell_awaited(self, line: str, cell: str) -> Any:
        chosen = options.parse(line)
        run = self.notebook.start(chosen, cell)
        if chosen.bg:
            return self._shown(run)
        await self.notebook.wait_async(run)
        return self._shown(self.notebook.finish(run, chosen))

    @no_var_expand  # what a variable holds must become neither an address nor an option
    def line(self, line: str) -> Any:
        """Show and set where runs go, what they take, what is at work, and what is kept. `%openclaw help`."""
        from .commands import execute

        run = execute(self.notebook, line)
        if run is None:
            return None
        self.notebook.wait(run)
        return self._taken_up(run)

    async def line_awaited(self, line: str) -> Any:
        from .commands import execute, say_settled

        if line.strip() == "wait":
            say_settled(self.notebook, await self.notebook.wait_all())
            return None
        run = execute(self.notebook, line)
        if run is None:
            return None
        await self.notebook.wait_async(run)
        return self._taken_up(run)

    def _taken_up(self, run: Work) -> Work | Outcome:
        """What came of a run that had been cut."""
        from .commands.sessions import say_gone_on

        value = self.notebook.finish(run, options.CellOptions())
        say_gone_on(value)
        return self._shown(value)

    # -- hooks -----------------------------------------------------------------------------------

    def transform(self, lines: list[str]) -> list[str]:
        """Await a magic that stands first in a top-level cell."""
        if self._depth == 0 and self.in_kernel and lines:
            call = _AWAITED.match(lines[0])
            if call is not None:
                awaited = f"await get_ipython().{_EXTENSION}.{call[1] or call[2]}_awaited("
                return [awaited + lines[0][call.end() :], *lines[1:]]
        return lines

    def enter_cell(self, *_: Any) -> None:
        if self._depth == 0:
            self._let_be()
            self._waker.start()
        self._depth += 1

    def leave_cell(self, *_: Any) -> None:
        self._depth = max(0, self._depth - 1)
        if self._depth == 0:
            self._waker.stop()
            self._just_shown = None
            if not self._warm_yet:
                self._warming = threading.Timer(IDLE, self._warm)
                self._warming.daemon = True
                self._warming.start()

    def _let_be(self) -> None:
        """Import nothing beside a cell: of two threads that import a package and a part of it, one may fail, as Python
        sees each wait for the other."""
        self._warming.cancel()
        if self._warming.is_alive():
            self._warming.join()

    @context_matcher()  # type: ignore[untyped-decorator]
    def complete(self, context: CompletionContext) -> SimpleMatcherResult:
        """Options after `%%openclaw`, subcommands after `%openclaw`, and nothing of Python among them."""
        line = _LINE.fullmatch(context.text_until_cursor)
        if line is None:
            return {"completions": []}
        from .commands import complete

        known = complete(self.notebook, line[1].replace("=", " ") + line[2])
        fitting = [SimpleCompletion(word, type="magic") for word in known if word.startswith(line[2])]
        return {"completions": fitting, "matched_fragment": line[2], "suppress": True, "ordered": True}

    def _shown(self, value: Work | Outcome) -> Work | Outcome:
        """``value``, remembered as what the current cell has shown by itself."""
        self._just_shown = value
        return value

    def show_value(self, value: Work | Outcome) -> None:
        """Show a cell's last value, unless it is what its own cell has just shown."""
        shown, self._just_shown = self._just_shown, None
        if value is shown:
            return
        if isinstance(value, str):
            raise NotImplementedError  # IPython goes on to its other representations
        self.notebook.show_again(value)

    def load(self) -> None:
        shell: Any = self.shell  # its hooks are typed too narrowly, or not at all
        shell.register_magic_function(self.cell, "cell", "openclaw")
        shell.register_magic_function(self.line, "line", "openclaw")
        shell.input_transformers_post.append(self.transform)
        shell.events.register("pre_run_cell", self.enter_cell)
        shell.events.register("post_run_cell", self.leave_cell)
        shell.Completer.custom_matchers.append(self.complete)
        show = shell.display_formatter.ipython_display_formatter
        for module, name in _SHOWN:
            show.for_type_by_name(f"{__package__}.{module}", name, self.show_value)

    def unload(self) -> None:
        shell: Any = self.shell
        for kind in ("cell", "line"):
            shell.magics_manager.magics[kind].pop("openclaw", None)
        shell.input_transformers_post.remove(self.transform)
        shell.events.unregister("pre_run_cell", self.enter_cell)
        shell.events.unregister("post_run_cell", self.leave_cell)
        shell.Completer.custom_matchers.remove(self.complete)
        for module, name in _SHOWN:
            shell.display_formatter.ipython_display_formatter.pop(f"{__package__}.{module}.{name}", None)
        self._waker.stop()
        self._let_be()
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
