"""The native module. Private: what is public is in :mod:`spanwire`."""

from asyncio import AbstractEventLoop
from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from os import PathLike
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, final, overload

from typing_extensions import disjoint_base

from . import call as calls
from .details import Detail
from .errors import MetadataLike
from .interceptor import Interceptor
from .metadata import MutableMetadata
from .method import BidiMethod, ClientStreamingMethod, ServerStreamingMethod, UnaryMethod
from .method import Method as PublicMethod
from .options import CallOptions, Certificate, ChannelOptions, Compression

__all__ = [
    "Bell",
    "BidiCall",
    "Channel",
    "ClientStreamingCall",
    "Context",
    "Feed",
    "Jwt",
    "Metadata",
    "Method",
    "Methods",
    "Queue",
    "Server",
    "ServerStreamingCall",
    "StreamCall",
    "SyncCall",
    "SyncChannel",
    "SyncContext",
    "SyncServer",
    "Tls",
    "TlsIdentity",
    "UnaryCall",
    "after_fork_in_child",
    "cli",
    "decode_details",
    "encode_details",
    "plugin",
    "set_log_level",
    "shutdown",
    "stop_log",
    "take_log_lines",
    "uncompressed",
]

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")
_Other = TypeVar("_Other")

@final
class Metadata(Mapping[str, str | bytes]):
    def __new__(cls, entries: MetadataLike | None = None, /) -> Metadata: ...
    def __getitem__(self, key: str, /) -> str | bytes: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def __eq__(self, value: object, /) -> bool: ...
    @overload
    def get(self, key: str, default: None = None, /) -> str | bytes | None: ...
    @overload
    def get(self, key: str, default: str | bytes | _Other, /) -> str | bytes | _Other: ...
    def get_all(self, key: str) -> list[str | bytes]: ...
    def pairs(self) -> list[tuple[str, str | bytes]]: ...

@final
class Tls:
    def __new__(
        cls,
        *,
        ca_pem: bytes | str | None = None,
        ca_file: str | PathLike[str] | None = None,
        certificate_pem: bytes | str | None = None,
        certificate_file: str | PathLike[str] | None = None,
        key_pem: bytes | str | None = None,
        key_file: str | PathLike[str] | None = None,
        system_roots: bool = False,
        server_name: str | None = None,
        danger_accept_any_certificate: bool = False,
        client_certificate_optional: bool = False,
        more_certificates: Sequence[Certificate] | None = None,
    ) -> Tls: ...

@final
class Jwt:
    """Which bearer tokens a server accepts."""

    def __new__(
        cls,
        *,
        issuers: Sequence[str],
        jwks_file: str | PathLike[str] | None = None,
        jwks_url: str | None = None,
        jwks_refresh_interval: float | None = None,
        jwks_ca_file: str | PathLike[str] | None = None,
        danger_jwks_over_plaintext: bool = False,
        audiences: Sequence[str] | None = None,
        algorithms: Sequence[str] | None = None,
        clock_skew: float | None = None,
        required_claims: Sequence[str] | None = None,
        unauthenticated_methods: Sequence[str] | None = None,
        danger_accept_plaintext: bool = False,
    ) -> Jwt: ...

@final
class Methods:
    def __new__(cls, methods: Sequence[str]) -> Methods: ...
    def __contains__(self, path: str, /) -> bool: ...

@final
class TlsIdentity:
    """Whom a client proved to be by a certificate."""

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The chain as the client sent it (DER), its own certificate first."""
    @property
    def dns_names(self) -> tuple[str, ...]:
        """The DNS names in its certificate."""
    @property
    def uris(self) -> tuple[str, ...]:
        """The URIs in its certificate."""
    @property
    def ip_addresses(self) -> tuple[str, ...]:
        """The IP addresses in its certificate."""
    @property
    def emails(self) -> tuple[str, ...]:
        """The mail addresses in its certificate."""
    @property
    def subject(self) -> str:
        """The subject in the form of RFC 4514, such as ``CN=ada,O=Shop``; empty if it has none."""
    @property
    def spiffe_id(self) -> str | None:
        """The SPIFFE ID, if the certificate is an X.509-SVID."""

@disjoint_base
class Method:
    def __new__(
        cls,
        path: str,
        kind: int,
        request: type[Any] | None = None,
        response: type[Any] | None = None,
    ) -> Self: ...
    @property
    def path(self) -> str: ...
    @property
    def _kind(self) -> int: ...
    @property
    def request(self) -> type[Any] | None: ...
    @property
    def response(self) -> type[Any] | None: ...

@disjoint_base
class Channel:
    def __new__(
        cls, target: str, *, interceptors: Iterable[Interceptor] | None = None, **options: Unpack[ChannelOptions]
    ) -> Self: ...
    @overload
    def call(
        self, method: UnaryMethod[_Request, _Response], request: _Request, **options: Unpack[CallOptions]
    ) -> calls.UnaryCall[_Response]:
        """Begins a call; the call object is that of the method's kind.

        Args:
            method: what to call.
            request: the request; for kinds with a stream of them any iterable, also an asynchronous one. None: they
                are sent by hand.
            **options: see :class:`spanwire.options.CallOptions`.

        Raises:
            TypeError: the request or an option has a wrong type.
            ValueError: an option or the metadata cannot be used; the text says which and why.
            RuntimeError: the channel is closed, or no event loop runs.
        """
    @overload
    def call(
        self, method: ServerStreamingMethod[_Request, _Response], request: _Request, **options: Unpack[CallOptions]
    ) -> calls.ServerStreamingCall[_Response]: ...
    @overload
    def call(
        self,
        method: ClientStreamingMethod[_Request, _Response],
        request: AsyncIterable[_Request] | Iterable[_Request] | None = None,
        **options: Unpack[CallOptions],
    ) -> calls.ClientStreamingCall[_Request, _Response]: ...
    @overload
    def call(
        self,
        method: BidiMethod[_Request, _Response],
        request: AsyncIterable[_Request] | Iterable[_Request] | None = None,
        **options: Unpack[CallOptions],
    ) -> calls.BidiCall[_Request, _Response]: ...
    def _call(self, method: Method, request: Any, **options: Unpack[CallOptions]) -> Any: ...
    @property
    def target(self) -> str:
        """What it was made with."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    def connect(self) -> None:
        """Connects now, instead of with the first call. Does not wait for it."""
    def _connectivity(self) -> int: ...
    def _connectivity_changed(self, method: Method, known: int, timeout: float | None) -> UnaryCall: ...
    def _close(self) -> None: ...

@final
class UnaryCall:
    def __await__(self) -> Generator[Any, Any, Any]: ...
    def cancel(self) -> None: ...
    def headers(self) -> Awaitable[Metadata]: ...
    @property
    def _headers(self) -> Metadata | None: ...
    @property
    def trailers(self) -> Metadata | None: ...
    @property
    def peer(self) -> str | None: ...
    @property
    def attempts(self) -> int: ...
    @property
    def compressed(self) -> bool: ...
    @property
    def done(self) -> bool: ...

@disjoint_base
class StreamCall:
    def cancel(self) -> None: ...
    def headers(self) -> Awaitable[Metadata]: ...
    @property
    def _headers(self) -> Metadata | None: ...
    @property
    def trailers(self) -> Metadata | None: ...
    @property
    def peer(self) -> str | None: ...
    @property
    def attempts(self) -> int: ...
    @property
    def compressed(self) -> bool: ...
    @property
    def done(self) -> bool: ...
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> Awaitable[None]: ...

@final
class ServerStreamingCall(StreamCall):
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[Any]: ...
    def receive(self) -> Awaitable[Any]: ...
    def receive_batch(self) -> Awaitable[list[Any]]: ...

@final
class ClientStreamingCall(StreamCall):
    def send(self, message: Any, /) -> Awaitable[None]: ...
    def done_sending(self) -> Awaitable[None]: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...

@final
class BidiCall(StreamCall):
    def send(self, message: Any, /) -> Awaitable[None]: ...
    def done_sending(self) -> Awaitable[None]: ...
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[Any]: ...
    def receive(self) -> Awaitable[Any]: ...
    def receive_batch(self) -> Awaitable[list[Any]]: ...

@final
class Feed:
    def send(self, message: Any) -> Awaitable[None] | None: ...
    def half_close(self) -> None: ...
    def fail(self, failure: BaseException) -> None: ...
    @property
    def done(self) -> bool: ...

@final
class Queue:
    def __new__(
        cls,
        waiter: Callable[[], Any],
        spawn: Callable[[Coroutine[Any, Any, Any]], Any],
        soon: Callable[[Callable[[], None]], object] | None = None,
        asyncio: AbstractEventLoop | None = None,
    ) -> Queue: ...
    @staticmethod
    def current() -> Queue: ...
    def waiter(self) -> Any: ...
    def post(self, callback: Callable[[], object]) -> None: ...
    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Any: ...
    def fileno(self) -> int: ...
    def drain(self) -> None: ...
    def flush(self) -> None: ...

@final
class Server:
    def __new__(cls, options: Mapping[str, Any] | None = None) -> Server: ...
    def add(
        self,
        method: Method,
        handler: Callable[[Any, Context], Any],
        start: Callable[[Coroutine[Any, Any, Any], str], object],
    ) -> None: ...
    def listen(self, address: str) -> None: ...
    @property
    def port(self) -> int | None: ...
    @property
    def target(self) -> str: ...
    def set_health(self, service: str, serving: bool) -> None: ...
    def shutdown(self, grace: float) -> Awaitable[None]: ...

@final
class Context:
    """What a handler knows of its call, and what it can do beside answering it."""

    @property
    def method(self) -> PublicMethod[Any, Any]:
        """The method that is called."""
    @property
    def metadata(self) -> Metadata:
        """What the client sent with the call."""
    @property
    def traceparent(self) -> str | None:
        """Where in a trace the call is, as W3C Trace Context writes it; ``None`` without telemetry."""
    @property
    def peer(self) -> str:
        """The client, such as ``ipv4:127.0.0.1:50000``."""
    @property
    def tls_identity(self) -> TlsIdentity | None:
        """Whom the client proved to be by a certificate; None if it did not."""
    @property
    def subject(self) -> str | None:
        """Who calls, as the token says (``sub``); None if it does not, or no token was asked for."""
    @property
    def claims(self) -> dict[str, Any] | None:
        """What the caller's token says; None if no token was asked for."""
    def time_remaining(self) -> float | None:
        """Seconds that the client still waits; None without a deadline."""
    @property
    def headers(self) -> MutableMetadata:
        """The leading metadata: to be set before the first answer."""
    @property
    def trailers(self) -> MutableMetadata:
        """The trailing metadata: to be set before the handler ends."""
    def set_compression(self, name: str) -> None:
        """Compresses the responses from here on, if the client can read that. Before the first one.

        Raises:
            ValueError: there is no encoding of this name.
        """
    def send_headers(self) -> Awaitable[None]:
        """Sends the leading metadata now, instead of with the first response.

        Raises:
            RuntimeError: they were sent before.
        """
    @property
    def compressed(self) -> bool:
        """Whether the last message that was received came compressed."""
    @property
    def cancelled(self) -> bool:
        """Whether the client is gone, or the deadline has passed."""

def set_log_level(level: int) -> None: ...
def take_log_lines() -> list[tuple[int, str]] | None: ...
def stop_log() -> None: ...
def cli(arguments: list[str]) -> tuple[int, str, str]: ...
def plugin(request: bytes) -> bytes: ...
def uncompressed(message: _Other) -> _Other: ...
def decode_details(status: bytes) -> tuple[Detail, ...]: ...
def encode_details(code: int, message: str, details: Iterable[Detail]) -> bytes: ...
def shutdown() -> None: ...
def after_fork_in_child() -> None: ...

@final
class Bell:
    def __new__(cls) -> Bell: ...
    def fileno(self) -> int: ...
    def take(self) -> list[int]: ...

@final
class SyncChannel:
    def __new__(cls, target: str, options: Mapping[str, Any] | None) -> SyncChannel: ...
    def unary(self, method: Method, request: Any, options: Mapping[str, Any] | None = None) -> Any: ...
    def call(
        self,
        method: Method,
        request: Any = None,
        options: Mapping[str, Any] | None = None,
        bell: Bell | None = None,
    ) -> SyncCall: ...
    def connectivity(self) -> int: ...
    def connect(self) -> None: ...
    def connectivity_changed(
        self, method: Method, known: int, timeout: float | None = None, bell: Bell | None = None
    ) -> SyncCall: ...
    def close(self) -> None: ...

@final
class SyncCall:
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
    def send(self, message: Any) -> bool: ...
    def half_close(self) -> None: ...
    def receive(self) -> Any: ...
    def result(self) -> Any: ...
    def headers(self) -> Metadata: ...
    def check(self) -> None: ...
    def cancel(self) -> None: ...

@final
class SyncContext:
    """What a handler knows of its call and sets for its answer.

    It may be used from any thread while the handler runs.
    """

    @property
    def method(self) -> PublicMethod[Any, Any]:
        """The method that is called."""

    @property
    def metadata(self) -> Metadata:
        """The request's metadata."""

    @property
    def traceparent(self) -> str | None:
        """Where in a trace the call is, as W3C Trace Context writes it; ``None`` without telemetry."""

    @property
    def peer(self) -> str:
        """The client's address."""

    @property
    def tls_identity(self) -> TlsIdentity | None:
        """Whom the client proved to be by a certificate; None if it did not."""

    @property
    def subject(self) -> str | None:
        """Who calls, as the token says (``sub``); None if it does not, or no token was asked for."""

    @property
    def claims(self) -> dict[str, Any] | None:
        """What the caller's token says; None if no token was asked for."""

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for an answer any more: the client is gone, or its deadline has passed."""

    @property
    def compressed(self) -> bool:
        """Whether the last message that was received came compressed."""

    @property
    def headers(self) -> MutableMetadata:
        """The leading metadata of the answer, to be set before its first message."""

    @property
    def trailers(self) -> MutableMetadata:
        """The trailing metadata of the answer, to be set before the handler returns."""

    def time_remaining(self) -> float | None:
        """Seconds that the client still waits; None if it has set no limit."""

    def set_compression(self, name: Compression) -> None:
        """Compresses the messages of the answer, if the client can read that."""

    def send_headers(self) -> None:
        """Sends the leading metadata now, instead of with the first message.

        Raises:
            RpcError: the client is gone.
            RuntimeError: they were sent before.
        """

    @property
    def _number(self) -> int: ...
    def _enter(self) -> None: ...
    def _receive(self) -> Any: ...
    def _send(self, message: Any) -> None: ...
    def _respond(self, response: Any) -> None: ...
    def _finish(self) -> None: ...
    def _fail(self, error: BaseException) -> None: ...

@final
class SyncServer:
    def __new__(
        cls, methods: list[Any], options: Mapping[str, Any] | None = None, bell: Bell | None = None
    ) -> SyncServer: ...
    @property
    def number(self) -> int: ...
    @property
    def port(self) -> int | None: ...
    @property
    def target(self) -> str: ...
    def listen(self, address: str) -> None: ...
    def set_health(self, service: str, serving: bool) -> None: ...
    def shutdown(self, grace: float | None = None) -> None: ...
    def wait(self) -> None: ...
    def release(self) -> None: ...
    def next_task(self) -> tuple[int, Any, SyncContext] | None: ...
