"""Servers whose handlers are plain functions, on a pool of threads."""

from __future__ import annotations

import contextvars
import inspect
import os
import signal
import threading
from abc import ABC
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from .. import _native
from .._descriptors import described
from .._log import handler_failed
from .._native import SyncContext as Context
from ..errors import RpcError
from ..interceptor import CallInfo, chain
from ..method import Kind, Method
from . import _hub
from ._interceptors import ServerInterceptor

if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Self, Unpack

    from ..options import ServerOptions

Handler: TypeAlias = Callable[[Any, Context], Any]
"""``def f(request, context)``. Streams of requests come as an iterator, streams of responses are given as one."""


class Service(ABC):
    """What generated bases of services are: a name, and handlers by the names of their methods."""

    __spanwire_service__: ClassVar[str]
    """``package.Service``."""
    __spanwire_methods__: ClassVar[tuple[tuple[str, Method[Any, Any]], ...]]
    """The Python name of each handler, and its method."""


class Server:
    """Serves on threads of its own: each runs one handler at a time, a stream's for as long as the stream lives.

    Calls that no thread is free for wait; those that are cancelled meanwhile are never begun. A server belongs to the
    process that made it: in the child of a fork make another one, which may listen on the same address.
    """

    def __init__(
        self,
        *services: Service,
        address: str,
        # By methods. A mapping's keys are invariant, so that one with methods of one kind would be refused.
        handlers: Mapping[Any, Handler] | None = None,
        interceptors: Sequence[ServerInterceptor] = (),
        workers: int | None = None,
        gevent: bool | None = None,
        **options: Unpack[ServerOptions],
    ) -> None:
        """A server that does not listen yet.

        Args:
            services: objects of classes that were generated, or derived from :class:`Service`.
            address: ``host:port`` (port 0: any), ``[::]:port``, ``unix:/path``, ``inprocess:name``.
            handlers: functions for methods, without a service.
            interceptors: run around every handler, the first one outermost, in its thread and context.
            workers: handlers that may run at once; None: as many as Python's own ThreadPoolExecutor would have, and
                a thousand greenlets under gevent.
            gevent: whether handlers run on greenlets; None: if gevent has patched ``threading``.
            **options: see :class:`spanwire.ServerOptions`.

        Raises:
            ValueError: an option cannot be used, or a method has two handlers.
            TypeError: a handler is no plain function, or something has the wrong type.
        """
        found = list(_handlers(services, handlers or {}))
        self._hub = _hub.find(gevent)
        self._workers = _default_workers(self._hub) if workers is None else workers
        if self._workers < 1:
            raise ValueError(f"workers: {workers} cannot be used: 1 or more are due")
        self._address = address
        self._context = contextvars.copy_context()
        self._serve = [_serving(method, handler, interceptors, self._hub) for method, handler in found]
        bell = None if self._hub is None else self._hub.bell
        methods = [method for method, _ in found]
        self._native = _native.SyncServer(methods, described(options, methods), bell)
        self._started = False

    @property
    def port(self) -> int | None:
        """The port, if it listens on TCP."""
        return self._native.port

    @property
    def target(self) -> str:
        """A target for channels on this machine; empty until it listens."""
        return self._native.target

    def start(self) -> None:
        """Listens, and serves from then on.

        Raises:
            OSError: the address cannot be had.
            ValueError: it is malformed, or certificates cannot be used.
        """
        self._native.listen(self._address)
        self._started = True
        if self._hub is not None:
            self._hub.spawn(self._dispatch, self._hub)
            return
        for number in range(self._workers):
            # The process does not wait for them to end.
            threading.Thread(target=self._work, name=f"spanwire-{number}", daemon=True).start()

    def set_health(self, service: str, serving: bool) -> None:
        """Says whether a service can be called: SERVING, or NOT_SERVING. For servers with the option ``health``.

        Args:
            service: its full name; the empty one is the server as a whole, which serves until it is said that it does
                not. Of the others nothing is known before.
            serving: whether it can be called. While the server closes none can, whatever is said.

        Raises:
            ValueError: the server was made without ``health``.
        """
        self._native.set_health(service, serving)

    def close(self, grace: float | None = None) -> None:
        """Says NOT_SERVING, takes no more calls after ``drain_delay``, waits for those that run, and comes back when it
        is closed.

        Args:
            grace: seconds after which calls that still run are cancelled; None waits for ever.
        """
        if self._started:
            self._native.shutdown(grace)
            self.wait()
        self._native.release()

    def wait(self) -> None:
        """Waits until it is closed, by another thread or a signal handler."""
        if self._hub is None:
            self._native.wait()
            return None
        while True:
            try:
                return self._native.wait()
            except BlockingIOError:
                self._hub.wait(self._native.number)

    def run(self, grace: float | None = None) -> None:
        """Serves until SIGTERM or Ctrl-C, on the main thread. Listens first, unless it was started already.

        SIGTERM lets calls finish; Ctrl-C ends them.

        Args:
            grace: seconds that calls get to finish after SIGTERM; None waits for ever.
        """
        if not self._started:
            self.start()

        def stop(number: int, _frame: FrameType | None) -> None:
            self._native.shutdown(0 if number == signal.SIGINT else grace)

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._native.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Whoever wants to end the program does not want to wait for streams.
        self.close(None if error is None or isinstance(error, Exception) else 0)

    def _work(self) -> None:
        """What a thread of the pool does."""
        native, serve, context = self._native, self._serve, self._context
        while (task := native.next_task()) is not None:
            # Context variables of one call are not seen by the next.
            context.copy().run(serve[task[0]], *task[1:])
            # A message may be large, and the next one may be long in coming.
            del task

    def _dispatch(self, hub: _hub.Hub) -> None:
        """The same for greenlets: one takes the work, and gives each call a greenlet of its own."""
        pool = hub.pool(self._workers)
        while True:
            try:
                task = self._native.next_task()
            except BlockingIOError:
                hub.wait(self._native.number)
                continue
            if task is None:
                return
            pool.spawn(self._context.copy().run, self._serve[task[0]], *task[1:])


def _default_workers(hub: _hub.Hub | None) -> int:
    return 1000 if hub is not None else min(32, (os.cpu_count() or 1) + 4)


def _handlers(
    services: Sequence[Service], handlers: Mapping[Method[Any, Any], Handler]
) -> Iterator[tuple[Method[Any, Any], Handler]]:
    for service in services:
        if not isinstance(service, Service):
            raise TypeError(f"{service!r} is no service of spanwire.sync")
        for name, method in service.__spanwire_methods__:
            yield method, getattr(service, name)
    yield from handlers.items()


def _serving(
    method: Method[Any, Any],
    handler: Handler,
    interceptors: Sequence[ServerInterceptor],
    hub: _hub.Hub | None,
) -> Callable[[Any, Context], None]:
    """The function that answers a call by its handler, whatever that does."""
    if inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler):
        raise TypeError(f"{handler!r} is asynchronous: spanwire.Server runs those")
    if interceptors:
        handler = _intercepted(method, handler, interceptors)
    streams_in = method._kind in (Kind.CLIENT_STREAMING, Kind.BIDI)
    streams_out = method._kind in (Kind.SERVER_STREAMING, Kind.BIDI)

    def receive(context: Context) -> Any:
        return context._receive() if hub is None else _waited(hub, context, context._receive)

    def send(context: Context, response: Any) -> None:
        if hub is None:
            context._send(response)
        else:
            _waited(hub, context, context._send, response)

    def serve(request: Any, context: Context) -> None:
        try:
            context._enter()
            if streams_in:
                request = iter(lambda: receive(context), None)
            response = handler(request, context)
            if not streams_out:
                context._respond(response)
                return
            try:
                for message in response:
                    send(context, message)
            finally:
                # A generator's `finally` runs now, not when it is collected.
                if (close := getattr(response, "close", None)) is not None:
                    close()
            context._finish()
        except BaseException as error:
            _fail(method, context, error)

    return serve


def _fail(method: Method[Any, Any], context: Context, error: BaseException) -> None:
    if not isinstance(error, RpcError):
        handler_failed(method.path, error)
    try:
        context._fail(error)
    except Exception as fault:
        # Such as details that are none.
        handler_failed(method.path, fault)


def _intercepted(method: Method[Any, Any], handler: Handler, interceptors: Sequence[ServerInterceptor]) -> Handler:
    run = chain(interceptors, lambda call: handler(call.request, call.context))

    def intercepted(request: Any, context: Context) -> Any:
        left = context.time_remaining()
        return run(CallInfo(method, request, context.metadata, left, context=context))

    return intercepted


def _waited(hub: _hub.Hub, context: Context, operation: Callable[..., Any], *args: Any) -> Any:
    while True:
        try:
            return operation(*args)
        except BlockingIOError:
            hub.wait(context._number)
