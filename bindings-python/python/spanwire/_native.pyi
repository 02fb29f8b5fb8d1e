"""The native module. Private: what is public is in :mod:`spanwire`."""

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from typing import Any, TypeVar, final

from .details import Detail
from .errors import MetadataLike

T = TypeVar("T")

@final
class Metadata(Mapping[str, str | bytes]):
    def __new__(cls, entries: MetadataLike | None = None, /) -> Metadata: ...
    def __getitem__(self, key: str, /) -> str | bytes: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def __eq__(self, value: object, /) -> bool: ...
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
    ) -> Tls: ...

class Method:
    def __new__(
        cls,
        path: str,
        kind: int,
        request: type[Any] | None = None,
        response: type[Any] | None = None,
    ) -> Method: ...
    @property
    def path(self) -> str: ...
    @property
    def _kind(self) -> int: ...
    @property
    def request(self) -> type[Any] | None: ...
    @property
    def response(self) -> type[Any] | None: ...

def decode_details(status: bytes) -> tuple[Detail, ...]: ...
def encode_details(code: int, message: str, details: Iterable[Detail]) -> bytes: ...
def shutdown() -> None: ...
def after_fork_in_child() -> None: ...
