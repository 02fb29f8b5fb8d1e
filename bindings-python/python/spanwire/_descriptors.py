"""What reflection is told of services: the files of their descriptors, and all that those import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .method import Method


def described(options: Mapping[str, Any], methods: Iterable[Method[Any, Any]]) -> dict[str, Any]:
    """The options of a server with the descriptors that ``reflection`` asks for."""
    options = dict(options)
    if isinstance(options.get("reflection"), bool):
        options["reflection"] = _file_descriptor_set(methods) if options["reflection"] else None
    return options


def _file_descriptor_set(methods: Iterable[Method[Any, Any]]) -> bytes:
    files: dict[str, Any] = {}
    for method in methods:
        service = method.path[1:].rpartition("/")[0]
        for message in (method.request, method.response):
            # Other classes of messages have none.
            if (descriptor := getattr(message, "DESCRIPTOR", None)) is not None:
                _add(files, descriptor.file)
                _add(files, _file_with(service, descriptor.file.pool))
    if not files:
        return b""
    # Whoever has descriptors has this too; it is not loaded without need.
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    found = FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(found.file.add())
    return found.SerializeToString()


def _file_with(symbol: str, pool: Any) -> Any:
    try:
        return pool.FindFileContainingSymbol(symbol)
    except KeyError:
        # The program has made a service of its own.
        return None


def _add(files: dict[str, Any], file: Any) -> None:
    if file is None or file.name in files:
        return
    files[file.name] = file
    for imported in file.dependencies:
        _add(files, imported)
