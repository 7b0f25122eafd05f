"""Kernels that are killed while agents work side by side, and the ones after them, which go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openclaw_nb.sessions.memory import run_in
from openclaw_nb.snapshots import SnapshotStore

from .conftest import INSTALLED, Kernel, environment
from .test_commands_sessions import refused, say

pytestmark = pytest.mark.kernel

RATE = 1600  # tokens per second
TASK = "count from 1 to 800"
COUNTED = ", ".join(map(str, range(1, 801)))
AGENTS = "coder,tester,scout"

SCOUT = 'from openclaw_nb import role\nrole("scout", "You look around.");'

Messages = list[tuple[str, str]]


class Kernels:
    """One after the other on one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._env = environment(folder) | {
            "OPENCLAW_MODEL": f"offline:{RATE}", "OPENCLAW_NB_SNAPSHOTS_EVERY": "0.02"
        }  # fmt: skip
        self.running: list[Kernel] = []

    def next(self) -> Kernel:
        kernel = Kernel(INSTALLED, self._env, self.folder)
        self.running.append(kernel)
        say(kernel, "%load_ext openclaw_nb")
        return kernel

    def kill(self) -> None:
        self.running.pop().kill()

    def close(self) -> None:
        while self.running:
            self.running.pop().close()

    def store(self) -> SnapshotStore:
        (file,) = (self.folder / "snapshots").glob("*.db")
        return SnapshotStore(file)

    def said(self, session: str) -> dict[str, Messages]:
        """What was said in a session and in those of its agents, by agent."""
        with self.store() as store:
            heads = {name: head for name, head in store.sessions().items() if name.partition("/")[0] == session}
            return {
                name.partition("/")[2]: [(m["role"], m["content"]) for m in head.state["messages"]]
                for name, head in heads.items()
            }


@pytest.fixture(scope="module")  # the first manager of a thread makes a loop, which stays
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernels]:
    kernels = Kernels(tmp_path_factory.mktemp("kernels"))
    kernels.next()
    yield kernels
    kernels.close()


def cell(session: str, mode: str) -> str:
    return f"%%openclaw --session {session} --agents {AGENTS} --mode {mode} --pool 2 --level 1\n{TASK}"


def is_said(store: SnapshotStore, session: str) -> bool:
    """Whether the file has a part of what that agent says, and no more."""
    last = store.last(session)
    run = run_in(last.state) if last is not None else None
    return run is not None and run.offset > 0


def cut(kernels: Kernels, kernel: Kernel, session: str, mode: str, agent: str) -> str:
    """Have agents begin, and kill the kernel when that one has said something, before the scout begins; in which
    session it came to that, as a scout may be quicker."""
    say(kernel, f"%%openclaw --session {session}\nmy name is Ada")
    kernel.submit(cell(session, mode))
    end = time.monotonic() + 60
    with kernels.store() as store:
        while not is_said(store, f"{session}/{agent}") and store.last(f"{session}/scout") is None:
            assert time.monotonic() < end, f"nothing was kept of {session}"
            time.sleep(0.01)
        kernels.kill()
        if is_said(store, f"{session}/{agent}") and store.last(f"{session}/scout") is None:
            return session
    kernel = kernels.next()
    say(kernel, SCOUT)
    return cut(kernels, kernel, f"{session}-again", mode, agent)


def test_the_next_kernel_goes_on_with_all_agents(kernels: Kernels, figure: Callable[[str, str], None]) -> None:
    (kernel,) = kernels.running
    say(kernel, SCOUT)
    for mode in ("parallel", "pipeline"):
        say(kernel, f"%%openclaw --session {mode}\nmy name is Ada")
        say(kernel, cell(mode, mode))
    assert kernels.said("parallel")["scout"][2:] == [("user", TASK), ("assistant", COUNTED)]
    assert COUNTED in kernels.said("pipeline")["scout"][2][1]

    one = cut(kernels, kernel, "one", "parallel", "tester")
    kernel = kernels.next()
    assert f"2 messages, and the pool's run '{TASK}' of coder, tester, scout was cut · %openclaw restore" in say(
        kernel, "%openclaw sessions"
    )
    sentence = refused(kernel.run(f"%openclaw restore --session {one}"))
    assert "cannot go on without 'scout', not made in this kernel yet: first role('scout', 'You …')" in sentence
    assert f"{one}/coder" not in kernels.said(one)  # nothing was moved
    say(kernel, SCOUT)
    shown = say(kernel, f"%openclaw restore --session {one}")
    assert "goes on from character" in shown
    assert "had not begun" in shown
    assert kernels.said(one) == kernels.said("parallel")
    assert say(kernel, "print(type(_).__name__, _.status, list(_.results))").startswith("PoolResult done ['coder'")
    assert "no cut" not in say(kernel, f"%openclaw restore --session {one}")
    assert kernels.said(one) == kernels.said("parallel")

    two = cut(kernels, kernel, "two", "pipeline", "tester")
    kernel = kernels.next()
    say(kernel, SCOUT)
    shown = say(kernel, f"%openclaw restore --session {two}")
    assert "done already" in shown
    assert kernels.said(two) == kernels.said("pipeline")
    say(kernel, f"%openclaw merge tester --session {two}")
    assert len(kernels.said(two)[""]) == 4
    kernels.close()
    figure("issue 6, kernel killed while agents work", "2 of 2 transcripts equal to an uninterrupted one")
    with kernels.store() as store:
        assert store.verify() == []
