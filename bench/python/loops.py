"""Which module and which event loop a library in LIBRARIES stands for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


def module(library: str) -> str:
    """The module with its service and clients."""
    name, _, rest = library.partition("-")
    return f"{name}_sync" if rest == "sync" else f"{name}_asyncio"


def run(library: str, coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine in the library's event loop."""
    factory = None
    if library.endswith("-uvloop"):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(coroutine)
