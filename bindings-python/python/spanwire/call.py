"""Calls, as clients hold them: what a method of a client returns.

A call begins when it is made, awaited or not, and is cancelled when its last reference is dropped. It belongs to the
event loop that it was made on. When a task that awaits something of a call is cancelled (``task.cancel()``,
``asyncio.timeout``), the call is, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

from . import _native
from ._native import Metadata

Request_contra = TypeVar("Request_contra", contravariant=True)
Response_co = TypeVar("Response_co", covariant=True)
Self = TypeVar("Self", bound="Call")


class Call(ABC):
    """What all calls have in common."""

    __slots__ = ()

    @abstractmethod
    def cancel(self) -> None:
        """Ends the call with CANCELLED. From any thread, at any time; a call that is over stays as it is."""

    @abstractmethod
    def headers(self) -> Awaitable[Metadata]:
        """The leading metadata, once they are there. Empty if the call ends without any."""

    @property
    @abstractmethod
    def trailers(self) -> Metadata | None:
        """The trailing metadata; None while the call runs."""

    @property
    @abstractmethod
    def peer(self) -> str | None:
        """The server that answered, such as ``ipv4:127.0.0.1:443``; None while the call runs, or if none did."""

    @property
    @abstractmethod
    def attempts(self) -> int:
        """How many attempts the call took; 0 while it runs."""

    @property
    @abstractmethod
    def compressed(self) -> bool:
        """Whether the last response that was taken came compressed."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether the call is over."""


class UnaryCall(Call, Generic[Response_co]):
    """One request, one response: ``response = await call``."""

    __slots__ = ()

    @abstractmethod
    def __await__(self) -> Generator[Any, Any, Response_co]:
        """The response.

        Raises:
            RpcError: the call failed.
        """


class _Streaming(Call):
    """What streaming calls have in common: leaving ``async with`` cancels a call that is not over."""

    __slots__ = ()

    @abstractmethod
    def __aenter__(self: Self) -> Awaitable[Self]: ...

    @abstractmethod
    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Awaitable[None]: ...


class _Receiving(_Streaming, AsyncIterator[Response_co]):
    """Calls with a stream of responses."""

    __slots__ = ()

    @abstractmethod
    def receive(self) -> Awaitable[Response_co | None]:
        """The next response; None when there are no more.

        Raises:
            RpcError: the call failed.
        """

    @abstractmethod
    def receive_batch(self) -> Awaitable[list[Response_co]]:
        """All responses that are there, at least one; empty when there are no more.

        Raises:
            RpcError: the call failed.
        """


class _Sending(_Streaming, Generic[Request_contra]):
    """Calls with a stream of requests."""

    __slots__ = ()

    @abstractmethod
    def send(self, request: Request_contra, /) -> Awaitable[None]:
        """Sends a request, and waits while there is no room for another one.

        Raises:
            RpcError: the call failed, or the request is larger than ``max_send_message_bytes``.
            RuntimeError: the server has answered, or no more was to be sent.
            TypeError: the request is not of the method's class.
        """

    @abstractmethod
    def done_sending(self) -> Awaitable[None]:
        """Says that no more requests follow."""


class ServerStreamingCall(_Receiving[Response_co]):
    """One request, any number of responses: ``async for response in call``."""

    __slots__ = ()


class ClientStreamingCall(_Sending[Request_contra], Generic[Request_contra, Response_co]):
    """Any number of requests, one response: ``await call.send(request)``, then ``response = await call``."""

    __slots__ = ()

    @abstractmethod
    def __await__(self) -> Generator[Any, Any, Response_co]:
        """Says that no more requests follow, and waits for the response.

        Raises:
            RpcError: the call failed.
        """


class BidiCall(_Sending[Request_contra], _Receiving[Response_co]):
    """Any number of messages each way: ``await call.send(request)`` and ``async for response in call``."""

    __slots__ = ()


UnaryCall.register(_native.UnaryCall)
ServerStreamingCall.register(_native.ServerStreamingCall)
ClientStreamingCall.register(_native.ClientStreamingCall)
BidiCall.register(_native.BidiCall)
