"""Planted: a secret that is put somewhere, and searched for wherever it must not turn up, in whatever form."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

__all__ = ["Planted", "files", "found"]

WINDOW = 10
"""Characters in a row that give a secret away: log lines and reprs show the ends of what is too long for them."""


_WORD = re.compile(rb"[\w+/=-]{%d,}" % WINDOW)


class Planted:
    """A secret: its name, characters that every encoding changes, and 32 that are its own.

    ``text`` holds it. A ``plain`` one has no odd characters, as where they are not allowed.
    """

    def __init__(self, name: str, *, plain: bool = False, core: str | None = None) -> None:
        self.name = name
        self.core = secrets.token_hex(16) if core is None else core
        self.text = core or ("" if plain else '"<&\\+%/') + self.core

    def __repr__(self) -> str:
        return f"Planted({self.name!r})"

    def forms(self) -> set[bytes]:
        """Whatever part of it is long enough to know it by, as text, in hexadecimal and in base64.

        Percent-encoding, JSON, HTML and repr leave the letters and digits of the core as they are.
        """
        core = self.core.encode()
        forms = {core[i : i + WINDOW] for i in range(len(core) - WINDOW + 1)}
        forms |= {piece.hex().encode() for piece in set(forms)}
        for shift in range(3):  # base64 of a longer text that holds it; both ends depend on their neighbours
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                middle = encode(b"\0" * shift + core)[4:-4]
                forms |= {middle[i : i + 14] for i in range(len(middle) - 13)}
        return forms


def found(planted: Iterable[Planted], places: dict[str, bytes]) -> list[str]:
    """Which of them is where."""
    # Whatever can be part of one, in one pass: a log or a database is mostly something else.
    words = {place: b" ".join(_WORD.findall(data)) for place, data in places.items()}
    return [
        f"{one.name} in {place}: …{data[max(0, at - 60) : at + 60]!r}…"
        for one in planted
        for place, data in words.items()
        if (at := max((data.find(form) for form in one.forms()), default=-1)) >= 0
    ]


def files(folder: Path, *but: str) -> dict[str, bytes]:
    """Everything in a folder, apart from the files of these names."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in but
    }
