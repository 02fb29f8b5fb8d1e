"""Metadata of calls: what came (:class:`Metadata`), and what is to be sent (:class:`MutableMetadata`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from ._native import Metadata

if TYPE_CHECKING:
    from .errors import MetadataLike

# Made natively, converted when looked at; a mapping by all it does. Not all type checkers know that mappings are ABCs.
_mapping: Any = Mapping
_mapping.register(Metadata)

__all__ = ["Metadata", "MutableMetadata"]


class MutableMetadata(MutableMapping[str, str | bytes]):
    """Metadata to be set. As a mapping it shows the first value of each name; :meth:`append` adds further ones.

    Names are lower case; those that end in ``-bin`` have ``bytes``, others ``str``. What cannot be sent is refused at
    once, with ValueError or TypeError.
    """

    __slots__ = ("_pairs",)

    def __init__(self, entries: MetadataLike | None = None) -> None:
        """Metadata that begin with these."""
        self._pairs = [] if entries is None else Metadata(entries).pairs()

    def append(self, key: str, value: str | bytes) -> None:
        """Adds a value beside those that the name has."""
        self._pairs += Metadata([(key, value)]).pairs()

    def get_all(self, key: str) -> list[str | bytes]:
        """Every value of a name, in the order in which they were added."""
        key = key.lower()
        return [value for name, value in self._pairs if name == key]

    def pairs(self) -> list[tuple[str, str | bytes]]:
        """Every value with its name."""
        return list(self._pairs)

    def __getitem__(self, key: str) -> str | bytes:
        for value in self.get_all(key):
            return value
        raise KeyError(key)

    def __setitem__(self, key: str, value: str | bytes) -> None:
        added = Metadata([(key, value)]).pairs()
        key = key.lower()
        self._pairs = [pair for pair in self._pairs if pair[0] != key] + added

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        key = key.lower()
        self._pairs = [pair for pair in self._pairs if pair[0] != key]

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._pairs))

    def __len__(self) -> int:
        return len(dict(self._pairs))

    def __repr__(self) -> str:
        # Shows no value that authenticates the caller.
        return f"MutableMetadata({Metadata(self._pairs)!r})"
