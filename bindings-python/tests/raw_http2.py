"""HTTP/2 peers that do exactly as they are told, so that tests can say and see what is on the wire."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

import h2.config
import h2.connection
import h2.events

Headers = list[tuple[str, str]]
PATIENCE_SECONDS = 20.0


@dataclass
class Answer:
    """What a server sends to one request: headers, data in pieces, then trailers or a reset."""

    headers: Headers
    chunks: Sequence[bytes] = ()
    trailers: Headers | None = None
    reset: int | None = None


@dataclass
class Exchange:
    """What came on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)


def ok(*chunks: bytes, encoding: str = "identity", **trailers: str) -> Answer:
    """A response with the status OK; in names of trailers an underscore is a dash."""
    named = [(name.replace("_", "-"), value) for name, value in trailers.items()]
    return Answer(
        [
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-encoding", encoding),
        ],
        chunks,
        [("grpc-status", "0"), *named],
    )


def trailers_only(*fields: tuple[str, str]) -> Answer:
    """A response that is over with its headers."""
    return Answer([(":status", "200"), ("content-type", "application/grpc"), *fields])


def _configured(client_side: bool) -> h2.connection.H2Connection:
    # Nothing is checked or corrected: that is for the other side to do.
    config = h2.config.H2Configuration(
        client_side=client_side,
        header_encoding="latin-1",
        validate_inbound_headers=False,
        validate_outbound_headers=False,
        normalize_inbound_headers=False,
        normalize_outbound_headers=False,
    )
    return h2.connection.H2Connection(config)


def _fields(headers: Iterable[tuple[str | bytes, str | bytes]]) -> dict[str, str]:
    # Text, because of `header_encoding`.
    return {str(name): str(value) for name, value in headers}


class RawServer:
    """Answers every request as `answer` says, given the request's headers. Use as a context manager."""

    def __init__(self, answer: Callable[[dict[str, str]], Answer]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> RawServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(connected)
            threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        connection = _configured(client_side=False)
        connection.initiate_connection()
        try:
            connected.sendall(connection.data_to_send())
            while received := connected.recv(65536):
                for event in connection.receive_data(received):
                    if isinstance(event, h2.events.RequestReceived):
                        self._respond(connection, event)
                connected.sendall(connection.data_to_send())
        except OSError:
            return

    def _respond(self, connection: h2.connection.H2Connection, request: h2.events.RequestReceived) -> None:
        answer = self._answer(_fields(request.headers))
        stream = request.stream_id
        alone = not answer.chunks and answer.trailers is None and answer.reset is None
        if answer.headers:
            connection.send_headers(stream, answer.headers, end_stream=alone)
        for chunk in answer.chunks:
            connection.send_data(stream, chunk)
        if answer.trailers is not None:
            connection.send_headers(stream, answer.trailers, end_stream=True)
        if answer.reset is not None:
            connection.reset_stream(stream, answer.reset)


def raw_call(port: int, path: str, body: bytes, *fields: tuple[str, str]) -> Exchange:
    """Makes one call with these further headers and gives back all that came."""
    connection = _configured(client_side=True)
    connection.initiate_connection()
    stream = connection.get_next_available_stream_id()
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *fields,
    ]
    connection.send_headers(stream, headers)
    connection.send_data(stream, body, end_stream=True)
    exchange = Exchange()
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connected:
        connected.sendall(connection.data_to_send())
        while received := connected.recv(65536):
            for event in connection.receive_data(received):
                if isinstance(event, h2.events.ResponseReceived):
                    exchange.headers = _fields(event.headers)
                elif isinstance(event, h2.events.TrailersReceived):
                    exchange.trailers = _fields(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    exchange.body += event.data
                elif isinstance(event, h2.events.StreamEnded):
                    return exchange
            connected.sendall(connection.data_to_send())
    raise ConnectionError("the server closed the connection before it had answered")
