"""The fixture `spanwire_serve`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

import spanwire
import spanwire.sync
from spanwire.pytest_plugin import Serve

ECHO = spanwire.Method.unary("/test.Echo/Unary")
COUNT = spanwire.Method.server_streaming("/test.Echo/Count")


async def echo(request: bytes, context: spanwire.Context) -> bytes:
    return request


async def count(request: bytes, context: spanwire.Context) -> AsyncIterator[bytes]:
    for number in range(int(request)):
        yield str(number).encode()


def test_handlers_on_asyncio_answer_blocking_calls(spanwire_serve: Serve) -> None:
    target = spanwire_serve(handlers={ECHO: echo, COUNT: count})
    with spanwire.sync.Channel(target) as channel:
        assert channel.unary(ECHO, b"hello", timeout=10) == b"hello"
        assert list(channel.call(COUNT, b"3", timeout=10)) == [b"0", b"1", b"2"]


def test_blocking_handlers_answer_calls_on_asyncio(spanwire_serve: Serve) -> None:
    def name_of_thread(request: bytes, context: spanwire.sync.Context) -> bytes:
        return threading.current_thread().name.encode()

    target = spanwire_serve(handlers={ECHO: name_of_thread})

    async def call() -> bytes:
        async with spanwire.Channel(target) as channel:
            return await channel.call(ECHO, b"", timeout=10)

    assert asyncio.run(call()) != threading.current_thread().name.encode()


def test_each_server_has_a_name_of_its_own(spanwire_serve: Serve) -> None:
    targets = {spanwire_serve(handlers={ECHO: echo}) for _ in range(3)}
    assert len(targets) == 3
    assert all(target.startswith("inprocess:") for target in targets)


def test_options_are_those_of_the_server(spanwire_serve: Serve) -> None:
    target = spanwire_serve(handlers={ECHO: echo}, address="127.0.0.1:0", max_recv_message_bytes=10)
    with spanwire.sync.Channel(target) as channel:
        assert channel.unary(ECHO, bytes(10), timeout=10) == bytes(10)
        with pytest.raises(spanwire.RpcError) as failed:
            channel.unary(ECHO, bytes(11), timeout=10)
    assert failed.value.code == spanwire.Code.RESOURCE_EXHAUSTED


def test_calls_that_still_run_end_with_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio
        import spanwire
        import spanwire.sync

        SLEEP = spanwire.Method.unary("/test.Echo/Sleep")
        channel = None
        call = None

        async def sleep(request, context):
            await asyncio.sleep(1000)

        def test_leaves_a_call_behind(spanwire_serve):
            global call, channel
            channel = spanwire.sync.Channel(spanwire_serve(handlers={SLEEP: sleep}))
            call = channel.call(SLEEP, b"")

        def test_finds_it_ended():
            try:
                call.result()
            except spanwire.RpcError as error:
                assert error.code in (spanwire.Code.UNAVAILABLE, spanwire.Code.CANCELLED)
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)
