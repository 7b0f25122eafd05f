"""Configured, the configuration that a process is in, and what it changes in a pool, clients and the storage."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from .client import OpenClawClient
from .config import AgentURI, Cluster, ClusterConfig
from .errors import ConfigError
from .reasoning.budgets import Budget
from .sessions.storage import Storage

if TYPE_CHECKING:
    from .pool import ThreadPool

__all__ = ["Configured"]


class Configured:
    """``config`` is what ``file`` says, or the defaults because of ``trouble``, a sentence.

    What a file leaves out of the size of pools and the pace of snapshots stays as it is.
    """

    def __init__(self) -> None:
        self.config, self.file, self.trouble = ClusterConfig(), os.environ.get("OPENCLAW_NB_CONFIG", ""), ""
        self._before = self.config
        self._budgets: dict[str, Budget] = {}
        try:
            if self.file:
                self.config = ClusterConfig.load(self.file)
        except ConfigError as error:
            self.trouble = str(error)

    def take(self, config: ClusterConfig, file: str) -> None:
        """Be in this one from now on."""
        self._before = self.config
        self.config, self.file, self.trouble = config, file, ""

    def checked(self) -> ClusterConfig:
        """The configuration; ConfigError where it cannot be read."""
        if self.trouble:
            raise ConfigError(self.trouble)
        return self.config

    def size(self, pool: ThreadPool) -> None:
        """Have a pool be as large and as patient as the file says."""
        for name in ("max_threads", "max_per_task", "timeout"):
            if self.config.says(name):
                setattr(pool, name, getattr(self.config, name))

    def pace(self, client: OpenClawClient) -> None:
        """Have a client's text come as the file says, or as it did before the last file said something of it."""
        for name in ("streaming", "token_interval"):
            if self.config.says(name) or self._before.says(name):
                setattr(client, name, getattr(self.config, name))

    def limit(self, client: OpenClawClient, name: str) -> None:
        """Have a client keep the budget of its cluster, in which all that was asked there before counts."""
        if (dollars := self.config.cluster(name).limits.budget) is not None:
            client.budget = self._budgets.setdefault(name, Budget(dollars, "cluster"))
            client.budget.limit = dollars

    def keep(self, storage: Storage) -> Storage:
        """A storage that keeps runs as often as the file says."""
        says = self.config.says("snapshot_interval")
        return replace(storage, every=self.config.snapshot_interval) if says else storage

    def others(self, uris: Iterable[str]) -> list[str]:
        """The addresses that lead elsewhere, or under other conditions, than by the file before."""
        read = {uri: AgentURI.parse(uri).cluster for uri in uris}
        return [uri for uri, name in read.items() if _order(name, self._before) != _order(name, self.config)]


def _order(name: str, config: ClusterConfig) -> list[Cluster | None]:
    """A cluster and those that take over from it, as they are asked; None for each that is not configured."""
    first = config.clusters.get(name)
    return [first, *(config.clusters.get(name) for name in (first.fallback if first else ()))]
