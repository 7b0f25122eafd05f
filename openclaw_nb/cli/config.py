"""`openclaw-nb config`: whether a configuration is right, what one may hold, and an example."""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from typing import Any

from .. import config
from ..config import ClusterConfig, schema
from ..render import counted
from .output import say, write

__all__ = ["describe"]


def describe(commands: Any, name: str) -> None:
    """Add the command and its own commands."""
    parser = commands.add_parser(name, help="check a configuration, and see what one may hold")
    parts = parser.add_subparsers(required=True, metavar="check|schema|example")
    check = parts.add_parser("check", help="say all that is wrong with a file, or in short what it configures")
    check.add_argument("file", metavar="FILE")
    check.set_defaults(run=_check)
    parts.add_parser("schema", help="the JSON schema of a configuration, for editors").set_defaults(run=_schema)
    parts.add_parser("example", help="a configuration with every setting explained").set_defaults(run=_example)


def _check(options: argparse.Namespace) -> int:
    found, mistakes = ClusterConfig.check(options.file)
    for mistake in mistakes:
        say(mistake)
    if not mistakes:
        write(f"{options.file} is right: {_in_short(found)}\n")
    return 1 if mistakes else 0


def _in_short(found: ClusterConfig) -> str:
    parts = []
    if paced := sum(name.startswith("cluster.") for name in found.given):
        parts.append(f"{counted(paced, 'setting')} of the notebook")
    if "monitoring" in found.given:
        parts.append("monitoring")
    parts += [f"agent://{name} ({counted(len(one.endpoints), 'endpoint')})" for name, one in found.clusters.items()]
    if "gateway" in found.given:
        parts.append(f"a gateway at {found.gateway.host}:{found.gateway.port}")
    return "; ".join(parts) or "it says nothing, so all is at its default"


def _schema(_: argparse.Namespace) -> int:
    write(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n")
    return 0


def _example(_: argparse.Namespace) -> int:
    write(files(config).joinpath("example.yaml").read_text(encoding="utf-8"))
    return 0
