"""The bench service and its clients on grpc.aio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from echo import MAX_BODY_BYTES, SERVICE, Messages


class Stream:
    """A call of grpc.aio as the load wants it."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.send = call.write if hasattr(call, "write") else None
        self.cancel = call.cancel

    async def receive(self) -> Any:
        """The next message; None at the end."""
        message = await self._call.read()
        return None if message is grpc.aio.EOF else message

    async def finish(self) -> Any:
        """Half-closes and waits for the one response."""
        await self._call.done_writing()
        return await self._call

    def messages(self) -> AsyncIterator[Any]:
        """All that come."""
        return aiter(self._call)


class Client:
    """Calls of all kinds."""

    def __init__(self, channel: grpc.aio.Channel, messages: Messages) -> None:
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
        return Stream(self._bidi())

    def down(self, message: Any) -> Stream:
        """A stream of responses."""
        return Stream(self._down(message))

    def up(self) -> Stream:
        """A stream of requests."""
        return Stream(self._up())


def connect(port: int, messages: Messages) -> tuple[Client, Any]:
    """A client, and what closes it."""
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    return Client(channel, messages), channel.close


async def serve(port: int, messages: Messages) -> None:
    """Serves until the process is killed."""

    async def unary(request: Any, _context: Any) -> Any:
        return request

    async def down(request: Any, _context: Any) -> AsyncIterator[Any]:
        wish = messages.read(request)
        block = messages.make(body=bytes(min(wish.size_bytes, MAX_BODY_BYTES)))
        for _ in range(wish.count):
            yield block

    async def up(requests: AsyncIterator[Any], _context: Any) -> Any:
        count = size = 0
        async for request in requests:
            count += 1
            size += messages.size(request)
        return messages.make(count=count, size_bytes=size)

    async def bidi(requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield request

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
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()
