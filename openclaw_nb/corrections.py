"""Corrections: the levels that the user set by hand, kept in a private file of the user's data, and never sent.

Each is a line of JSON: what was counted in the task, by name, and the level. The text of a task is nowhere in it.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

from .errors import one_line
from .reasoning.features import HIGHEST, NAMES
from .reasoning.predictor import MOST_CORRECTIONS, Correction, ReasoningLevelPredictor
from .sessions.storage import place

__all__ = ["Corrections", "corrections_file", "learning_predictor"]

log = logging.getLogger("openclaw_nb")

LARGEST = 256 * 1024
"""Bytes from which on a file is cut to the latest corrections; more than the last so many are never read."""


class Corrections:
    """The file ``path`` of corrections; None keeps nothing.

    Whatever is wrong with the file, it is done without: a level chosen by hand never fails because of it.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._writing = threading.Lock()

    def __repr__(self) -> str:
        return f"Corrections({str(self.path)!r})" if self.path else "Corrections(None)"

    def read(self) -> list[Correction]:
        """The corrections that are there, oldest first, at most 200; lines that are none are left out."""
        if self.path is None:
            return []
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LARGEST))
                lines = file.read(LARGEST).splitlines()
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                self._done_without(error)
            return []
        found = [_correction(line) for line in lines]
        return [correction for correction in found if correction is not None][-MOST_CORRECTIONS:]

    def add(self, correction: Correction) -> None:
        """Keep one more, readable by the user alone."""
        if self.path is None:
            return
        with self._writing:
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                if _append(self.path, _line(correction)) > LARGEST:
                    self._shorten(self.path)
            except OSError as error:
                self._done_without(error)

    def _shorten(self, path: Path) -> None:
        """Leave the latest. A new file takes the old one's place, so that it is never half there."""
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        kept = b"".join(map(_line, self.read()))
        try:
            with suppress(FileNotFoundError):
                beside.unlink()
            _append(beside, kept)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def _done_without(self, error: OSError) -> None:
        log.warning("corrections of levels are not kept: %s: %s", self.path, one_line(error.strerror or error))


def corrections_file() -> Path | None:
    """Where this process keeps corrections: for all notebooks one file in the user's data, or in the folder chosen.

    ``OPENCLAW_NB_SNAPSHOTS`` decides: an absolute folder has the file in it, "memory" keeps none, as outside of
    kernels nothing is kept unless a place was chosen. ConfigError where it says none of these.
    """
    if place().path is None:
        return None
    chosen = os.path.expanduser(os.environ.get("OPENCLAW_NB_SNAPSHOTS", ""))
    if os.path.isabs(chosen):
        return Path(chosen) / "corrections.jsonl"
    from platformdirs import user_data_path

    return user_data_path("openclaw_nb", appauthor=False) / "corrections.jsonl"


def learning_predictor() -> ReasoningLevelPredictor:
    """A predictor that knows the corrections kept on this machine, and keeps those to come.

    All who ask in this process share it, so that what one agent was taught the others know; where nothing is kept,
    each gets its own.
    """
    path = corrections_file()
    return _learning(None) if path is None else _shared(path)


def _learning(path: Path | None) -> ReasoningLevelPredictor:
    kept = Corrections(path)
    return ReasoningLevelPredictor(corrections=kept.read(), on_learn=kept.add)


_shared = cache(_learning)


def _append(path: Path, lines: bytes) -> int:
    """Write lines at the end of a private file, in one piece, though another process does so too; its size then."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, 0o600)  # one that was there before may be open to others
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(-1, os.SEEK_END)
            lines = lines if file.read(1) == b"\n" else b"\n" + lines  # after a line that was cut
        return size + (file.write(lines) or 0)


def _line(correction: Correction) -> bytes:
    said = {"level": correction.level, "features": dict(correction.features)}
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _correction(line: bytes) -> Correction | None:
    """What a line says; None where that is anything but a level and counts of features that there are."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    level, features = said.get("level"), said.get("features")
    if type(level) is not int or not 1 <= level <= 4 or not isinstance(features, dict):
        return None
    known = {name: count for name, count in features.items() if name in NAMES and _is_count(count)}
    return Correction(known, level) if known else None


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value <= HIGHEST
