"""Calls of the asyncio API: four kinds, metadata, errors, deadlines, cancellation, limits."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import pickle
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue

import spanwire
from aio import (
    COUNT,
    DOUBLE,
    GET,
    RAW,
    RAW_CHAT,
    RAW_STREAM,
    RAW_UPLOAD,
    SUM,
    Echo,
    number,
    run,
    text,
)
from spanwire import Channel, Code, Connectivity, Context, Metadata, Method, RpcError, Server, details


def serving(test: Callable[[Channel, Echo], Awaitable[None]]) -> Callable[[], None]:
    """A test with a channel to a server of Echo."""

    def wrapped() -> None:
        async def main() -> None:
            echo = Echo()
            async with Server(echo, address="127.0.0.1:0") as server, Channel(server.target) as channel:
                await test(channel, echo)

        run(main())

    wrapped.__name__, wrapped.__doc__ = test.__name__, test.__doc__
    return wrapped


async def fails(call: Awaitable[Any], code: Code) -> RpcError:
    with pytest.raises(RpcError) as raised:
        await call
    assert raised.value.code == code, raised.value
    return raised.value


@serving
async def test_unary_call_gives_the_response(channel: Channel, _: Echo) -> None:
    call = channel.call(GET, text("abc"))
    assert isinstance(call, spanwire.UnaryCall)
    assert not call.done
    assert (await call).value == "ABC"
    assert call.done and call.attempts == 1
    assert call.peer is not None and call.peer.startswith("ipv4:127.0.0.1:")
    assert call.trailers == Metadata()
    assert (await call).value == "ABC", "it can be awaited again"


@serving
async def test_server_streaming_call_is_iterated(channel: Channel, _: Echo) -> None:
    call = channel.call(COUNT, number(1000))
    assert isinstance(call, spanwire.ServerStreamingCall)
    assert [response.value async for response in call] == list(range(1000))
    assert call.done
    assert await call.receive() is None


@serving
async def test_batches_have_all_that_is_there(channel: Channel, _: Echo) -> None:
    call = channel.call(COUNT, number(1000))
    values: list[int] = []
    batches = 0
    while batch := await call.receive_batch():
        values += [response.value for response in batch]
        batches += 1
    assert values == list(range(1000))
    assert batches < 1000


@serving
async def test_client_streaming_takes_whatever_can_be_iterated(channel: Channel, _: Echo) -> None:
    async def asynchronous() -> AsyncIterator[Int64Value]:
        for value in range(100):
            await asyncio.sleep(0)
            yield number(value)

    assert (await channel.call(SUM, [number(1), number(2)])).value == 3
    assert (await channel.call(SUM, (number(n) for n in range(10_000)))).value == sum(range(10_000))
    assert (await channel.call(SUM, asynchronous())).value == sum(range(100))
    assert (await channel.call(SUM, [])).value == 0


@serving
async def test_client_streaming_by_hand(channel: Channel, _: Echo) -> None:
    async with channel.call(SUM) as call:
        assert isinstance(call, spanwire.ClientStreamingCall)
        for value in range(100):
            await call.send(number(value))
        assert (await call).value == sum(range(100))
    with pytest.raises(RuntimeError, match=r"half-closed|over"):
        await call.send(number(1))


@serving
async def test_bidi_call_by_iterable_and_by_hand(channel: Channel, _: Echo) -> None:
    answers = [answer.value async for answer in channel.call(DOUBLE, map(number, range(1000)))]
    assert answers == list(range(0, 2000, 2))
    async with channel.call(DOUBLE) as call:
        assert isinstance(call, spanwire.BidiCall)
        for value in range(10):
            await call.send(number(value))
            answer = await call.receive()
            assert answer is not None and answer.value == 2 * value
        await call.done_sending()
        assert await call.receive() is None


@serving
async def test_call_that_is_fed_takes_nothing_by_hand(channel: Channel, _: Echo) -> None:
    call = channel.call(DOUBLE, [number(1)])
    with pytest.raises(RuntimeError, match=r"by hand"):
        await call.send(number(2))


def test_metadata_in_both_directions() -> None:
    async def get(request: StringValue, context: spanwire.Context) -> StringValue:
        got = context.metadata
        assert got["x-text"] == "abc" and got["x-raw-bin"] == b"\0\xff"
        assert got.get_all("x-many") == ["1", "2"]
        assert "x-none" not in got and got.get("x-none") is None
        context.headers["x-head"] = "h"
        context.headers.append("x-head", "i")
        context.headers["x-head-bin"] = b"\1"
        context.trailers["x-tail-bin"] = b"\2"
        return request

    async def count(request: Int64Value, context: spanwire.Context) -> AsyncIterator[Int64Value]:
        context.headers["x-head"] = "h"
        await context.send_headers()
        with pytest.raises(RuntimeError):
            await context.send_headers()
        await asyncio.sleep(0.02)
        yield number(1)
        context.trailers["x-tail"] = "t"

    async def main() -> None:
        async with (
            Server(handlers={GET: get, COUNT: count}, address="127.0.0.1:0") as server,
            Channel(server.target) as channel,
        ):
            pairs: list[tuple[str, str | bytes]] = [
                ("x-text", "abc"),
                ("x-raw-bin", b"\0\xff"),
                ("x-many", "1"),
                ("x-many", "2"),
            ]
            call = channel.call(GET, text("a"), metadata=pairs)
            headers = await call.headers()
            await call
            assert headers.get_all("x-head") == ["h", "i"] and headers["x-head-bin"] == b"\1"
            assert call.trailers is not None and dict(call.trailers) == {"x-tail-bin": b"\2"}
            as_mapping: dict[str, str | bytes | list[str]] = {
                "x-text": "abc",
                "x-raw-bin": b"\0\xff",
                "x-many": ["1", "2"],
            }
            await channel.call(GET, text("a"), metadata=as_mapping)
            stream = channel.call(COUNT, number(1))
            assert stream.trailers is None
            assert (await stream.headers())["x-head"] == "h"
            assert not stream.done, "headers come before the rest"
            assert [response.value async for response in stream] == [1]
            assert stream.trailers is not None and stream.trailers["x-tail"] == "t"

    run(main())


def test_errors_carry_all_that_the_server_said() -> None:
    async def get(request: StringValue, context: spanwire.Context) -> StringValue:
        raise RpcError(
            Code.INVALID_ARGUMENT,
            "no id – ü",
            details=[
                details.BadRequest((details.FieldViolation("id", "must not be 0"),)),
                details.RetryInfo(1.5),
                details.ErrorInfo("NO_ID", "test", {"a": "b"}),
                text("a message of protobuf"),
            ],
            trailing_metadata={"x-tail": "t"},
        )

    async def main() -> None:
        async with Server(handlers={GET: get}, address="127.0.0.1:0") as server, Channel(server.target) as channel:
            received = await fails(channel.call(GET, text("a")), Code.INVALID_ARGUMENT)
            for error in (received, pickle.loads(pickle.dumps(received))):
                assert str(error) == "INVALID_ARGUMENT: no id – ü"
                assert error.details[:3] == (
                    details.BadRequest((details.FieldViolation("id", "must not be 0"),)),
                    details.RetryInfo(1.5),
                    details.ErrorInfo("NO_ID", "test", {"a": "b"}),
                )
                unknown = error.details[3]
                assert isinstance(unknown, details.Unknown)
                assert unknown.type_url == "type.googleapis.com/google.protobuf.StringValue"
                assert StringValue.FromString(unknown.value).value == "a message of protobuf"
                assert error.trailing_metadata["x-tail"] == "t"
                assert error.sent == "answered" and error.attempts == 1
                assert error.peer == f"ipv4:{server.target}"

    run(main())


@serving
async def test_failed_handler_tells_the_client_nothing(channel: Channel, _: Echo) -> None:
    error = await fails(channel.call(GET, text("break")), Code.UNKNOWN)
    assert "secret" not in str(error) and "ZeroDivision" not in str(error)


def test_failed_handler_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    test_failed_handler_tells_the_client_nothing()
    (record,) = [record for record in caplog.records if record.name == "spanwire"]
    assert "/test.Echo/Get" in record.message
    assert record.exc_info is not None and isinstance(record.exc_info[1], ZeroDivisionError)


@serving
async def test_error_in_a_stream_comes_behind_its_messages(channel: Channel, _: Echo) -> None:
    call = channel.call(DOUBLE, [number(1), number(2), number(-1)])
    answers = []
    with pytest.raises(RpcError) as raised:
        async for answer in call:
            answers.append(answer.value)
    assert answers == [2, 4] and raised.value.code == Code.OUT_OF_RANGE
    await fails(call.receive(), Code.OUT_OF_RANGE)


@serving
async def test_deadline_ends_the_call_and_the_handler(channel: Channel, echo: Echo) -> None:
    error = await fails(channel.call(GET, text("wait"), timeout=0.05), Code.DEADLINE_EXCEEDED)
    assert error.sent == "maybe_sent"
    await asyncio.wait_for(echo.cancelled.wait(), 5)
    await fails(channel.call(GET, text("a"), timeout=0), Code.DEADLINE_EXCEEDED)
    await fails(channel.call(GET, text("a"), timeout=-1), Code.DEADLINE_EXCEEDED)
    assert (await channel.call(GET, text("a"), timeout=float("inf"))).value == "A"
    assert (await channel.call(GET, text("a"), timeout=None)).value == "A"


@serving
async def test_cancelled_task_cancels_its_call(channel: Channel, echo: Echo) -> None:
    task = asyncio.ensure_future(channel.call(GET, text("wait")))
    await echo.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(echo.cancelled.wait(), 5)


@serving
async def test_timeout_of_asyncio_cancels_the_call(channel: Channel, echo: Echo) -> None:
    call = channel.call(GET, text("wait"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await call
    await asyncio.wait_for(echo.cancelled.wait(), 5)
    await fails(call, Code.CANCELLED)


@serving
async def test_cancelled_call_is_an_error_for_those_who_wait(channel: Channel, echo: Echo) -> None:
    call = channel.call(GET, text("wait"))
    asyncio.get_running_loop().call_later(0.02, call.cancel)
    await fails(call, Code.CANCELLED)
    call.cancel()
    await fails(call, Code.CANCELLED)


@serving
async def test_dropped_call_is_cancelled(channel: Channel, echo: Echo) -> None:
    call = channel.call(GET, text("wait"))
    await echo.waiting.wait()
    del call
    await asyncio.wait_for(echo.cancelled.wait(), 5)


@serving
async def test_stream_that_is_left_is_cancelled(channel: Channel, echo: Echo) -> None:
    async with channel.call(COUNT, number(1_000_000_000)) as call:
        async for response in call:
            if response.value == 10:
                break
    await asyncio.wait_for(echo.cancelled.wait(), 5)


@serving
async def test_stream_that_nobody_iterates_is_cancelled_when_dropped(channel: Channel, echo: Echo) -> None:
    async for response in channel.call(COUNT, number(1_000_000_000)):
        if response.value == 10:
            break
    gc.collect()
    await asyncio.wait_for(echo.cancelled.wait(), 5)


@serving
async def test_call_that_is_fed_is_cancelled_when_dropped(channel: Channel, _: Echo) -> None:
    ended = asyncio.Event()

    async def requests() -> AsyncIterator[Int64Value]:
        try:
            yield number(1)
            await asyncio.sleep(30)
        finally:
            ended.set()

    call = channel.call(SUM, requests())
    reference = weakref.ref(call)
    await asyncio.sleep(0.02)
    del call
    assert reference() is None
    await asyncio.wait_for(ended.wait(), 5)


@serving
async def test_failure_of_the_requests_is_the_calls_own(channel: Channel, _: Echo) -> None:
    async def requests() -> AsyncIterator[Int64Value]:
        yield number(1)
        raise LookupError("no more")

    with pytest.raises(LookupError, match=r"no more"):
        await channel.call(SUM, requests())
    with pytest.raises(TypeError, match=r"/test.Echo/Sum: Int64Value is due, not str"):
        await channel.call(SUM, ["wrong"])  # type: ignore[misc]


def test_server_that_answers_early_ends_the_requests() -> None:
    ended = asyncio.Event()

    async def early(requests: AsyncIterator[Int64Value], context: spanwire.Context) -> Int64Value:
        return number(7)

    async def requests() -> AsyncIterator[Int64Value]:
        try:
            while True:
                yield number(1)
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def main() -> None:
        async with (
            Server(handlers={SUM: early}, address="127.0.0.1:0") as server,
            Channel(server.target) as channel,
        ):
            assert (await channel.call(SUM, requests())).value == 7
            await ended.wait()

    run(main())


def test_sender_waits_while_nobody_reads() -> None:
    """Back-pressure: what a sender is ahead of its reader is bounded, however many messages it has."""
    sent = 0
    go = asyncio.Event()

    async def slow(requests: AsyncIterator[bytes], context: spanwire.Context) -> bytes:
        await go.wait()
        return str(len([request async for request in requests])).encode()

    async def main() -> None:
        nonlocal sent
        async with (
            Server(handlers={RAW_UPLOAD: slow}, address="127.0.0.1:0") as server,
            Channel(server.target) as channel,
            channel.call(RAW_UPLOAD) as call,
        ):

            async def send() -> None:
                nonlocal sent
                for _ in range(300):
                    await call.send(bytes(100_000))
                    sent += 1

            task = asyncio.ensure_future(send())
            await asyncio.sleep(0.5)
            assert 0 < sent < 200, sent
            go.set()
            await task
            assert await call == b"300"

    run(main())


def test_generator_waits_while_nobody_reads() -> None:
    made = 0

    async def stream(request: bytes, context: spanwire.Context) -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(300):
            made += 1
            yield bytes(100_000)

    async def main() -> None:
        async with (
            Server(handlers={RAW_STREAM: stream}, address="127.0.0.1:0") as server,
            Channel(server.target) as channel,
        ):
            call = channel.call(RAW_STREAM, b"")
            await call.headers()
            await asyncio.sleep(0.5)
            assert 0 < made < 200, made
            assert len([message async for message in call]) == 300

    run(main())


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 8193, 100_000, 4_000_000])
def test_messages_of_any_size_come_whole(size: int) -> None:
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)

    async def get(request: bytes, context: spanwire.Context) -> bytes:
        return request

    async def chat(requests: AsyncIterator[bytes], context: spanwire.Context) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def main() -> None:
        async with (
            Server(handlers={RAW: get, RAW_CHAT: chat}, address="127.0.0.1:0") as server,
            Channel(server.target) as channel,
        ):
            assert await channel.call(RAW, message) == message
            assert await channel.call(RAW, bytearray(message)) == message
            assert await channel.call(RAW, memoryview(message)) == message
            assert [m async for m in channel.call(RAW_CHAT, [message] * 3)] == [message] * 3

    run(main())


def test_limits_of_message_sizes() -> None:
    async def get(request: bytes, context: spanwire.Context) -> bytes:
        return bytes(int(request or b"0"))

    async def main() -> None:
        options: Any = {"max_send_message_bytes": 2000, "max_recv_message_bytes": 1000}
        async with (
            Server(handlers={RAW: get}, address="127.0.0.1:0", **options) as server,
            Channel(server.target) as channel,
        ):
            assert len(await channel.call(RAW, b"2000")) == 2000
            await fails(channel.call(RAW, b"2001"), Code.RESOURCE_EXHAUSTED)
            await fails(channel.call(RAW, b"2000", max_recv_message_bytes=1999), Code.RESOURCE_EXHAUSTED)
            await fails(channel.call(RAW, b"0" * 1001), Code.RESOURCE_EXHAUSTED)
            error = await fails(channel.call(RAW, b"00", max_send_message_bytes=1), Code.RESOURCE_EXHAUSTED)
            assert error.sent == "not_sent"
            call = channel.call(RAW_STREAM, b"00", max_send_message_bytes=1)
            await fails(call.receive(), Code.RESOURCE_EXHAUSTED)
            with pytest.raises(RpcError, match=r"RESOURCE_EXHAUSTED"):
                await channel.call(RAW_CHAT, max_send_message_bytes=1).send(b"00")

    run(main())


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "identity"])
def test_compression(encoding: Any) -> None:
    async def get(request: bytes, context: spanwire.Context) -> bytes:
        context.set_compression(encoding)
        return request

    async def main() -> None:
        async with (
            Server(handlers={RAW: get}, address="127.0.0.1:0") as server,
            Channel(server.target, compression=encoding) as channel,
        ):
            assert await channel.call(RAW, b"abc" * 1000) == b"abc" * 1000
            assert await channel.call(RAW, b"abc" * 1000, compression="identity") == b"abc" * 1000

    run(main())


def test_calls_inherit_the_deadline_of_their_handler() -> None:
    async def outer(request: bytes, context: spanwire.Context) -> bytes:
        left = context.time_remaining()
        assert left is not None and 0 < left < 5
        return await channels[0].call(inner_method, b"")

    async def inner(request: bytes, context: spanwire.Context) -> bytes:
        return str(context.time_remaining()).encode()

    inner_method = Method.unary("/test.Raw/Inner")
    channels: list[Channel] = []

    async def main() -> None:
        async with (
            Server(handlers={RAW: outer, inner_method: inner}, address="127.0.0.1:0") as server,
            Channel(server.target) as channel,
        ):
            channels.append(channel)
            assert 0 < float(await channel.call(RAW, b"", timeout=5)) < 5
            assert await channel.call(inner_method, b"") == b"None"

    run(main())


def test_no_server_is_unavailable_and_waiting_for_one_is_possible() -> None:
    async def get(request: bytes, context: spanwire.Context) -> bytes:
        return b"late"

    async def main() -> None:
        async with Server(handlers={RAW: get}, address="127.0.0.1:0") as server:
            port = server.port
        async with Channel(f"127.0.0.1:{port}", backoff_first=0.05) as channel:
            error = await fails(channel.call(RAW, b""), Code.UNAVAILABLE)
            assert error.sent == "not_sent"
            call = channel.call(RAW, b"", wait_for_ready=True, timeout=10)
            await asyncio.sleep(0.1)
            async with Server(handlers={RAW: get}, address=f"127.0.0.1:{port}"):
                assert await call == b"late"

    run(main())


@serving
async def test_unknown_method_is_unimplemented(channel: Channel, _: Echo) -> None:
    await fails(channel.call(Method.unary("/test.Echo/None"), b""), Code.UNIMPLEMENTED)


@serving
async def test_wrong_input_is_said_at_once(channel: Channel, _: Echo) -> None:
    untyped: Any = channel
    with pytest.raises(TypeError, match=r"/test.Echo/Get: StringValue is due, not Int64Value"):
        untyped.call(GET, number(1))
    with pytest.raises(TypeError, match=r"/test.Echo/Get: StringValue is due, not NoneType"):
        untyped.call(GET)
    with pytest.raises(TypeError, match=r"'str' object is not an instance of 'Method'|Method"):
        untyped.call("/test.Echo/Get", text("a"))
    with pytest.raises(TypeError, match='has no option "timeuot"'):
        untyped.call(GET, text("a"), timeuot=1)
    for option, value, error in [
        ("timeout", "1", TypeError),
        ("timeout", float("nan"), ValueError),
        ("timeout", True, TypeError),
        ("compression", "brotli", ValueError),
        ("compression", 1, TypeError),
        ("wait_for_ready", 1, TypeError),
        ("max_recv_message_bytes", 0, ValueError),
        ("max_recv_message_bytes", -1, ValueError),
        ("max_recv_message_bytes", 1.5, TypeError),
        ("max_recv_message_bytes", 2**70, ValueError),
        ("metadata", 5, TypeError),
        ("metadata", {"x": 1}, TypeError),
        ("metadata", {"grpc-status": "0"}, ValueError),
        ("metadata", {"x": b"bytes"}, ValueError),
        ("metadata", {"x-bin": "text"}, ValueError),
        ("metadata", {"x": "line\nbreak"}, ValueError),
    ]:
        with pytest.raises(error, match=f"^{option}"):
            untyped.call(GET, text("a"), **{option: value})
    with pytest.raises(TypeError, match=r"Int64Value is due"):
        await untyped.call(SUM).send("1")


@serving
async def test_malformed_response_is_internal(channel: Channel, _: Echo) -> None:
    wrong = Method.unary("/test.Echo/Get", StringValue, _Strict)
    await fails(channel.call(wrong, text("abc")), Code.INTERNAL)


class _Strict:
    """A class of messages that takes nothing."""

    def SerializeToString(self) -> bytes:
        return b""

    @staticmethod
    def FromString(data: bytes) -> _Strict:
        raise ValueError("not so")


def test_closed_channel_makes_no_calls_but_ends_those_it_has() -> None:
    async def main() -> None:
        async with Server(Echo(), address="127.0.0.1:0") as server:
            channel = Channel(server.target)
            call = channel.call(COUNT, number(1000))
            await channel.close()
            await channel.close()
            assert channel.closed
            with pytest.raises(RuntimeError, match=r"closed"):
                channel.call(GET, text("a"))
            assert len([response async for response in call]) == 1000

    run(main())


def test_names_and_retries_are_options() -> None:
    attempts = itertools.count(1)

    async def flaky(request: bytes, context: Context) -> bytes:
        if next(attempts) % 3:
            raise RpcError(Code.UNAVAILABLE, "once more")
        return request

    async def main() -> None:
        retries = """{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.001s",
            "maxBackoff": "0.01s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}"""
        async with (
            Server(handlers={RAW: flaky}, address="127.0.0.1:0") as first,
            Server(handlers={RAW: flaky}, address="127.0.0.1:0") as second,
        ):
            target = f"ipv4:127.0.0.1:{first.port},127.0.0.1:{second.port}"
            options: Any = {"load_balancing": "round_robin", "name_ttl": 5, "idle_timeout": float("inf")}
            async with Channel(target, service_config=retries, **options) as channel:
                peers: set[str | None] = set()
                while len(peers) < 2:
                    call = channel.call(RAW, b"a")
                    assert await call == b"a"
                    assert call.attempts == 3
                    peers.add(call.peer)

    asyncio.run(asyncio.wait_for(main(), 30))


async def echo_raw(request: bytes, _: Context) -> bytes:
    return request


def test_another_state_of_a_channel_is_waited_for() -> None:
    async def main() -> None:
        async with Server(handlers={RAW: echo_raw}, address="127.0.0.1:0") as server:
            channel = Channel(server.target)
            assert channel.connectivity is Connectivity.IDLE
            assert await channel.connectivity_changed(Connectivity.READY) is Connectivity.IDLE
            with pytest.raises(RpcError) as late:
                await channel.connectivity_changed(Connectivity.IDLE, timeout=0.001)
            assert late.value.code is Code.DEADLINE_EXCEEDED
            waiting = asyncio.create_task(channel.connectivity_changed(Connectivity.IDLE))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            channel.connect()
            state = Connectivity.IDLE
            while state is not Connectivity.READY:
                state = await channel.connectivity_changed(state, timeout=10)
            waiting = asyncio.create_task(channel.connectivity_changed(Connectivity.READY))
            await asyncio.sleep(0)
            await channel.close()
            with pytest.raises(RpcError) as closed:
                await waiting
            assert closed.value.code is Code.CANCELLED

    asyncio.run(asyncio.wait_for(main(), 30))


class Names(asyncio.DatagramProtocol):
    """A name server that answers every question with one text."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        head = data[:2] + bytes([data[2] | 0x80, data[3], 0, 1, 0, 1])
        record = bytes([0xC0, 12, 0, 16, 0, 1, 0, 0, 0, 1, 0, len(self.text) + 1, len(self.text)]) + self.text
        self.transport.sendto(head + data[8:] + record, addr)


def test_service_config_comes_from_dns_if_that_is_wanted() -> None:
    none = b'grpc_config=[{"serviceConfig":{"methodConfig":[{"name":[{}],"timeout":"0s"}]}}]'

    async def main() -> None:
        loop = asyncio.get_running_loop()
        names, _ = await loop.create_datagram_endpoint(lambda: Names(none), local_addr=("127.0.0.1", 0))
        async with Server(handlers={RAW: echo_raw}, address="127.0.0.1:0") as server:
            target = f"dns://127.0.0.1:{names.get_extra_info('sockname')[1]}/localhost:{server.port}"
            async with Channel(target) as channel:
                assert await channel.call(RAW, b"a") == b"a"
            async with Channel(target, service_config_from_dns=True, dns_resolver="direct") as channel:
                # The first call is what has the name resolved.
                with contextlib.suppress(RpcError):
                    await channel.call(RAW, b"a")
                with pytest.raises(RpcError) as error:
                    await channel.call(RAW, b"a")
                assert error.value.code is Code.DEADLINE_EXCEEDED
        names.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_bad_targets_and_options_are_named() -> None:
    untyped: Any = Channel
    with pytest.raises(ValueError, match=r"foo"):
        untyped("foo://bar:baz:1")
    with pytest.raises(TypeError):
        untyped(5)
    for option, value, error in [
        ("load_balancing", "random", ValueError),
        ("dns_resolver", "hickory", ValueError),
        ("service_config", '{"methodConfig": 1}', ValueError),
        ("bearer_token", "secret", ValueError),
        ("connect_timeout", 0, ValueError),
        ("connect_timeout", -1, ValueError),
        ("connect_timeout", float("inf"), ValueError),
        ("connect_timeout", "soon", TypeError),
        ("keepalive_without_calls", 1, TypeError),
        ("tls", True, TypeError),
        ("authority", 1, TypeError),
        ("max_metadata_bytes", 0, ValueError),
        ("proxy", 1, TypeError),
        ("retries", 1, TypeError),
        ("max_connections_per_subchannel", 0, ValueError),
    ]:
        with pytest.raises(error, match=f"^{option}"):
            untyped("127.0.0.1:1", **{option: value})
    for arguments, error, part in [
        ({"grpc.keepalive_time": 1}, ValueError, 'the closest is "grpc.keepalive_time_ms"'),
        ({"grpc.keepalive_time_ms": "x"}, ValueError, "grpc.keepalive_time_ms: must be a number"),
        ({"grpc.keepalive_time_ms": 1.5}, TypeError, "grpc.keepalive_time_ms"),
        ([("grpc.keepalive_time_ms", 1)], TypeError, "arguments"),
    ]:
        with pytest.raises(error, match=part):
            untyped("127.0.0.1:1", arguments=arguments)
    with pytest.raises(TypeError, match='Channel has no option "tsl"'):
        untyped("127.0.0.1:1", tsl=1)


def test_arguments_of_other_libraries_win() -> None:
    async def main() -> None:
        arguments: dict[str, int | str] = {"grpc.max_send_message_length": 3, "grpc.enable_retries": False}
        async with Channel("127.0.0.1:1", max_send_message_bytes=1000, arguments=arguments) as channel:
            # It is not sent, so that no server is needed.
            error = await fails(channel.call(RAW, b"long"), Code.RESOURCE_EXHAUSTED)
            assert error.sent == "not_sent"

    run(main())


def test_outside_of_a_loop_is_said() -> None:
    channel = Channel("127.0.0.1:1")
    with pytest.raises(RuntimeError, match=r"spanwire\.sync"):
        channel.call(RAW, b"")


@serving
async def test_many_calls_at_once(channel: Channel, _: Echo) -> None:
    answers = await asyncio.gather(*(channel.call(GET, text(f"a{n}")) for n in range(1000)))
    assert [answer.value for answer in answers] == [f"A{n}" for n in range(1000)]


@serving
async def test_random_cancellation_leaves_nothing(channel: Channel, _: Echo) -> None:
    async def one(n: int) -> None:
        try:
            async with asyncio.timeout(n % 17 / 5000):
                await channel.call(GET, text("abc"))
        except TimeoutError:
            pass

    for _round in range(5):
        await asyncio.gather(*(one(n) for n in range(200)))
    assert (await channel.call(GET, text("abc"))).value == "ABC"
