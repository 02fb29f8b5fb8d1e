"""Interceptors of the blocking API, on both sides."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from spanwire import Code, RpcError, only
from spanwire.sync import CallInfo, Channel, Context, Server
from sync_service import CHAT, COUNT, ECHO, HANDLERS, LIMIT_SECONDS, SUM

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def target() -> Iterator[str]:
    with Server(handlers=HANDLERS, address="127.0.0.1:0", workers=10) as server:
        yield server.target
        server.close(grace=0)


def each(messages: Iterator[bytes], mark: bytes) -> Iterator[bytes]:
    """Marks every message."""
    for message in messages:
        yield message + mark


def marking(mark: bytes) -> Any:
    """Marks requests and responses, one or many."""

    def interceptor(call: CallInfo, next: Any) -> Any:
        streams_in = call.method in (SUM, CHAT)
        streams_out = call.method in (COUNT, CHAT)
        call.request = each(call.request, mark) if streams_in else call.request + mark
        response = next(call)
        return each(response, mark) if streams_out else response + mark

    return interceptor


def test_client_interceptors_run_around_each_kind(target: str) -> None:
    with Channel(target, interceptors=[marking(b"1"), marking(b"2")]) as channel:
        assert channel.unary(ECHO, b"x") == b"x1221"
        assert channel.call(ECHO, b"x").result() == b"x1221"
        assert list(channel.call(COUNT, b"0"))[:2] == [b"021", b"121"]
        assert channel.client_streaming(SUM, [b"ab", b"c"]) == b"721"
        assert list(channel.call(CHAT, [b"x", b"y"])) == [b"x1221", b"y1221"]


def test_messages_by_hand_pass_through_them(target: str) -> None:
    with Channel(target, interceptors=[marking(b"!")]) as channel:
        with channel.client_streaming(SUM, None) as upload:
            upload.send(b"ab")
            upload.send(b"c")
            assert upload.result() == b"5!"
        with channel.call(CHAT) as chat:
            for message in (b"x", b"y"):
                chat.send(message)
                assert chat.receive() == message + b"!!"
            chat.done_sending()
            assert chat.receive() is None


def test_server_interceptors_run_around_each_kind() -> None:
    with (
        Server(handlers=HANDLERS, address="127.0.0.1:0", interceptors=[marking(b"1"), marking(b"2")]) as server,
        Channel(server.target) as channel,
    ):
        assert channel.unary(ECHO, b"x") == b"x1221"
        assert list(channel.call(COUNT, b"0"))[:1] == [b"021"]
        assert channel.client_streaming(SUM, [b"ab", b"c"]) == b"721"
        assert list(channel.call(CHAT, [b"x", b"y"])) == [b"x1221", b"y1221"]


def test_context_variables_reach_the_handler() -> None:
    def set_variable(call: CallInfo, next: Any) -> Any:
        VARIABLE.set("by the interceptor")
        return next(call)

    def unary(request: bytes, context: Context) -> bytes:
        return VARIABLE.get().encode()

    def stream(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        yield VARIABLE.get().encode()

    with (
        Server(
            handlers={ECHO: unary, CHAT: stream},
            address="127.0.0.1:0",
            interceptors=[set_variable],
        ) as server,
        Channel(server.target) as channel,
    ):
        assert channel.unary(ECHO, b"") == b"by the interceptor"
        assert list(channel.call(CHAT, [])) == [b"by the interceptor"]
    assert VARIABLE.get() == "unset"


def test_client_interceptor_changes_metadata_and_timeout_and_sees_what_comes(target: str) -> None:
    seen: list[Any] = []

    def reflect(request: bytes, context: Context) -> bytes:
        context.headers["came"] = str(context.metadata["sent"])
        context.trailers["left"] = "some" if context.time_remaining() else "none"
        return request

    def interceptor(call: CallInfo, next: Any) -> Any:
        assert call.timeout is None
        assert call.headers is None
        call.metadata["sent"] = "by the interceptor"
        call.timeout = LIMIT_SECONDS
        response = next(call)
        assert call.headers is not None
        assert call.trailers is not None
        seen.extend([call.kind, call.headers["came"], call.trailers["left"]])
        return response

    with (
        Server(handlers={ECHO: reflect}, address="127.0.0.1:0") as server,
        Channel(server.target, interceptors=[interceptor]) as channel,
    ):
        call = channel.call(ECHO, b"", metadata={"sent": "by the caller"})
        assert call.result() == b""
        assert call.headers()["came"] == "by the interceptor"
    assert seen == [ECHO.kind, "by the interceptor", "some"]


def test_client_interceptor_may_answer_and_try_again(target: str) -> None:
    attempts: list[bytes] = []

    def cache(call: CallInfo, next: Any) -> Any:
        return b"known" if call.request == b"cached" else next(call)

    def again(call: CallInfo, next: Any) -> Any:
        try:
            attempts.append(call.request)
            return next(call)
        except RpcError:
            call.request = b"other"
            return next(call)

    with Channel(target, interceptors=[cache, again]) as channel:
        assert channel.unary(ECHO, b"cached") == b"known"
        assert channel.unary(ECHO, b"fail") == b"other"
    assert attempts == [b"fail"]


def test_errors_pass_through_interceptors(target: str) -> None:
    def refuse(call: CallInfo, next: Any) -> Any:
        if call.metadata.get("token") != "good":
            raise RpcError(Code.UNAUTHENTICATED, "who are you?")
        return next(call)

    with (
        Server(handlers=HANDLERS, address="127.0.0.1:0", interceptors=[refuse]) as server,
        Channel(server.target) as channel,
    ):
        assert channel.unary(ECHO, b"in", metadata={"token": "good"}) == b"in"
        for start in (
            lambda: channel.unary(ECHO, b""),
            lambda: list(channel.call(COUNT, b"1")),
            lambda: channel.client_streaming(SUM, [b""]),
            lambda: list(channel.call(CHAT, [b""])),
        ):
            with pytest.raises(RpcError, match="who are you") as failed:
                start()
            assert failed.value.code == Code.UNAUTHENTICATED
    with Channel(target, interceptors=[refuse]) as channel:
        with pytest.raises(RpcError, match="who are you"):
            channel.unary(ECHO, b"")
        with pytest.raises(RpcError, match="who are you"):
            next(channel.call(COUNT, b"1"))


def test_intercepted_calls_can_be_cancelled(target: str) -> None:
    with Channel(target, interceptors=[marking(b"!")]) as channel:
        unary = channel.call(ECHO, b"x")
        unary.cancel()
        with pytest.raises(RpcError) as failed:
            unary.result()
        assert failed.value.code == Code.CANCELLED
        with channel.call(CHAT) as chat:
            chat.send(b"x")
            assert chat.receive() == b"x!!"
            chat.cancel()
            with pytest.raises(RpcError) as failed:
                chat.receive()
            assert failed.value.code == Code.CANCELLED
        upload = channel.client_streaming(SUM, None)
        upload.send(b"x")
        upload.cancel()
        with pytest.raises(RpcError) as failed:
            upload.result()
        assert failed.value.code == Code.CANCELLED


def test_abandoned_intercepted_calls_leave_no_thread(target: str) -> None:
    before = threading.active_count()
    with Channel(target, interceptors=[marking(b"!")]) as channel:
        for _ in range(5):
            chat = channel.call(CHAT)
            chat.send(b"x")
            assert chat.receive() == b"x!!"
            del chat
    done = threading.Event()
    for _ in range(1000):
        if threading.active_count() <= before:
            break
        done.wait(0.01)
    assert threading.active_count() <= before


def test_interceptors_of_methods_run_around_those_alone(target: str) -> None:
    with Channel(target, interceptors=[only([ECHO.path], marking(b"!")), only([COUNT.path], marking(b"?"))]) as channel:
        assert channel.unary(ECHO, b"a") == b"a!!"
