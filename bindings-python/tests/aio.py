"""What the tests of the asyncio API have in common: a service with a method of each kind, and loops to run on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from google.protobuf.wrappers_pb2 import Int64Value, StringValue

from spanwire import Code, Context, Method, RpcError, Service

T = TypeVar("T")

GET = Method.unary("/test.Echo/Get", StringValue, StringValue)
COUNT = Method.server_streaming("/test.Echo/Count", Int64Value, Int64Value)
SUM = Method.client_streaming("/test.Echo/Sum", Int64Value, Int64Value)
DOUBLE = Method.bidi("/test.Echo/Double", Int64Value, Int64Value)

RAW = Method.unary("/test.Raw/Get")
RAW_STREAM = Method.server_streaming("/test.Raw/Stream")
RAW_UPLOAD = Method.client_streaming("/test.Raw/Upload")
RAW_CHAT = Method.bidi("/test.Raw/Chat")


def number(value: int) -> Int64Value:
    return Int64Value(value=value)


def text(value: str) -> StringValue:
    return StringValue(value=value)


class Echo(Service):
    """Each method does what its name says; the requests `fail`, `break` and `wait` of Get do that."""

    __spanwire_service__ = "test.Echo"
    __spanwire_methods__ = (("get", GET), ("count", COUNT), ("sum", SUM), ("double", DOUBLE))

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.waiting = asyncio.Event()

    async def get(self, request: StringValue, context: Context) -> StringValue:
        if request.value == "fail":
            raise RpcError(Code.NOT_FOUND, "no such text", trailing_metadata={"why": "fail"})
        if request.value == "break":
            raise ZeroDivisionError("the author's secret")
        if request.value == "wait":
            self.waiting.set()
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                assert context.cancelled
                self.cancelled.set()
                raise
        return text(request.value.upper())

    async def count(self, request: Int64Value, context: Context) -> AsyncIterator[Int64Value]:
        try:
            for value in range(request.value):
                yield number(value)
                if value == 10_000_000:
                    await asyncio.sleep(30)
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled.set()
            raise

    async def sum(self, requests: AsyncIterator[Int64Value], context: Context) -> Int64Value:
        return number(sum([request.value async for request in requests]))

    async def double(self, requests: AsyncIterator[Int64Value], context: Context) -> AsyncIterator[Int64Value]:
        async for request in requests:
            if request.value < 0:
                raise RpcError(Code.OUT_OF_RANGE, "less than nothing")
            yield number(2 * request.value)


def run(main: Coroutine[Any, Any, T], seconds: float = 20) -> T:
    """Runs a coroutine on a new loop, but not for ever."""

    async def limited() -> T:
        async with asyncio.timeout(seconds):
            return await main

    return asyncio.run(limited())
