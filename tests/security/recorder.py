"""Recorder: a server on loopback where nobody should come; it notes every byte that anybody sends it."""

from __future__ import annotations

import selectors
import socket
import threading

__all__ = ["Recorder"]


class Recorder:
    """``with Recorder() as recorder``: listens at ``recorder.port``; ``came`` holds what came, by connection.

    ``answer`` is sent to whoever has sent a whole HTTP request, and then it hangs up; without one it only listens.
    """

    def __init__(self, answer: bytes = b"") -> None:
        self.came: list[bytearray] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._waking, self._wake = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._waking, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._listen, name="recorder")

    @property
    def bytes(self) -> bytes:
        """Everything that came."""
        return b"".join(self.came)

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._wake.close()
        self._thread.join(10)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _listen(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._waking:
                    return
                if key.fileobj is self._listener:
                    self.came.append(bytearray())
                    self._selector.register(self._listener.accept()[0], selectors.EVENT_READ, self.came[-1])
                else:
                    self._receive(key.fileobj, key.data)  # type: ignore[arg-type]

    def _receive(self, peer: socket.socket, came: bytearray) -> None:
        try:
            data = peer.recv(65_536)
        except OSError:
            data = b""
        came += data
        if data and self._answer and b"\r\n\r\n" in came:
            peer.sendall(self._answer)
            data = b""
        if not data:
            self._selector.unregister(peer)
            peer.close()
