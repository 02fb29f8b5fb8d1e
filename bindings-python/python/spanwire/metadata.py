"""Metadata of calls: :class:`Metadata`, an immutable mapping."""

from collections.abc import Mapping

from ._native import Metadata

# Made natively, converted when looked at; a mapping by all it does.
Mapping.register(Metadata)

__all__ = ["Metadata"]
