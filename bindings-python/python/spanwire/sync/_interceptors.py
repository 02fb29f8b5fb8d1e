"""Interceptors: ``def f(call, next)``, one shape for both sides and all kinds."""

from __future__ import annotations

import concurrent.futures
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import Code, RpcError
from ..interceptor import CallInfo, chain
from ..metadata import Metadata, MutableMetadata
from ..method import Kind, Method
from ._calls import Call, of_kind, send_all, start, wait

if TYPE_CHECKING:
    from .. import _native
    from ..options import CallOptions
    from ._hub import Hub


Next: TypeAlias = Callable[[CallInfo], Any]
"""Goes on with the call: gives its response, or an iterator of them, and raises RpcError."""

ClientInterceptor: TypeAlias = Callable[[CallInfo, Next], Any]
"""Runs around calls of a channel: ``def f(call, next)`` returns what ``next(call)`` does, or something else."""

ServerInterceptor: TypeAlias = Callable[[CallInfo, Next], Any]
"""Runs around handlers of a server, likewise. Context variables that it sets are seen by the handler."""


def begin(
    channel: _native.SyncChannel,
    hub: Hub | None,
    interceptors: Sequence[ClientInterceptor],
    method: Method[Any, Any],
    request: Any,
    options: CallOptions,
) -> Call:
    """Begins a call that interceptors run around."""
    handoff = None
    if method._kind >= Kind.CLIENT_STREAMING:
        if request is None:
            request = handoff = _Handoff()
        else:
            request = iter(request)
    rest = options.copy()
    metadata = MutableMetadata(rest.pop("metadata", None))
    call = CallInfo(method, request, metadata, rest.pop("timeout", None), rest)

    def innermost(call: CallInfo) -> Any:
        return _make(channel, hub, call, engine)

    engine = _Intercepted(chain(interceptors, innermost), call, handoff)
    if method._kind in (Kind.SERVER_STREAMING, Kind.BIDI):
        engine.run()
    elif handoff is not None:
        # Its requests come from the caller while the interceptors wait for the response.
        start(hub, engine.run)
    return of_kind(method, engine, hub, None)


def _make(channel: _native.SyncChannel, hub: Hub | None, call: CallInfo, outer: _Intercepted) -> Any:
    """The call itself, within its interceptors."""
    options: CallOptions = {**call.options, "timeout": call.timeout, "metadata": call.metadata}
    bell = None if hub is None else hub.bell
    kind = call.method._kind
    one_request = kind < Kind.CLIENT_STREAMING
    engine = channel.call(call.method, call.request if one_request else None, options, bell)
    call._made = Call(engine, hub)
    outer.began(call._made)
    if kind == Kind.CLIENT_STREAMING:
        send_all(engine, hub, call.request)
    if kind in (Kind.UNARY, Kind.CLIENT_STREAMING):
        return wait(engine, hub, engine.result)
    return of_kind(call.method, engine, hub, None if one_request else call.request)


class _Intercepted:
    """A call with interceptors around it, in the place of one without.

    Unary calls, and streams of requests that are there already, run in the thread that waits for the response.
    """

    number = 0

    def __init__(self, run: Next, call: CallInfo, handoff: _Handoff | None) -> None:
        self._run: Next | None = run
        self._call = call
        self._handoff = handoff
        self._response: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._inner: Call | None = None
        self._cancelled = False
        self._lock = threading.Lock()

    def run(self) -> None:
        """Runs the interceptors, once."""
        with self._lock:
            run, self._run = self._run, None
        if run is None:
            return
        try:
            if self._cancelled:
                raise RpcError(Code.CANCELLED, "the call was cancelled by its caller")
            self._response.set_result(run(self._call))
        except Exception as error:
            self._response.set_exception(error)
        except BaseException as error:
            self._response.set_exception(error)
            self.cancel()
            raise
        finally:
            if self._handoff is not None and self._call.kind == Kind.CLIENT_STREAMING:
                self._handoff.end()

    def began(self, call: Call) -> None:
        """The call itself has begun."""
        self._inner = call
        if self._cancelled:
            call.cancel()

    def result(self) -> Any:
        self.run()
        try:
            return self._response.result()
        except RpcError:
            raise
        except BaseException:
            self.cancel()
            raise

    def receive(self) -> Any:
        responses: Iterator[Any] = self._response.result()
        return next(responses, None)

    def send(self, message: Any, /) -> bool:
        if self._handoff is None:
            raise RuntimeError("the call was made with its requests")
        if self._inner is not None and self._inner.done:
            return False
        return self._handoff.put(message)

    def half_close(self) -> None:
        if self._handoff is not None:
            self._handoff.end()

    def headers(self) -> Metadata:
        if self._call.kind == Kind.UNARY:
            self.run()
        if self._inner is None:
            self._response.result()
        return Metadata() if self._inner is None else self._inner.headers()

    def check(self) -> None:
        if self._inner is not None:
            self._inner._engine.check()

    def cancel(self) -> None:
        self._cancelled = True
        if self._handoff is not None:
            self._handoff.end()
        if self._inner is not None:
            self._inner.cancel()

    @property
    def trailers(self) -> Metadata | None:
        return None if self._inner is None else self._inner.trailers

    @property
    def peer(self) -> str | None:
        return None if self._inner is None else self._inner.peer

    @property
    def attempts(self) -> int:
        return 0 if self._inner is None else self._inner.attempts

    @property
    def done(self) -> bool:
        return self._response.done() and (self._inner is None or self._inner.done)

    @property
    def compressed(self) -> bool:
        return self._inner is not None and self._inner.compressed


class _Handoff(Iterable[Any]):
    """Requests from one thread to another, one at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: deque[Any] = deque()
        self._ended = False

    def put(self, message: Any) -> bool:
        """Waits until the one before was taken. False: nobody takes more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._messages or self._ended)
            if self._ended:
                return False
            self._messages.append(message)
            self._changed.notify_all()
            return True

    def end(self) -> None:
        """No more follow."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._messages or self._ended)
            if not self._messages:
                raise StopIteration
            message = self._messages.popleft()
            self._changed.notify_all()
            return message
