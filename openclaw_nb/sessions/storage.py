"""Storage: in which file the snapshots of a process lie, how big it may grow, and how long they stay."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from ..errors import ConfigError, SnapshotError, one_line
from ..options import positive
from ..snapshots import SnapshotStore

__all__ = ["CHOICES", "Retention", "Storage", "files_of", "locate", "name_of", "place", "recent_file"]

CHOICES = ("data", "beside", "memory")
"""What ``OPENCLAW_NB_SNAPSHOTS`` may say besides an absolute folder."""

MEGABYTES = 256
DAYS = 30
EVERY = 5.0  # seconds, as in the OpenClaw 2026.3.1 document

_BESIDE = ".openclaw_nb"
_LONGEST_STEM = 40
_ROOM = 64 * 1024
"""Bytes that must fit beside the file, or its next snapshot would not."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept: ``max_bytes`` of file, and for how many ``days``."""

    max_bytes: float = MEGABYTES * 1e6
    days: float = DAYS

    def apply(self, store: SnapshotStore) -> int:
        """Remove what is too old, and while the file is too big what is oldest, first of it what was taken in the
        middle of runs; gives how many went. What was named and what a session stands at stays, however big.

        It reads the whole file, and removes in short transactions. SnapshotError as `SnapshotStore.prune` has it.
        """
        return store.prune(older_than=self.days * 86_400, max_bytes=int(self.max_bytes), spare_named=True)


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the snapshots of a process lie: the file ``path``, or None for memory.

    A run that goes on is kept ``every`` so many seconds.
    """

    path: Path | None = None
    retention: Retention = Retention()
    every: float = EVERY

    def open(self) -> tuple[SnapshotStore, str]:
        """The store, and "" where it lies at its place.

        Where that cannot be written, or what is there cannot be read, the store is one in memory, and a sentence
        says why.
        """
        if self.path is None:
            return SnapshotStore(), ""
        try:
            if not self.path.is_absolute():  # of a user without a home folder
                raise FileNotFoundError(errno.ENOENT, "it is no absolute path")
            if self.path.parent.name == _BESIDE:
                _keep_out_of_git(self.path.parent)
            store = SnapshotStore(self.path)
        except (OSError, SnapshotError) as error:
            return self._in_memory(error)
        try:
            _write_something(self.path)
        except OSError as error:
            store.close()
            return self._in_memory(error)
        return store, ""

    def _in_memory(self, error: Exception) -> tuple[SnapshotStore, str]:
        why = str(error)
        if isinstance(error, OSError):
            why = f"{self.path} cannot be written: {error.strerror or error}"
        return SnapshotStore(), one_line(f"snapshots are in memory only and end with this process: {why}", 600)

    def __str__(self) -> str:
        if self.path is None:
            return "snapshots are kept in memory and end with this process"
        limits = f"up to {self.retention.max_bytes / 1e6:g} MB, for {self.retention.days:g} days"
        return f"snapshots are kept in {self.path}, {limits}"


def place(
    names: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    kernel: bool | None = None,
) -> Storage:
    """Where this process keeps its snapshots: in a kernel a file for its notebook, elsewhere memory.

    ``names`` are the user's names and ``kernel`` is whether this is one; None looks for itself.
    ``OPENCLAW_NB_SNAPSHOTS`` chooses another place, ``…_MB`` and ``…_DAYS`` the limits, ``…_EVERY`` the seconds;
    ConfigError for a bad one.
    """
    environ = os.environ if environ is None else environ
    shell = _shell()
    kernel = hasattr(shell, "kernel") if kernel is None else kernel
    names = getattr(shell, "user_ns", {}) if names is None else names
    megabytes = _number(environ, "OPENCLAW_NB_SNAPSHOTS_MB", MEGABYTES)
    every = _number(environ, "OPENCLAW_NB_SNAPSHOTS_EVERY", EVERY)
    retention = Retention(megabytes * 1e6, _number(environ, "OPENCLAW_NB_SNAPSHOTS_DAYS", DAYS))
    choice = _choice(environ) or ("data" if kernel else "memory")
    if choice == "memory":
        return Storage(None, retention, every)
    return Storage(locate(choice, _notebook(names, environ) if kernel else None), retention, every)


def locate(choice: str, notebook: Path | None = None) -> Path:
    """The file for a notebook, or for the working directory: in the user's data, beside it, or in a folder.

    Its name tells notebooks of one name apart: by where they are, or beside them by their whole name, so that a
    folder can be moved with what is kept in it.
    """
    subject = Path(os.path.realpath(notebook or _here()))
    if choice == "beside":
        folder = subject.parent if notebook else subject
        return folder / _BESIDE / _file_name(subject, subject.name)
    folder = _data_folder() if choice == "data" else Path(os.path.expanduser(choice))
    return folder / _file_name(subject, os.path.normcase(subject))


def name_of(names: Mapping[str, object] | None) -> str:
    """A name for the notebook of a kernel, or for the working directory, that it keeps and others have not."""
    subject = Path(os.path.realpath(_notebook(names or {}, os.environ) or _here()))
    return _file_name(subject, os.path.normcase(subject)).removesuffix(".db")


def files_of(notebook: Path | None = None) -> list[Path]:
    """The files in which snapshots of a notebook, or of the working directory, may lie; the chosen one first."""
    choices = dict.fromkeys((_choice(os.environ) or "data", "beside", "data"))
    return [locate(choice, notebook) for choice in choices if choice != "memory"]


def recent_file() -> Path | None:
    """The file used last of the working directory's, or else of all that lie in the chosen folder."""
    here = files_of()
    for files in ([*here, *(_here() / _BESIDE).glob("*.db")], here[0].parent.glob("*.db")):
        if there := [file for file in files if file.is_file()]:
            return max(there, key=_last_used)
    return None


def _last_used(file: Path) -> float:
    log = file.with_name(f"{file.name}-wal")  # where SQLite writes first
    return max(path.stat().st_mtime for path in (file, log) if path.exists())


def _choice(environ: Mapping[str, str]) -> str:
    """What ``OPENCLAW_NB_SNAPSHOTS`` says, or "" where it says nothing."""
    choice = environ.get("OPENCLAW_NB_SNAPSHOTS", "")
    if choice and choice not in CHOICES and not os.path.isabs(os.path.expanduser(choice)):
        raise ConfigError(f"OPENCLAW_NB_SNAPSHOTS: {choice!r} is none of {', '.join(CHOICES)}, and no absolute folder")
    return choice


def _data_folder() -> Path:
    """The folder in the user's data where snapshots lie unless another place was chosen."""
    from platformdirs import user_data_path

    return user_data_path("openclaw_nb", appauthor=False) / "snapshots"


def _file_name(subject: Path, key: str) -> str:
    """A name that every file system takes: of its reserved ones none has a hash behind it."""
    stem = re.sub(r"[^\w-]+|_+", "-", unicodedata.normalize("NFC", subject.stem))[:_LONGEST_STEM].strip("-")
    return f"{stem or 'notebook'}-{blake2b(os.fsencode(key), digest_size=4).hexdigest()}.db"


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError:  # somebody removed it
        return Path(os.sep)


def _shell() -> object:
    """The IPython that this runs in, or None; it is not imported to find out."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def _notebook(names: Mapping[str, object], environ: Mapping[str, str]) -> Path | None:
    """The notebook of a kernel, where it is known.

    VS Code's name goes first: on a Jupyter server it gives every session another one, as ``a-jvsc-UUID.ipynb``.
    Servers of Jupyter say the folder where the front end gave the session no name.
    """
    for name in (names.get("__vsc_ipynb_file__"), environ.get("JPY_SESSION_NAME")):
        if isinstance(name, str) and os.path.basename(name) and "\0" not in name:
            return Path(name if os.path.isabs(name) else os.path.basename(name))
    return None


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    try:
        return positive(environ[name]) if environ.get(name) else default
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def _keep_out_of_git(folder: Path) -> None:
    """Make the folder beside a notebook, private, with conversations in it that are not to be committed by accident."""
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        with (folder / ".gitignore").open("x", encoding="utf-8") as file:
            file.write("*\n")
    except FileExistsError:
        pass


def _write_something(path: Path) -> None:
    """OSError where a store that could be opened could not be written: in a full folder, or one that is read-only."""
    with tempfile.TemporaryFile(dir=path.parent) as file:
        file.write(bytes(_ROOM))
