"""Trio as a host: what :mod:`spanwire._loop` is for asyncio."""

from __future__ import annotations

import contextvars
from collections.abc import Coroutine, Generator
from typing import Any

import trio

from . import _native
from ._loop import Start


def running() -> object | None:
    """What stands for the loop of this thread; None if trio does not run here."""
    try:
        return _Token.of(trio.lowlevel.current_trio_token())
    except RuntimeError:
        return None


class _Token:
    """A run of trio, as the native module wants a loop to be: it knows whether it is over."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self.token = token

    @staticmethod
    def of(token: trio.lowlevel.TrioToken) -> _Token:
        known = _RUN.get(None)
        if known is None or known.token is not token:
            known = _Token(token)
            _RUN.set(known)
        return known

    def is_closed(self) -> bool:
        try:
            self.token.run_sync_soon(lambda: None)
        except trio.RunFinishedError:
            return True
        return False


_RUN: trio.lowlevel.RunVar[_Token | None] = trio.lowlevel.RunVar("spanwire", default=None)


class Waiter:
    """One task that waits."""

    __slots__ = ("_done", "_task")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._done = False

    def set_result(self, _: None) -> None:
        self._done = True
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    def __await__(self) -> Generator[Any, Any, None]:
        if self._done:
            return
        self._task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        yield from trio.lowlevel.wait_task_rescheduled(abort).__await__()


class Job:
    """A coroutine that runs as a system task: no nursery has to outlive it."""

    def __init__(self) -> None:
        self._scope = trio.CancelScope()

    async def run(self, coroutine: Coroutine[object, Any, None]) -> None:
        with self._scope:
            await coroutine

    def cancel(self) -> None:
        self._scope.cancel()


def spawn(coroutine: Coroutine[object, Any, None], name: str | None = None) -> Job:
    job = Job()
    trio.lowlevel.spawn_system_task(job.run, coroutine, name=name, context=contextvars.copy_context())
    return job


def starter() -> Start:
    """See :func:`spanwire._loop.starter`."""
    context = contextvars.copy_context()

    def start(coroutine: Coroutine[Any, Any, None], name: str) -> Job:
        job = Job()
        trio.lowlevel.spawn_system_task(job.run, coroutine, name=name, context=context.copy())
        return job

    return start


def connect() -> _native.Queue:
    queue = _native.Queue(Waiter, spawn)

    async def drain() -> None:
        while True:
            await trio.lowlevel.wait_readable(queue.fileno())
            queue.drain()

    trio.lowlevel.spawn_system_task(drain)
    return queue
