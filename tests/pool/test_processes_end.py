"""How a child process ends: by itself, by a kill, with its parent; and what could not be sent to it."""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from openclaw_nb.errors import ConfigError
from openclaw_nb.pool import processes
from openclaw_nb.pool.processes import Killed, Process
from openclaw_nb.tools import Tool, ToolResult
from tests.pool.children import LIMIT, call, gone, until, works

ROOT = Path(__file__).parents[2]


# -- by itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda: os._exit(3), "exit code 3"),
        (lambda: os._exit(0), "exit code 0"),
        (lambda: ctypes.string_at(0), "signal 11 (SIGSEGV)"),
        (lambda: os.abort(), "signal 6 (SIGABRT)"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "signal 9 (SIGKILL, as it does where memory runs out)"),
    ],
)
def test_a_child_that_dies_is_one_sentence(
    process: Process,
    how: Callable[[], None],
    words: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "_GRACE", LIMIT)  # its streams are closed a while before it has ended

    def dies() -> None:
        print("last words")
        how()

    assert call(process, dies) == ToolResult(f"dies failed: its process ended with {words}", failed=True)
    assert capfd.readouterr().out == "last words\n"
    assert process.pid is None
    assert works(process)


def test_a_child_that_dies_is_noticed_where_something_holds_its_pipes(process: Process, tmp_path: Path) -> None:
    left = tmp_path / "pid"

    def dies() -> None:
        if (pid := os.fork()) == 0:
            os.setsid()
            time.sleep(600)
        left.write_text(str(pid))
        while os.getsid(pid) != pid:
            time.sleep(0.001)
        os._exit(4)

    assert call(process, dies).text == "dies failed: its process ended with exit code 4"
    os.kill(int(left.read_text()), signal.SIGKILL)


def test_a_child_that_dies_between_two_calls_is_replaced(process: Process) -> None:
    assert works(process)
    first = process.pid
    assert first
    os.kill(first, signal.SIGKILL)
    until(lambda: gone(first))
    assert works(process)
    assert process.pid != first


def test_a_tool_that_closes_everything_fails_alone(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_GRACE", LIMIT)  # it is gone as soon as it has noticed

    def closes() -> None:
        os.closerange(0, 256)

    assert call(process, closes) == ToolResult("closes failed: its process ended with exit code 1", failed=True)
    assert works(process)


def test_what_is_no_answer_is_none(process: Process) -> None:
    def interferes() -> None:
        for descriptor in range(3, 100):
            with suppress(OSError):
                socket.socket(fileno=os.dup(descriptor)).sendall(b"\x7f\xff\xff\xff" + b"x" * 1_000)
        time.sleep(LIMIT)

    assert call(process, interferes).text == "interferes failed: its process has closed its line to this one"
    assert works(process)


def test_a_fork_that_comes_back_from_a_tool_answers_nothing(process: Process) -> None:
    def forks() -> str:
        return "parent" if os.fork() else "child"

    assert [call(process, forks).text for _ in range(3)] == ["parent"] * 3


# -- by a kill -----------------------------------------------------------------------------------


def kill_in(process: Process, function: Callable[[], Any], begun: Path) -> tuple[float, str]:
    """Seconds until a call has raised, from the kill on, which comes when ``begun`` is there; the stack it gave."""
    raised: list[tuple[str, float]] = []
    tool = Tool(function)

    def run() -> None:
        try:
            process.run(tool.name, partial(tool._run, {}))
        except Killed as error:
            raised.append((str(error), time.perf_counter()))

    thread = threading.Thread(target=run)
    thread.start()
    until(begun.exists)
    pid = process.pid
    assert pid is not None
    at = time.perf_counter()
    stack = process.kill()
    thread.join(LIMIT)
    assert not psutil.pid_exists(pid)
    ((words, ended),) = raised
    assert words == f"{tool.name} was stopped: its process was killed"
    begun.unlink()
    return ended - at, stack


def test_whatever_hangs_is_killed(
    process: Process, tmp_path: Path, figure: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_ASKED", LIMIT)  # each has said it when it has had the processor
    monkeypatch.setattr(processes, "_GRACE", 2 * LIMIT)  # far more than any machine takes to kill
    begun, after = tmp_path / "begun", tmp_path / "after"

    def ignores_all() -> None:
        for number in {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}:
            signal.signal(number, signal.SIG_IGN)
        main = threading.get_ident()

        def when_it_sleeps() -> None:
            while "time.sleep(600)" not in "".join(traceback.format_stack(sys._current_frames()[main])[-1:]):
                time.sleep(0.001)
            begun.touch()

        threading.Thread(target=when_it_sleeps, daemon=True).start()
        while True:
            with suppress(BaseException):
                time.sleep(600)

    def spins() -> None:
        begun.touch()
        while True:
            pass

    def holds_the_gil() -> None:
        begun.touch()
        sum(itertools.repeat(0))

    def waits_in_c() -> None:
        subprocess.Popen(["sh", "-c", f"sleep 0.1; touch {begun}"])  # when it waits
        ctypes.PyDLL(None).sleep(600)  # PyDLL keeps the GIL
        after.touch()

    def floods() -> None:
        begun.touch()
        while True:
            os.write(1, b"x" * 1_000 + b"\n")

    hangs = [ignores_all, spins, holds_the_gil, waits_in_c, floods]
    killed = {hang.__name__: kill_in(process, hang, begun) for hang in hangs}
    took = [seconds for seconds, _ in killed.values()]
    figure("issue 6 processes", f"killed within {max(took) * 1e3:.1f} ms, {len(took)} of {len(took)}")
    assert min(took) < LIMIT, "no grace is given"
    stacks = {name: stack for name, (_, stack) in killed.items()}
    assert all(f", in {name}\n" in stack for name, stack in stacks.items())
    assert stacks["ignores_all"].endswith(", in ignores_all\n    time.sleep(600)")
    assert all(stack.startswith(f'  File "{__file__}"') for stack in stacks.values()), "no frames of ours"
    assert not after.exists(), "a signal has woken it, and it went on"
    assert works(process)


def test_what_a_tool_has_started_is_killed_with_it(process: Process, tmp_path: Path) -> None:
    pids, begun = tmp_path / "pids", tmp_path / "begun"
    script = f"echo $$ >> {pids}; sleep 600 & echo $! >> {pids}; touch {begun}; wait"

    def starts() -> None:
        subprocess.run(["sh", "-c", script], check=True)

    kill_in(process, starts, begun)
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 2
    until(lambda: all(map(gone, started)))


def test_what_a_tool_has_left_behind_is_killed_with_the_child(process: Process) -> None:
    def leaves() -> int:
        return subprocess.Popen(["sleep", "600"]).pid

    left = [int(call(process, leaves).text)]
    process.kill()
    until(lambda: gone(left[0]))
    left.append(int(call(process, leaves).text))
    process.close()
    until(lambda: gone(left[1]))


def test_a_kill_reaches_no_other_call(process: Process) -> None:
    assert process.kill() == ""
    assert works(process)
    assert [process.kill(), process.kill()] == ["", ""]
    assert works(process)


def test_a_call_that_was_stopped_before_it_began_is_not_made(process: Process) -> None:
    def writes() -> None:
        raise AssertionError

    with pytest.raises(Killed, match="writes was not called: it was stopped before"):
        process.run("writes", partial(Tool(writes)._run, {}), lambda: True)
    assert process.pid is None
    assert works(process)


def test_a_kill_while_the_child_starts(process: Process) -> None:
    def hangs() -> None:
        time.sleep(600)

    for pause in (0.0, 0.02, 0.05, 0.1):
        timer = threading.Timer(pause, lambda: until(lambda: process.pid) or process.kill())
        timer.start()
        with pytest.raises(Killed):
            process.run("hangs", partial(Tool(hangs)._run, {}))
        timer.join()


def test_a_closed_one_starts_no_more(process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_GRACE", LIMIT)
    said_goodbye = tmp_path / "goodbye"

    def stays() -> str:
        import atexit

        atexit.register(said_goodbye.touch)
        return "ok"

    assert call(process, stays).text == "ok"
    process.close()
    assert said_goodbye.exists()
    with pytest.raises(Killed, match="its process is closed"):
        works(process)


def test_one_that_nobody_has_any_more_ends() -> None:
    process = Process()
    assert works(process)
    pid = process.pid
    assert pid
    del process
    gc.collect()
    assert not psutil.pid_exists(pid)


def test_a_fork_of_this_process_ends_no_child(process: Process) -> None:
    assert works(process)
    pid = process.pid
    forked = os.fork()
    if forked == 0:
        process.__del__()
        os._exit(0)
    os.waitpid(forked, 0)
    assert works(process)
    assert process.pid == pid


# -- with its parent -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["idle()", "time.sleep(600)", "sum(itertools.repeat(0))"])
def test_a_killed_parent_leaves_no_child(how: str, tmp_path: Path) -> None:
    """The parent is a script, so its functions are those of ``__main__``, as in a notebook."""
    pids = tmp_path / "pids"
    script = f"""
import itertools, os, subprocess, sys, time
from functools import partial
sys.path.insert(0, {str(ROOT)!r})
from openclaw_nb.pool.processes import Process
from openclaw_nb.tools import Tool

def idle(): ...

def hangs() -> None:
    begun = subprocess.Popen(["sleep", "600"]).pid
    with open({str(pids)!r} + "~", "w") as file:
        print(os.getpid(), begun, file=file)
    os.rename({str(pids)!r} + "~", {str(pids)!r})
    {how}

if __name__ == "__main__":
    process = Process()
    process.run("hangs", partial(Tool(hangs)._run, {{}}))
    time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", script])
    try:
        until(lambda: pids.exists() or parent.poll() is not None)
        left = [int(pid) for pid in pids.read_text().split()]
        assert not any(map(gone, left))
    finally:
        parent.kill()
        parent.wait()
    until(lambda: all(map(gone, left)))


# -- what cannot be sent -------------------------------------------------------------------------


def test_what_cannot_be_sent_is_named(process: Process) -> None:
    with socket.socket() as sock:

        def asks() -> str:
            return str(sock.fileno())

        told = call(process, asks)
    assert told.failed
    assert re.fullmatch(
        r"asks was not called: sock \(socket.socket\) cannot be sent to its process: .*socket.*; "
        "make it inside the function",
        told.text,
    )
    assert works(process)


def test_what_the_child_cannot_load_is_told(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("nowhere_on_disk")
    exec("def asks() -> str:\n    return 'asked'\n", vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    told = call(process, module.asks)
    assert told.failed
    assert told.text == (
        "asks was not called: its process cannot load it (ModuleNotFoundError: No module named 'nowhere_on_disk')"
    )
    assert works(process)


def test_where_no_process_can_be_started_it_says_so(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    def asks() -> str:
        return "asked"

    told = call(process, asks)
    assert told.failed
    assert told.text.startswith("asks was not called: no process can be started ([Errno 2] No such file")


def test_where_there_are_no_groups_of_processes_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        with pytest.raises(ConfigError, match=r'isolation="process" needs Linux or macOS'):
            Process()
