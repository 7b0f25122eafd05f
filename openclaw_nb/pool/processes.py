"""Process, where an agent's tools run with `isolation="process"`: a child that can be killed for real.

It is no sandbox: the child has the user's rights, environment and working directory, as the tools of a thread have.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .. import tools
from ..errors import ConfigError, one_line
from ..redaction import redact
from ..tools import ToolResult
from . import child

if TYPE_CHECKING:
    from .parcels import Packer

__all__ = ["PRINTED", "Killed", "Process"]

PRINTED = 1_000_000
"""Characters that one call may print; the rest is left out, and one line says so."""

_LONGEST_ANSWER = 1_000_000  # bytes; RESULT_LIMIT characters, each of six bytes, are far from it
_CHUNK = 65_536
_PIPE = 1_048_576  # bytes that a pipe may hold
_TICK = 0.2  # seconds after which a child that is gone is noticed where something it left behind holds its pipes
_ASKED = 0.05  # seconds that a child may take to say where it is
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)  # as faulthandler writes it
_OURS = frozenset({child.__file__, tools.__file__})
_GRACE = 1.0  # seconds that a child which is asked to end may take


class Killed(Exception):
    """The process was killed while it made this call."""


class Process:
    """A child process, started at its first call and kept until it is killed or closed: what its tools bind as globals
    stays from call to call. A function of the notebook takes its globals along as they are when it is sent.

    What it prints appears where the calling thread prints. A kill reaches all that the tools have started as well, save
    what is in a session of its own, and so does the end of this process, by SIGKILL too. ConfigError where there are no
    POSIX processes: on Windows no group of processes can be killed, and no descriptor handed on.
    """

    def __init__(self) -> None:
        if os.name != "posix":
            raise ConfigError('isolation="process" needs Linux or macOS; take isolation="thread" here')
        self._home = os.getpid()
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._busy = False
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the child; None where there is none."""
        return self._child.pid if self._child is not None else None

    def run(self, name: str, work: Callable[[], Any], stopped: Callable[[], bool] = lambda: False) -> ToolResult:
        """What ``work``, a function or coroutine function that gives a ToolResult, gives in the child; blocks.

        A failed one, in one sentence with the name of the tool, where it cannot be sent there or the child dies.
        Raises Killed when another thread calls ``kill()`` meanwhile, and where ``stopped`` says that it came too late:
        whoever kills says so first. One call at a time; others wait.
        """
        with self._turn:
            try:
                child = self._begin(name, stopped)
            except OSError as error:
                return _not_called(name, f"no process can be started ({one_line(error, 150)})")
            try:
                return child.call(name, work)
            finally:
                self._end(child)

    def kill(self) -> str:
        """Kill the child, and with it the call that is under way; the next call starts another one. From any thread.

        The stack where the call was, the innermost line last, without our own; "" where there is none or none came.
        """
        with self._lock:
            return self._kill()

    def close(self) -> None:
        """End for good: a child that makes no call may end by itself, within a second, any other is killed."""
        with self._lock:
            self._closed = True
            if self._child is not None and not self._busy:
                self._child.dismiss()
            self._kill()

    def _kill(self) -> str:
        child, self._child = self._child, None
        if child is None:
            return ""
        if self._busy:
            return child.kill()
        child.close()
        return ""

    def __del__(self) -> None:
        with suppress(Exception):  # at the end of the interpreter, where half of what it takes is gone
            if os.getpid() == self._home:  # and not in a fork of this process
                self._kill()

    def _begin(self, name: str, stopped: Callable[[], bool]) -> _Child:
        with self._lock:
            if stopped():
                raise Killed(f"{name} was not called: it was stopped before")
            if self._closed:
                raise Killed(f"{name} was not called: its process is closed")
            if self._child is not None and self._child.over():
                self._child.close()
                self._child = None
            if self._child is None:
                self._child = _Child()
            self._busy = True
            return self._child

    def _end(self, child: _Child) -> None:
        with self._lock:
            self._busy = False
            if child.over():
                child.close()
                if self._child is child:
                    self._child = None


class _Child:
    """One child, of which `call` is used by one thread at a time and `kill` by any."""

    def __init__(self) -> None:
        self._line, line = socket.socketpair()
        life, self._life = os.pipe()
        self._stack, stack = os.pipe()
        handed = (line.fileno(), life, stack)
        try:
            self._popen = subprocess.Popen(  # noqa: S603
                [sys.executable, child.__file__, *map(str, handed)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                pass_fds=handed,
                start_new_session=True,
            )
        except BaseException:
            self._line.close()
            os.close(self._life)
            os.close(self._stack)
            raise
        finally:
            line.close()
            os.close(life)
            os.close(stack)
        assert self._popen.stdout is not None  # noqa: S101
        self.pid = self._popen.pid
        self._printed = self._popen.stdout.fileno()
        os.set_blocking(self._printed, False)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._killed = False
        self._lost = False
        self._room = 0
        self._packer: Packer | None = None
        with suppress(OSError):  # the first call finds out how it ended
            self._send([json.dumps(sys.path).encode()])

    def call(self, name: str, work: Callable[[], Any]) -> ToolResult:
        from .parcels import Packer

        self._packer = self._packer or Packer()
        try:
            self._send(self._packer.pack(work))
            answer = self._answer()
        except ConfigError as error:
            answer = {"unsent": str(error)}
        except (OSError, EOFError, ValueError):
            answer = {}
        if self._killed:
            raise Killed(f"{name} was stopped: its process was killed")
        match answer:
            case {"text": str(text), "failed": bool(failed)}:
                return ToolResult(redact(text), failed)
            case {"unsent": str(words)}:
                return _not_called(name, words)
            case {"unread": str(words)}:
                self._lost = True
                return _not_called(name, f"its process cannot load it ({redact(one_line(words, 200))})")
        return ToolResult(f"{name} failed: {self._last_words()}", failed=True)

    def kill(self) -> str:
        """The stack at which it was; whoever is in `call` notices, and has to close this."""
        self._killed = True
        stack = self._ask()
        self._strike()
        with suppress(OSError):  # wakes whoever waits for it, even where what it left behind holds the other end
            self._line.shutdown(socket.SHUT_RDWR)
        return stack

    def dismiss(self) -> None:
        with suppress(OSError, subprocess.TimeoutExpired):
            self._line.shutdown(socket.SHUT_WR)
            self._popen.wait(_GRACE)

    def over(self) -> bool:
        return self._killed or self._lost or self._popen.poll() is not None

    def close(self) -> None:
        self._strike()
        self._popen.wait()
        assert self._popen.stdout is not None  # noqa: S101
        self._popen.stdout.close()
        self._line.close()
        os.close(self._life)
        os.close(self._stack)

    def _strike(self) -> None:
        with suppress(OSError):  # nobody of the group is left
            os.killpg(self.pid, signal.SIGKILL)

    def _ask(self) -> str:
        """Where its main thread is; it ends with its answer. The source is what this process knows, as of cells."""
        told = b""
        with suppress(OSError), selectors.PollSelector() as selector:
            selector.register(self._stack, selectors.EVENT_READ)
            self._popen.send_signal(child.ASK)
            while selector.select(_ASKED) and (data := os.read(self._stack, _CHUNK)):
                told += data
        frames = [
            traceback.FrameSummary(file, int(line), name)
            for file, line, name in reversed(_FRAME.findall(told.decode("utf-8", "replace")))
            if file not in _OURS
        ]
        return "".join(traceback.format_list(frames)).rstrip()

    # -- a call ------------------------------------------------------------------------------------

    def _send(self, parcels: list[bytes]) -> None:
        for left, parcel in zip(range(len(parcels) - 1, -1, -1), parcels, strict=True):
            self._line.sendall(child.PARCEL.pack(left > 0, len(parcel)))
            self._line.sendall(parcel)

    def _answer(self) -> Any:
        """What the child answers, JSON; what it prints meanwhile is shown."""
        self._room = PRINTED
        received = bytearray()
        with selectors.PollSelector() as selector:
            selector.register(self._line, selectors.EVENT_READ)
            selector.register(self._printed, selectors.EVENT_READ)
            gone = False
            while not (found := _whole(received)) and not gone:
                events = selector.select(_TICK)
                for key, _ in events:
                    if key.fd == self._printed:
                        if not self._show():
                            selector.unregister(self._printed)
                    elif data := self._line.recv(_CHUNK):
                        received += data
                    else:
                        gone = True
                gone = gone or (not events and self._popen.poll() is not None)
        self._show_rest()
        if not found:
            raise EOFError
        return json.loads(found)

    def _show(self) -> bool:
        """Show a piece of what the child has printed; False where there is none to come."""
        data = os.read(self._printed, _CHUNK)
        text = self._decoder.decode(data)
        if text and self._room >= 0:
            shown, self._room = text[: self._room], self._room - len(text)
            if self._room < 0:
                shown += f"\n… what it prints from here on is left out, after {PRINTED:,} characters\n"
            with suppress(Exception):  # whatever stands in the place of sys.stdout
                sys.stdout.write(shown)
        return bool(data)

    def _show_rest(self) -> None:
        """What is in the pipe now, and no more: somebody may go on printing."""
        with suppress(BlockingIOError):
            for _ in range(_PIPE // _CHUNK):
                if not self._show():
                    return

    def _last_words(self) -> str:
        """How the child ended."""
        try:
            code = self._popen.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._lost = True
            return "its process has closed its line to this one"
        if code >= 0:
            return f"its process ended with exit code {code}"
        known = {int(one): one.name for one in signal.Signals}
        hint = ", as it does where memory runs out" if -code == signal.SIGKILL else ""
        return f"its process ended with signal {-code} ({known.get(-code, 'unknown')}{hint})"


def _whole(received: bytearray) -> bytes:
    """The answer, once all of it is there."""
    if len(received) < child.ANSWER.size:
        return b""
    (size,) = child.ANSWER.unpack_from(received)
    if size > _LONGEST_ANSWER:
        raise ValueError(f"an answer of {size} bytes")
    return bytes(received[child.ANSWER.size :]) if len(received) >= child.ANSWER.size + size else b""


def _not_called(name: str, why: str) -> ToolResult:
    return ToolResult(f"{name} was not called: {why}", failed=True)
