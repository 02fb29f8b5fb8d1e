"""Channels and clients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .. import _native
from ..connectivity import CHANGED, Connectivity
from ..method import (
    BidiMethod,
    ClientStreamingMethod,
    Kind,
    Method,
    ServerStreamingMethod,
    UnaryMethod,
)
from . import _hub
from ._calls import BidiCall, Call, ClientStreamingCall, ServerStreamingCall, UnaryCall, of_kind
from ._interceptors import ClientInterceptor, begin

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, Unpack

    from ..options import CallOptions, ChannelOptions

Request = TypeVar("Request")
Response = TypeVar("Response")


class Channel:
    """A connection to a server, made when it is first needed and whenever it is lost.

    One is enough for a program and for all of its threads. In the child of a fork it connects anew; calls that began
    before stay with the parent.
    """

    def __init__(
        self,
        target: str,
        *,
        interceptors: Sequence[ClientInterceptor] = (),
        gevent: bool | None = None,
        **options: Unpack[ChannelOptions],
    ) -> None:
        """A channel; nothing is connected yet.

        Args:
            target: ``dns:///host:port``, ``host:port``, ``unix:/path``, ``inprocess:name``.
            interceptors: run around every call, the first one outermost.
            gevent: whether calls wait by gevent's hub; None: if gevent has patched ``threading``.
            **options: see :class:`spanwire.ChannelOptions`.

        Raises:
            ValueError, TypeError: a target, an option or a certificate that cannot be used.
        """
        self._native = _native.SyncChannel(target, options)
        self._interceptors = tuple(interceptors)
        self._greenlets = _hub.find(gevent) is not None
        self._direct = not self._interceptors and not self._greenlets

    def unary(
        self,
        method: UnaryMethod[Request, Response],
        request: Request,
        **options: Unpack[CallOptions],
    ) -> Response:
        """Makes a unary call and waits for the response. Cheaper than :meth:`call`.

        Raises:
            RpcError: the call failed.
            TypeError, ValueError: a request or an option that cannot be used.
        """
        if self._direct:
            response: Response = self._native.unary(method, request, options)
            return response
        return self.call(method, request, **options).result()

    @overload
    def client_streaming(
        self,
        method: ClientStreamingMethod[Request, Response],
        requests: Iterable[Request],
        **options: Unpack[CallOptions],
    ) -> Response: ...
    @overload
    def client_streaming(
        self,
        method: ClientStreamingMethod[Request, Response],
        requests: None,
        **options: Unpack[CallOptions],
    ) -> ClientStreamingCall[Request, Response]: ...
    def client_streaming(
        self,
        method: ClientStreamingMethod[Request, Response],
        requests: Iterable[Request] | None,
        **options: Unpack[CallOptions],
    ) -> Response | ClientStreamingCall[Request, Response]:
        """Sends the requests and waits for the response; without requests it is the call, to send them by hand.

        Raises:
            RpcError: the call failed.
            TypeError, ValueError: a request or an option that cannot be used.
        """
        call = self.call(method, requests, **options)
        return call if requests is None else call.result()

    @overload
    def call(
        self,
        method: UnaryMethod[Request, Response],
        request: Request,
        **options: Unpack[CallOptions],
    ) -> UnaryCall[Response]: ...
    @overload
    def call(
        self,
        method: ServerStreamingMethod[Request, Response],
        request: Request,
        **options: Unpack[CallOptions],
    ) -> ServerStreamingCall[Response]: ...
    @overload
    def call(
        self,
        method: ClientStreamingMethod[Request, Response],
        request: Iterable[Request] | None = None,
        **options: Unpack[CallOptions],
    ) -> ClientStreamingCall[Request, Response]: ...
    @overload
    def call(
        self,
        method: BidiMethod[Request, Response],
        request: Iterable[Request] | None = None,
        **options: Unpack[CallOptions],
    ) -> BidiCall[Request, Response]: ...
    def call(self, method: Method[Any, Any], request: Any = None, **options: Unpack[CallOptions]) -> Call:
        """Begins a call of any kind, and gives the call object of the method's kind.

        Args:
            method: what to call.
            request: the request; of kinds with a stream of them an iterable, or None to send by hand.
            **options: see :class:`spanwire.CallOptions`.

        Raises:
            TypeError, ValueError: a request or an option that cannot be used.
        """
        hub = _hub.find(True) if self._greenlets else None
        bell = None if hub is None else hub.bell
        if self._interceptors:
            return begin(self._native, hub, self._interceptors, method, request, options)
        if method._kind < Kind.CLIENT_STREAMING:
            return of_kind(method, self._native.call(method, request, options, bell), hub, None)
        return of_kind(method, self._native.call(method, None, options, bell), hub, request)

    @property
    def connectivity(self) -> Connectivity:
        """The state of the connections."""
        return Connectivity(self._native.connectivity())

    def connect(self) -> None:
        """Connects now, instead of with the first call. Does not wait for it."""
        self._native.connect()

    def connectivity_changed(self, known: Connectivity, *, timeout: float | None = None) -> Connectivity:
        """Waits until the state of the connections is another than `known`, and gives it.

        States that last only a moment may be missed.

        Raises:
            RpcError: DEADLINE_EXCEEDED when the timeout (seconds) is over, CANCELLED when the channel is closed.
        """
        hub = _hub.find(True) if self._greenlets else None
        bell = None if hub is None else hub.bell
        engine = self._native.connectivity_changed(CHANGED, known, timeout, bell)
        call: UnaryCall[bytes] = UnaryCall(engine, hub)
        return Connectivity(call.result()[0])

    def close(self) -> None:
        """Makes no more calls, and lets the connection go when those that run are over."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Client:
    """What generated clients are: methods over a channel."""

    def __init__(self, channel: Channel) -> None:
        """A client that calls through this channel; it may share it with others."""
        self._channel = channel
