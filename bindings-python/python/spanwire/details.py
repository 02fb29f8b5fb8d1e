"""What a status can say to programs: the messages of ``google/rpc/error_details.proto``, as dataclasses.

A server puts them into an :class:`spanwire.RpcError`, a client finds them in its ``details``. Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias


@dataclass(frozen=True)
class RetryInfo:
    """When to try again."""

    retry_delay: float = 0.0
    """Seconds to wait at least."""


@dataclass(frozen=True)
class DebugInfo:
    """For those who debug the server."""

    stack_entries: tuple[str, ...] = ()
    """The stack, outermost last."""
    detail: str = ""
    """What else the server knows."""


@dataclass(frozen=True)
class QuotaViolation:
    """One quota that was exceeded."""

    subject: str = ""
    """Whose quota: ``clientip:…`` or ``project:…``."""
    description: str = ""
    """What was exceeded, and how to go on."""


@dataclass(frozen=True)
class QuotaFailure:
    """Which quotas were exceeded."""

    violations: tuple[QuotaViolation, ...] = ()
    """Each of them."""


@dataclass(frozen=True)
class ErrorInfo:
    """The cause, in a form that programs can compare."""

    reason: str = ""
    """Such as ``API_DISABLED``; unique within the domain."""
    domain: str = ""
    """Who defines the reason, such as ``pubsub.example.com``."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """More about this error."""


@dataclass(frozen=True)
class PreconditionViolation:
    """One precondition that does not hold."""

    type: str = ""
    """Its kind, such as ``TOS``."""
    subject: str = ""
    """What it is about."""
    description: str = ""
    """How to make it hold."""


@dataclass(frozen=True)
class PreconditionFailure:
    """Which preconditions do not hold."""

    violations: tuple[PreconditionViolation, ...] = ()
    """Each of them."""


@dataclass(frozen=True)
class FieldViolation:
    """One field that is wrong."""

    field: str = ""
    """Its path in the request, such as ``address.zip``."""
    description: str = ""
    """Why it is wrong."""


@dataclass(frozen=True)
class BadRequest:
    """What is wrong with the request."""

    field_violations: tuple[FieldViolation, ...] = ()
    """Each field that is."""


@dataclass(frozen=True)
class RequestInfo:
    """How to find the request in the server's logs."""

    request_id: str = ""
    """What the server calls it."""
    serving_data: str = ""
    """More, for the server's authors."""


@dataclass(frozen=True)
class ResourceInfo:
    """What could not be accessed."""

    resource_type: str = ""
    """Such as ``sql table``."""
    resource_name: str = ""
    """Its name."""
    owner: str = ""
    """Whose it is."""
    description: str = ""
    """What happened."""


@dataclass(frozen=True)
class Link:
    """Where to read on."""

    description: str = ""
    """What is to be found there."""
    url: str = ""
    """Where it is."""


@dataclass(frozen=True)
class Help:
    """Where to get help."""

    links: tuple[Link, ...] = ()
    """Pages."""


@dataclass(frozen=True)
class LocalizedMessage:
    """The message, in a language for its reader."""

    locale: str = ""
    """The language, as BCP 47 has it."""
    message: str = ""
    """The text."""


@dataclass(frozen=True)
class Unknown:
    """A detail of a type that is not among these, as it came."""

    type_url: str
    """What it is, such as ``type.googleapis.com/shop.Outage``."""
    value: bytes
    """The message."""


class ProtobufMessage(Protocol):
    """A message of protobuf: a server may send any as a detail."""

    @property
    def DESCRIPTOR(self) -> object:
        """Says what it is called."""
        ...

    def SerializeToString(self) -> bytes:
        """The message as bytes."""
        ...


Detail: TypeAlias = (
    RetryInfo
    | DebugInfo
    | QuotaFailure
    | ErrorInfo
    | PreconditionFailure
    | BadRequest
    | RequestInfo
    | ResourceInfo
    | Help
    | LocalizedMessage
    | Unknown
    | ProtobufMessage
)
"""What may stand among the details."""
