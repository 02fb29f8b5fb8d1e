"""What a client method returns: the call."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

from ..errors import RpcError
from ..method import Kind, Method

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ..metadata import Metadata
    from ._hub import Hub

Request = TypeVar("Request")
Response = TypeVar("Response")
T = TypeVar("T")
P = ParamSpec("P")


class Engine(Protocol):
    """What does the work of a call: the native one, or interceptors around it.

    An operation that would have to wait raises BlockingIOError under a hub.
    """

    @property
    def number(self) -> int: ...
    @property
    def trailers(self) -> Metadata | None: ...
    @property
    def peer(self) -> str | None: ...
    @property
    def attempts(self) -> int: ...
    @property
    def done(self) -> bool: ...
    @property
    def compressed(self) -> bool: ...
    def send(self, message: Any, /) -> bool: ...
    def half_close(self) -> None: ...
    def receive(self) -> Any: ...
    def result(self) -> Any: ...
    def headers(self) -> Metadata: ...
    def check(self) -> None: ...
    def cancel(self) -> None: ...


class Call:
    """A call that has begun. Letting it go cancels it, and so does leaving it as a context manager before it is over.

    It may be used from any thread; one may send while another receives.
    """

    __slots__ = ("__weakref__", "_engine", "_hub")

    def __init__(self, engine: Engine, hub: Hub | None) -> None:
        """Made by channels."""
        self._engine = engine
        self._hub = hub

    def cancel(self) -> None:
        """Ends the call with CANCELLED. One that is over stays as it is."""
        self._engine.cancel()

    def headers(self) -> Metadata:
        """The leading metadata of the response; waits for them. There are none if the call failed without any."""
        return self._wait(self._engine.headers)

    @property
    def trailers(self) -> Metadata | None:
        """The trailing metadata; None until the call is over."""
        return self._engine.trailers

    @property
    def peer(self) -> str | None:
        """The server that answered, once the call is over."""
        return self._engine.peer

    @property
    def attempts(self) -> int:
        """How many attempts the call took; 0 until it is over."""
        return self._engine.attempts

    @property
    def done(self) -> bool:
        """Whether the call is over. What it received before may still be there to be taken."""
        return self._engine.done

    @property
    def compressed(self) -> bool:
        """Whether the last message that was received came compressed."""
        return self._engine.compressed

    @property
    def _headers(self) -> Metadata:
        """For interceptors."""
        return self.headers()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._engine.cancel()

    def _wait(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return wait(self._engine, self._hub, operation, *args, **kwargs)


class UnaryCall(Call, Generic[Response]):
    """A call with one request and one response."""

    __slots__ = ()

    def result(self) -> Response:
        """Waits for the response.

        Raises:
            RpcError: the call failed.
        """
        response: Response = self._wait(self._engine.result)
        return response


class _Sending(Call, Generic[Request]):
    """The half of a call that sends a stream."""

    __slots__ = ()

    def send(self, message: Request) -> None:
        """Sends a message; waits while the connection does not take more.

        Raises:
            RpcError: the call has failed.
            RuntimeError: the server has ended the call with OK and takes no more, or :meth:`done_sending` was called.
        """
        if not self._send(message):
            self._engine.check()
            raise RuntimeError("the server has ended the call: it takes no more messages")

    def done_sending(self) -> None:
        """Says that no more messages follow. Further calls do nothing."""
        self._engine.half_close()

    def _send(self, message: Request) -> bool:
        if self._hub is None:
            return self._engine.send(message)
        return self._wait(self._engine.send, message)


class _Receiving(Call, Generic[Response]):
    """The half of a call that receives a stream."""

    __slots__ = ()

    def receive(self) -> Response | None:
        """Waits for the next message. None at the end.

        Raises:
            RpcError: the call failed.
        """
        if self._hub is not None:
            response: Response | None = self._wait(self._engine.receive)
            return response
        received: Response | None = self._engine.receive()
        return received

    def __iter__(self) -> Iterator[Response]:
        return self

    def __next__(self) -> Response:
        message = self.receive()
        if message is None:
            raise StopIteration
        return message


class ServerStreamingCall(_Receiving[Response]):
    """A call with one request and a stream of responses: an iterator of them."""

    __slots__ = ()


class ClientStreamingCall(_Sending[Request], Generic[Request, Response]):
    """A call with a stream of requests and one response."""

    __slots__ = ("_requests",)

    def __init__(self, engine: Engine, hub: Hub | None, requests: Iterable[Request] | None = None) -> None:
        """Made by channels."""
        super().__init__(engine, hub)
        self._requests = requests

    def result(self) -> Response:
        """Half-closes and waits for the response. Requests that the call was made with are sent first, on this thread.

        Raises:
            RpcError: the call failed.
        """
        requests, self._requests = self._requests, None
        send_all(self._engine, self._hub, requests or ())
        response: Response = self._wait(self._engine.result)
        return response


class BidiCall(_Sending[Request], _Receiving[Response], Generic[Request, Response]):
    """A call with a stream each way: an iterator of its responses.

    Requests that it was made with are sent by a thread of their own, in the caller's context.
    """

    __slots__ = ("_failure",)

    def __init__(self, engine: Engine, hub: Hub | None, requests: Iterable[Request] | None = None) -> None:
        """Made by channels."""
        super().__init__(engine, hub)
        self._failure: list[BaseException] = []
        if requests is not None:
            # It knows nothing of this object, which cancels the call when it is let go.
            start(hub, _pump, engine, hub, requests, self._failure)

    def __del__(self) -> None:
        self._engine.cancel()

    def receive(self) -> Response | None:
        """Waits for the next message. None at the end.

        Raises:
            RpcError: the call failed.
            Exception: what the requests that the call was made with have raised.
        """
        try:
            return super().receive()
        except RpcError as error:
            if self._failure:
                raise self._failure[0] from error
            raise


def wait(engine: Engine, hub: Hub | None, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """An operation of a call that may have to wait, by whatever waits here."""
    if hub is None:
        return operation(*args, **kwargs)
    while True:
        try:
            return operation(*args, **kwargs)
        except BlockingIOError:
            try:
                hub.wait(engine.number)
            except BaseException:
                # A greenlet that is killed or out of time wants nothing any more.
                engine.cancel()
                raise


def send_all(engine: Engine, hub: Hub | None, requests: Iterable[Any]) -> None:
    """Sends what there is, as long as the server takes it, and half-closes."""
    try:
        for request in requests:
            if not wait(engine, hub, engine.send, request):
                return
    except BaseException:
        engine.cancel()
        raise
    engine.half_close()


def _pump(engine: Engine, hub: Hub | None, requests: Iterable[Any], failure: list[BaseException]) -> None:
    try:
        send_all(engine, hub, requests)
    except BaseException as error:
        failure.append(error)


def start(hub: Hub | None, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Runs a function at the side, in a copy of the caller's context."""
    run = contextvars.copy_context().run
    if hub is not None:
        hub.spawn(lambda: run(function, *args, **kwargs))
        return
    # The process does not wait for it to end.
    threading.Thread(target=run, args=(function, *args), kwargs=kwargs, name="spanwire-requests", daemon=True).start()


def of_kind(method: Method[Any, Any], engine: Engine, hub: Hub | None, requests: Iterable[Any] | None) -> Call:
    """The call object of the method's kind."""
    match method._kind:
        case Kind.UNARY:
            return UnaryCall(engine, hub)
        case Kind.SERVER_STREAMING:
            return ServerStreamingCall(engine, hub)
        case Kind.CLIENT_STREAMING:
            return ClientStreamingCall(engine, hub, requests)
        case _:
            return BidiCall(engine, hub, requests)
