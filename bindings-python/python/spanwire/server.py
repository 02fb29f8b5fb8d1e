"""Servers whose handlers are coroutines, on an event loop."""

from __future__ import annotations

import inspect
import signal
from abc import ABC
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from . import _native
from ._descriptors import described
from ._loop import starter
from ._native import Context
from .interceptor import Interceptor, around_handler
from .method import Kind, Method

if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Self, Unpack

    from .options import ServerOptions

Handler: TypeAlias = Callable[[Any, Context], Any]
"""``async def f(request, context)``. Kinds with a stream of requests get an asynchronous iterator; those with a stream
of responses are asynchronous generators."""


class Service(ABC):
    """What generated bases of services are: a name, and handlers by the names of their methods."""

    __spanwire_service__: ClassVar[str]
    """``package.Service``."""
    __spanwire_methods__: ClassVar[tuple[tuple[str, Method[Any, Any]], ...]]
    """The Python name of each handler, and its method."""


class Server:
    """Serves on the event loop that it is started on: each call's handler is a task there::

        async with Server(Orders(), address="0.0.0.0:443", tls=Tls(...)) as server:
            await server.wait()

    When a client is gone, or its deadline has passed, the task is cancelled. A server belongs to the process that
    started it: in the child of a fork make another one, which may listen on the same address.
    """

    def __init__(
        self,
        *services: Service,
        address: str,
        # By methods. A mapping's keys are invariant, so that one with methods of one kind would be refused.
        handlers: Mapping[Any, Handler] | None = None,
        interceptors: Sequence[Interceptor] = (),
        **options: Unpack[ServerOptions],
    ) -> None:
        """A server that does not listen yet.

        Args:
            services: objects of classes that were generated, or derived from :class:`Service`.
            address: ``host:port`` (port 0: any), ``[::]:port``, ``unix:/path``, ``inprocess:name``.
            handlers: functions for methods, without a service.
            interceptors: run around every handler, the first one outermost, in its task.
            **options: see :class:`spanwire.options.ServerOptions`.

        Raises:
            TypeError: a handler is not asynchronous, or something has the wrong type.
        """
        self._handlers = list(_handlers(services, handlers or {}, interceptors))
        self._address = address
        self._options = options
        self._health: dict[str, bool] = {}
        self._native: _native.Server | None = None
        self._waiters: list[Any] = []
        self._closed = False

    @property
    def port(self) -> int | None:
        """The port, if it listens on TCP."""
        return self._native.port if self._native else None

    @property
    def target(self) -> str:
        """A target for channels on this machine; empty until it listens."""
        return self._native.target if self._native else ""

    async def start(self) -> None:
        """Listens, and serves from then on. Tasks of handlers have a copy of the context variables that are here.

        Raises:
            OSError: the address cannot be had.
            ValueError: it is malformed, an option or certificate cannot be used, or a method has two handlers.
            RuntimeError: it was started before.
        """
        if self._native is not None:
            raise RuntimeError("the server was started before")
        native = _native.Server(described(self._options, [method for method, _ in self._handlers]))
        start = starter()
        for method, handler in self._handlers:
            native.add(method, handler, start)
        for service, serving in self._health.items():
            native.set_health(service, serving)
        native.listen(self._address)
        self._native = native

    def set_health(self, service: str, serving: bool) -> None:
        """Says whether a service can be called: SERVING, or NOT_SERVING. For servers with the option ``health``.

        Args:
            service: its full name; the empty one is the server as a whole, which serves until it is said that it does
                not. Of the others nothing is known before.
            serving: whether it can be called. While the server closes none can, whatever is said.

        Raises:
            ValueError: the server was made without ``health``. Before it is started, :meth:`start` raises it.
        """
        if self._native is None:
            self._health[service] = serving
        else:
            self._native.set_health(service, serving)

    async def close(self, grace: float | None = None) -> None:
        """Says NOT_SERVING, takes no more calls after ``drain_delay``, waits for those that run, and comes back when it
        is closed.

        Args:
            grace: seconds after which calls that still run are cancelled; None waits for ever.
        """
        if self._native is None or self._closed:
            return
        # Another one may shorten the grace of the first.
        await self._native.shutdown(float("inf") if grace is None else grace)
        self._closed = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set_result(None)

    async def wait(self) -> None:
        """Waits until it is closed, by another task."""
        while not self._closed:
            waiter = _native.Queue.current().waiter()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    async def run(self, grace: float | None = None) -> None:
        """Serves until SIGTERM or SIGINT, and then closes. Listens first, unless it was started already.

        Args:
            grace: seconds that calls get to finish after SIGTERM; None waits for ever. SIGINT, or a second signal,
                ends them.
        """
        if self._native is None:
            await self.start()
        queue = _native.Queue.current()
        asked = False

        def stop(number: int, _frame: FrameType | None) -> None:
            nonlocal asked
            ends = asked or number == signal.SIGINT
            asked = True
            # The loop may be asleep, and the handler of a signal is no place to work in.
            queue.post(lambda: queue.spawn(self.close(0 if ends else grace)))

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            await self.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Whoever wants to end the program does not want to wait for streams.
        await self.close(None if error is None or isinstance(error, Exception) else 0)


def _handlers(
    services: Sequence[Service],
    handlers: Mapping[Method[Any, Any], Handler],
    interceptors: Sequence[Interceptor],
) -> Iterator[tuple[Method[Any, Any], Handler]]:
    found: list[tuple[Method[Any, Any], Handler]] = list(handlers.items())
    for service in services:
        if not isinstance(service, Service):
            raise TypeError(f"{service!r} is no spanwire.Service")
        found += [(method, getattr(service, name)) for name, method in service.__spanwire_methods__]
    for method, handler in found:
        if not isinstance(method, Method):
            raise TypeError(f"handlers: {method!r} is no spanwire.Method")
        one_response = method.kind in (Kind.UNARY, Kind.CLIENT_STREAMING)
        if not _is_due(handler, one_response):
            kind = "async def" if one_response else "async def with yield"
            raise TypeError(
                f"{method.path}: the handler {handler!r} is no {kind}; spanwire.sync.Server takes plain functions"
            )
        yield method, around_handler(interceptors, method, handler) if interceptors else handler


def _is_due(handler: Handler, one_response: bool) -> bool:
    """Whether it can be what is due. Of objects that are called, only the call shows what they give."""
    if not inspect.isroutine(handler):
        return callable(handler)
    if one_response:
        return inspect.iscoroutinefunction(handler)
    # A plain function may hand on what another one gives.
    return not inspect.iscoroutinefunction(handler)
