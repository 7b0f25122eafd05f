"""What every test gets: a check that it leaves nothing behind, and a last word on what could not be run."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import psutil
import pytest

if TYPE_CHECKING:
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

SETTLE = 30.0  # seconds that threads and sockets may take to go away, where other suites have the processors
_NOTES = pytest.StashKey[list[str]]()
_FIGURES = pytest.StashKey[list[str]]()

# Processes that a test starts keep nothing in the user's own data, those without our variables neither.
_data = tempfile.TemporaryDirectory(prefix="openclaw_nb-data-")
os.environ |= {
    "OPENCLAW_NB_SNAPSHOTS": "memory", "OPENCLAW_CONFIG_PATH": f"{_data.name}/none.json", "XDG_DATA_HOME": _data.name,
}  # fmt: skip

# A deadline asserts on wall-clock speed, as does the check for slow data, and a busy machine fails them. Fewer examples
# than usual, each time others, as there are a hundred properties; `make fuzz` runs for as long as one likes.
hypothesis.settings.register_profile(
    "here", deadline=None, max_examples=40, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("here")


with contextlib.suppress(ImportError):  # libuv opens a pipe for signals with its first loop, and keeps it
    import uvloop

    uvloop.new_event_loop().close()


def _threads() -> set[str]:
    return {f"thread {t.name} ({t.ident})" for t in threading.enumerate()}


def _tasks() -> set[str]:
    """Tasks not done, of every loop there is: up to 3.13 asyncio's own register, later only the slower gc knows."""
    if sys.version_info >= (3, 14):
        alive = [o for o in gc.get_objects() if type(o) is asyncio.Task]
    else:
        register = "_all_tasks" if sys.version_info < (3, 12) else "_scheduled_tasks"
        while True:
            with contextlib.suppress(RuntimeError):  # another thread's loop has begun one meanwhile
                alive = list(getattr(asyncio.tasks, register))
                break
    return {f"task {task.get_name()}: {task.get_coro()!r}" for task in alive if not task.done()}


def _descriptors() -> set[str]:
    """Open descriptors by what they are; on systems without /proc by their number alone."""
    fds = Path("/proc/self/fd")
    if not fds.is_dir():
        return {f"descriptor {n}" for n in range(psutil.Process().num_fds())} if os.name == "posix" else set()
    found = set()
    for fd in os.listdir(fds):
        try:
            found.add(f"descriptor {fd} -> {os.readlink(fds / fd)}")
        except FileNotFoundError:  # the one that listed the folder
            continue
    return found


def _ports() -> set[str]:
    """Those that are listened at; where descriptors say what they are, these are among them."""
    if Path("/proc/self/fd").is_dir():
        return set()
    listening = (c for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN)
    return {f"listening on {c.laddr.ip} port {c.laddr.port}" for c in listening}


def _held() -> set[str]:
    return _threads() | _tasks() | _descriptors() | _ports()


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Threads, tasks, descriptors and ports after a test are those from before it."""
    if request.node.get_closest_marker("leaks"):
        yield
        return
    before = _held()
    yield
    deadline = time.monotonic() + SETTLE
    while left := sorted(_held() - before):
        if time.monotonic() > deadline:
            pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)
        gc.collect()
        time.sleep(0.02)


@pytest.fixture(scope="session")
def note(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Adds a line to the end of the report."""
    return pytestconfig.stash.setdefault(_NOTES, []).append


@pytest.fixture(scope="session")
def figure(pytestconfig: pytest.Config) -> Callable[[str, str], None]:
    """Adds what a test has measured or counted to the end of the report: a case's name, and its figure in words."""
    figures = pytestconfig.stash.setdefault(_FIGURES, [])
    return lambda case, words: figures.append(f"{case}: {words}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marker = item.get_closest_marker("leaks")
        if marker and not (marker.args and marker.args[0]):
            raise pytest.UsageError(f"{item.nodeid}: leaks needs its reason")


def pytest_collection_finish() -> None:
    """What was imported stays: each search of it for garbage would stop every loop for a tenth of a second."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say in words what was not run, and hand it on to `make test`, which repeats it at its end."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):
            reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1
    lines = [f"{count} not run: {reason}" for reason, count in sorted(reasons.items())]
    if figures := config.stash.get(_FIGURES, []):
        terminalreporter.section("figures")
    for line in [*figures, *config.stash.get(_NOTES, []), *lines]:
        terminalreporter.write_line(line)
    if lines and (handed_on := os.environ.get("OPENCLAW_NB_NOT_RUN")):
        with open(handed_on, "a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


# -- IPython in this process --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    yield shell
    InteractiveShell.clear_instance()
    shell.atexit_operations()
    atexit.unregister(shell.atexit_operations)


@pytest.fixture
def shown(shell: InteractiveShell) -> CapturingDisplayPublisher:
    """What has been displayed."""
    from IPython.core.displaypub import CapturingDisplayPublisher

    shell.display_pub = CapturingDisplayPublisher()
    return shell.display_pub
