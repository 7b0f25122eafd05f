"""Which store a command looks into: the one it is told, a notebook's, or the one that was used last."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigError
from ..sessions.storage import files_of, recent_file
from ..snapshots import SnapshotStore
from .output import say

__all__ = ["add_place", "opened"]


def add_place(parser: argparse.ArgumentParser) -> None:
    """The options that say which store."""
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--store", type=Path, metavar="FILE", help="the file they are in")
    place.add_argument("--notebook", type=Path, metavar="FILE.ipynb", help="the notebook they are of")


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[SnapshotStore]:
    """The store, which is there already: nothing is made. ConfigError where there is none."""
    file = options.store or _find(options.notebook)
    if not _is_there(file):
        raise ConfigError(f"there is no snapshot store at {file}")
    with SnapshotStore(file) as store:
        yield store


def _find(notebook: Path | None) -> Path:
    """A file that nobody named, which is said, as there may be others."""
    if notebook is not None:
        files = files_of(notebook)
        found = next(filter(_is_there, files), None)
        if found is None:
            raise ConfigError(f"nothing is kept of {notebook}; looked for {' and '.join(map(str, files))}")
    else:
        found = recent_file()
        if found is None:
            raise ConfigError("no snapshots are kept here yet; name their file with --store, or its --notebook")
    say(f"[snapshots in {found}]")
    return found


def _is_there(file: Path) -> bool:
    """Whether there is something to open: an empty file would be made a store."""
    return os.path.isfile(file) and os.path.getsize(file) > 0
