"""The bench service and its clients on Spanwire's blocking API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from echo import MAX_BODY_BYTES, Messages
from spanwire.sync import Channel, Context, Server
from spanwire_asyncio import methods


class Stream:
    """A call as the load wants it."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.send = getattr(call, "send", None)
        self.receive = getattr(call, "receive", None)
        self.finish = getattr(call, "result", None)
        self.cancel = call.cancel

    def messages(self) -> Iterator[Any]:
        """All that come."""
        return iter(self._call)


class Client:
    """Calls of all kinds."""

    def __init__(self, channel: Channel, messages: Messages) -> None:
        self._call: Any = channel.call
        self._blocking: Any = channel.unary
        self._unary, self._down, self._up, self._bidi = methods(messages)

    def unary(self, message: Any) -> Any:
        """One call."""
        return self._blocking(self._unary, message)

    def bidi(self) -> Stream:
        """A stream both ways."""
        return Stream(self._call(self._bidi, None))

    def down(self, message: Any) -> Stream:
        """A stream of responses."""
        return Stream(self._call(self._down, message))

    def up(self) -> Stream:
        """A stream of requests."""
        return Stream(self._call(self._up, None))


def connect(port: int, messages: Messages) -> tuple[Client, Any]:
    """A client, and what closes it."""
    channel = Channel(f"127.0.0.1:{port}")
    return Client(channel, messages), channel.close


def serve(port: int, messages: Messages) -> None:
    """Serves until the process is killed."""

    def unary(request: Any, _context: Context) -> Any:
        return request

    def down(request: Any, _context: Context) -> Iterator[Any]:
        wish = messages.read(request)
        block = messages.make(body=bytes(min(wish.size_bytes, MAX_BODY_BYTES)))
        for _ in range(wish.count):
            yield block

    def up(requests: Iterator[Any], _context: Context) -> Any:
        count = size = 0
        for request in requests:
            count += 1
            size += messages.size(request)
        return messages.make(count=count, size_bytes=size)

    def bidi(requests: Iterator[Any], _context: Context) -> Iterator[Any]:
        yield from requests

    handlers = dict(zip(methods(messages), (unary, down, up, bidi), strict=True))
    Server(handlers=handlers, address=f"127.0.0.1:{port}").run()
