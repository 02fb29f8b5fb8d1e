"""How the native module meets event loops: asyncio (with uvloop, too) and trio."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from . import _native

Start: TypeAlias = Callable[[Coroutine[Any, Any, None], str], object]
"""Starts the task of a handler: the coroutine, and what it is called."""


def running() -> object:
    """The loop that runs on this thread, if it is none of asyncio's.

    Raises:
        RuntimeError: none runs.
    """
    if "trio" in sys.modules:
        from . import _trio

        run = _trio.running()
        if run is not None:
            return run
    raise RuntimeError("no event loop runs here: outside of one, use spanwire.sync")


def connect(loop: object) -> _native.Queue:
    """Makes the queue of a loop, and has the loop drain it."""
    if not isinstance(loop, asyncio.AbstractEventLoop):
        from . import _trio

        return _trio.connect()
    queue = _native.Queue(loop.create_future, loop.create_task, loop.call_soon, loop)
    loop.add_reader(queue.fileno(), queue.drain)
    return queue


def starter() -> Start:
    """What starts the tasks of handlers on the running loop. Each has a copy of the context that is here now."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        from . import _trio

        return _trio.starter()
    copy = contextvars.copy_context().copy
    if loop.get_task_factory() is not None:

        def start(coroutine: Coroutine[Any, Any, None], name: str) -> object:
            return loop.create_task(coroutine, name=name, context=copy())

    elif sys.version_info >= (3, 12):
        # A handler that need not wait is over before its task would have had a turn.
        def start(coroutine: Coroutine[Any, Any, None], name: str) -> object:
            return asyncio.Task(coroutine, loop=loop, name=name, context=copy(), eager_start=True)

    else:

        def start(coroutine: Coroutine[Any, Any, None], name: str) -> object:
            return asyncio.Task(coroutine, loop=loop, name=name, context=copy())

    return start
