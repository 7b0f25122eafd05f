"""The subcommand `%openclaw config`: what a file configures for this notebook, and what applies now."""

from __future__ import annotations

from collections.abc import Iterator

from ..config import AlertThresholds, Cluster, ClusterConfig
from ..errors import ConfigError
from ..notebook import Notebook
from ..render import counted
from ..tables import show_rows
from . import metrics
from .pool import pool_words

__all__ = ["config", "standing"]

LISTED = 20
"""Clusters that are listed."""


def config(notebook: Notebook, words: list[str]) -> None:
    """Read a file and take what it says from now on; alone, show what applies and where it is from.

    A file that is wrong changes nothing.
    """
    match words:
        case []:
            pass
        case [file]:
            read, mistakes = ClusterConfig.check(file)
            if mistakes:
                more = f" (and {len(mistakes) - 1} more: openclaw-nb config check {file})" if len(mistakes) > 1 else ""
                raise ConfigError(mistakes[0] + more)
            notebook.runtime.configure(read, file)
            notebook.front.changed()
        case _:
            raise ConfigError("write %openclaw config FILE, or %openclaw config to see what applies")
    rows = [*_file(notebook), *_pace(notebook), *metrics.standing(notebook), *_others(notebook.runtime.config)]
    show_rows("config", rows)


def standing(notebook: Notebook) -> Iterator[tuple[str, str]]:
    """The file that is in effect, or why it is not, for the card."""
    configured = notebook.runtime.configured
    if configured.trouble:
        yield "configuration", f"{configured.trouble}; until it is right nothing of it applies"
    elif configured.file:
        yield "configuration", f"{configured.file}; %openclaw config shows what it says"


def _file(notebook: Notebook) -> Iterator[tuple[str, str]]:
    yield next(standing(notebook), ("configuration", "none; %openclaw config FILE or OPENCLAW_NB_CONFIG reads one"))


def _pace(notebook: Notebook) -> Iterator[tuple[str, str]]:
    """The settings of the notebook as they are now, and which of them are as the file has them."""
    runtime, pool, said = notebook.runtime, notebook.pool, notebook.runtime.config
    now = {
        "max_threads": pool.max_threads, "max_per_task": pool.max_per_task, "timeout": pool.timeout,
        "adaptive_reasoning": notebook.front.adaptive, "snapshot_interval": runtime.storage.every,
        "streaming": said.streaming, "token_interval": said.token_interval,
    }  # fmt: skip

    def row(title: str, words: str, *names: str) -> tuple[str, str]:
        whose = any(said.says(name) and getattr(said, name) == now[name] for name in names)
        return title, f"{words}{' · from the file' if whose else ''}"

    size = f"{pool_words(notebook)}, {pool.timeout:g} s for each agent"
    yield row("pool", size, "max_threads", "max_per_task", "timeout")
    chosen = "auto looks at the task" if notebook.front.adaptive else "auto is level 2, whatever the task"
    yield row("level", chosen, "adaptive_reasoning")
    often = f"comes as it is made, shown every {said.token_interval * 1000:g} ms"
    yield row("text", often if said.streaming else "comes in one piece", "streaming", "token_interval")
    yield row("snapshots", f"every {runtime.storage.every:g} s of a run that goes on", "snapshot_interval")


def _others(said: ClusterConfig) -> Iterator[tuple[str, str]]:
    """What else the file has."""
    if any(name.startswith("monitoring.alertThresholds") for name in said.given):
        yield "told where", _limits(said.monitoring.alert_thresholds)
    for name, cluster in list(said.clusters.items())[:LISTED]:
        yield f"agent://{name}", _cluster(cluster)
    if len(said.clusters) > LISTED:
        yield "and", f"{len(said.clusters) - LISTED} more clusters"
    if said.clusters:
        yield "to use one", "%openclaw connect agent://NAME, or --to agent://NAME in a cell"
    if "gateway" in said.given:
        yield "gateway", "these settings are for openclaw-nb serve --config FILE"


def _limits(limits: AlertThresholds) -> str:
    waited, failed, busy = limits.latency_p99, limits.error_rate, limits.thread_pool_utilization
    parts = [
        f"a first token takes above {waited * 1000:g} ms" if waited is not None else "",
        f"above {failed * 100:g} % of the requests fail" if failed is not None else "",
        f"above {busy * 100:g} % of the pool is at work" if busy is not None else "",
    ]
    return "; ".join(filter(None, parts)) or "nowhere: all thresholds are off"


def _cluster(cluster: Cluster) -> str:
    limits = {"runs": cluster.max_runs, "level": cluster.limits.max_level, "USD": cluster.limits.budget}
    said = ", ".join(f"{name} {limit:g}" for name, limit in limits.items() if limit is not None)
    return " · ".join(
        part for part in (
            f"{counted(len(cluster.endpoints), 'endpoint')}, {cluster.balance}",
            f"token in {cluster.token}" if cluster.token else "",
            f"model {cluster.model}" if cluster.model else "",
            f"at most: {said}" if said else "",
            f"then {', '.join(cluster.fallback)}" if cluster.fallback else "",
        ) if part
    )  # fmt: skip
