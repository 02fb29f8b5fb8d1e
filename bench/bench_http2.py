"""As much HTTP/2 as it takes to make a call by hand, of `bench.v1.Echo/Unary` most of the time.

For what no load generator does: to hold a thousand idle connections, and to
see the first answer of a server that has just been started.
"""

from __future__ import annotations

import socket
import struct

from bench_process import BenchFailed

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7
ACK, END_STREAM, END_HEADERS = 0x1, 0x1, 0x4
HEADER_LEN = 9


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def message(size: int) -> bytes:
    """A `Block` whose body has `size` bytes, with gRPC's prefix."""
    return first_field(bytes(size))


def first_field(value: bytes) -> bytes:
    """A message whose field 1 is these bytes or this text, with gRPC's prefix."""
    encoded = b"\x0a" + _varint(len(value)) + value
    return b"\0" + struct.pack(">I", len(encoded)) + encoded


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name: str, value: str) -> bytes:
    """A header field without compression and without a place in the table."""
    fields = (name.encode(), value.encode())
    return b"\0" + b"".join(bytes([len(field)]) + field for field in fields)


ECHO = "/bench.v1.Echo/Unary"


def _request_headers(path: str) -> bytes:
    return b"".join(
        _literal(name, value)
        for name, value in (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        )
    )


class Connection:
    """One connection to a server, used for one thing at a time."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._received = b""
        self._socket.sendall(PREFACE + _frame(SETTINGS, 0, 0))

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def _next(self) -> tuple[int, int, bytes]:
        """The next frame: its type, its flags, its payload."""
        while True:
            if len(self._received) >= HEADER_LEN:
                end = HEADER_LEN + int.from_bytes(self._received[:3], "big")
                if len(self._received) >= end:
                    kind, flags = self._received[3], self._received[4]
                    payload = self._received[HEADER_LEN:end]
                    self._received = self._received[end:]
                    if kind == SETTINGS and not flags & ACK:
                        self._socket.sendall(_frame(SETTINGS, ACK, 0))
                    if kind in (RST_STREAM, GOAWAY):
                        raise BenchFailed(f"the server sent frame {kind}: {payload!r}")
                    return kind, flags, payload
            more = self._socket.recv(65536)
            if not more:
                raise BenchFailed("the server closed the connection")
            self._received += more

    def settle(self) -> None:
        """Waits until both sides have taken the settings in."""
        self._socket.sendall(_frame(PING, 0, 0, b"settled?"))
        waiting = {SETTINGS, PING}
        while waiting:
            kind, flags, _ = self._next()
            if kind == SETTINGS or flags & ACK:
                waiting.discard(kind)

    def call(self, size: int) -> None:
        """The first and only call of this connection, up to the trailers."""
        received = len(self.exchange(ECHO, message(size)))
        if received != len(message(size)):
            raise BenchFailed(f"the answer has {received} bytes, not {len(message(size))}")

    def exchange(self, path: str, request: bytes) -> bytes:
        """As `call`, of any method: the body of its answer."""
        headers = _frame(HEADERS, END_HEADERS, 1, _request_headers(path))
        self._socket.sendall(headers + _frame(DATA, END_STREAM, 1, request))
        received = b""
        while True:
            kind, flags, payload = self._next()
            if kind == DATA:
                received += payload
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                return received
