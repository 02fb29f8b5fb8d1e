"""The bench service and its clients on Spanwire's asyncio API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from echo import MAX_BODY_BYTES, SERVICE, Messages
from spanwire import Channel, Context, Method, Server


def methods(messages: Messages) -> list[Method[Any, Any]]:
    """Unary, Down, Up and Bidi."""
    kinds: tuple[Any, ...] = () if messages.raw else (messages.kind, messages.kind)
    return [
        Method.unary(f"/{SERVICE}/Unary", *kinds),
        Method.server_streaming(f"/{SERVICE}/Down", *kinds),
        Method.client_streaming(f"/{SERVICE}/Up", *kinds),
        Method.bidi(f"/{SERVICE}/Bidi", *kinds),
    ]


class Stream:
    """A call as the load wants it."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.send = getattr(call, "send", None)
        self.receive = getattr(call, "receive", None)
        self.cancel = call.cancel

    async def finish(self) -> Any:
        """Half-closes and waits for the one response."""
        return await self._call

    def messages(self) -> AsyncIterator[Any]:
        """All that come."""
        return aiter(self._call)


class Client:
    """Calls of all kinds."""

    def __init__(self, channel: Channel, messages: Messages) -> None:
        self._call: Any = channel.call
        self._unary, self._down, self._up, self._bidi = methods(messages)

    def unary(self, message: Any) -> Any:
        """One call."""
        return self._call(self._unary, message)

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


async def serve(port: int, messages: Messages) -> None:
    """Serves until the process is killed."""

    async def unary(request: Any, _context: Context) -> Any:
        return request

    async def down(request: Any, _context: Context) -> AsyncIterator[Any]:
        wish = messages.read(request)
        block = messages.make(body=bytes(min(wish.size_bytes, MAX_BODY_BYTES)))
        for _ in range(wish.count):
            yield block

    async def up(requests: AsyncIterator[Any], _context: Context) -> Any:
        count = size = 0
        async for request in requests:
            count += 1
            size += messages.size(request)
        return messages.make(count=count, size_bytes=size)

    async def bidi(requests: AsyncIterator[Any], _context: Context) -> AsyncIterator[Any]:
        async for request in requests:
            yield request

    handlers = dict(zip(methods(messages), (unary, down, up, bidi), strict=True))
    await Server(handlers=handlers, address=f"127.0.0.1:{port}").run()
