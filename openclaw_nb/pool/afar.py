"""Afar, how a pool's agents come to work at Dask workers; Dask is imported by whoever asks for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import seams
from ..errors import ConfigError

if TYPE_CHECKING:
    from ..distributed.executor import Executor
    from .lane import Lane

__all__ = ["executor_of", "lend_answers"]

NO_DASK = "agents work elsewhere by Dask, which is not installed here: pip install 'openclaw_nb[distributed]'"


def executor_of(what: object, threads: int) -> Executor | None:
    """The executor that is meant (see `distributed.executor`); None for None. ConfigError where there is no Dask."""
    if what is None:
        return None
    try:
        from ..distributed import executor
    except ImportError:
        raise ConfigError(NO_DASK) from None
    return executor.executor_of(what, threads)


def lend_answers(executor: Executor, lane: Lane, limit: float, *, process: bool) -> Callable[[], None]:
    """Have a lane's run answered at a worker, for ``limit`` seconds from when it begins there; the way to end that."""
    from ..distributed.elsewhere import elsewhere

    answers = elsewhere(executor, lane, limit, process=process)
    end: Callable[[], None] = seams.local_runtime().lend_answers(lane.run_id, answers)
    return end
