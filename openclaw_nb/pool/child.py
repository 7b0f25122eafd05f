"""The other side of `isolation="process"`: makes the calls it is sent, and answers what a model is to be told of each.

It is run as a file: where the package lies is on the parent's path, and that comes with the first parcel. What is
imported before the first call is of the standard library alone.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import pickle
import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any, BinaryIO

__all__ = ["ANSWER", "ASK", "PARCEL", "Calls", "main", "parcels"]

PARCEL = struct.Struct(">?Q")
"""Before each parcel to the child: whether another one of the same call follows, and its length in bytes."""

ANSWER = struct.Struct(">I")
"""Before each answer, JSON in ASCII: its length in bytes."""


ASK = getattr(signal, "SIGUSR1", signal.SIGTERM)  # the package is imported on Windows as well


class Calls:
    """Makes calls. The Tools it was sent stay, with the globals of their functions, from one call to the next."""

    def __init__(self) -> None:
        self._kept: list[Any] = []
        self._file = io.BytesIO()
        self._keeper = _Keeper(self._file)
        self._runner: Any = None

    def make(self, sent: list[bytes]) -> dict[str, Any]:
        """The answer to a call, which is the last of these parcels; those before it are Tools that it needs."""
        try:
            for parcel in sent[:-1]:
                self._keep(parcel)
            work = self._load(sent[-1])
        except BaseException as error:
            return {"unread": _words(error)}
        try:
            result = work()
            if hasattr(result, "send"):
                result = self._finish(result)
            return {"text": result.text, "failed": result.failed}
        except BaseException as error:
            return {"text": _words(error), "failed": True}

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()

    def _keep(self, parcel: bytes) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(parcel)
        self._file.seek(0)
        self._kept.append(self._keeper.load())

    def _load(self, parcel: bytes) -> Any:
        loader = _Loader(io.BytesIO(parcel))
        loader.kept = self._kept
        return loader.load()

    def _finish(self, coroutine: Any) -> Any:
        """On one loop for all calls, as what a tool keeps between them belongs to it."""
        import asyncio

        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(coroutine)


class _Keeper(pickle.Unpickler):
    """Loads one Tool after the other, and remembers what it has loaded as its sender does.

    The functions of the notebook's ``__main__`` have this one's namespace as globals, so their names are found there.
    """

    def persistent_load(self, name: str) -> dict[str, Any]:
        return vars(sys.modules[name])


class _Loader(pickle.Unpickler):
    """Loads one call, with Tools in the place of their numbers."""

    kept: list[Any]

    def persistent_load(self, number: int) -> Any:
        return self.kept[number]


def parcels(file: BinaryIO) -> Iterator[list[bytes]]:
    """The parcels of one call after the other, until the other side is gone."""
    found: list[bytes] = []
    while len(head := file.read(PARCEL.size)) == PARCEL.size:
        more, size = PARCEL.unpack(head)
        found.append(file.read(size))
        if len(found[-1]) < size:
            return
        if not more:
            yield found
            found = []


def main(line: int, life: int, stack: int) -> None:
    """Answer the calls that come on ``line``, and die with whoever holds the other end of ``life``.

    It dies of ASK as well, and says before to ``stack`` where it is, in the words of faulthandler, whatever holds the
    GIL. No call in C that the signal has interrupted goes on, as the signal's own action follows at once.
    """
    for descriptor in (line, life, stack):
        os.set_inheritable(descriptor, False)
    faulthandler.register(ASK, stack, all_threads=False, chain=True)
    _die_with(life)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    sys.argv[1:] = []
    sys.modules["__main__"] = ModuleType("__main__")  # for the notebook's functions; this file's are none of them
    home, calls = os.getpid(), Calls()
    with open(line, "rb", closefd=False) as file:
        sent = parcels(file)
        sys.path[:] = json.loads(next(sent)[0])
        for call in sent:
            answer = json.dumps(calls.make(call)).encode()
            if os.getpid() != home:
                os._exit(0)  # a fork that a tool made and that came back from it
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):  # a tool may have closed them, or put anything in their place
                    stream.flush()
            _write(line, ANSWER.pack(len(answer)) + answer)
    calls.close()


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _words(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:1_000]
    except Exception:  # its own words are broken as well
        return type(error).__name__


def _die_with(life: int) -> None:
    """SIGKILL to all that was started here, as soon as nobody holds the other end of ``life`` any more.

    On Linux it is the kernel that sends it, so it comes as well where a tool holds the GIL and never lets go. (What
    prctl has for this, PR_SET_PDEATHSIG, comes already with the end of the thread that started the process.)
    """
    if not _watched_by_kernel(life):
        import threading

        threading.Thread(target=_end, args=(life,), name="openclaw life", daemon=True).start()


def _watched_by_kernel(life: int) -> bool:
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    except OSError:  # systems that only say they are Linux
        os.set_blocking(life, True)
        return False
    with suppress(BlockingIOError):
        _end(life)  # it was gone before
    return True


def _end(life: int) -> None:
    os.read(life, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
