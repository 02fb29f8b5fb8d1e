"""Waiting under gevent: the hub watches one descriptor for all calls of its thread, and no greenlet blocks another."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ParamSpec

from .._gevent import is_patched, module
from .._native import Bell

P = ParamSpec("P")


class Hub:
    """What greenlets of one thread wait by."""

    def __init__(self, loop: Any) -> None:
        self.bell = Bell()
        self._waiting: dict[int, list[Any]] = {}
        # It keeps the loop running only while somebody waits.
        self._watcher = loop.io(self.bell.fileno(), 1, ref=False)
        self._watcher.start(self._ring)

    def wait(self, number: int) -> None:
        """Lets other greenlets run until the bell rings for this number."""
        waiter = module("gevent.hub").Waiter()
        waiters = self._waiting.setdefault(number, [])
        waiters.append(waiter)
        self._watcher.ref = True
        try:
            waiter.get()
        finally:
            # Not if it was rung for: then others may wait there by now.
            if waiter in waiters:
                waiters.remove(waiter)
                if not waiters and self._waiting.get(number) is waiters:
                    del self._waiting[number]
            self._watcher.ref = bool(self._waiting)

    def spawn(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Runs a function on a greenlet of its own."""
        module("gevent").spawn(function, *args, **kwargs)

    def pool(self, size: int) -> Any:
        """A pool of so many greenlets: its ``spawn`` waits for a free one."""
        return module("gevent.pool").Pool(size)

    def _ring(self) -> None:
        for number in self.bell.take():
            waiters = self._waiting.pop(number, ())
            while waiters:
                waiters.pop().switch(None)

    def close(self) -> None:
        """Watches no more."""
        self._watcher.close()


def find(wanted: bool | None) -> Hub | None:
    """The hub of this thread, if waiting is its business; None if threads simply wait.

    Args:
        wanted: whether to wait by gevent's hub; None: if gevent has patched the standard library's threads.
    """
    if wanted is None:
        wanted = is_patched()
    if not wanted:
        return None
    hub = module("gevent.hub").get_hub()
    # The child of a fork inherits gevent's hub, but no bell.
    pid: int | None
    own: Any
    pid, own = getattr(hub, _ATTRIBUTE, (None, None))
    if pid == os.getpid():
        known: Hub = own
        return known
    if own is not None:
        own.close()
    made = Hub(hub.loop)
    setattr(hub, _ATTRIBUTE, (os.getpid(), made))
    return made


_ATTRIBUTE = "_spanwire"
