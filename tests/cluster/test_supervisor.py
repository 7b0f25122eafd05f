"""The supervisor with workers that are shells: deaths, too many of them, replacements, and all the ways to end."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import psutil
import pytest

from openclaw_nb.cluster import Supervisor, supervisor
from tests.spine import asynchronous, soon

SERVES = "trap 'exit 0' TERM; echo serving; while :; do sleep 0.02; done"
STUBBORN = "trap '' TERM; echo serving; while :; do sleep 0.02; done"


class Played:
    """A supervisor of shells on the running loop, and what it said."""

    def __init__(self, *scripts: str, patience: float = 20.0, overlap: bool = True) -> None:
        self.said: list[str] = []
        commands = [["/bin/sh", "-c", script, "worker"] for script in scripts]
        self.supervisor = Supervisor(
            commands,
            self.said.append,
            patience=patience,
            successor=("--successor",),
            overlap=overlap,
        )
        self.task = asyncio.create_task(self.supervisor.run())

    def heard(self, words: str) -> int:
        return sum(words in line for line in self.said)

    async def until(self, words: str, times: int = 1) -> None:
        await soon(lambda: self.heard(words) >= times or self.task.done(), words)
        assert self.heard(words) >= times, self.said

    async def end(self) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return await self.task


def pid_of(line: str) -> int:
    return int(line.split("process ")[1].split(")")[0])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_WAIT", 0.01)


@asynchronous
async def test_one_that_dies_is_started_again() -> None:
    played = Played(SERVES, SERVES)
    await played.until(": serving", 2)
    first, second = map(pid_of, played.said)
    assert os.getpgid(second) == second, "Ctrl-C is not for workers"
    os.kill(second, signal.SIGKILL)
    await played.until(": serving", 3)
    assert played.said[2] == f"worker 2 (process {second}) was ended by SIGKILL; another is started in 0.01 s"
    assert await played.end() == 0
    assert played.said[4:] == ["draining 2 workers"]
    assert not _exists(first)


@asynchronous
async def test_one_that_dies_too_often_is_given_up_and_the_others_go_on() -> None:
    played = Played(SERVES, "echo serving; exit 3")
    await played.until("is not started again")
    lines = [line.partition(")")[2] for line in played.said if line.startswith("worker 2") and "serving" not in line]
    assert lines == [
        *(f" ended with exit code 3; another is started in {wait:g} s" for wait in (0.01, 0.02, 0.04, 0.08)),
        " ended with exit code 3; it ended 5 times within 60 s, and is not started again",
    ]
    assert not played.task.done()
    assert await played.end() == 0


@asynchronous
async def test_nobody_is_left() -> None:
    played = Played("echo serving; exit 3")
    assert await played.task == 1
    assert played.said[-1] == "no worker is left"


@asynchronous
async def test_what_never_serves_is_not_tried_again() -> None:
    played = Played("exit 1", SERVES)
    assert await played.task == 1
    assert played.said == []


@pytest.mark.parametrize("overlap", [True, False])
def test_they_are_replaced_one_by_one(overlap: bool) -> None:
    @asynchronous
    async def play() -> None:
        script = SERVES.replace("echo serving", 'echo "serving $1"')
        played = Played(script, script, overlap=overlap)
        await played.until(": serving", 2)
        before = set(map(pid_of, played.said))
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)  # once more is nothing
        await played.until("--successor", 2)
        await soon(lambda: not any(map(_exists, before)), "the end of those before")
        assert played.said[2] == "replacing 2 workers, one by one"
        assert [line[:8] for line in played.said[3:]] == ["worker 1", "worker 2"]
        os.kill(pid_of(played.said[-1]), signal.SIGKILL)
        await played.until("another is started")
        await played.until(": serving", 5)
        assert await played.end() == 0

    play()


@asynchronous
async def test_the_one_before_goes_on_where_the_new_one_does_not_serve() -> None:
    played = Played(f'[ "$1" ] && exit 1; {SERVES}', SERVES)
    await played.until(": serving", 2)
    before = list(map(pid_of, played.said))
    os.kill(os.getpid(), signal.SIGHUP)
    await played.until("could not be replaced")
    assert played.said[-1] == "worker 1 could not be replaced; the others stay as they are"
    assert all(map(_exists, before))
    assert await played.end() == 0


@pytest.mark.parametrize("how", ["third signal", "patience"])
def test_who_does_not_end_is_killed(how: str) -> None:
    @asynchronous
    async def play() -> None:
        played = Played(STUBBORN, STUBBORN, patience=0.3 if how == "patience" else 60.0)
        await played.until(": serving", 2)
        began = time.monotonic()
        for _ in range(3 if how == "third signal" else 1):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.05)
        assert await played.task == 0
        assert time.monotonic() - began < 40
        assert not any(map(_exists, map(pid_of, played.said[:2])))

    play()


@asynchronous
async def test_the_second_signal_is_handed_on() -> None:
    played = Played("trap 'trap \"exit 0\" TERM; echo once' TERM; echo serving; while :; do sleep 0.02; done")
    await played.until(": serving")
    os.kill(os.getpid(), signal.SIGTERM)
    await played.until(": once")
    assert not played.task.done()
    assert await played.end() == 0


@asynchronous
async def test_what_a_worker_leaves_behind_holds_nothing_up() -> None:
    """A shell that dies leaves a sleep, which has its output open, as a tool of a model may."""
    played = Played("echo serving; sleep 61.25", "echo serving; setsid sleep 45 & sleep 61.25")
    await played.until(": serving", 2)
    began = time.monotonic()
    assert await played.end() == 0
    assert time.monotonic() - began < 30

    def words() -> list[str]:
        return [word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or ()]

    await soon(lambda: "61.25" not in words(), "the end of what a worker began")


@asynchronous
async def test_long_lines_are_cut() -> None:
    played = Played("head -c 100000 /dev/zero | tr '\\0' x; echo; exec sleep 60")
    await soon(lambda: sum(line.count("x") for line in played.said) == 100_000)
    assert max(line.count("x") for line in played.said) <= supervisor.LONGEST_LINE
    assert await played.end() == 0


@asynchronous
async def test_told_to_end_while_the_first_one_starts() -> None:
    played = Played("sleep 60; echo serving; sleep 60", SERVES)
    await asyncio.sleep(0.1)
    assert await played.end() == 0
    assert played.said == ["draining 2 workers"]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_time_between_deaths_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deaths of long ago are forgotten."""
    monkeypatch.setattr(supervisor, "WITHIN", 0.05)

    @asynchronous
    async def play() -> None:
        played = Played("echo serving; sleep 0.1; exit 3")
        await played.until("another is started in 0.01 s", 6)
        assert not played.task.done()
        await played.end()

    play()
