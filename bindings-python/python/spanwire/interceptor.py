"""Interceptors: ``async def f(call, next)``, one shape for both sides and all kinds.

::

    async def add_token(call, next):
        call.metadata["authorization"] = "Bearer secret"
        return await next(call)

What is returned is the response, or an asynchronous iterator of responses: what ``next`` gave, or something else.
Failing is raising :class:`spanwire.RpcError`. The first one in a list is the outermost. An interceptor may call
``next`` again, to try again; not where requests are a stream, which can be read once.

:func:`only` has one run around calls of some methods alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from . import _native
from .metadata import Metadata, MutableMetadata
from .method import Kind, Method

if TYPE_CHECKING:
    from .options import CallOptions


class CallInfo:
    """A call, as an interceptor sees it. What it changes is seen by those that come after it."""

    __slots__ = ("_made", "context", "metadata", "method", "options", "request", "timeout")

    method: Method[Any, Any]
    """The method that is called."""
    request: Any
    """The request; of kinds with a stream of them, an iterator: asynchronous but in :mod:`spanwire.sync`."""
    metadata: Any
    """On a client those of the request, a :class:`spanwire.metadata.MutableMetadata`; on a server what came."""
    timeout: float | None
    """Seconds; None for no limit. On a server, those that are left."""
    options: CallOptions
    """A client's other keywords."""
    context: Any
    """On a server, the handler's context; None on a client."""

    def __init__(
        self,
        method: Method[Any, Any],
        request: Any,
        metadata: Any,
        timeout: float | None,
        options: CallOptions | None = None,
        context: Any = None,
    ) -> None:
        """Made for each call."""
        self.method = method
        self.request = request
        self.metadata = metadata
        self.timeout = timeout
        self.options = {} if options is None else options
        self.context = context
        # The call itself, once an innermost `next` has made it.
        self._made: Any = None

    @property
    def kind(self) -> Kind:
        """The kind of the method."""
        return self.method.kind

    @property
    def headers(self) -> Metadata | MutableMetadata | None:
        """Leading metadata. On a client what came, once the response did; on a server what will be sent."""
        made = None if self._made is None else self._made._headers
        found: Metadata | MutableMetadata | None = made if self.context is None else self.context.headers
        return found

    @property
    def trailers(self) -> Metadata | MutableMetadata | None:
        """The trailing metadata, likewise; on a client None until the call is over."""
        made = None if self._made is None else self._made.trailers
        found: Metadata | MutableMetadata | None = made if self.context is None else self.context.trailers
        return found


Next: TypeAlias = Callable[[CallInfo], Awaitable[Any]]
"""Goes on with the call: gives its response, or an asynchronous iterator of them, and raises RpcError."""

Interceptor: TypeAlias = Callable[[CallInfo, Next], Awaitable[Any]]
"""Runs around calls of a channel, or around handlers of a server."""


_Result = TypeVar("_Result")


def only(
    methods: Sequence[str], interceptor: Callable[[CallInfo, Callable[[CallInfo], _Result]], _Result]
) -> Callable[[CallInfo, Callable[[CallInfo], _Result]], _Result]:
    """Has an interceptor run around calls of these methods alone; others pass it by.

    ::

        interceptors = [log, only(["/shop.v1.Orders/*", "/shop.v1.Stock/Set"], require_token)]

    Its place among the others is where it stands in the list, whatever they are for. The same in
    :mod:`spanwire.sync`.

    Args:
        methods: ``/package.Service/Method``, or all of a service, ``/package.Service/*``.
        interceptor: what runs around them.

    Raises:
        ValueError: one of the methods is not of these forms.
    """
    those = _native.Methods(methods)

    def scoped(call: CallInfo, next: Callable[[CallInfo], _Result]) -> _Result:
        return interceptor(call, next) if call.method.path in those else next(call)

    return scoped


def chain(interceptors: Sequence[Interceptor], innermost: Next) -> Next:
    """One function of all of them, the first one outermost."""
    for interceptor in reversed(interceptors):
        innermost = _around(interceptor, innermost)
    return innermost


def _around(interceptor: Interceptor, inner: Next) -> Next:
    return lambda call: interceptor(call, inner)


def around_handler(
    interceptors: Sequence[Interceptor], method: Method[Any, Any], handler: Callable[[Any, _native.Context], Any]
) -> Callable[[Any, _native.Context], Any]:
    """The handler with interceptors around it. They run in its task, so that it sees their context variables."""

    async def innermost(call: CallInfo) -> Any:
        assert call.context is not None
        handled = handler(call.request, call.context)
        return await handled if one_response else handled

    def info(request: Any, context: _native.Context) -> CallInfo:
        return CallInfo(method, request, context.metadata, context.time_remaining(), context=context)

    async def unary(request: Any, context: _native.Context) -> Any:
        return await run(info(request, context))

    async def stream(request: Any, context: _native.Context) -> AsyncIterator[Any]:
        async for response in await run(info(request, context)):
            yield response

    one_response = method.kind in (Kind.UNARY, Kind.CLIENT_STREAMING)
    run = chain(interceptors, innermost)
    return unary if one_response else stream
