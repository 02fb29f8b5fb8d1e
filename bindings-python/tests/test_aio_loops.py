"""Event loops: uvloop, trio, several loops in threads and one after the other."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import uvloop
from google.protobuf.wrappers_pb2 import Int64Value, StringValue

import spanwire.sync
from aio import COUNT, DOUBLE, GET, SUM, Echo, number, run, text
from spanwire import CallInfo, Channel, Code, Context, Next, RpcError, Server


async def everything(target: str) -> None:
    """A call of each kind."""
    async with Channel(target) as channel:
        assert (await channel.call(GET, text("a"))).value == "A"
        assert [answer.value async for answer in channel.call(COUNT, number(100))] == list(range(100))
        assert (await channel.call(SUM, map(number, range(100)))).value == sum(range(100))
        assert len([answer async for answer in channel.call(DOUBLE, map(number, range(100)))]) == 100
        await asyncio.gather(*(channel.call(GET, text("a")) for _ in range(100)))
        with pytest.raises(RpcError):
            await channel.call(GET, text("fail"))


async def serve_everything() -> None:
    async with Server(Echo(), address="127.0.0.1:0") as server:
        await everything(server.target)


def test_uvloop() -> None:
    uvloop.run(serve_everything())


def test_debug_mode_of_asyncio() -> None:
    asyncio.run(serve_everything(), debug=True)


def test_task_factory_of_the_program_is_used() -> None:
    made = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        made.append(options.get("name"))
        return asyncio.Task(coroutine, loop=loop, **options)

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        await serve_everything()

    run(main())
    assert made


def test_loops_one_after_the_other_with_one_channel() -> None:
    ready = threading.Event()
    stop: list[Any] = []
    targets = []

    async def serve() -> None:
        async with Server(Echo(), address="127.0.0.1:0") as server:
            targets.append(server.target)
            ended = asyncio.Event()
            stop.append((asyncio.get_running_loop(), ended))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: run(serve(), 60))
    thread.start()
    ready.wait()
    channel = Channel(targets[0])

    async def client() -> None:
        answers = await asyncio.gather(*(channel.call(GET, text("a")) for _ in range(20)))
        assert len(answers) == 20
        # Left behind with the loop, it harms nobody.
        abandoned.append(channel.call(GET, text("wait")))

    abandoned: list[Any] = []
    for _ in range(20):
        run(client())
    loop, ended = stop[0]
    abandoned.clear()
    loop.call_soon_threadsafe(ended.set)
    thread.join()


def test_three_loops_in_three_threads_log_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "asyncio")
    failures = []

    async def load() -> None:
        async with Server(Echo(), address="127.0.0.1:0") as server:
            for _ in range(5):
                await everything(server.target)

    def work() -> None:
        try:
            run(load(), 60)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []


def test_one_channel_for_loops_in_several_threads() -> None:
    async def main() -> None:
        async with Server(Echo(), address="127.0.0.1:0") as server:
            channel = Channel(server.target)

            async def client() -> int:
                answers = await asyncio.gather(*(channel.call(GET, text("a")) for _ in range(200)))
                return len(answers)

            counts = await asyncio.gather(*(asyncio.to_thread(run, client()) for _ in range(4)))
            assert counts == [200] * 4

    run(main(), 60)


def test_call_is_cancelled_from_another_thread() -> None:
    async def main() -> None:
        service = Echo()
        async with Server(service, address="127.0.0.1:0") as server, Channel(server.target) as channel:
            call = channel.call(GET, text("wait"))
            await service.waiting.wait()
            await asyncio.to_thread(call.cancel)
            with pytest.raises(RpcError):
                await call
            await service.cancelled.wait()

    run(main())


def test_blocking_calls_work_on_the_thread_of_a_loop() -> None:
    """What the loop's calls have asked for goes down before the thread waits."""
    ready = threading.Event()
    ended = threading.Event()
    targets = []

    async def serve() -> None:
        async with Server(Echo(), address="127.0.0.1:0") as server:
            targets.append(server.target)
            ready.set()
            await asyncio.to_thread(ended.wait)

    async def client() -> None:
        async with Channel(targets[0]) as channel:
            with spanwire.sync.Channel(targets[0]) as blocking:

                async def both() -> None:
                    for _ in range(3):
                        await channel.call(GET, text("a"))
                        assert blocking.unary(GET, text("b"), timeout=10).value == "B"

                await asyncio.gather(*(both() for _ in range(20)))

    thread = threading.Thread(target=run, args=(serve(), 60))
    thread.start()
    ready.wait()
    try:
        run(client())
    finally:
        ended.set()
        thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_child_of_a_fork_within_a_task_makes_calls() -> None:
    """The task runs while its loop hands over events: nothing of that is left in the child."""

    async def child(target: str) -> int:
        async with Channel(target) as channel:
            answers = await asyncio.gather(*(channel.call(GET, text("a"), timeout=10) for _ in range(20)))
            return len(answers)

    async def main() -> None:
        async with Server(Echo(), address="127.0.0.1:0") as server, Channel(server.target) as channel:
            calls = [channel.call(GET, text("a")) for _ in range(20)]
            pids = []
            for call in calls[:3]:
                await call
                pid = os.fork()
                if pid == 0:
                    code = 1
                    try:
                        signal.alarm(15)
                        code = 0 if asyncio.run(child(server.target)) == 20 else 2
                    finally:
                        os._exit(code)
                pids.append(pid)
            for pid in pids:
                _, status = await asyncio.to_thread(os.waitpid, pid, 0)
                assert status == 0
            for call in calls[3:]:
                await call

    run(main(), 60)


class TrioEcho:
    """The handlers of Echo, on trio."""

    def __init__(self) -> None:
        self.cancelled = trio.Event()

    async def get(self, request: StringValue, context: Context) -> StringValue:
        if request.value == "wait":
            try:
                await trio.sleep(30)
            finally:
                self.cancelled.set()
        if request.value == "fail":
            raise RpcError(Code.NOT_FOUND)
        await trio.sleep(0)
        return text(request.value.upper())

    async def count(self, request: Int64Value, context: Context) -> AsyncIterator[Int64Value]:
        for value in range(request.value):
            yield number(value)

    async def sum(self, requests: AsyncIterator[Int64Value], context: Context) -> Int64Value:
        return number(sum([request.value async for request in requests]))

    async def double(self, requests: AsyncIterator[Int64Value], context: Context) -> AsyncIterator[Int64Value]:
        async for request in requests:
            yield number(2 * request.value)

    def server(self) -> Server:
        handlers: Any = {GET: self.get, COUNT: self.count, SUM: self.sum, DOUBLE: self.double}
        return Server(handlers=handlers, address="127.0.0.1:0")


def test_trio_client_and_server_of_all_kinds() -> None:
    async def main() -> None:
        async with TrioEcho().server() as server, Channel(server.target) as channel:
            assert (await channel.call(GET, text("a"))).value == "A"
            assert [answer.value async for answer in channel.call(COUNT, number(100))] == list(range(100))
            assert (await channel.call(SUM, map(number, range(5000)))).value == sum(range(5000))
            async with channel.call(DOUBLE) as call:
                for value in range(10):
                    await call.send(number(value))
                    answer = await call.receive()
                    assert answer is not None and answer.value == 2 * value
                await call.done_sending()
                assert await call.receive() is None
            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(one, channel)
            with pytest.raises(RpcError, match=r"NOT_FOUND"):
                await channel.call(GET, text("fail"))

    async def one(channel: Channel) -> None:
        assert (await channel.call(GET, text("a"))).value == "A"

    trio.run(main)
    trio.run(main)


def test_trio_cancellation_reaches_the_handler() -> None:
    async def main() -> None:
        service = TrioEcho()
        async with service.server() as server, Channel(server.target) as channel:
            with trio.move_on_after(0.05):
                await channel.call(GET, text("wait"))
                raise AssertionError("it cannot come back")
            with trio.fail_after(5):
                await service.cancelled.wait()
            with pytest.raises(RpcError, match=r"DEADLINE"):
                await channel.call(GET, text("wait"), timeout=0.05)

    trio.run(main)


def test_trio_interceptors() -> None:
    async def add(call: CallInfo, next: Next) -> Any:
        call.request = text(call.request.value + "b")
        await trio.sleep(0)
        return await next(call)

    async def main() -> None:
        async with TrioEcho().server() as server, Channel(server.target, interceptors=[add]) as channel:
            assert (await channel.call(GET, text("a"))).value == "AB"

    trio.run(main)
