"""Notebook, what one kernel's cells share: where runs go, at which level, and the runs themselves."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from IPython.core.displaypub import CapturingDisplayPublisher

from . import side_by_side
from .client import OpenClawClient
from .config import ClusterConfig
from .errors import RunError
from .events import Status
from .front import Front
from .metrics.drawing import banner
from .options import CellOptions
from .outlook import Target
from .prompts.images import attachment
from .render import bundle, static_output
from .run import Result, Run
from .runtime import Runtime
from .sessions.memory import Cut
from .snapshots import Snapshot
from .terminal import SHORT_ID, Asker, print_lanes, print_run, printer
from .waiting import HEARD, RENDER, hears_buttons, until_done, until_done_async, until_settled

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .pool import PoolResult, PoolRun, ThreadPool
    from .pool.record import Record
    from .pool.resuming import Left
    from .widgets.lanes import LanesView
    from .widgets.stream import StreamView

    Work: TypeAlias = Run | PoolRun
    Outcome: TypeAlias = Result | PoolResult

__all__ = ["SHORT_ID", "Notebook", "Workspace"]

SETTLE = 2.0
"""Seconds an interrupted cell waits for the gateway to confirm that the model has stopped."""

FLUSH = 0.05
"""Seconds between two messages of printed text; a Jupyter server drops what comes faster than 1,000 a second."""

KEEP = 200
"""Finished runs that `%openclaw runs` still lists."""


class Workspace:
    """The notebook as the offline model may look at it: names, and the last exception."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def lookup(self, name: str) -> object:
        """The value of a name; KeyError where there is none."""
        return self._shell.user_ns[name]

    def last_exception(self) -> BaseException | None:
        return getattr(sys, "last_value", None)


class Notebook:
    """One kernel's runs. Everything here is called on the kernel's main thread."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.uri: str | None = None
        self.model: str | None = None
        self.session: str | None = None  # what cells talk in that name none; main if None
        self.agent: str | None = None  # whom they ask at a gateway elsewhere; its default if None
        self.front = Front(target=self._target)
        self._config = ClusterConfig()
        self.runs: dict[str, Work] = {}
        self.background: list[Work] = []  # those that `%openclaw wait` has to settle
        self.restored: set[str] = set()  # sessions that were put where an earlier kernel left them
        self._views: dict[str, StreamView | LanesView] = {}
        self._printed: dict[str, threading.Event] = {}
        self._into: dict[str, str] = {}  # runs in flight, and the variable each goes to
        self._assigning = threading.Lock()
        self._unseen: dict[str, str] = {}  # background runs without a view, and the variable each goes to
        self._vars: dict[str, dict[str, Any]] = {}  # runs in flight, and the variables to keep at the end of each
        self._keeping: dict[str, Future[None]] = {}

    @property
    def runtime(self) -> Runtime:
        """The runtime, started if it is not."""
        runtime = Runtime.shared(self.shell.user_ns, Workspace(self.shell))
        if runtime.config is not self._config:
            self._config = runtime.config
            if self._config.says("adaptive_reasoning"):
                self.front.adaptive = self._config.adaptive_reasoning
        return runtime

    @property
    def in_kernel(self) -> bool:
        """Whether there is a front end that could show widgets, or only a terminal."""
        return hasattr(self.shell, "kernel")

    def client(self, uri: str | None = None) -> OpenClawClient:
        return self.runtime.client(uri or self.uri)

    @property
    def pool(self) -> ThreadPool:
        """The pool that all cells share; its agents take their level from the notebook."""
        pool = self.runtime.pool
        pool.front = self.front
        return pool

    @property
    def behind(self) -> float:
        """Seconds by which the slowest page of its live views said to be behind, a moment ago."""
        return max((view.behind for view in self._views.values()), default=0.0)

    # -- one cell --------------------------------------------------------------------------------

    def start(self, options: CellOptions, cell: str) -> Work:
        """Send one cell's prompt and show its run, or that of several agents."""
        from .cells import ask

        run, kept = ask(self, options, cell)
        if kept:
            self._vars[run.id] = kept
        self._follow(run, options)
        return run

    def resume(self, cut: Cut, session: str) -> Run:
        """Go on with a run that was cut, at its level, with its model and within its budget, and show it."""
        client = self.client()
        run = self.front.resume(
            client, cut.message, session=session, level=cut.level, model=cut.model, agent=cut.agent, budget=cut.budget,
            idempotency_key=cut.run_id, partial=(cut.text, cut.tokens), output=cut.output, spent=cut.spent,
            attachments=[attachment(image) for image in cut.images],
        )  # fmt: skip
        self._follow(run, CellOptions())
        return run

    def resume_pool(self, record: Record, session: str, left: Left) -> PoolRun:
        """Go on with a pool's run that was cut, and show it."""
        run = self.pool.resume(record, session, left)
        self._follow(run, CellOptions())
        return run

    def _target(self) -> Target:
        return Target(self.client(), model=self.model)

    def _follow(self, run: Work, options: CellOptions) -> None:
        """Keep a run that was sent at hand, and show it."""
        self._keep(run)
        if options.into:
            self.shell.user_ns[options.into] = run
            self._into[run.id] = options.into
        if options.into or run.id in self._vars:
            run.subscribe(lambda *_: self._assign(run))
            self._assign(run)  # it may have ended before anybody listened
        if options.bg:
            self.background.append(run)
        self.show(run, options)

    def find(self, which: str) -> Snapshot:
        """Where a session stands, or the snapshot of that name or id; SnapshotError where there is none.

        Of an earlier kernel's session that is where it was left.
        """
        memory = self.runtime.memory

        def look() -> Snapshot:
            stands = memory.head(which)
            if stands is None and which in memory.store.places():
                stands = memory.latest(which)
            return stands or memory.find(which)

        return memory.submit(look).result()

    def _keep_vars(self, run: Work, kept: dict[str, Any]) -> None:
        """Have a run's variables kept behind what it left, which is then where its answer says that it is."""
        memory, result = self.runtime.memory, _result(run)

        def keep() -> None:
            result.snapshot = memory.append(run.session, (), kind="named", vars=kept).id

        if result.snapshot is not None:
            self._keeping[run.id] = memory.submit(keep)

    def _keep(self, run: Work) -> None:
        self.runs[run.id] = run
        over = [id for id, known in self.runs.items() if known.done()][: max(0, len(self.runs) - KEEP)]
        for id in over:
            del self.runs[id]
            self._views.pop(id, None)
            self._printed.pop(id, None)
            self._unseen.pop(id, None)

    def _assign(self, run: Work) -> None:
        """Put the answer, or what came of it, into the user's variable, and have the variables that go with it kept:
        once, and before a cell that waits ends."""
        if not run.done():
            return
        with self._assigning:
            if (name := self._into.pop(run.id, None)) is not None:
                self.shell.user_ns[name] = _result(run)
            if (kept := self._vars.pop(run.id, None)) is not None:
                self._keep_vars(run, kept)

    def show(self, run: Work, options: CellOptions = CellOptions()) -> None:  # noqa: B008 - frozen
        """Begin to show a run in the current cell."""
        if options.plain or not self.in_kernel:
            write = printer(FLUSH if self.in_kernel else 0.0)
            self._printed[run.id] = print_run(run, write) if isinstance(run, Run) else print_lanes(run, write)
        elif not self.static():
            self._views[run.id] = _view(run, options.into)
        elif options.bg and static_output():
            self._unseen[run.id] = options.into

    def static(self) -> bool:
        """Whether only the final bundle is to be shown: on request, and where output is captured."""
        return static_output() or isinstance(self.shell.display_pub, CapturingDisplayPublisher)

    # -- waiting ---------------------------------------------------------------------------------

    def wait(self, run: Work) -> None:
        """Block until the run ends; an interrupt stops it and keeps what came. What waits for an approval is asked
        here, as no button is heard meanwhile."""
        try:
            asker = Asker(run)
            while not run.done():
                until_done(run, HEARD)
                asker.ask()
        except KeyboardInterrupt:
            run.cancel()
            with suppress(KeyboardInterrupt):
                until_done(run, SETTLE)
        self._assign(run)

    async def wait_async(self, run: Work) -> None:
        """The same for a cell that awaits, so that front-end messages reach the kernel meanwhile."""
        try:
            asker = None if run.id in self._views and hears_buttons() else Asker(run)
            while asker and not run.done():
                await until_done_async(run, HEARD)
                asker.ask()
            await until_done_async(run, None)
        except (asyncio.CancelledError, KeyboardInterrupt):
            run.cancel()
            with suppress(asyncio.CancelledError, KeyboardInterrupt):
                await until_done_async(run, SETTLE)
        self._assign(run)

    def finish(self, run: Work, options: CellOptions) -> Outcome | Work:
        """The run's Result, shown where it has not been while it streamed. RunError for a failed one, and where not one
        of several agents came to its end.

        A model that blocks the runtime's loop hears no stop; then the cell ends, and its run goes on as with `--bg`.
        """
        if not run.done():
            printer()("[not stopped yet: the model blocks its event loop, and stops when it lets go of it]\n")
            self.background.append(run)
            return run
        if (printed := self._printed.pop(run.id, None)) is not None:
            printed.wait(SETTLE)
        elif (view := self._views.get(run.id)) is not None:
            until_settled(view)
        else:
            self._publish(run, options.into)
        self._see_kept(run)
        self._say_alerts()
        result = run.result(0)
        if result.status is Status.FAILED and not isinstance(result, Result):
            first = next(error for error in result.results.values() if isinstance(error, RunError))
            raise RunError(f"no agent came to its end: {first}", code=first.code)
        return result

    def _say_alerts(self) -> None:
        """One line below what the cell has shown about each figure that has come above its limit, or is well again."""
        if not static_output() and (news := self.runtime.monitor.news()):
            self.shell.display_pub.publish(banner(news), {})

    def _see_kept(self, run: Work) -> None:
        """Wait until the variables of a run are kept; SnapshotError where they cannot be."""
        if (keeping := self._keeping.pop(run.id, None)) is not None:
            keeping.result(RENDER)

    def show_again(self, run: Work) -> None:
        """Show a run that is a cell's last value; where there is to be no live view, wait for it and show its end."""
        if self.in_kernel and self.static():
            self.wait(run)
            self._publish(run)
        else:
            self._keep(run)
            if not run.done() and run not in self.background:
                self.background.append(run)
            self.show(run)

    def _publish(self, run: Work, into: str = "") -> None:
        self._unseen.pop(run.id, None)
        self.shell.display_pub.publish(_bundle(run, into), {})

    async def wait_all(self) -> list[Work]:
        """Wait for the background runs, then show each (once more, for front ends that drop late updates).

        An interrupt ends the waiting, not the runs; those that have ended are returned.
        """
        with suppress(asyncio.CancelledError, KeyboardInterrupt):
            for run in self.background:
                await until_done_async(run, None)
        return self._settle()

    def settle_all(self) -> list[Work]:
        """The blocking twin of `wait_all`."""
        with suppress(KeyboardInterrupt):
            for run in self.background:
                until_done(run, None)
        return self._settle()

    def _settle(self) -> list[Work]:
        settled = [run for run in self.background if run.done()]
        self.background = [run for run in self.background if run not in settled]
        for run in settled:
            self._assign(run)
            if (view := self._views.get(run.id)) is not None:
                until_settled(view)
                view.redisplay()
            elif run.id in self._unseen:
                self._publish(run, self._unseen[run.id])
        for run in settled:
            self._see_kept(run)
        return settled

    def close(self) -> None:
        """End the runtime and every view, and offer nothing any more."""
        from .node import offer

        offer.withdraw()
        if (runtime := Runtime.running()) is not None:
            runtime.close()
        self._views.clear()
        self.runs.clear()


def _view(run: Work, into: str) -> StreamView | LanesView:
    """Begin to show a run in the current cell."""
    if isinstance(run, Run):
        from .widgets.stream import show_run

        return show_run(run, into=into)
    from .widgets.lanes import show_pool

    return show_pool(run, into=into)


def _bundle(run: Work, into: str) -> dict[str, str]:
    """Its lasting form."""
    if isinstance(run, Run):
        return bundle(run, live=not static_output(), into=into)
    return side_by_side.bundle(run, live=not static_output(), into=into)


def _result(run: Work) -> Outcome:
    """What came of a run that has ended."""
    try:
        return run.result(0)
    except RunError as error:
        return error.partial or Result()
