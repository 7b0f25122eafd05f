"""Notebook, what one kernel's cells share: where runs go, at which level, and the runs themselves."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

from IPython.core.displaypub import CapturingDisplayPublisher

from .client import OpenClawClient
from .errors import ConfigError, OpenClawError, RunError
from .front import Front
from .options import CellOptions
from .outlook import Target
from .outputs import Expected
from .outputs.typenames import type_of
from .prompts import fill
from .prompts.images import attachment
from .render import bundle, static_output
from .run import Result, Run
from .runtime import Runtime
from .sessions.memory import Cut
from .snapshots import Snapshot
from .terminal import print_run

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .widgets.stream import StreamView

__all__ = ["SHORT_ID", "Notebook", "Workspace"]

SETTLE = 2.0
"""Seconds an interrupted cell waits for the gateway to confirm that the model has stopped."""

RENDER = 30.0
"""Seconds a cell waits for the last form of its answer; one of 5 MB takes some 10."""

FLUSH = 0.05
"""Seconds between two messages of printed text; a Jupyter server drops what comes faster than 1,000 a second."""

SHORT_ID = 8
"""Characters of the id of a run or snapshot that are shown, and enough to name it."""

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
        self.front = Front(target=self._target)
        self.runs: dict[str, Run] = {}
        self.background: list[Run] = []  # those that `%openclaw wait` has to settle
        self.restored: set[str] = set()  # sessions that were put where an earlier kernel left them
        self._views: dict[str, StreamView] = {}
        self._printed: dict[str, threading.Event] = {}
        self._into: dict[str, str] = {}  # runs in flight, and the variable each goes to
        self._assigning = threading.Lock()
        self._unseen: dict[str, str] = {}  # background runs without a view, and the variable each goes to
        self._vars: dict[str, dict[str, Any]] = {}  # runs in flight, and the variables to keep at the end of each
        self._keeping: dict[str, Future[None]] = {}

    @property
    def runtime(self) -> Runtime:
        """The runtime, started if it is not."""
        return Runtime.shared(self.shell.user_ns, Workspace(self.shell))

    @property
    def in_kernel(self) -> bool:
        """Whether there is a front end that could show widgets, or only a terminal."""
        return hasattr(self.shell, "kernel")

    def client(self, uri: str | None = None) -> OpenClawClient:
        return self.runtime.client(uri or self.uri)

    # -- one cell --------------------------------------------------------------------------------

    def start(self, options: CellOptions, cell: str) -> Run:
        """Send one cell's prompt and show its run."""
        filled = fill(cell.strip(), self.shell.user_ns)
        prompt = str(filled)
        if not prompt:
            raise ConfigError("the cell has no prompt; write it on the lines below %%openclaw")
        wanted = Expected(type_of(options.output, self.shell.user_ns)).wishes if options.output else {}
        model = options.model or self.model
        client = self.client(options.to)
        local = self.runtime.is_local(client)
        if model is not None and local:
            self.runtime.resolve(model)
        kept = self._vars_to_keep(options, client)
        session, base = self._place(options, client)
        busy = options.busy or ("branch" if options.bg and local else "wait")
        run = self.front.send(
            client, prompt, level=options.level, complexity=options.complexity, session=session, model=model,
            timeout=options.timeout, busy=busy, base=base, budget=options.budget,
            attachments=[attachment(image) for image in filled.images], **wanted,
        )  # fmt: skip
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

    def _target(self) -> Target:
        return Target(self.client(), model=self.model)

    def _follow(self, run: Run, options: CellOptions) -> None:
        """Keep a run that was sent at hand, and show it."""
        self._keep(run)
        if options.into:
            self.shell.user_ns[options.into] = run
            self._into[run.id] = options.into
        if options.into or run.id in self._vars:
            run.subscribe(lambda _: self._assign(run))
            self._assign(run)  # it may have ended before anybody listened
        if options.bg:
            self.background.append(run)
        self.show(run, options)

    # -- its session -----------------------------------------------------------------------------

    def _place(self, options: CellOptions, client: OpenClawClient) -> tuple[str, str | None]:
        """The session that a cell's run works in, and the snapshot that it begins from, if one was chosen."""
        if options.base is None:
            return options.session or "main", None
        if not self.runtime.is_local(client):
            if options.session is None:
                raise ConfigError(f"--from at {client.uri} needs a --session, which begins there")
            return options.session, options.base
        return options.session or self._new_session(), self.find(options.base).id

    def _new_session(self) -> str:
        """A name that no session of this kernel has, so that all cells run again name the same: main-2, main-3, …"""
        memory = self.runtime.memory
        taken = {*memory.submit(memory.sessions).result(), *(run.session for run in self.runs.values())}
        return next(name for n in count(2) if (name := f"main-{n}") not in taken)

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

    def _vars_to_keep(self, options: CellOptions, client: OpenClawClient) -> dict[str, Any]:
        """The variables that a cell wants kept, as they are now: a mistake is better seen before anything is spent."""
        if not options.vars:
            return {}
        from .namespace import take

        if not self.runtime.is_local(client):
            raise ConfigError(f"--vars: the gateway at {client.uri} keeps its sessions itself, without variables")
        if options.into in options.vars:
            raise ConfigError(f"--vars: {options.into!r} is where the answer goes, and that is kept with the session")
        return take(options.vars, self.shell.user_ns)

    def _keep_vars(self, run: Run, kept: dict[str, Any]) -> None:
        """Have a run's variables kept behind what it left, which is then where its answer says that it is."""
        memory, result = self.runtime.memory, _result(run)

        def keep() -> None:
            result.snapshot = memory.append(run.session, (), kind="named", vars=kept).id

        if result.snapshot is not None:
            self._keeping[run.id] = memory.submit(keep)

    def _keep(self, run: Run) -> None:
        self.runs[run.id] = run
        over = [id for id, known in self.runs.items() if known.done()][: max(0, len(self.runs) - KEEP)]
        for id in over:
            del self.runs[id]
            self._views.pop(id, None)
            self._printed.pop(id, None)
            self._unseen.pop(id, None)

    def _assign(self, run: Run) -> None:
        """Put the answer, or what came of it, into the user's variable, and have the variables that go with it kept:
        once, and before a cell that waits ends."""
        if not run.done():
            return
        with self._assigning:
            if (name := self._into.pop(run.id, None)) is not None:
                self.shell.user_ns[name] = _result(run)
            if (kept := self._vars.pop(run.id, None)) is not None:
                self._keep_vars(run, kept)

    def show(self, run: Run, options: CellOptions = CellOptions()) -> None:  # noqa: B008 - frozen
        """Begin to show a run in the current cell."""
        if options.plain or not self.in_kernel:
            self._printed[run.id] = print_run(run, _printer(FLUSH if self.in_kernel else 0.0))
        elif not self.static():
            from .widgets.stream import show_run

            self._views[run.id] = show_run(run, into=options.into)
        elif options.bg and static_output():
            self._unseen[run.id] = options.into

    def static(self) -> bool:
        """Whether only the final bundle is to be shown: on request, and where output is captured."""
        return static_output() or isinstance(self.shell.display_pub, CapturingDisplayPublisher)

    # -- waiting ---------------------------------------------------------------------------------

    def wait(self, run: Run) -> None:
        """Block until the run ends; an interrupt stops it and keeps what came."""
        try:
            _until_done(run, None)
        except KeyboardInterrupt:
            run.cancel()
            with suppress(KeyboardInterrupt):
                _until_done(run, SETTLE)
        self._assign(run)

    async def wait_async(self, run: Run) -> None:
        """The same for a cell that awaits, so that front-end messages reach the kernel meanwhile."""
        try:
            await _until_done_async(run, None)
        except (asyncio.CancelledError, KeyboardInterrupt):
            run.cancel()
            with suppress(asyncio.CancelledError, KeyboardInterrupt):
                await _until_done_async(run, SETTLE)
        self._assign(run)

    def finish(self, run: Run, options: CellOptions) -> Result | Run:
        """The run's Result, shown where it has not been while it streamed. RunError for a failed one.

        A model that blocks the runtime's loop hears no stop; then the cell ends, and its run goes on as with `--bg`.
        """
        if not run.done():
            _printer()("[not stopped yet: the model blocks its event loop, and stops when it lets go of it]\n")
            self.background.append(run)
            return run
        if (printed := self._printed.pop(run.id, None)) is not None:
            printed.wait(SETTLE)
        elif (view := self._views.get(run.id)) is not None:
            _until_settled(view)
        else:
            self._publish(run, options.into)
        self._see_kept(run)
        return run.result(0)

    def _see_kept(self, run: Run) -> None:
        """Wait until the variables of a run are kept; SnapshotError where they cannot be."""
        if (keeping := self._keeping.pop(run.id, None)) is not None:
            keeping.result(RENDER)

    def show_again(self, run: Run) -> None:
        """Show a run that is a cell's last value; where there is to be no live view, wait for it and show its end."""
        if self.in_kernel and self.static():
            self.wait(run)
            self._publish(run)
        else:
            self.show(run)

    def _publish(self, run: Run, into: str = "") -> None:
        self._unseen.pop(run.id, None)
        self.shell.display_pub.publish(bundle(run, live=not static_output(), into=into), {})

    async def wait_all(self) -> list[Run]:
        """Wait for the background runs, then show each (once more, for front ends that drop late updates).

        An interrupt ends the waiting, not the runs; those that have ended are returned.
        """
        with suppress(asyncio.CancelledError, KeyboardInterrupt):
            for run in self.background:
                await _until_done_async(run, None)
        return self._settle()

    def settle_all(self) -> list[Run]:
        """The blocking twin of `wait_all`."""
        with suppress(KeyboardInterrupt):
            for run in self.background:
                _until_done(run, None)
        return self._settle()

    def _settle(self) -> list[Run]:
        settled = [run for run in self.background if run.done()]
        self.background = [run for run in self.background if run not in settled]
        for run in settled:
            self._assign(run)
            if (view := self._views.get(run.id)) is not None:
                _until_settled(view)
                view.redisplay()
            elif run.id in self._unseen:
                self._publish(run, self._unseen[run.id])
        for run in settled:
            self._see_kept(run)
        return settled

    def close(self) -> None:
        """End the runtime and every view."""
        if (runtime := Runtime.running()) is not None:
            runtime.close()
        self._views.clear()
        self.runs.clear()


def _printer(pause: float = 0.0) -> Callable[[str], None]:
    """A way to print what streams, flushed at most once in ``pause`` seconds; the rest is flushed by ipykernel."""
    flushed = -pause

    def write(text: str) -> None:
        nonlocal flushed
        sys.stdout.write(text)
        if (now := time.monotonic()) - flushed >= pause:
            flushed = now
            sys.stdout.flush()

    return write


def _result(run: Run) -> Result:
    """What came of a run that has ended."""
    try:
        return run.result(0)
    except RunError as error:
        return error.partial or Result()


def _until_settled(view: StreamView) -> None:
    with suppress(FutureTimeout):
        view.settled.result(RENDER)


def _until_done(run: Run, timeout: float | None) -> None:
    with suppress(OpenClawError, FutureTimeout):
        run.result(timeout)


async def _until_done_async(run: Run, timeout: float | None) -> None:
    """Wait without awaiting the run bare: an interrupt reaches a task only when its loop wakes up."""
    ended = asyncio.ensure_future(run)
    ended.add_done_callback(lambda future: future.cancelled() or future.exception())
    loop = asyncio.get_running_loop()
    limit = None if timeout is None else loop.time() + timeout
    while not ended.done() and (limit is None or loop.time() < limit):
        await asyncio.wait({ended}, timeout=0.1)
