"""What goes to ``logging.getLogger("spanwire")``: failures of handlers, and the log of the engine.

The engine's lines come by ``spanwire.engine``. Unless the program configures logging, they go nowhere.
"""

from __future__ import annotations

import logging
import threading

from . import _gevent, _native

logger = logging.getLogger("spanwire")
engine = logging.getLogger("spanwire.engine")
engine.addHandler(logging.NullHandler())

# The one that takes the engine's lines, once there is an engine.
_threads: list[threading.Thread] = []


def handler_failed(method: str, error: BaseException) -> None:
    """A handler raised what is no RpcError: the client learns nothing of it."""
    logger.error("the handler of %s failed", method, exc_info=error)


def start(first: bool) -> None:
    """Has the engine say what the logger lets through; and first, in each process, starts the thread that takes it."""
    _native.set_log_level(engine.getEffectiveLevel())
    if first:
        _threads[:] = [threading.Thread(target=_run, name="spanwire-log", daemon=True)]
        _threads[0].start()


def stop() -> None:
    """Ends that thread, with the lines that are left."""
    _native.stop_log()
    for thread in _threads:
        if thread.is_alive():
            thread.join(1.0)


def _run() -> None:
    while (lines := _take()) is not None:
        for level, text in lines:
            engine.log(level, "%s", text)
        # It may be another one by now.
        _native.set_log_level(engine.getEffectiveLevel())


def _take() -> list[tuple[int, str]] | None:
    if not _gevent.is_patched():
        return _native.take_log_lines()
    # This is a greenlet, and must not hold up the others.
    lines: list[tuple[int, str]] | None = _gevent.module("gevent").get_hub().threadpool.apply(_native.take_log_lines)
    return lines
