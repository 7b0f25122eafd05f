"""The load generator, which is C: built with the machine's own compiler, and run; what it measured, as plain data."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from .instances import TOKEN

__all__ = ["BUILD", "NoCompiler", "connected", "ended", "generator", "keep", "load", "start"]

SOURCES = Path(__file__).parent / "load"

BUILD = Path(__file__).parents[2] / "build"
"""Where figures are kept."""


class NoCompiler(Exception):
    """The load generator cannot be built here; the words are for a skip."""


@cache
def generator() -> Path:
    """The program; built once in a process, in a folder of its own."""
    if (compiler := shutil.which("cc")) is None:
        raise NoCompiler("there is no C compiler (cc), so the load generator was not built and nothing was loaded")
    program = Path(mkdtemp(prefix="openclaw-load-")) / "load"
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", program, SOURCES / "load.c", "-lm"], check=True)
    return program


def start(
    ports: Sequence[int], connections: int, rate: float, seconds: float, token: str = TOKEN, **settings: float
) -> subprocess.Popen[str]:
    """The generator at work; ``settings`` as it has them. It says on stderr when all are connected, and in the end, in
    one line, what it measured."""
    command = [str(generator()), ",".join(map(str, ports)), str(connections), str(rate), str(seconds)]
    command += [f"{name}={value}" for name, value in settings.items()]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"LOAD_TOKEN": token},
    )  # fmt: skip


def load(ports: Sequence[int], connections: int, rate: float, seconds: float, **settings: Any) -> dict[str, Any]:
    """What was measured: see the end of load.c."""
    return ended(start(ports, connections, rate, seconds, **settings))


def connected(process: subprocess.Popen[str]) -> str:
    """How many connections a generator has, in words, once it has them."""
    assert process.stderr is not None
    return process.stderr.readline()


def ended(process: subprocess.Popen[str], last: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """What a generator measured, once it has done so; ``last`` is called while its connections are still there."""
    assert process.stdout is not None
    output = process.stdout.readline()
    last()
    _, words = process.communicate()
    assert process.returncode == 0, f"the load generator ended with {process.returncode}: {words}"
    measured: dict[str, Any] = json.loads(output)
    return measured


def keep(name: str, figures: Any) -> None:
    """Keep figures under build/."""
    BUILD.mkdir(exist_ok=True)
    path = BUILD / f"bench-{name}.json"
    path.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"kept in {path.relative_to(BUILD.parent)}")
