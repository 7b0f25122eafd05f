"""`openclaw-nb metrics`: what Prometheus and Grafana are to be given, made from a configuration."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..config import ClusterConfig
from ..errors import ConfigError
from ..options import positive, whole
from .output import write

__all__ = ["describe"]

T = TypeVar("T")


def describe(commands: Any, name: str) -> None:
    """Add the command and its own commands."""
    metrics = commands.add_parser(name, help="alert rules and targets for Prometheus, a dashboard for Grafana")
    parts = metrics.add_subparsers(required=True, metavar="rules|scrape|dashboard")
    rules = parts.add_parser("rules", help="alert rules for Prometheus, from alertThresholds")
    rules.add_argument("--window", type=_seconds, metavar="S", help="seconds that rates look back (300)")
    rules.add_argument("--hold", type=_seconds, metavar="S", help="seconds that it must be so until it is told (60)")
    scrape = parts.add_parser("scrape", help="scrape_configs for Prometheus: every worker of serve")
    scrape.add_argument("--workers", type=_whole, metavar="N", help="how many there are, if not as the file says")
    scrape.add_argument("--interval", type=_seconds, metavar="S", help="seconds between two scrapes (15)")
    dashboard = parts.add_parser("dashboard", help="a dashboard for Grafana, to be imported")
    for part, run in ((rules, _rules), (scrape, _scrape), (dashboard, _dashboard)):
        part.add_argument("--config", type=Path, metavar="FILE", help="the configuration; else its defaults")
        part.set_defaults(run=run)


def _seconds(text: str) -> float:
    return _read(positive, text)


def _whole(text: str) -> int:
    return _read(whole, text)


def _read(read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _config(options: argparse.Namespace) -> ClusterConfig:
    return ClusterConfig.load(options.config) if options.config else ClusterConfig()


def _rules(options: argparse.Namespace) -> int:
    from ..metrics.rules import alert_rules

    chosen = {name: value for name in ("window", "hold") if (value := getattr(options, name)) is not None}
    write(alert_rules(_config(options).monitoring, **chosen))
    return 0


def _scrape(options: argparse.Namespace) -> int:
    from ..metrics.rules import scrape_config

    config = _config(options)
    chosen = {"interval": options.interval} if options.interval is not None else {}
    write(scrape_config(config.monitoring, options.workers or config.gateway.workers, **chosen))
    return 0


def _dashboard(options: argparse.Namespace) -> int:
    from ..metrics.dashboard import dashboard

    write(dashboard(_config(options).monitoring))
    return 0
