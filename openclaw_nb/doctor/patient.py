"""Patient, what the doctor looks at: a runtime, where its runs go, and what a notebook adds to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ..client import OpenClawClient
from ..config import AgentURI, Cluster, ClusterConfig
from ..errors import ConfigError, one_line
from ..front import Front
from ..run import Run
from ..runtime import Runtime
from .finding import Finding, State

if TYPE_CHECKING:
    from ..pool import PoolRun

__all__ = ["PATIENCE", "Check", "Patient", "beside", "within"]

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that one check may take."""


@dataclass(frozen=True)
class Patient:
    """``uri`` and ``model`` None are the runtime's own. ``front`` chose the levels of ``works``, the runs of a
    notebook, oldest first; ``behind`` is by how many seconds its slowest page is behind. With ``probe`` a model may be
    asked that costs something.
    """

    runtime: Runtime
    uri: str | None = None
    model: str | None = None
    front: Front | None = None
    works: Sequence[Run | PoolRun] = ()
    behind: float = 0.0
    probe: bool = False

    @property
    def address(self) -> AgentURI:
        """Where runs go; ConfigError for a bad address."""
        return AgentURI.parse(self.uri or self.runtime.uri)

    @cached_property
    def client(self) -> OpenClawClient:
        """The client that runs use; the error where there can be none."""
        return self.runtime.client(self.uri)

    @property
    def config(self) -> ClusterConfig:
        """What is configured, or the defaults."""
        return self.runtime.config

    @property
    def cluster(self) -> Cluster | None:
        """The cluster that runs go to, where they go to one."""
        try:
            name = self.address.cluster
        except ConfigError:
            return None
        return self.config.clusters.get(name)

    @property
    def runs(self) -> list[Run]:
        """All runs of the notebook, those of agents side by side among them."""
        runs: list[Run] = []
        for work in self.works:
            runs += [work] if isinstance(work, Run) else [lane.run for lane in work.lanes if lane.run is not None]
        return runs

    def ask(self, work: Coroutine[Any, Any, T], limit: float = PATIENCE) -> T:
        """What a coroutine gives on the runtime's loop; TimeoutError after ``limit`` seconds, and it is cancelled."""
        asked = self.runtime.call(work)
        try:
            return asked.result(limit)
        except FutureTimeout:
            asked.cancel()
            raise


Check = tuple[str, Callable[[Patient], Iterable[Finding]]]
"""What is looked at, and the function that does."""


def within(limit: float, check: Check, patient: Patient) -> list[Finding]:
    """What a check finds; where it fails or takes longer than ``limit`` seconds, that."""
    return beside([check], patient, limit)


def beside(checks: Sequence[Check], patient: Patient, limit: float = PATIENCE) -> list[Finding]:
    """What several checks find that may run side by side, in their order, after ``limit`` seconds at most."""
    found: list[list[Finding] | None] = [None] * len(checks)

    def look(at: int) -> None:
        name, check = checks[at]
        try:
            found[at] = list(check(patient))
        except Exception as error:  # a check that fails is no reason not to hear of the others
            why = f"{type(error).__name__}: {one_line(error)}" if str(error) else type(error).__name__
            found[at] = [Finding(name, State.LOOK, f"could not be looked at: {why}")]

    threads = [threading.Thread(target=look, args=(at,), daemon=True) for at in range(len(checks))]
    for thread in threads:
        thread.start()
    until = time.monotonic() + limit
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    late = "it gave no answer in time"
    return [
        finding
        for (name, _), one in zip(checks, found, strict=True)
        for finding in (one if one is not None else [Finding(name, State.LOOK, late, f"within {limit:g} s")])
    ]
