"""Interceptors of the asyncio API: one shape, both sides, all kinds."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

import spanwire
from aio import COUNT, DOUBLE, GET, RAW, SUM, Echo, number, run, text
from spanwire import CallInfo, Channel, Code, Context, Kind, Next, RpcError, Server, only

USER: contextvars.ContextVar[str] = contextvars.ContextVar("user")


def noting(name: str, seen: list[str]) -> Any:
    async def note(call: CallInfo, next: Next) -> Any:
        seen.append(f"{name} {call.kind.name}")
        response = await next(call)
        seen.append(f"{name} back")
        return response

    return note


def test_first_is_outermost_on_both_sides_and_for_all_kinds() -> None:
    seen: list[str] = []

    async def main() -> None:
        inner = {"interceptors": [noting("c", seen), noting("d", seen)]}
        outer = [noting("a", seen), noting("b", seen)]
        async with (
            Server(Echo(), address="127.0.0.1:0", **inner) as server,  # type: ignore[arg-type]
            Channel(server.target, interceptors=outer) as channel,
        ):
            unary = channel.call(GET, text("a"))
            assert isinstance(unary, spanwire.UnaryCall)
            assert (await unary).value == "A"
            assert unary.done and unary.attempts == 1 and unary.peer and unary.trailers is not None
            assert seen == [*(f"{n} UNARY" for n in "abcd"), *(f"{n} back" for n in "dcba")]
            stream = channel.call(COUNT, number(3))
            assert isinstance(stream, spanwire.ServerStreamingCall)
            assert [answer.value async for answer in stream] == [0, 1, 2]
            assert (await channel.call(SUM, map(number, range(5)))).value == 10
            doubled = channel.call(DOUBLE, map(number, range(3)))
            assert [answer.value async for answer in doubled] == [0, 2, 4]
            by_hand = channel.call(SUM)
            assert isinstance(by_hand, spanwire.ClientStreamingCall)
            async with by_hand:
                for value in range(5):
                    await by_hand.send(number(value))
                assert (await by_hand).value == 10
            async with channel.call(DOUBLE) as chat:
                assert isinstance(chat, spanwire.BidiCall)
                await chat.send(number(2))
                answer = await chat.receive()
                assert answer is not None and answer.value == 4
                await chat.send(number(3))
                assert [answer.value for answer in await chat.receive_batch()] == [6]
                await chat.done_sending()
                assert await chat.receive() is None
                assert await chat.receive_batch() == []

    run(main())


def test_context_variables_are_seen_by_the_handler() -> None:
    async def who(call: CallInfo, next: Next) -> Any:
        USER.set(call.metadata.get("user", "nobody"))
        return await next(call)

    async def get(request: bytes, context: Context) -> bytes:
        await asyncio.sleep(0)
        return USER.get().encode()

    async def user(call: CallInfo, next: Next) -> Any:
        call.metadata["user"] = USER.get()
        return await next(call)

    async def main() -> None:
        async with (
            Server(handlers={RAW: get}, address="127.0.0.1:0", interceptors=[who]) as server,
            Channel(server.target, interceptors=[user]) as channel,
        ):
            USER.set("ada")
            assert await channel.call(RAW, b"") == b"ada"

    run(main())


def test_client_interceptor_changes_what_it_likes() -> None:
    async def get(request: bytes, context: Context) -> bytes:
        context.headers["x-head"] = "h"
        context.trailers["x-tail"] = "t"
        left = context.time_remaining()
        assert left is not None and left < 5
        return request + context.metadata["x-added"].encode()  # type: ignore[union-attr]

    async def change(call: CallInfo, next: Next) -> Any:
        assert call.method is RAW and call.timeout is None and call.headers is None
        call.timeout = 5.0
        call.request += b"b"
        call.metadata["x-added"] = "c"
        assert call.metadata.get_all("x-mine") == ["1", "2"]
        response = await next(call)
        assert call.headers is not None and call.headers["x-head"] == "h"
        assert call.trailers is not None and call.trailers["x-tail"] == "t"
        return response + b"d"

    async def main() -> None:
        async with (
            Server(handlers={RAW: get}, address="127.0.0.1:0") as server,
            Channel(server.target, interceptors=[change]) as channel,
        ):
            call = channel.call(RAW, b"a", metadata=[("x-mine", "1"), ("x-mine", "2")])
            assert await call == b"abcd"
            assert (await call.headers())["x-head"] == "h"

    run(main())


def test_server_interceptor_sets_metadata_and_refuses() -> None:
    async def guard(call: CallInfo, next: Next) -> Any:
        assert call.context is not None
        if "token" not in call.metadata:
            raise RpcError(Code.UNAUTHENTICATED, "a token is needed", trailing_metadata={"x-why": "token"})
        call.context.headers["x-guard"] = "passed"
        assert call.headers is call.context.headers and call.trailers is call.context.trailers
        return await next(call)

    async def main() -> None:
        async with (
            Server(Echo(), address="127.0.0.1:0", interceptors=[guard]) as server,
            Channel(server.target) as channel,
        ):
            for call in (channel.call(GET, text("a")), channel.call(COUNT, number(1)).receive()):
                with pytest.raises(RpcError) as raised:
                    await call
                assert raised.value.code == Code.UNAUTHENTICATED
                assert raised.value.trailing_metadata["x-why"] == "token"
            allowed = channel.call(GET, text("a"), metadata={"token": "x"})
            await allowed
            assert (await allowed.headers())["x-guard"] == "passed"

    run(main())


def test_messages_of_streams_can_be_seen_and_changed() -> None:
    async def wrap(call: CallInfo, next: Next) -> Any:
        if call.kind not in (Kind.CLIENT_STREAMING, Kind.BIDI):
            return await next(call)
        requests = call.request

        async def more() -> AsyncIterator[Any]:
            async for request in requests:
                yield number(request.value + 1)

        call.request = more()
        responses = await next(call)
        if call.kind == Kind.CLIENT_STREAMING:
            return responses

        async def less() -> AsyncIterator[Any]:
            async for response in responses:
                yield number(response.value - 1)

        return less()

    async def main() -> None:
        async with (
            Server(Echo(), address="127.0.0.1:0", interceptors=[wrap]) as server,
            Channel(server.target, interceptors=[wrap]) as channel,
        ):
            assert (await channel.call(SUM, map(number, range(3)))).value == 0 + 1 + 2 + 3 * 2
            answers = [answer.value async for answer in channel.call(DOUBLE, [number(5)])]
            assert answers == [2 * 7 - 2]

    run(main())


def test_interceptor_may_try_again_or_answer_itself() -> None:
    tries = 0

    async def flaky(request: bytes, context: Context) -> bytes:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise RpcError(Code.ABORTED)
        return b"third"

    async def again(call: CallInfo, next: Next) -> Any:
        while True:
            try:
                return await next(call)
            except RpcError as error:
                if error.code != Code.ABORTED:
                    raise

    async def cached(call: CallInfo, next: Next) -> Any:
        return b"cached" if call.request == b"known" else await next(call)

    async def main() -> None:
        async with (
            Server(handlers={RAW: flaky}, address="127.0.0.1:0") as server,
            Channel(server.target, interceptors=[cached, again]) as channel,
        ):
            assert await channel.call(RAW, b"") == b"third"
            call = channel.call(RAW, b"known")
            assert await call == b"cached"
            assert call.done and call.attempts == 0 and await call.headers() == spanwire.Metadata()

    run(main())
    assert tries == 3


def test_failure_of_an_interceptor_is_the_calls() -> None:
    async def broken(call: CallInfo, next: Next) -> Any:
        raise LookupError("here")

    async def main() -> None:
        async with Channel("127.0.0.1:1", interceptors=[broken]) as channel:
            with pytest.raises(LookupError):
                await channel.call(GET, text("a"))
            with pytest.raises(LookupError):
                await channel.call(COUNT, number(1)).receive()
            with pytest.raises(LookupError):
                await channel.call(SUM).send(number(1))
            with pytest.raises(TypeError, match=r"timeout"):
                channel.call(GET, text("a"), timeout="x")  # type: ignore[call-overload]

    run(main())


def test_cancelling_reaches_through_interceptors() -> None:
    async def main() -> None:
        service = Echo()
        async with (
            Server(service, address="127.0.0.1:0") as server,
            Channel(server.target, interceptors=[noting("a", [])]) as channel,
        ):

            async def ended() -> None:
                await asyncio.wait_for(service.cancelled.wait(), 5)
                service.cancelled.clear()
                service.waiting.clear()

            task = asyncio.ensure_future(channel.call(GET, text("wait")))
            await service.waiting.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await ended()

            call = channel.call(GET, text("wait"))
            await service.waiting.wait()
            call.cancel()
            with pytest.raises(RpcError) as raised:
                await call
            assert raised.value.code == Code.CANCELLED
            await ended()

            call = channel.call(GET, text("wait"))
            await service.waiting.wait()
            del call
            gc.collect()
            await ended()

    run(main())


def test_interceptors_of_methods_run_around_those_alone() -> None:
    seen: list[str] = []

    async def main() -> None:
        service = f"/{GET.path.split('/')[1]}/*"
        inner = [only([GET.path], noting("c", seen)), noting("d", seen)]
        outer = [only([COUNT.path, "/other.Service/*"], noting("a", seen)), only([service], noting("b", seen))]
        async with (
            Server(Echo(), address="127.0.0.1:0", interceptors=inner) as server,
            Channel(server.target, interceptors=outer) as channel,
        ):
            await channel.call(GET, text("a"))
            assert [line[0] for line in seen] == list("bcddcb")
            seen.clear()
            assert [answer.value async for answer in channel.call(COUNT, number(1))] == [0]
            # A client's interceptors come back with the stream, not with its end.
            assert sorted(line[0] for line in seen) == list("aabbdd")

    run(main())
    with pytest.raises(ValueError, match=r'"a\.A" must be a method'):
        only(["/a.A/*", "a.A"], noting("x", seen))
