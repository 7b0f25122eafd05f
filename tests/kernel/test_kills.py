"""A kernel that is killed in mid-answer, again and again, and the one after it, which goes on with the answer."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openclaw_nb.sessions.memory import Cut, Memory, cut_in
from openclaw_nb.snapshots import SnapshotStore

from .conftest import INSTALLED, Kernel, environment

pytestmark = pytest.mark.kernel

KILLS = int(os.environ.get("OPENCLAW_NB_KILLS", "10"))
RATE = 1600  # tokens per second
LENGTH = 800  # tokens of an answer
SECONDS = LENGTH / RATE
INTERVAL = 0.02

Messages = list[dict[str, str]]


def question(turn: int) -> str:
    """What the n-th turn of a conversation asks, of a model that counts in one way only."""
    return f"count from {turn * LENGTH + 1} to {(turn + 1) * LENGTH}"


def answer(turn: int) -> str:
    return ", ".join(map(str, range(turn * LENGTH + 1, (turn + 1) * LENGTH + 1)))


def conversation(turns: int) -> Messages:
    """What an uninterrupted session has after so many turns."""
    return [
        {"role": role, "content": content}
        for turn in range(turns)
        for role, content in (("user", question(turn)), ("assistant", answer(turn)))
    ]


class Kernels:
    """One kernel after the other on one file, the next one started while the one before works."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._env = environment(folder) | {
            "OPENCLAW_MODEL": f"offline:{RATE}", "OPENCLAW_NB_SNAPSHOTS_EVERY": str(INTERVAL)
        }  # fmt: skip
        self._started = [Kernel(INSTALLED, self._env, folder, wait=False)]

    def next(self, *, last: bool = False) -> Kernel:
        """The kernel after the one that was killed."""
        kernel = self._started[-1]
        self._started = [kernel]
        if not last:
            self._started.append(Kernel(INSTALLED, self._env, self._folder, wait=False))
        kernel.wait_until_ready()
        reply = kernel.run("%load_ext openclaw_nb")
        assert reply.status == "ok", reply.content
        return kernel

    def close(self) -> None:
        while self._started:
            self._started.pop().close()

    def store(self) -> SnapshotStore:
        (file,) = (self._folder / "snapshots").glob("*.db")
        return SnapshotStore(file)


@pytest.fixture(scope="module")  # the first manager of a thread makes a loop, which stays
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernels]:
    kernels = Kernels(tmp_path_factory.mktemp("kernels"))
    yield kernels
    kernels.close()


def wait_for(store: SnapshotStore, session: str, turn: int, *, text: bool) -> None:
    """Until the file has the question of the run, or a part of its answer; or all of it, where it was quicker."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        last = store.last(session)
        cut = cut_in(last) if last is not None else None
        if cut is not None and cut.message == question(turn) and (cut.text or not text):
            return
        if last is not None and cut is None and len(last.state["messages"]) == 2 * (turn + 1):
            return
        time.sleep(0.01)
    raise AssertionError(f"nothing was kept of {question(turn)!r}")


def cut_at(kernels: Kernels, kernel: Kernel, session: str, turn: int, moment: float | str) -> Cut | None:
    """Ask, and kill the kernel so many seconds after the question was kept, or right after the first part of the answer
    was; what the file has of the run, or None where it was quicker."""
    kernel.submit(f"%%openclaw --session {session}\n{question(turn)}")
    with kernels.store() as store:
        wait_for(store, session, turn, text=moment == "checkpoint")
        time.sleep(moment if isinstance(moment, float) else 0)
        kernel.kill()
        latest = Memory(store, fresh=True).latest(session)
        assert latest is not None
        return cut_in(latest)


def transcript(kernels: Kernels, session: str) -> Messages:
    with kernels.store() as store:
        head = store.head(session)
        assert head is not None
        return [{key: message[key] for key in ("role", "content")} for message in head.state["messages"]]


def test_many_kills(kernels: Kernels, figure: Callable[[str, str], None]) -> None:
    """Every odd one is in the second turn of the conversation that the one before it cut."""
    dice = random.Random(4)
    moments: list[float | str] = [0.0, 0.0, "checkpoint", "checkpoint"]
    moments += [dice.uniform(0, 0.8 * SECONDS) for _ in range(KILLS - len(moments))]
    kernel = kernels.next()
    for turn in range(2):
        reply = kernel.run(f"%%openclaw --session whole\n{question(turn)}")
        assert reply.status == "ok", reply.content
    assert transcript(kernels, "whole") == conversation(2)
    resumed: list[int] = []
    for kill, moment in enumerate(moments):
        session, turn = f"s{kill // 2}", kill % 2
        while (cut := cut_at(kernels, kernel, session, turn, moment)) is None:  # it was quicker: once more, elsewhere
            assert transcript(kernels, session) == conversation(turn + 1), kill
            kernel, session = kernels.next(), f"{session}-again"
            for before in range(turn):
                kernel.run(f"%%openclaw --session {session}\n{question(before)}")
        kernel = kernels.next(last=kill == KILLS - 1)
        assert answer(turn).startswith(cut.text)
        assert cut.state == "running"
        resumed.append(len(cut.text))
        reply = kernel.run(f"%openclaw restore --session {session}")
        assert reply.status == "ok", reply.content
        assert transcript(kernels, session) == conversation(turn + 1), kill
        if cut.text:
            assert f"goes on from character {len(cut.text):,}" in reply.text
    kernels.close()
    with kernels.store() as store:
        assert store.verify() == []
    before = sum(not at for at in resumed)
    figure(
        "issue 4, kernel killed in mid-answer",
        f"{len(resumed)} of {KILLS} transcripts equal to an uninterrupted one; {before} before the first kept part, "
        f"median resumed at character {statistics.median(resumed):,.0f} of {len(answer(0)):,}",
    )
