"""Servers of the blocking API: the pool, contexts, draining."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest

from spanwire import Code, Method, RpcError
from spanwire.sync import Channel, Context, Server, Service
from sync_service import CHAT, COUNT, ECHO, HANDLERS, LIMIT_SECONDS, SUM, echo, total

VARIABLE: contextvars.ContextVar[bytes] = contextvars.ContextVar("variable")


class Echoes(Service):
    """As generated code derives it."""

    __spanwire_service__ = "test.Sync"
    __spanwire_methods__: ClassVar = (("echo", ECHO), ("add_up", SUM))

    def echo(self, request: bytes, context: Context) -> bytes:
        """The request."""
        return request

    def add_up(self, requests: Iterator[bytes], context: Context) -> bytes:
        """The sum of all lengths."""
        return total(requests, context)


def test_services_are_served_beside_functions() -> None:
    with (
        Server(Echoes(), handlers={COUNT: HANDLERS[COUNT]}, address="inprocess:sync") as server,
        Channel(server.target) as channel,
    ):
        assert server.target == "inprocess:sync"
        assert server.port is None
        assert channel.unary(ECHO, b"one") == b"one"
        assert channel.client_streaming(SUM, [b"one"]) == b"3"
        assert list(channel.call(COUNT, b"1")) == [b"0"]


def test_handlers_run_at_once_up_to_the_number_of_workers() -> None:
    both = threading.Barrier(2)

    def meet(request: bytes, context: Context) -> bytes:
        both.wait(LIMIT_SECONDS)
        return threading.current_thread().name.encode()

    with (
        Server(handlers={ECHO: meet}, address="127.0.0.1:0", workers=2) as server,
        Channel(server.target) as channel,
        ThreadPoolExecutor(10) as pool,
    ):
        names = Counter(pool.map(lambda _: channel.unary(ECHO, b"", timeout=LIMIT_SECONDS), range(20)))
    assert len(names) == 2, "two threads, and no request waits for a third"
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("spanwire"))


def test_blocked_handlers_do_not_hold_up_answers() -> None:
    release = threading.Event()

    def block(request: bytes, context: Context) -> bytes:
        if request == b"block":
            release.wait(LIMIT_SECONDS)
        return request

    with (
        Server(handlers={ECHO: block}, address="127.0.0.1:0", workers=4) as server,
        Channel(server.target) as channel,
    ):
        blocked = [channel.call(ECHO, b"block") for _ in range(3)]
        quick = [channel.call(ECHO, b"quick", timeout=LIMIT_SECONDS) for _ in range(500)]
        assert all(call.result() == b"quick" for call in quick)
        assert not any(call.done for call in blocked)
        release.set()
        assert all(call.result() == b"block" for call in blocked)


def test_requests_that_nobody_waits_for_are_not_begun() -> None:
    begun = Counter[bytes]()
    release = threading.Event()

    def note(request: bytes, context: Context) -> bytes:
        begun[request] += 1
        release.wait(LIMIT_SECONDS)
        return request

    def note_chat(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        begun[b"chat"] += 1
        yield from requests

    with (
        Server(handlers={ECHO: note, CHAT: note_chat}, address="127.0.0.1:0", workers=1) as server,
        Channel(server.target) as channel,
    ):
        first = channel.call(ECHO, b"first")
        with pytest.raises(RpcError):
            channel.unary(ECHO, b"late", timeout=0.1)
        with channel.call(CHAT) as chat:
            chat.send(b"late")
        # Long enough for the cancellation to arrive, which nothing tells.
        time.sleep(0.2)
        release.set()
        assert first.result() == b"first"
        assert channel.unary(ECHO, b"last", timeout=LIMIT_SECONDS) == b"last"
    assert begun == {b"first": 1, b"last": 1}


def test_context_tells_of_the_call() -> None:
    found: list[object] = []

    def look(request: bytes, context: Context) -> bytes:
        left = context.time_remaining()
        assert left is not None
        assert 0 < left <= LIMIT_SECONDS
        assert not context.cancelled
        assert context.tls_identity is None
        found.extend([context.method, context.peer])
        return request

    with (
        Server(handlers={ECHO: look}, address="127.0.0.1:0") as server,
        Channel(server.target) as channel,
    ):
        channel.unary(ECHO, b"", timeout=LIMIT_SECONDS)
    assert found[0] is ECHO
    assert "127.0.0.1" in str(found[1])


def test_handler_learns_that_its_client_is_gone() -> None:
    noticed = threading.Event()

    def wait(request: bytes, context: Context) -> bytes:
        while not context.cancelled:
            time.sleep(0.01)
        noticed.set()
        return request

    errors: list[RpcError] = []

    def receive(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        yield b"begun"
        try:
            next(requests)
        except RpcError as error:
            errors.append(error)
            noticed.set()
            raise

    with (
        Server(handlers={ECHO: wait, CHAT: receive}, address="127.0.0.1:0") as server,
        Channel(server.target) as channel,
    ):
        channel.call(ECHO, b"").cancel()
        call = channel.call(ECHO, b"")
        time.sleep(0.05)
        call.cancel()
        assert noticed.wait(LIMIT_SECONDS)
        noticed.clear()
        with channel.call(CHAT) as chat:
            assert chat.receive() == b"begun"
        assert noticed.wait(LIMIT_SECONDS)
        noticed.clear()
        with channel.call(CHAT, timeout=0.2) as chat, pytest.raises(RpcError):
            list(chat)
        assert noticed.wait(LIMIT_SECONDS)
    assert [error.code for error in errors] == [Code.CANCELLED, Code.DEADLINE_EXCEEDED]


def test_faults_of_handlers_are_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    def nothing(request: bytes, context: Context) -> bytes:
        return None  # type: ignore[return-value]

    def half(request: bytes, context: Context) -> Iterator[bytes]:
        yield b"one"
        raise ValueError("a secret")

    with (
        Server(handlers={ECHO: nothing, COUNT: half}, address="127.0.0.1:0") as server,
        Channel(server.target) as channel,
        caplog.at_level(logging.ERROR, "spanwire"),
    ):
        with pytest.raises(RpcError) as failed:
            channel.unary(ECHO, b"")
        assert failed.value.code == Code.UNKNOWN
        call = channel.call(COUNT, b"")
        assert next(call) == b"one"
        with pytest.raises(RpcError) as failed:
            next(call)
        assert failed.value.code == Code.UNKNOWN
        assert "secret" not in failed.value.message
    assert [record.name for record in caplog.records] == ["spanwire", "spanwire"]
    assert "bytes is due" in caplog.text
    assert "a secret" in caplog.text


def test_error_that_cannot_be_sent_fails_its_call_alone(caplog: pytest.LogCaptureFixture) -> None:
    def fail(request: bytes, context: Context) -> bytes:
        if request == b"fail":
            raise RpcError(Code.ABORTED, details=[object()])  # type: ignore[list-item]
        return request

    with (
        Server(handlers={ECHO: fail}, address="127.0.0.1:0", workers=1) as server,
        Channel(server.target) as channel,
    ):
        for _ in range(3):
            with pytest.raises(RpcError) as failed:
                channel.unary(ECHO, b"fail", timeout=LIMIT_SECONDS)
            assert failed.value.code == Code.INTERNAL
            assert channel.unary(ECHO, b"next", timeout=LIMIT_SECONDS) == b"next"
    assert "the handler of /test.Sync/Echo failed" in caplog.text


def test_requests_that_cannot_be_read_are_refused() -> None:
    class Strict:
        """A message that must be text."""

        def SerializeToString(self) -> bytes:
            return b"\xff"

        @staticmethod
        def FromString(data: bytes) -> Strict:
            data.decode()
            return Strict()

    method = Method.unary("/test.Sync/Strict", Strict, Strict)
    with (
        Server(handlers={method: lambda request, context: request}, address="127.0.0.1:0") as server,
        Channel(server.target) as channel,
    ):
        with pytest.raises(RpcError) as failed:
            channel.unary(method, Strict())
        assert failed.value.code == Code.INTERNAL


def test_context_variables_of_one_call_are_not_seen_by_another() -> None:
    def remember(request: bytes, context: Context) -> bytes:
        before = VARIABLE.get(b"none")
        VARIABLE.set(request)
        return before

    with (
        Server(handlers={ECHO: remember}, address="127.0.0.1:0", workers=1) as server,
        Channel(server.target) as channel,
    ):
        assert [channel.unary(ECHO, b"mine") for _ in range(3)] == [b"none"] * 3


def test_calls_made_by_a_handler_inherit_its_deadline() -> None:
    with (
        Server(handlers=HANDLERS, address="127.0.0.1:0") as behind,
        Channel(behind.target) as channel_behind,
    ):

        def forward(request: bytes, context: Context) -> bytes:
            return channel_behind.unary(ECHO, request)

        with (
            Server(handlers={ECHO: forward}, address="127.0.0.1:0", workers=1) as front,
            Channel(front.target) as channel,
        ):
            with pytest.raises(RpcError):
                channel.unary(ECHO, b"sleep:5", timeout=0.2)
            began = time.monotonic()
            # The only worker is free again.
            assert channel.unary(ECHO, b"next", timeout=LIMIT_SECONDS) == b"next"
            assert time.monotonic() - began < 2


def test_closing_lets_calls_finish() -> None:
    server = Server(handlers=HANDLERS, address="127.0.0.1:0")
    server.start()
    with Channel(server.target) as channel, ThreadPoolExecutor(2) as pool:
        call = pool.submit(channel.unary, ECHO, b"sleep:0.3")
        time.sleep(0.1)
        waiting = pool.submit(server.wait)
        server.close()
        assert call.result(timeout=LIMIT_SECONDS) == b"sleep:0.3"
        waiting.result(timeout=LIMIT_SECONDS)
        with pytest.raises(RpcError):
            channel.unary(ECHO, b"")
    server.close()


def test_grace_ends_calls_that_go_on() -> None:
    server = Server(handlers=HANDLERS, address="127.0.0.1:0")
    server.start()
    with Channel(server.target) as channel, channel.call(CHAT) as call:
        call.send(b"one")
        assert call.receive() == b"one"
        began = time.monotonic()
        server.close(grace=0.1)
        assert time.monotonic() - began < 2
        with pytest.raises(RpcError):
            call.receive()


def test_threads_of_a_closed_server_end() -> None:
    # Those of an earlier test's server may still be about to end.
    others = set(threading.enumerate())
    with Server(handlers=HANDLERS, address="127.0.0.1:0", workers=8):
        workers = [thread for thread in threading.enumerate() if thread not in others and thread.name != "spanwire-log"]
        assert [thread.name for thread in workers] == [f"spanwire-{number}" for number in range(8)]
    for thread in workers:
        thread.join(LIMIT_SECONDS)
        assert not thread.is_alive()


def test_what_is_no_blocking_handler_is_refused() -> None:
    async def asynchronous(request: bytes, context: Context) -> bytes:
        return request

    with pytest.raises(TypeError, match="asynchronous"):
        Server(handlers={ECHO: asynchronous}, address="127.0.0.1:0")
    with pytest.raises(TypeError, match="no service"):
        Server(object(), address="127.0.0.1:0")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="workers"):
        Server(handlers=HANDLERS, address="127.0.0.1:0", workers=0)
    with pytest.raises(ValueError, match="registered before"):
        Server(handlers={ECHO: echo, Method.unary(ECHO.path): echo}, address="127.0.0.1:0")
    with Server(handlers=HANDLERS, address="127.0.0.1:0") as server, pytest.raises(RuntimeError):
        server.start()
