"""For tests of services and clients: the fixture ``spanwire_serve``.

pytest finds it by itself once Spanwire is installed::

    def test_get(spanwire_serve):
        with spanwire.sync.Channel(spanwire_serve(Orders())) as channel:
            assert OrdersSyncClient(channel).get(GetOrder(id=7)).id == 7

The servers need no port and no network: their address is in the process.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest

# What is not needed before a test asks for the fixture is not imported: the plugin is loaded by every run of pytest.
if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

    import spanwire
    import spanwire.sync

_numbers = itertools.count(1)


class Serve(Protocol):
    """What ``spanwire_serve`` is."""

    def __call__(self, *services: spanwire.Service | spanwire.sync.Service, **options: Any) -> str:
        """Starts a server of its own for these services.

        Args:
            services: of one kind: those on asyncio run on an event loop in another thread, the others on threads.
            options: those of :class:`spanwire.Server`; by default the address is in the process.

        Returns:
            The target for channels. The server is closed at the end of the test, with the calls that still run.
        """
        ...


@pytest.fixture
def spanwire_serve() -> Iterator[Serve]:
    """Starts servers for one test: see :class:`Serve`."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def serve(*services: Any, **options: Any) -> str:
            options.setdefault("address", f"inprocess:pytest-{next(_numbers)}")
            start = _serve_blocking if _are_blocking(services, options) else _serve_asyncio
            return start(stack.callback, services, options)

        yield serve


def _are_blocking(services: tuple[Any, ...], options: dict[str, Any]) -> bool:
    from inspect import isasyncgenfunction, iscoroutinefunction

    from . import sync

    handlers = options.get("handlers", {}).values()
    return any(isinstance(service, sync.Service) for service in services) or any(
        not (iscoroutinefunction(handler) or isasyncgenfunction(handler)) for handler in handlers
    )


def _serve_blocking(at_end: Callable[..., object], services: tuple[Any, ...], options: dict[str, Any]) -> str:
    from . import sync

    server = sync.Server(*services, **options)
    server.start()
    at_end(server.close, grace=0)
    return server.target


def _serve_asyncio(at_end: Callable[..., object], services: tuple[Any, ...], options: dict[str, Any]) -> str:
    from . import Server

    loop = _LoopThread()
    at_end(loop.close)
    server = Server(*services, **options)
    loop.run(server.start())
    at_end(lambda: loop.run(server.close(grace=0)))
    return server.target


class _LoopThread:
    """An event loop that runs in a thread of its own."""

    _stopped: asyncio.Event

    def __init__(self) -> None:
        import threading
        from concurrent.futures import Future

        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        self._loop = started.result()

    def _run(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        import asyncio

        # `run` ends what is left on the loop when it stops.
        async def until_stopped() -> None:
            self._stopped = asyncio.Event()
            started.set_result(asyncio.get_running_loop())
            await self._stopped.wait()

        asyncio.run(until_stopped())

    def run(self, coroutine: Any) -> None:
        """Runs a coroutine there and waits for its end."""
        import asyncio

        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """Ends the loop and its thread."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
