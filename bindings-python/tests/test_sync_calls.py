"""Calls of the blocking client, of all kinds."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from spanwire import CallOptions, Code, Method, RpcError
from spanwire.sync import (
    BidiCall,
    Channel,
    ClientStreamingCall,
    Connectivity,
    Context,
    Server,
    ServerStreamingCall,
    UnaryCall,
)
from sync_service import CHAT, COUNT, ECHO, HANDLERS, LIMIT_SECONDS, SUM


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(handlers=HANDLERS, address="127.0.0.1:0", workers=40) as server:
        yield server
        server.close(grace=0)


@pytest.fixture
def channel(server: Server) -> Iterator[Channel]:
    with Channel(server.target) as channel:
        yield channel


def test_another_state_of_a_channel_is_waited_for(channel: Channel) -> None:
    assert channel.connectivity is Connectivity.IDLE
    with pytest.raises(RpcError) as late:
        channel.connectivity_changed(Connectivity.IDLE, timeout=0.001)
    assert late.value.code is Code.DEADLINE_EXCEEDED
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(channel.connectivity_changed, Connectivity.IDLE, timeout=LIMIT_SECONDS) for _ in range(2)]
        channel.connect()
        assert all(wait.result() is not Connectivity.IDLE for wait in waits)
        state = Connectivity.IDLE
        while state is not Connectivity.READY:
            state = channel.connectivity_changed(state, timeout=LIMIT_SECONDS)
        closed = pool.submit(channel.connectivity_changed, Connectivity.READY)
        # The wait may begin before the channel is closed, or find it so.
        channel.close()
        assert isinstance(closed.exception(), RpcError | RuntimeError)


def test_each_kind_answers(channel: Channel) -> None:
    assert channel.unary(ECHO, b"one", timeout=LIMIT_SECONDS) == b"one"
    assert list(channel.call(COUNT, b"3")) == [b"0", b"1", b"2"]
    assert channel.client_streaming(SUM, [b"four", b"five"]) == b"8"
    assert list(channel.call(CHAT, iter([b"a", b"b"]))) == [b"a", b"b"]


def test_each_kind_has_its_call_object(channel: Channel) -> None:
    unary = channel.call(ECHO, b"one")
    assert isinstance(unary, UnaryCall)
    assert unary.result() == b"one"
    assert unary.result() == b"one", "it stays"
    assert unary.done
    assert unary.peer is not None
    assert unary.attempts == 1
    assert isinstance(channel.call(COUNT, b"3"), ServerStreamingCall)
    assert isinstance(channel.call(SUM), ClientStreamingCall)
    assert isinstance(channel.call(CHAT), BidiCall)


def test_messages_sent_by_hand(channel: Channel) -> None:
    with channel.client_streaming(SUM, None) as upload:
        upload.send(b"four")
        upload.send(b"five")
        assert upload.result() == b"8"
    with channel.call(CHAT) as chat:
        for message in (b"a", b"b"):
            chat.send(message)
            assert chat.receive() == message
        chat.done_sending()
        assert chat.receive() is None
        assert chat.receive() is None, "the end stays"
        with pytest.raises(RuntimeError):
            chat.send(b"too late")


def test_more_messages_than_anybody_queues(channel: Channel) -> None:
    assert sum(1 for _ in channel.call(COUNT, b"20000")) == 20_000
    block = bytes(100_000)
    assert channel.client_streaming(SUM, (block for _ in range(100))) == b"10000000"
    echoes = channel.call(CHAT, (block for _ in range(100)))
    assert sum(map(len, echoes)) == 10_000_000


def test_requests_are_sent_while_responses_are_taken(channel: Channel) -> None:
    answered = threading.Semaphore(0)

    def requests() -> Iterator[bytes]:
        for number in range(10):
            yield b"%d" % number
            # The next one is made when this one was answered.
            assert answered.acquire(timeout=LIMIT_SECONDS)

    for number, reply in enumerate(channel.call(CHAT, requests())):
        assert reply == b"%d" % number
        answered.release()


def test_failures_are_exceptions(channel: Channel) -> None:
    with pytest.raises(RpcError, match="no such thing") as failed:
        channel.unary(ECHO, b"fail")
    error = failed.value
    assert (error.code, error.trailing_metadata["why"]) == (Code.NOT_FOUND, "asked for")
    assert error.peer is not None
    assert (error.attempts, error.sent) == (1, "answered")
    with pytest.raises(RpcError) as failed:
        channel.unary(ECHO, b"bug")
    assert failed.value.code == Code.UNKNOWN
    assert "secret" not in failed.value.message
    with pytest.raises(RpcError) as failed:
        channel.unary(Method.unary("/test.Sync/Nobody"), b"")
    assert failed.value.code == Code.UNIMPLEMENTED


def test_deadlines_end_calls(channel: Channel) -> None:
    began = time.monotonic()
    with pytest.raises(RpcError) as failed:
        channel.unary(ECHO, b"sleep:2", timeout=0.1)
    assert failed.value.code == Code.DEADLINE_EXCEEDED
    with channel.call(CHAT, timeout=0.1) as call, pytest.raises(RpcError) as failed:
        call.receive()
    assert failed.value.code == Code.DEADLINE_EXCEEDED
    # Nobody reads there: the call is full, and its deadline ends the wait.
    with channel.call(CHAT, timeout=0.3) as call, pytest.raises(RpcError) as failed:
        while True:
            call.send(bytes(100_000))
    assert failed.value.code == Code.DEADLINE_EXCEEDED
    assert time.monotonic() - began < LIMIT_SECONDS / 2


def test_cancelling_ends_whoever_waits(channel: Channel) -> None:
    call = channel.call(CHAT)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(call.receive)
        time.sleep(0.05)
        call.cancel()
        error = waiting.exception(timeout=LIMIT_SECONDS)
    assert isinstance(error, RpcError)
    assert error.code == Code.CANCELLED
    call.cancel()


def test_one_thread_sends_while_another_receives(channel: Channel) -> None:
    with channel.call(CHAT) as call, ThreadPoolExecutor(1) as pool:
        received = pool.submit(lambda: sum(1 for _ in call))
        for _ in range(2000):
            call.send(bytes(1000))
        call.done_sending()
        assert received.result(timeout=LIMIT_SECONDS) == 2000


def test_leaving_a_stream_early_cancels_it() -> None:
    over = threading.Event()

    def without_end(request: bytes, context: Context) -> Iterator[bytes]:
        try:
            while True:
                yield bytes(1000)
        finally:
            over.set()

    with (
        Server(handlers={COUNT: without_end}, address="127.0.0.1:0") as server,
        Channel(server.target) as channel,
    ):
        with channel.call(COUNT, b"") as call:
            assert next(call)
        assert over.wait(LIMIT_SECONDS)
        over.clear()
        for _ in channel.call(COUNT, b""):
            break
        gc.collect()
        assert over.wait(LIMIT_SECONDS), "dropped, it is cancelled"


def test_dropped_bidi_call_ends_although_its_requests_do_not(channel: Channel) -> None:
    def threads() -> int:
        return sum(thread.name == "spanwire-requests" for thread in threading.enumerate())

    def requests() -> Iterator[bytes]:
        while True:
            yield b"more"
            time.sleep(0.01)

    before = threads()
    call = channel.call(CHAT, requests())
    assert next(call) == b"more"
    assert threads() == before + 1
    del call
    gc.collect()
    until = time.monotonic() + LIMIT_SECONDS
    while threads() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threads() == before


def test_requests_that_fail_fail_the_call(channel: Channel) -> None:
    def requests() -> Iterator[bytes]:
        yield b"one"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        channel.client_streaming(SUM, requests())
    with pytest.raises(LookupError, match="no more"):
        list(channel.call(CHAT, requests()))


def test_server_may_end_before_all_requests_are_sent(channel: Channel) -> None:
    requests = (b"end" if number == 1 else b"x" for number in range(1000))
    assert list(channel.call(CHAT, requests)) == [b"x"]
    with channel.call(CHAT) as call:
        call.send(b"end")
        assert call.receive() is None
        with pytest.raises(RuntimeError):
            call.send(b"more")


def test_metadata_both_ways() -> None:
    def reflect(request: bytes, context: Context) -> bytes:
        assert context.metadata["k"] == "v"
        context.headers["h-bin"] = context.metadata["k-bin"]
        context.headers.append("h", "1")
        context.headers.append("h", "2")
        context.trailers["t"] = "end"
        return request

    def stream(request: bytes, context: Context) -> Iterator[bytes]:
        context.headers["h"] = "early"
        context.send_headers()
        yield b"1"
        context.trailers["t"] = "end"

    with (
        Server(handlers={ECHO: reflect, COUNT: stream}, address="127.0.0.1:0") as server,
        Channel(server.target) as channel,
    ):
        call = channel.call(ECHO, b"", metadata={"k": "v", "k-bin": b"\x00\xff"})
        assert call.result() == b""
        assert call.headers()["h-bin"] == b"\x00\xff"
        assert call.headers().get_all("h") == ["1", "2"]
        assert call.trailers is not None
        assert call.trailers["t"] == "end"
        streaming = channel.call(COUNT, b"")
        assert streaming.headers()["h"] == "early"
        assert list(streaming) == [b"1"]
        assert streaming.trailers == call.trailers


def test_compression_of_both_sides() -> None:
    def compress(request: bytes, context: Context) -> bytes:
        assert context.compressed
        context.set_compression("gzip")
        return request

    with (
        Server(handlers={ECHO: compress}, address="127.0.0.1:0") as server,
        Channel(server.target) as channel,
    ):
        call = channel.call(ECHO, bytes(10_000), compression="gzip")
        assert call.result() == bytes(10_000)
        assert call.compressed


def test_sizes_are_limited_on_both_sides(channel: Channel) -> None:
    limits: list[CallOptions] = [{"max_send_message_bytes": 10}, {"max_recv_message_bytes": 10}]
    for options in limits:
        with pytest.raises(RpcError) as failed:
            channel.unary(ECHO, bytes(11), **options)
        assert failed.value.code == Code.RESOURCE_EXHAUSTED
    with channel.call(CHAT, max_send_message_bytes=10) as call:
        with pytest.raises(RpcError) as failed:
            call.send(bytes(11))
        assert failed.value.code == Code.RESOURCE_EXHAUSTED
        call.send(bytes(10))
        assert call.receive() == bytes(10)


def test_misuse_is_told_at_once(channel: Channel) -> None:
    with pytest.raises(TypeError, match="no option"):
        channel.unary(ECHO, b"", time_out=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="bytes is due"):
        channel.unary(ECHO, "text")  # type: ignore[misc]
    with pytest.raises(ValueError):
        Channel("no such scheme://")
    channel.close()
    with pytest.raises(RuntimeError, match="closed"):
        channel.unary(ECHO, b"")


def test_calls_that_run_outlive_their_channel(server: Server) -> None:
    channel = Channel(server.target)
    call = channel.call(COUNT, b"1000")
    channel.close()
    del channel
    gc.collect()
    assert sum(1 for _ in call) == 1000


def test_a_hundred_threads_share_a_channel(channel: Channel) -> None:
    def call(number: int) -> int:
        message = b"%d" % number
        return sum(channel.unary(ECHO, message) == message for _ in range(20))

    with ThreadPoolExecutor(100) as pool:
        assert sum(pool.map(call, range(100))) == 2000


def test_waits_for_a_server_that_comes_later() -> None:
    with Server(handlers=HANDLERS, address="127.0.0.1:0") as server:
        port = server.port
    with Channel(f"127.0.0.1:{port}", backoff_first=0.05) as channel, ThreadPoolExecutor(1) as pool:
        with pytest.raises(RpcError) as failed:
            channel.unary(ECHO, b"")
        assert (failed.value.code, failed.value.sent) == (Code.UNAVAILABLE, "not_sent")
        waiting = pool.submit(channel.unary, ECHO, b"late", wait_for_ready=True, timeout=LIMIT_SECONDS)
        with Server(handlers=HANDLERS, address=f"127.0.0.1:{port}"):
            assert waiting.result(timeout=LIMIT_SECONDS) == b"late"
