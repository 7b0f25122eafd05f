"""A child process that makes the calls of tools: what it gives, and what it prints."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from openclaw_nb.pool.processes import PRINTED, Process
from openclaw_nb.secret import Secret
from openclaw_nb.tools import Tool, ToolResult
from tests.pool.children import LIMIT, call, gone, until, works

Figure = Callable[[str, str], None]

# -- what a call gives ---------------------------------------------------------------------------


def results() -> list[Callable[..., Any]]:
    """Functions that are no module's own, as those of a notebook are."""

    class Size(Enum):
        S = "S"

    def text() -> str:
        return "half \ud83d, whole 😀"

    def much() -> str:
        return "x" * 100_000

    def data() -> Any:
        return {"a": [1, 2.5, None], "b": {1}}

    def kinds() -> Any:
        return [Size.S, b"\0", 1 + 2j]

    def nothing() -> None: ...

    def fails() -> None:
        raise ValueError("two\nlines")

    def leaves() -> None:
        sys.exit(3)

    def recursive() -> Any:
        return recursive()

    def forgets_async() -> Any:
        return later()

    async def later() -> str:
        await asyncio.sleep(0.01)
        return "later"

    async def fails_later() -> None:
        await asyncio.sleep(0.01)
        raise asyncio.CancelledError

    return [text, much, data, kinds, nothing, fails, leaves, recursive, forgets_async, later, fails_later]


def test_a_model_is_told_the_same_as_from_a_thread(process: Process) -> None:
    for function in results():
        told = call(process, function)
        assert told == asyncio.run(Tool(function).call({})), function.__name__
        assert told.text


def test_it_starts_at_the_first_call_and_stays(process: Process, figure: Figure) -> None:
    def mine() -> int:
        return os.getpid()

    assert process.pid is None
    tool, at = Tool(mine), time.perf_counter()
    first = call(process, tool)
    started = time.perf_counter() - at
    assert first.text == str(process.pid)
    assert first.text != str(os.getpid())
    at = time.perf_counter()
    assert call(process, tool) == first
    later = time.perf_counter() - at
    figure(
        "issue 6 processes", f"a call takes {later * 1e3:.1f} ms, the first one, which starts it, {started * 1e3:.0f}"
    )


def test_what_tools_bind_stays_from_call_to_call_and_is_theirs(process: Process) -> None:
    space: dict[str, Any] = {"__name__": "notebook"}
    exec(
        "count, seen = 0, []\n"
        "def add(by: int) -> int:\n    global count\n    count += by\n    seen.append(by)\n    return count\n"
        "def shown() -> list:\n    return [count, seen]\n",
        space,
    )
    assert [call(process, space["add"], by=by).text for by in (1, 2)] == ["1", "3"]
    assert call(process, space["shown"]).text == "[3, [1, 2]]"
    assert (space["count"], space["seen"]) == (0, [])
    process.kill()
    assert call(process, space["shown"]).text == "[0, []]"


def test_coroutines_share_a_loop(process: Process) -> None:
    kept: list[Any] = []

    async def loop() -> bool:
        kept.append(asyncio.get_running_loop())
        return len(kept) == 2 and kept[0] is kept[1]

    tool = Tool(loop)
    assert [call(process, tool).text for _ in range(2)] == ["false", "true"]


def test_it_is_where_the_caller_is(process: Process, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLANTED_PLACE", "here")
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))

    def place() -> list[str]:
        return [os.getcwd(), os.environ["PLANTED_PLACE"], sys.path[0], " ".join(sys.argv[1:])]

    assert call(process, place).text == asyncio.run(Tool(place).call({})).text.replace(" ".join(sys.argv[1:]), "")


def test_a_secret_that_only_the_caller_knows_is_not_told(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_REFERENCE", "tok-77aa01be42")
    value = Secret("env:PLANTED_REFERENCE").reveal()
    monkeypatch.delenv("PLANTED_REFERENCE")

    def leaks() -> str:
        return f"sent with {value}"

    assert call(process, leaks).text == "sent with env:PLANTED_REFERENCE"


def test_nothing_is_on_the_command_line(process: Process) -> None:
    def line() -> list[str]:
        return Path("/proc/self/cmdline").read_text().split("\0")

    told = call(process, line)
    if told.failed:
        pytest.skip("no /proc here")
    words = told.text.strip("[]").replace('"', "").split(", ")
    assert words[1].endswith("child.py")
    assert all(word.isdigit() for word in words[2:] if word)


def test_one_call_at_a_time(process: Process) -> None:
    def slow() -> str:
        begun = time.monotonic_ns()
        time.sleep(0.02)
        return f"{begun} {time.monotonic_ns()}"

    told: list[str] = []
    threads = [threading.Thread(target=lambda: told.append(call(process, slow).text)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    times = sorted([int(time) for time in line.split()] for line in told)
    assert len(times) == 4
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(times))


# -- what it prints ------------------------------------------------------------------------------


def test_what_it_prints_appears_in_order(
    process: Process, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)

    def prints() -> str:
        print("printed ü")
        os.write(1, b"\xff raw\n")
        subprocess.run([sys.executable, "-c", "print('from below')"], check=True)
        print("to stderr", file=sys.stderr)
        print('{"text": "false", "failed": false}', end="")
        return "true"

    assert call(process, prints) == ToolResult("true")
    out = "printed ü\n\ufffd raw\nfrom below\nto stderr\n" + '{"text": "false", "failed": false}'
    assert capfd.readouterr() == (out, "")


def test_it_appears_where_the_calling_thread_prints_while_the_call_goes_on(
    process: Process, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Cell:
        def __init__(self) -> None:
            self.text, self.threads = "", set[int]()

        def write(self, text: str) -> None:
            self.text += text
            self.threads.add(threading.get_ident())

    cell, go = Cell(), tmp_path / "go"
    monkeypatch.setattr(sys, "stdout", cell)

    def prints() -> str:
        print("begun")
        while not go.exists():
            time.sleep(0.005)
        return "done"

    tool = Tool(prints)
    thread = threading.Thread(target=process.run, args=(tool.name, partial(tool._run, {})))
    thread.start()
    until(lambda: cell.text == "begun\n")
    go.touch()
    thread.join(LIMIT)
    assert cell.threads == {thread.ident}


def test_a_flood_is_cut_and_holds_up_nothing(process: Process, capsys: pytest.CaptureFixture[str]) -> None:
    def floods() -> str:
        line = "x" * 9_999
        for _ in range(3_000):
            print(line)
        return "dry"

    grown = psutil.Process().memory_info().rss
    assert call(process, floods) == ToolResult("dry")
    out = capsys.readouterr().out
    assert out[PRINTED:] == f"\n… what it prints from here on is left out, after {PRINTED:,} characters\n"
    assert psutil.Process().memory_info().rss - grown < 20_000_000, "of 30 MB"
    assert call(process, floods).text == "dry"


def test_what_prints_without_end_ends_with_the_child(process: Process, tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def starts() -> str:
        pids.write_text(str(subprocess.Popen(["yes"]).pid))
        return "left at work"

    assert call(process, starts).text == "left at work"
    assert works(process)
    process.close()
    until(lambda: gone(int(pids.read_text())))


def test_a_tool_that_closes_its_streams_is_answered(process: Process, capsys: pytest.CaptureFixture[str]) -> None:
    def closes() -> str:
        sys.stdout.close()
        for descriptor in (0, 1, 2):
            with suppress(OSError):
                os.close(descriptor)
        time.sleep(0.5)
        return "closed"

    def opens() -> str:
        os.write(os.open(os.devnull, os.O_RDWR), b"\0" * 100)
        return "opened"

    assert works(process)  # from here on nothing has to be started
    before = time.process_time()
    assert call(process, closes) == ToolResult("closed")
    assert time.process_time() - before < 0.4, "that wait costs nothing"
    assert call(process, opens) == ToolResult("opened")
    assert process.pid
    assert capsys.readouterr().out == ""
