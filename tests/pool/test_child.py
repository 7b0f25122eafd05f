"""The child's side: it reads parcels, answers, and dies with whoever started it."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw_nb.pool import child
from openclaw_nb.pool.child import ANSWER, PARCEL, Calls, parcels
from tests.pool.children import LIMIT

ELSEWHERE = f"""
import runpy, sys
sys.platform = "elsewhere"
runpy.run_path({child.__file__!r}, run_name="__main__")
"""


def framed(*calls: list[bytes]) -> bytes:
    return b"".join(
        PARCEL.pack(at + 1 < len(call), len(parcel)) + parcel for call in calls for at, parcel in enumerate(call)
    )


class Answer:
    text, failed = "answered", False


class Code:
    """Pickles as a call of ``exec``."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return exec, (self.code,)


# -- parcels -------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=4), max_size=4), st.data())
def test_parcels_come_as_they_were_sent_or_not_at_all(calls: list[list[bytes]], data: st.DataObject) -> None:
    whole = framed(*calls)
    assert list(parcels(io.BytesIO(whole))) == calls
    cut = data.draw(st.integers(0, len(whole)))
    found = list(parcels(io.BytesIO(whole[:cut])))
    assert found == calls[: len(found)]
    assert len(framed(*found)) <= cut


def test_what_cannot_be_loaded_is_told() -> None:
    calls = Calls()
    assert calls.make([b"no pickle"])["unread"].startswith("UnpicklingError: ")
    assert calls.make([pickle.dumps(Code("1 / 0"))]) == {"unread": "ZeroDivisionError: division by zero"}
    assert calls.make([pickle.dumps(Code("raise SystemExit(3)"))]) == {"unread": "SystemExit: 3"}
    assert len(calls.make([pickle.dumps(Code("raise ValueError('x' * 10**6)"))])["unread"]) == 1_000


def test_work_that_raises_has_failed() -> None:
    assert Calls().make([pickle.dumps(os.times)])["failed"] is True, "what it gives is no ToolResult"
    assert Calls().make([pickle.dumps(Answer)]) == {"text": "answered", "failed": False}


# -- as a process --------------------------------------------------------------------------------


@contextmanager
def started(*command: str) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket, int]]:
    """A child, the line to it, and the descriptor it lives by."""
    ours, theirs = socket.socketpair()
    life, held = os.pipe()
    stack = os.open(os.devnull, os.O_WRONLY)
    handed = (theirs.fileno(), life, stack)
    process = subprocess.Popen(
        [sys.executable, *(command or (child.__file__,)), *map(str, handed)], pass_fds=handed, start_new_session=True
    )
    theirs.close()
    os.close(life)
    os.close(stack)
    try:
        with ours:
            ours.settimeout(LIMIT)
            ours.sendall(framed([json.dumps(sys.path).encode()]))
            yield process, ours, held
    finally:
        process.kill()
        process.wait(LIMIT)
        try:
            os.close(held)
        except OSError:
            assert process.returncode == -signal.SIGKILL


def answer(line: socket.socket) -> object:
    (size,) = ANSWER.unpack(line.recv(ANSWER.size, socket.MSG_WAITALL))
    return json.loads(line.recv(size, socket.MSG_WAITALL))


def test_it_answers_and_ends_with_its_line() -> None:
    with started() as (process, line, _):
        line.sendall(framed([pickle.dumps(Code("raise ValueError('ü \\ud83d')"))]))
        assert answer(line) == {"unread": "ValueError: ü \ud83d"}
        line.shutdown(socket.SHUT_WR)
        assert process.wait(LIMIT) == 0
        assert line.recv(1) == b""


@pytest.mark.parametrize("half", [b"\0", framed([b"x" * 100])[:50]])
def test_half_a_parcel_is_no_call(half: bytes) -> None:
    with started() as (process, line, _):
        line.sendall(half)
        line.shutdown(socket.SHUT_WR)
        assert process.wait(LIMIT) == 0


def test_nothing_heavy_is_imported_before_the_first_call() -> None:
    look = "import sys; raise ValueError(' '.join({m.partition('.')[0] for m in sys.modules}))"
    with started() as (_, line, _):
        line.sendall(framed([pickle.dumps(Code(look))]))
        told = answer(line)
    assert isinstance(told, dict)
    heavy = {"asyncio", "cloudpickle", "openclaw_nb", "pydantic", "socket", "threading", "typing_extensions"}
    assert not heavy & set(told["unread"].split())


HANGS = {"sleeping": "time.sleep(600)", "holding the GIL": "sum(itertools.repeat(0))"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread watches, which needs the GIL")
@pytest.mark.parametrize("how", HANGS.values(), ids=HANGS.keys())
def test_it_dies_with_its_parent(how: str, tmp_path: Path) -> None:
    with started() as (process, line, held):
        line.sendall(
            framed([pickle.dumps(Code(f"import itertools, os, time; os.write({line_of(process)}, b'!'); {how}"))])
        )
        assert line.recv(1) == b"!"
        os.close(held)
        assert process.wait(LIMIT) == -signal.SIGKILL


def line_of(process: subprocess.Popen[bytes]) -> int:
    args = process.args
    assert isinstance(args, list)
    return int(args[-3])


@pytest.mark.parametrize("command", [(), ("-c", ELSEWHERE)], ids=["here", "elsewhere"])
def test_it_dies_with_its_parent_on_every_system(command: tuple[str, ...]) -> None:
    with started(*command) as (process, line, held):
        line.sendall(
            framed([pickle.dumps(Code(f"import os, time; os.write({line_of(process)}, b'!'); time.sleep(600)"))])
        )
        assert line.recv(1) == b"!"
        os.close(held)
        assert process.wait(LIMIT) == -signal.SIGKILL


@pytest.mark.parametrize("command", [(), ("-c", ELSEWHERE)], ids=["here", "elsewhere"])
def test_it_dies_where_its_parent_was_gone_before_it_looked(command: tuple[str, ...]) -> None:
    with started(*command) as (process, _, held):
        os.close(held)
        assert process.wait(LIMIT) in (-signal.SIGKILL, 0)
