"""Status codes, and the one exception that says how a call failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

from . import _native
from ._native import Metadata

if TYPE_CHECKING:
    from .details import Detail

# Pairs are no mere `Iterable`: a dict is one, too, and type checkers would not know which of the two it is meant to be.
MetadataLike: TypeAlias = (
    Mapping[str, str | bytes | list[str] | list[bytes]]
    | Sequence[tuple[str, str | bytes]]
    | Iterator[tuple[str, str | bytes]]
)
"""What is taken as metadata: a mapping, or pairs. Names that end in ``-bin`` take ``bytes``, others ``str``."""

Sent: TypeAlias = Literal["not_sent", "maybe_sent", "answered"]
"""Whether a request can have had an effect: it never left, nobody can tell, or the server answered."""


class Code(IntEnum):
    """How a call ended: the codes of gRPC, with their numbers on the wire."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """A call that did not succeed.

    Clients get it from calls; handlers and interceptors raise it to answer with a status::

        raise RpcError(Code.NOT_FOUND, "no order 7", details=[ResourceInfo(resource_name="7")])
    """

    code: Code
    """Why it failed."""
    message: str
    """A text for people."""
    trailing_metadata: Metadata
    """What the server sent, or a handler sends, behind the status."""
    peer: str | None
    """The server that answered, such as ``ipv4:127.0.0.1:443``; None if none did."""
    attempts: int
    """How many attempts the call took."""
    sent: Sent
    """Whether the request can have had an effect."""

    def __init__(
        self,
        code: Code | int,
        message: str = "",
        *,
        details: Iterable[Detail] = (),
        trailing_metadata: MetadataLike | None = None,
    ) -> None:
        """A status to answer a call with.

        Args:
            code: why; not OK.
            message: a text for people. It goes to the client.
            details: dataclasses of :mod:`spanwire.details`, or messages of protobuf.
            trailing_metadata: to send behind the status.
        """
        self.code = Code(code)
        self.message = message
        self.trailing_metadata = (
            trailing_metadata if isinstance(trailing_metadata, Metadata) else Metadata(trailing_metadata)
        )
        self.peer = None
        self.attempts = 1
        self.sent = "maybe_sent"
        self._raw_details: bytes | None = None
        self._details: tuple[Detail, ...] | None = tuple(details)
        super().__init__(self.code, message)

    @classmethod
    def _received(
        cls,
        code: int,
        message: str,
        details: bytes,
        metadata: Metadata,
        peer: str | None,
        attempts: int,
        sent: Sent,
    ) -> RpcError:
        """The error of a call that ended so; the details stay unread until someone asks."""
        error = cls(code, message, trailing_metadata=metadata)
        error._raw_details = details
        error._details = None if details else ()
        error.peer, error.attempts, error.sent = peer, attempts, sent
        return error

    @property
    def details(self) -> tuple[Detail, ...]:
        """What the server said in a form for programs: dataclasses of :mod:`spanwire.details`, in its order."""
        if self._details is None:
            self._details = _native.decode_details(self._raw_details or b"")
        return self._details

    def _encoded_details(self) -> bytes:
        """The bytes of a ``google.rpc.Status``. A received error is passed on to the letter."""
        if self._raw_details is None:
            self._raw_details = _native.encode_details(self.code, self.message, self.details)
        return self._raw_details

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}" if self.message else self.code.name

    def __reduce__(self) -> tuple[object, ...]:
        arguments = (
            int(self.code),
            self.message,
            self._encoded_details(),
            self.trailing_metadata,
            self.peer,
            self.attempts,
            self.sent,
        )
        return (type(self)._received, arguments)
