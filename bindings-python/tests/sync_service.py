"""A service of all kinds for the tests of the blocking API, in bytes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from spanwire import Code, Method, RpcError
from spanwire.sync import Context, Handler

ECHO = Method.unary("/test.Sync/Echo")
COUNT = Method.server_streaming("/test.Sync/Count")
SUM = Method.client_streaming("/test.Sync/Sum")
CHAT = Method.bidi("/test.Sync/Chat")

LIMIT_SECONDS = 20.0
"""Far longer than anything takes, so that a test that would hang fails instead."""


def echo(request: bytes, context: Context) -> bytes:
    """The request; ``fail`` fails, ``bug`` is one, ``sleep:SECONDS`` takes its time."""
    if request == b"fail":
        raise RpcError(Code.NOT_FOUND, "no such thing", trailing_metadata={"why": "asked for"})
    if request == b"bug":
        raise ValueError("a secret")
    if request.startswith(b"sleep:"):
        time.sleep(float(request[6:]))
    return request


def count(request: bytes, context: Context) -> Iterator[bytes]:
    """Numbers up to the request, without end if that is negative."""
    number = 0
    while number != int(request):
        yield b"%d" % number
        number += 1


def total(requests: Iterator[bytes], context: Context) -> bytes:
    """The sum of all lengths."""
    return b"%d" % sum(map(len, requests))


def chat(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
    """Each message as it comes; ``end`` ends."""
    for request in requests:
        if request == b"end":
            return
        yield request


HANDLERS: dict[Method[Any, Any], Handler] = {ECHO: echo, COUNT: count, SUM: total, CHAT: chat}
