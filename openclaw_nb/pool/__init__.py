"""The pool: agents side by side, each in its own slot, thread and session."""

from .lane import Lane
from .roles import Role, role
from .threadpool import ThreadPool
from .work import PoolResult, PoolRun

__all__ = ["Lane", "PoolResult", "PoolRun", "Role", "ThreadPool", "role"]
