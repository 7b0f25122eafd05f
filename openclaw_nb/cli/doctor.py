"""`openclaw-nb doctor`: what works and what does not, line by line."""

from __future__ import annotations

import argparse
from typing import Any

from ..doctor import examine
from ..runtime import Runtime
from .output import write

__all__ = ["describe"]


def describe(commands: Any, name: str) -> None:
    doctor: argparse.ArgumentParser = commands.add_parser(name, help="look for what does not work")
    doctor.add_argument("--to", metavar="URI")
    doctor.add_argument("--model")
    doctor.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    runtime = Runtime.shared()
    try:
        findings = examine(runtime, options.to, options.model)
    finally:
        runtime.close()
    for name, fine, words in findings:
        write(f"{'ok  ' if fine else 'look'}  {name}: {words}\n")
    return 0 if all(fine for _, fine, _ in findings) else 1
