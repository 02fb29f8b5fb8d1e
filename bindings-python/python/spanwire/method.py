"""What a method of a service is: its path, its kind, and the classes of its messages."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, overload

from . import _native

Request_contra = TypeVar("Request_contra", contravariant=True)
Response_co = TypeVar("Response_co", covariant=True)
MessageT = TypeVar("MessageT", bound="Message")
OtherT = TypeVar("OtherT", bound="Message")
AnyT = TypeVar("AnyT")


Bytes: TypeAlias = bytes | bytearray | memoryview
"""What can be sent as a message as it is."""


class Message(Protocol):
    """What a class of messages has to offer; those of protobuf do."""

    def SerializeToString(self) -> bytes:
        """The message as bytes."""
        ...

    # Not assignable, as a plain attribute would be: protobuf has a class method, others may have a static one.
    @property
    def FromString(self) -> Callable[[bytes], Any]:
        """Makes a message out of bytes; of the class, not of a message."""
        ...


def uncompressed(message: AnyT) -> AnyT:
    """Marks a message that is to go out as it is, on a call that compresses.

    It may stand wherever a message to send may: as a request, in an iterable of requests, in ``send``, and as what a
    handler returns or yields. What comes back is good for nothing else.
    """
    return _native.uncompressed(message)


class Kind(IntEnum):
    """The four kinds of methods."""

    UNARY = 0
    """One request, one response."""
    SERVER_STREAMING = 1
    """One request, any number of responses."""
    CLIENT_STREAMING = 2
    """Any number of requests, one response."""
    BIDI = 3
    """Any number of messages each way, independently."""


class Method(_native.Method, Generic[Request_contra, Response_co]):
    """One method of a service. Immutable; made once, by generated code as a rule::

        GET = Method.unary("/shop.Orders/Get", GetOrder, Order)

    Without classes, messages are ``bytes``.
    """

    __slots__ = ()

    @property
    def kind(self) -> Kind:
        """Which of the four kinds it is."""
        return Kind(self._kind)

    @overload
    @staticmethod
    def unary(path: str) -> UnaryMethod[Bytes, bytes]: ...
    @overload
    @staticmethod
    def unary(path: str, request: type[MessageT], response: type[OtherT]) -> UnaryMethod[MessageT, OtherT]: ...
    @staticmethod
    def unary(path: str, request: Any = None, response: Any = None) -> UnaryMethod[Any, Any]:
        """A method with one request and one response.

        Args:
            path: ``/package.Service/Method``.
            request: the class of the request; None for bytes.
            response: the class of the response; None for bytes.

        Raises:
            ValueError: the path has another form.
            TypeError: a class has not what :class:`Message` asks for.
        """
        return UnaryMethod(path, Kind.UNARY, request, response)

    @overload
    @staticmethod
    def server_streaming(path: str) -> ServerStreamingMethod[Bytes, bytes]: ...
    @overload
    @staticmethod
    def server_streaming(
        path: str, request: type[MessageT], response: type[OtherT]
    ) -> ServerStreamingMethod[MessageT, OtherT]: ...
    @staticmethod
    def server_streaming(path: str, request: Any = None, response: Any = None) -> ServerStreamingMethod[Any, Any]:
        """A method with one request and any number of responses; else as :meth:`unary`."""
        return ServerStreamingMethod(path, Kind.SERVER_STREAMING, request, response)

    @overload
    @staticmethod
    def client_streaming(path: str) -> ClientStreamingMethod[Bytes, bytes]: ...
    @overload
    @staticmethod
    def client_streaming(
        path: str, request: type[MessageT], response: type[OtherT]
    ) -> ClientStreamingMethod[MessageT, OtherT]: ...
    @staticmethod
    def client_streaming(path: str, request: Any = None, response: Any = None) -> ClientStreamingMethod[Any, Any]:
        """A method with any number of requests and one response; else as :meth:`unary`."""
        return ClientStreamingMethod(path, Kind.CLIENT_STREAMING, request, response)

    @overload
    @staticmethod
    def bidi(path: str) -> BidiMethod[Bytes, bytes]: ...
    @overload
    @staticmethod
    def bidi(path: str, request: type[MessageT], response: type[OtherT]) -> BidiMethod[MessageT, OtherT]: ...
    @staticmethod
    def bidi(path: str, request: Any = None, response: Any = None) -> BidiMethod[Any, Any]:
        """A method with any number of messages each way; else as :meth:`unary`."""
        return BidiMethod(path, Kind.BIDI, request, response)


class UnaryMethod(Method[Request_contra, Response_co]):
    """A method with one request and one response."""

    __slots__ = ()


class ServerStreamingMethod(Method[Request_contra, Response_co]):
    """A method with one request and any number of responses."""

    __slots__ = ()


class ClientStreamingMethod(Method[Request_contra, Response_co]):
    """A method with any number of requests and one response."""

    __slots__ = ()


class BidiMethod(Method[Request_contra, Response_co]):
    """A method with any number of messages each way."""

    __slots__ = ()
