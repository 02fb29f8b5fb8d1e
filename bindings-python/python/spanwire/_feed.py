"""The task that sends what an iterable of requests gives."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any

from . import _native


async def feed(call: _native.Feed, requests: AsyncIterable[Any] | Iterable[Any]) -> None:
    """Sends each request, and then the end.

    What the iterable raises is what the call ends with. When the call ends first, this task is cancelled, and the
    iterable with it.
    """
    try:
        if isinstance(requests, AsyncIterable):
            async for request in requests:
                if (room := call.send(request)) is not None:
                    await room
        else:
            for request in requests:
                if (room := call.send(request)) is not None:
                    await room
        call.half_close()
    except Exception as error:
        call.fail(error)
    except BaseException as error:
        call.fail(error)
        raise
