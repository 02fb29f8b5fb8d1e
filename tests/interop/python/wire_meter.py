"""A relay on loopback that counts the bytes of each direction.

grpcio shows a program no message flags, so it cannot ask whether a message
came compressed. Its size on the wire tells: a payload of zeros shrinks to
almost nothing. The interop client puts this relay between itself and the
server for the cases that ask about compression.
"""

from __future__ import annotations

import socket
import threading
from types import TracebackType


class WireMeter:
    """Relays connections to `target` and counts what passes.

    Use as a context manager; `port` is the relay's own port on 127.0.0.1.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._lock = threading.Lock()
        self._received = 0
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def received(self) -> int:
        """Bytes that the server has sent so far, over all connections."""
        with self._lock:
            return self._received

    def __enter__(self) -> WireMeter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for each in sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            with self._lock:
                self._sockets += [near, far]
            threading.Thread(target=self._copy, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(far, near, True), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, count: bool) -> None:
        try:
            while data := source.recv(65536):
                if count:
                    # Before the bytes go on, so that whoever has seen a reply
                    # finds it counted.
                    with self._lock:
                        self._received += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return
