"""Starters of the real programs: each ends what it started with the test, and skips where the program is missing.

    def test_it(redis_server, haproxy, nginx, prometheus):
        redis = redis_server()                      # also redis_server("--requirepass", "secret"), port=…
        balancer = haproxy(text, port)              # a whole haproxy.cfg that binds 127.0.0.1:port
        balancer = nginx(text, port)                # what stands within http { … }
        watcher = prometheus(text)                  # a whole prometheus.yml
        redis.port, redis.pid, redis.kill(), redis.start(), redis.stop(), redis.words()

Outside pytest (a load, a notebook) use `tests.cluster.daemons` itself: ``with redis_server(folder) as redis: …``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import daemons
from tests.cluster.daemons import Daemon, Missing, program, starter

Starter = Callable[..., Daemon]


def _starter(name: str, make: Callable[..., Daemon]) -> Callable[..., Iterator[Starter]]:
    @pytest.fixture(name=make.__name__)
    def started(tmp_path: Path) -> Iterator[Starter]:
        try:
            program(name)
        except Missing as missing:
            pytest.skip(str(missing))
        with contextlib.ExitStack() as stack:
            yield starter(make, stack, tmp_path)

    return started


redis_server = _starter("redis-server", daemons.redis_server)
haproxy = _starter("haproxy", daemons.haproxy)
nginx = _starter("nginx", daemons.nginx)
prometheus = _starter("prometheus", daemons.prometheus)
