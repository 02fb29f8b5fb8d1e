"""Calls of channels with interceptors: what :mod:`spanwire.call` describes, around a task that runs them."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Generator, Sequence
from typing import TYPE_CHECKING, Any

from . import _native
from .call import BidiCall, ClientStreamingCall, ServerStreamingCall, UnaryCall
from .errors import Code, RpcError
from .interceptor import CallInfo, Interceptor, chain
from .metadata import Metadata, MutableMetadata
from .method import Kind, Method

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .call import Call
    from .options import CallOptions


def call(
    channel: _native.Channel,
    interceptors: Sequence[Interceptor],
    method: Method[Any, Any],
    request: Any,
    options: CallOptions,
) -> Call:
    """Begins a call that interceptors run around."""
    queue = _native.Queue.current()
    hand = None
    if method.kind in (Kind.CLIENT_STREAMING, Kind.BIDI):
        if request is None:
            hand = _Hand(queue)
        request = _iterate(request) if hand is None else hand.requests()
    rest = options.copy()
    metadata = MutableMetadata(rest.pop("metadata", None))
    info = CallInfo(method, request, metadata, rest.pop("timeout", None), rest)
    task = _Task(queue, channel, interceptors, info, hand)
    task.job = queue.spawn(task.run())
    made: Call = _KINDS[method.kind](task)
    return made


async def _iterate(requests: Any) -> AsyncIterator[Any]:
    if hasattr(requests, "__aiter__"):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request


class _Signal:
    """Something that happens once, and those who wait for it."""

    def __init__(self, queue: _native.Queue) -> None:
        self._queue = queue
        self._waiters: list[Any] = []
        self.happened = False

    def happen(self) -> None:
        self.happened = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not getattr(waiter, "done", bool)():
                waiter.set_result(None)

    async def wait(self) -> None:
        while not self.happened:
            waiter = self._queue.waiter()
            self._waiters.append(waiter)
            await waiter


class _Task:
    """The task of the interceptors, and what it came to. It does not hold the call that its caller holds."""

    def __init__(
        self,
        queue: _native.Queue,
        channel: _native.Channel,
        interceptors: Sequence[Interceptor],
        info: CallInfo,
        hand: _Hand | None,
    ) -> None:
        self.info = info
        self.hand = hand
        self.job: Any = None
        self.response: Any = None
        self.error: BaseException | None = None
        self.over = _Signal(queue)
        self.begun = _Signal(queue)
        self._channel = channel
        self._run = chain(interceptors, self._make)

    async def run(self) -> None:
        try:
            self.response = await self._run(self.info)
        except Exception as error:
            self.error = error
        except BaseException:
            self.error = RpcError(Code.CANCELLED, "the call was cancelled by its caller")
            raise
        finally:
            self.begun.happen()
            self.over.happen()
            # Else the call reads them.
            if self.hand is not None and self.info._made is None:
                self.hand.leave()

    async def _make(self, info: CallInfo) -> Any:
        """The call itself, within the interceptors."""
        options: CallOptions = {**info.options, "metadata": info.metadata.pairs(), "timeout": info.timeout}
        made = self._channel._call(info.method, info.request, **options)
        info._made = self.info._made = made
        self.begun.happen()
        return await made if info.kind in (Kind.UNARY, Kind.CLIENT_STREAMING) else made

    async def result(self) -> Any:
        await self.over.wait()
        if self.error is not None:
            raise self.error
        return self.response

    def cancel(self) -> None:
        if self.info._made is not None:
            self.info._made.cancel()
        if not self.over.happened:
            self.job.cancel()


class _Call:
    """What all kinds have in common."""

    __slots__ = ("__weakref__", "_task")

    def __init__(self, task: _Task) -> None:
        self._task = task

    def __del__(self) -> None:
        self._task.cancel()

    def cancel(self) -> None:
        self._task.cancel()

    async def headers(self) -> Metadata:
        await self._task.begun.wait()
        made = self._task.info._made
        return Metadata() if made is None else await made.headers()

    @property
    def trailers(self) -> Metadata | None:
        made: Call | None = self._task.info._made
        return None if made is None else made.trailers

    @property
    def peer(self) -> str | None:
        made: Call | None = self._task.info._made
        return None if made is None else made.peer

    @property
    def attempts(self) -> int:
        made: Call | None = self._task.info._made
        return 0 if made is None else made.attempts

    @property
    def done(self) -> bool:
        made: Call | None = self._task.info._made
        return self._task.over.happened and (made is None or made.done)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._task.cancel()

    async def _result(self) -> Any:
        try:
            return await self._task.result()
        except Exception:
            raise
        except BaseException:
            # Whoever waited does not want it any more.
            self._task.cancel()
            raise


class _Receiving(_Call):
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        responses = await self._result()
        return await anext(responses)

    async def receive(self) -> Any:
        responses = await self._result()
        return await anext(responses, None)

    async def receive_batch(self) -> list[Any]:
        """One at a time: interceptors see each message."""
        responses = await self._result()
        return [response async for response in _first(responses)]


async def _first(responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for response in responses:
        yield response
        return


class _Sending(_Call):
    async def send(self, request: Any, /) -> None:
        if not await self._by_hand().put(request):
            if self._task.error is not None:
                raise self._task.error
            raise RuntimeError("the call is over")

    async def done_sending(self) -> None:
        self._by_hand().end()

    def _by_hand(self) -> _Hand:
        if self._task.hand is None:
            raise RuntimeError("an iterable gives this call's requests: none can be sent by hand")
        return self._task.hand


class _Unary(_Call):
    def __await__(self) -> Generator[Any, Any, Any]:
        return self._result().__await__()


class _ServerStreaming(_Receiving):
    pass


class _ClientStreaming(_Sending):
    def __await__(self) -> Generator[Any, Any, Any]:
        if self._task.hand is not None:
            self._task.hand.end()
        return self._result().__await__()


class _Bidi(_Sending, _Receiving):
    pass


_KINDS: dict[Kind, type[Any]] = {
    Kind.UNARY: _Unary,
    Kind.SERVER_STREAMING: _ServerStreaming,
    Kind.CLIENT_STREAMING: _ClientStreaming,
    Kind.BIDI: _Bidi,
}
UnaryCall.register(_Unary)
ServerStreamingCall.register(_ServerStreaming)
ClientStreamingCall.register(_ClientStreaming)
BidiCall.register(_Bidi)


class _Hand:
    """Requests that are sent by hand, on their way to the interceptors. It holds one at a time."""

    def __init__(self, queue: _native.Queue) -> None:
        self._queue = queue
        self._requests: deque[Any] = deque()
        self._changed = _Signal(queue)
        # How many were given, and taken.
        self._given = 0
        self._taken = 0
        # No more are sent; no more are taken.
        self._ended = False
        self._left = False

    def _change(self) -> None:
        changed, self._changed = self._changed, _Signal(self._queue)
        changed.happen()

    async def put(self, request: Any) -> bool:
        """Waits until the request is taken. False: nobody takes any more."""
        if self._ended:
            raise RuntimeError("the call is half-closed: no message can follow the last one")
        self._requests.append(request)
        self._given += 1
        mine = self._given
        self._change()
        while self._taken < mine and not self._left:
            await self._changed.wait()
        return self._taken >= mine

    def end(self) -> None:
        self._ended = True
        self._change()

    def leave(self) -> None:
        self._left = True
        self._change()

    async def requests(self) -> AsyncIterator[Any]:
        try:
            while self._requests or not self._ended:
                if self._requests:
                    # Taken when the next one is asked for: whoever sends is one message ahead at most.
                    yield self._requests[0]
                    self._requests.popleft()
                    self._taken += 1
                    self._change()
                else:
                    await self._changed.wait()
        finally:
            self.leave()
