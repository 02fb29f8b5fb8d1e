"""The misbehaving server must find out clients that misbehave, too.

    .venv/bin/python -m unittest discover -s tests/interop

A client made of single frames does to it what no client should.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import hpack
from hyperframe.frame import (
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from harness import process, setup
from harness.paths import INTEROP_OUT
from interop_programs import http2_server_argv

LIMIT_SECONDS = 10.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/grpc.testing.TestService/UnaryCall"),
    (":authority", "test"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]
# A SimpleRequest with response_size = 10, behind its five-byte prefix.
REQUEST = struct.pack(">BI", 0, 2) + b"\x10\x0a"


class RawClient:
    """A connection that sends exactly the frames that it is told to."""

    def __init__(self, port: int, acknowledge_pings: bool = True) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS)
        self._encoder = hpack.Encoder()
        self._acknowledge_pings = acknowledge_pings
        self._socket.sendall(PREFACE + SettingsFrame().serialize())

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()

    def start_call(self, stream: int) -> None:
        """Sends a whole request."""
        headers = HeadersFrame(stream, self._encoder.encode(HEADERS), flags=["END_HEADERS"])
        data = DataFrame(stream, REQUEST, flags=["END_STREAM"])
        self._socket.sendall(headers.serialize() + data.serialize())

    def read_until(self, last: Callable[[Frame], bool]) -> None:
        """Reads frames until the one that `last` is true for; answers as a client must."""
        while True:
            frame = self._read_frame()
            if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
                self._socket.sendall(SettingsFrame(flags=["ACK"]).serialize())
            if isinstance(frame, PingFrame) and self._acknowledge_pings:
                answer = PingFrame(0, frame.opaque_data, flags=["ACK"])
                self._socket.sendall(answer.serialize())
            if isinstance(frame, DataFrame) and frame.flow_controlled_length:
                update = WindowUpdateFrame(0, frame.flow_controlled_length)
                self._socket.sendall(update.serialize())
            if last(frame):
                return

    def _read_frame(self) -> Frame:
        frame, length = Frame.parse_frame_header(memoryview(self._read(9)))
        frame.parse_body(memoryview(self._read(length)))
        return frame

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            if not more:
                raise EOFError("the server closed the connection")
            data += more
        return data


def settled(frame: Frame) -> bool:
    """Whether that is the server's acknowledgement of the client's settings."""
    return isinstance(frame, SettingsFrame) and "ACK" in frame.flags


def end_of(stream: int) -> Callable[[Frame], bool]:
    """Whether that frame ends the stream."""
    return lambda frame: frame.stream_id == stream and "END_STREAM" in frame.flags


class MisbehavingServer(unittest.TestCase):
    """Each test plays a client and then asks the server for its verdict."""

    @classmethod
    def setUpClass(cls) -> None:
        """The server reads the messages that set-up generates."""
        setup.python_packages()
        setup.python_messages()

    def serve(self, case: str) -> tuple[int, Callable[[], tuple[int, str]]]:
        """Starts the server; gives its port, and what ends it and tells its verdict."""
        port = process.free_port()
        argv, env = http2_server_argv(case, port)
        log = INTEROP_OUT / "logs" / f"{self.id()}.log"
        server = self.enterContext(process.serving(argv, port, log, env))

        def verdict() -> tuple[int, str]:
            # What was sent last may not have been read yet.
            time.sleep(0.2)
            code = server.stop()
            return code, server.tail()

        return port, verdict

    def client(self, port: int, **options: Any) -> RawClient:
        """A connection that is closed at the end of the test."""
        client = RawClient(port, **options)
        self.addCleanup(client.close)
        return client

    def test_a_client_that_never_calls_is_found_out(self) -> None:
        _, verdict = self.serve("ping")
        code, output = verdict()
        self.assertEqual(code, 1, output)
        self.assertIn("no call arrived", output)

    def test_a_ping_that_stays_unanswered_is_found_out(self) -> None:
        port, verdict = self.serve("ping")
        client = self.client(port, acknowledge_pings=False)
        client.start_call(1)
        client.read_until(end_of(1))
        code, output = verdict()
        self.assertEqual(code, 1, output)
        self.assertIn("0 of 4 pings acknowledged", output)

    def test_answered_pings_are_right(self) -> None:
        port, verdict = self.serve("ping")
        client = self.client(port)
        client.start_call(1)
        client.read_until(end_of(1))
        code, output = verdict()
        self.assertEqual(code, 0, output)

    def test_a_second_call_on_the_connection_of_the_goaway_is_found_out(self) -> None:
        port, verdict = self.serve("goaway")
        client = self.client(port)
        for stream in (1, 3):
            client.start_call(stream)
            client.read_until(end_of(stream))
        code, output = verdict()
        self.assertEqual(code, 1, output)
        self.assertIn("calls came on 1 connections, not on 2", output)

    def test_a_second_stream_beside_the_one_allowed_is_found_out(self) -> None:
        port, verdict = self.serve("max_streams")
        client = self.client(port)
        client.start_call(1)
        client.read_until(end_of(1))
        client.start_call(3)
        client.start_call(5)
        with self.assertRaises((EOFError, ConnectionError)):
            client.read_until(lambda _: False)
        code, output = verdict()
        self.assertEqual(code, 1, output)
        self.assertIn("TooManyStreamsError", output)

    def test_streams_one_after_the_other_are_right(self) -> None:
        port, verdict = self.serve("max_streams")
        client = self.client(port)
        client.read_until(settled)
        for stream in (1, 3, 5):
            client.start_call(stream)
            client.read_until(end_of(stream))
        code, output = verdict()
        self.assertEqual(code, 0, output)


if __name__ == "__main__":
    unittest.main()
