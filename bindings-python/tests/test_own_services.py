"""The services that come with the engine: health, reflection, channelz."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.wrappers_pb2 import StringValue

import spanwire.sync
from aio import GET, Echo, run, text
from spanwire import Channel, Code, Method, RpcError, Server

CHECK = Method.unary("/grpc.health.v1.Health/Check")
WATCH = Method.server_streaming("/grpc.health.v1.Health/Watch")
REFLECTION = Method.bidi("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
SERVERS = Method.unary("/grpc.channelz.v1.Channelz/GetServers")

SERVING = b"\x08\x01"
NOT_SERVING = b"\x08\x02"
SERVICE_UNKNOWN = b"\x08\x03"


def named(service: bytes) -> bytes:
    """A request with the name as its first field."""
    return b"\x0a" + bytes([len(service)]) + service


def test_health_is_what_was_set() -> None:
    async def main() -> None:
        server = Server(Echo(), address="127.0.0.1:0", health=True)
        server.set_health("test.Echo", True)
        async with server, Channel(server.target) as channel:
            assert await channel.call(CHECK, b"") == SERVING
            assert await channel.call(CHECK, named(b"test.Echo")) == SERVING
            server.set_health("test.Echo", False)
            server.set_health("", False)
            assert await channel.call(CHECK, named(b"test.Echo")) == NOT_SERVING
            assert await channel.call(CHECK, b"") == NOT_SERVING
            with pytest.raises(RpcError) as caught:
                await channel.call(CHECK, named(b"no.Such"))
            assert caught.value.code is Code.NOT_FOUND

    run(main())


def test_server_that_closes_says_so_and_goes_on_for_the_delay() -> None:
    async def main() -> None:
        server = Server(Echo(), address="127.0.0.1:0", health=True, drain_delay=0.2)
        await server.start()
        async with Channel(server.target) as channel:
            states = channel.call(WATCH, b"")
            assert await anext(states) == SERVING
            began = time.monotonic()
            closing = asyncio.ensure_future(server.close())
            assert await anext(states) == NOT_SERVING
            assert (await channel.call(GET, text("a"))).value == "A"
            with pytest.raises(RpcError) as caught:
                await anext(states)
            assert caught.value.code is Code.UNAVAILABLE
            assert time.monotonic() - began >= 0.2
            await closing

    run(main())


def test_health_has_to_be_asked_for() -> None:
    async def main() -> None:
        server = Server(Echo(), address="127.0.0.1:0")
        server.set_health("", True)
        with pytest.raises(ValueError, match="health: the server was made without this option"):
            await server.start()

    run(main())
    blocking = spanwire.sync.Server(address="127.0.0.1:0")
    with pytest.raises(ValueError, match="health: the server was made without this option"):
        blocking.set_health("", True)


@pytest.fixture
def blocking() -> Iterator[spanwire.sync.Server]:
    server = spanwire.sync.Server(
        address="127.0.0.1:0", handlers={GET: lambda request, _: request}, health=True, reflection=True, channelz=True
    )
    with server:
        yield server


def files(channel: spanwire.sync.Channel, field: int, asked: bytes) -> list[FileDescriptorProto]:
    """The files that a question of reflection is answered with."""
    (answer,) = channel.call(REFLECTION, [bytes([field << 3 | 2, len(asked)]) + asked])
    # Field 4 has the encoded files as its field 1, as a FileDescriptorSet has.
    return list(FileDescriptorSet.FromString(parts(answer)[4]).file)


def parts(message: bytes) -> dict[int, bytes]:
    """The fields of a message that has nothing but bytes and messages, by their numbers."""
    found = {}
    while message:
        number, length, shift, at = message[0] >> 3, 0, 0, 1
        while message[at] & 0x80:
            length |= (message[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
        length |= message[at] << shift
        found[number] = message[at + 1 : at + 1 + length]
        message = message[at + 1 + length :]
    return found


def test_blocking_servers_have_them_too(blocking: spanwire.sync.Server) -> None:
    with spanwire.sync.Channel(blocking.target) as channel:
        blocking.set_health("test.Echo", True)
        assert channel.unary(CHECK, named(b"test.Echo")) == SERVING
        assert b"ipv4:" + blocking.target.encode() in channel.unary(SERVERS, b"")


def test_reflection_describes_the_messages_of_the_methods(blocking: spanwire.sync.Server) -> None:
    with spanwire.sync.Channel(blocking.target) as channel:
        (file,) = files(channel, 4, b"google.protobuf.StringValue")
        expected = FileDescriptorProto()
        StringValue.DESCRIPTOR.file.CopyToProto(expected)
        assert file.name == expected.name
        assert [message.name for message in file.message_type] == [message.name for message in expected.message_type]


def test_reflection_takes_descriptors_of_the_programs_own() -> None:
    given = FileDescriptorSet(file=[FileDescriptorProto(name="own.proto", package="own")])
    server = spanwire.sync.Server(address="127.0.0.1:0", reflection=given.SerializeToString())
    with server, spanwire.sync.Channel(server.target) as channel:
        assert files(channel, 3, b"own.proto") == list(given.file)
    with pytest.raises(TypeError, match="reflection: bool or bytes is due, not str"):
        spanwire.sync.Server(address="127.0.0.1:0", reflection="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("method", [CHECK, SERVERS])
def test_none_is_there_unless_it_is_asked_for(method: Any) -> None:
    options: dict[str, bool] = {"health": False, "reflection": False, "channelz": False}
    with (
        spanwire.sync.Server(address="127.0.0.1:0", **options) as server,  # type: ignore[arg-type]
        spanwire.sync.Channel(server.target) as channel,
    ):
        with pytest.raises(RpcError) as caught:
            channel.unary(method, b"")
        assert caught.value.code is Code.UNIMPLEMENTED
