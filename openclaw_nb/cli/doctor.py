"""`openclaw-nb doctor`: what works and what does not, line by line, measured."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ..doctor import Finding, Patient, State, examine
from ..errors import ConfigError
from ..render import static_output
from ..runtime import Runtime
from .output import say, write

__all__ = ["describe"]


def describe(commands: Any, name: str) -> None:
    doctor: argparse.ArgumentParser = commands.add_parser(
        name, help="measure what is slow or does not work, and say what to change"
    )
    doctor.add_argument("--to", metavar="URI")
    doctor.add_argument("--model")
    doctor.add_argument("--json", action="store_true", help="the same for programs")
    doctor.add_argument("--probe", action="store_true", help="ask the model a short question, which may cost money")
    doctor.add_argument("--yes", action="store_true", help="do not ask before that")
    doctor.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    probe = options.probe and (options.yes or _agreed(options.model))
    runtime = Runtime.shared()
    try:
        findings = examine(Patient(runtime, options.to, options.model, probe=probe))
    finally:
        runtime.close()
    if options.json:
        write(json.dumps({"findings": [finding.told() for finding in findings]}, ensure_ascii=False, indent=1) + "\n")
    else:
        for finding in findings:
            write(_line(finding))
    return 1 if any(finding.state is State.BROKEN for finding in findings) else 0


def _line(finding: Finding) -> str:
    return f"{finding.state:<6}  {finding.name}: {finding.sentence(measured=not static_output())}\n"


def _agreed(model: str | None) -> bool:
    """Whether the person wants a model to be asked that may cost something."""
    if not sys.stdin.isatty():
        raise ConfigError("--probe may cost money, and nobody can be asked here; --yes says that it may")
    say(f"one short question goes to {model or 'the model that runs use'}, which may cost money. Send it? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
