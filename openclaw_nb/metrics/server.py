"""Server, HTTP for few clients that are not trusted to be quick: bounded in number and in time, and silent."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

__all__ = ["AT_ONCE", "PATIENCE", "Server"]

AT_ONCE = 8
"""Requests that are answered at once; one more is hung up on."""

PATIENCE = 10.0
"""Seconds that a request and its answer may take together; a scrape has ten by default."""

Application: TypeAlias = Callable[..., Iterable[bytes]]


class _Handler(WSGIRequestHandler):
    """One request, without a line in anybody's log."""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def get_stderr(self) -> Any:
        return _Nowhere()

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client has gone, or was hung up on
            self.close_connection = True


class _Nowhere:
    """Where `wsgiref` writes tracebacks to."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each of AT_ONCE requests at most, each of which has its time."""

    daemon_threads = True
    request_queue_size = 4 * AT_ONCE
    block_on_close = False
    allow_reuse_address = os.name == "posix"  # on Windows two may listen at one port then

    def __init__(self, host: str, port: int, application: Application) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._since: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__((host, port), _Handler)
        self.set_app(application)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # `http.server` would ask a name server who we are
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            free = len(self._since) < AT_ONCE
            if free:
                self._since[request] = time.monotonic()
        if free:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        self._hang_up(time.monotonic() - PATIENCE)

    def server_close(self) -> None:
        super().server_close()
        self._hang_up(float("inf"))

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass

    def _hang_up(self, before: float) -> None:
        """Whoever came before that has had enough time."""
        with self._lock:
            late = [request for request, since in self._since.items() if since < before]
        for request in late:
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:  # it has gone by itself
                continue
