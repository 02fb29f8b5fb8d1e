"""The bench service and its clients on the threads of grpcio."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from echo import MAX_BODY_BYTES, SERVICE, Messages

WORKERS = 16
QUEUED = 64
"""Requests that may wait to be sent. grpcio takes them from an iterator, on a thread of its own."""


class Requests:
    """A stream of requests that is fed while the call runs."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(QUEUED)
        self.send = self._queue.put

    def __iter__(self) -> Iterator[Any]:
        return iter(self._queue.get, None)


class Stream:
    """A stream of responses, and of requests if there are any."""

    def __init__(self, call: Any, requests: Requests | None = None) -> None:
        self._call = call
        self._requests = requests
        self.send = requests.send if requests else None

    def cancel(self) -> None:
        """Ends the call."""
        self._call.cancel()
        if self._requests:
            self._requests.send(None)

    def receive(self) -> Any:
        """The next message; None at the end."""
        return next(self._call, None)

    def messages(self) -> Iterator[Any]:
        """All that come."""
        return iter(self._call)


class Upload:
    """A stream of requests with one response."""

    def __init__(self, method: Any) -> None:
        self._requests = Requests()
        self.send = self._requests.send
        self._response = method.future(iter(self._requests))

    def finish(self) -> Any:
        """Half-closes and waits for the one response."""
        self._requests.send(None)
        return self._response.result()


class Client:
    """Calls of all kinds."""

    def __init__(self, channel: grpc.Channel, messages: Messages) -> None:
        coders = {
            "request_serializer": messages.encoder(),
            "response_deserializer": messages.decoder(),
        }
        self.unary = channel.unary_unary(f"/{SERVICE}/Unary", **coders)
        self._down = channel.unary_stream(f"/{SERVICE}/Down", **coders)
        self._up = channel.stream_unary(f"/{SERVICE}/Up", **coders)
        self._bidi = channel.stream_stream(f"/{SERVICE}/Bidi", **coders)

    def bidi(self) -> Stream:
        """A stream both ways."""
        requests = Requests()
        return Stream(self._bidi(iter(requests)), requests)

    def down(self, message: Any) -> Stream:
        """A stream of responses."""
        return Stream(self._down(message))

    def up(self) -> Upload:
        """A stream of requests."""
        return Upload(self._up)


def connect(port: int, messages: Messages) -> tuple[Client, Any]:
    """A client, and what closes it."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    return Client(channel, messages), channel.close


def serve(port: int, messages: Messages) -> None:
    """Serves until the process is killed."""

    def unary(request: Any, _context: Any) -> Any:
        return request

    def down(request: Any, _context: Any) -> Iterator[Any]:
        wish = messages.read(request)
        block = messages.make(body=bytes(min(wish.size_bytes, MAX_BODY_BYTES)))
        for _ in range(wish.count):
            yield block

    def up(requests: Iterator[Any], _context: Any) -> Any:
        count = size = 0
        for request in requests:
            count += 1
            size += messages.size(request)
        return messages.make(count=count, size_bytes=size)

    def bidi(requests: Iterator[Any], _context: Any) -> Iterator[Any]:
        yield from requests

    coders = {
        "request_deserializer": messages.decoder(),
        "response_serializer": messages.encoder(),
    }
    methods = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary, **coders),
        "Down": grpc.unary_stream_rpc_method_handler(down, **coders),
        "Up": grpc.stream_unary_rpc_method_handler(up, **coders),
        "Bidi": grpc.stream_stream_rpc_method_handler(bidi, **coders),
    }
    server = grpc.server(ThreadPoolExecutor(WORKERS))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()
