"""Exporter, metrics by HTTP for Prometheus: served in threads of their own, which the loop never waits for.

What is served is `prometheus_client`'s own application. It is reached from this machine only, unless another host is
asked for; a page of a browser reaches it from nowhere (see `Door`).
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ..door import Door
from ..errors import ConfigError

if TYPE_CHECKING:
    from ..config import Monitoring
    from .metrics import Metrics
    from .server import Server

__all__ = ["Exporter", "exporter_of"]

PORT = 9090
"""Where Prometheus is told to look for an instance."""

LOOK = 0.25
"""Seconds between two looks at who is too slow."""

_VERSION = re.compile(r"(?:(?!version=)[^\0]|version=[0-9]+(?:\.[0-9]+)*(?=[\s,;]|\Z))*")
"""An Accept header as `prometheus_client` can read it: it fails at versions that are no numbers."""

log = logging.getLogger("openclaw_nb")

Start = Callable[[str, list[tuple[str, str]]], Any]


class Exporter:
    """Serves ``metrics`` at ``url`` from `start` to `close`; at another free port where ``port`` is taken.

    ``names`` are the hosts it is reached by from elsewhere, as a Gateway's. Raises ConfigError where it cannot listen.
    """

    def __init__(
        self, metrics: Metrics, host: str = "127.0.0.1", port: int = PORT, path: str = "/metrics",
        *, names: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.host = host.strip("[]")
        self.port = port
        self.path = path
        self.moved = ""
        """A sentence where it is at another port than it was to be, else ""."""
        self._metrics = metrics
        self._door = Door((), self.host, names)
        self._application: Any = None
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<Exporter {self.url if self._server else 'closed'}>"

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.path}"

    def start(self) -> None:
        """Listen, and serve from now on."""
        if self._server is not None:
            return
        from prometheus_client import make_wsgi_app  # now, as it takes a while, and not beside the loop at work

        self._application = make_wsgi_app(self._metrics.registry)
        wanted = self.port
        self._server = self._listen()
        self.port = self._server.server_port
        if wanted not in (0, self.port):
            self.moved = f"port {wanted} is taken, so metrics are at {self.url}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(LOOK,), name=f"openclaw metrics {self.port}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Hang up on everybody, and listen no more."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        server.shutdown()
        self._thread.join()
        server.server_close()

    def _listen(self) -> Server:
        from .server import Server

        for port in dict.fromkeys((self.port, 0)):
            try:
                return Server(self.host, port, self._answer)
            except (OSError, OverflowError) as error:
                why = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot serve metrics on {self.host}:{self.port}: {why}")

    def _answer(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """The application: who may not ask is refused, all else is `prometheus_client`'s."""
        if (refusal := self._refusal(environ)) is not None:
            return _said(start, *refusal)
        try:
            return self._application(environ, start)  # type: ignore[no-any-return]
        except Exception as error:
            log.error("metrics cannot be told", exc_info=error)
            return _said(start, HTTPStatus.INTERNAL_SERVER_ERROR, "metrics cannot be told; the log says why")

    def _refusal(self, environ: dict[str, Any]) -> tuple[HTTPStatus, str] | None:
        origins, hosts = ([environ[name]] if name in environ else [] for name in ("HTTP_ORIGIN", "HTTP_HOST"))
        if (why := self._door.refuses(origins, hosts)) is not None:
            return HTTPStatus.FORBIDDEN, why
        if environ["PATH_INFO"] != self.path:
            return HTTPStatus.NOT_FOUND, f"metrics are at {self.path}"
        if environ["REQUEST_METHOD"] != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, "metrics are read with GET"
        if not _VERSION.fullmatch(environ.get("HTTP_ACCEPT", "")):
            return HTTPStatus.NOT_ACCEPTABLE, "a version in the Accept header is no number"
        return None


def exporter_of(
    metrics: Metrics, monitoring: Monitoring, worker: int = 0, *, names: Sequence[str] = (), port: int | None = None
) -> Exporter | None:
    """The exporter that a configuration wants for one of several processes, each at a port of its own; not started.

    None where it wants none. ``port`` counts more than the configuration's.
    """
    if not monitoring.prometheus_enabled:
        return None
    if port is None:
        port = monitoring.port + worker if monitoring.port else 0
    return Exporter(metrics, monitoring.host, port, monitoring.metrics_path, names=names)


def _said(start: Start, status: HTTPStatus, words: str) -> list[bytes]:
    start(f"{status.value} {status.phrase}", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{words}\n".encode()]
