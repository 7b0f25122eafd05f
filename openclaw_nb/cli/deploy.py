"""`openclaw-nb deploy`, which writes what runs gateways and what stands before them, from a configuration."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..config import ClusterConfig
from ..deploy import Made, Plan, container, haproxy, kubernetes, nginx, systemd
from .output import say, write

__all__ = ["describe"]

KINDS: Mapping[str, Callable[[Plan], Made]] = {
    "systemd": systemd.make,
    "container": container.make,
    "kubernetes": kubernetes.make,
    "haproxy": haproxy.make,
    "nginx": nginx.make,
}


def describe(commands: Any, name: str) -> None:
    deploy: argparse.ArgumentParser = commands.add_parser(
        name, help="write a unit, a container, manifests, or a balancer's configuration",
        description="What is written follows from the configuration alone, and names secrets without holding them.",
    )  # fmt: skip
    deploy.add_argument("kind", choices=KINDS)
    deploy.add_argument("--config", type=Path, required=True, metavar="FILE", help="the configuration of the gateways")
    deploy.add_argument("--out", type=Path, metavar="DIR", help="the folder to write to; without it, standard output")
    deploy.add_argument(
        "--cluster", metavar="NAME",
        help="haproxy, nginx: the cluster of the configuration that is balanced; without it, its own gateways",
    )  # fmt: skip
    deploy.add_argument("--listen", metavar="HOST:PORT", help="haproxy, nginx: where clients dial (127.0.0.1:18788)")
    deploy.add_argument("--tls-cert", type=Path, metavar="FILE", help="haproxy, nginx: serve wss:// with this (PEM)")
    deploy.add_argument("--tls-key", type=Path, metavar="FILE", help="nginx: its private key, if that is elsewhere")
    deploy.add_argument("--command", metavar="PATH", help="systemd: this command (/opt/openclaw/bin/openclaw-nb)")
    deploy.add_argument("--image", help="container, kubernetes: what the image is called")
    deploy.add_argument("--namespace", help="kubernetes: where it goes (openclaw)")
    deploy.set_defaults(run=_deploy)


def _deploy(options: argparse.Namespace) -> int:
    names = ("cluster", "listen", "tls_cert", "tls_key", "command", "image", "namespace")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    made = KINDS[options.kind](Plan(ClusterConfig.load(options.config), options.config.absolute(), **given))
    for name, text in made.files.items():
        if options.out is None:
            write((f"# --- {name}\n" if len(made.files) > 1 else "") + text)
        else:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / name).write_text(text, encoding="utf-8")
            write(f"{options.out / name}\n")
    say(f"next: {made.next}")
    return 0
