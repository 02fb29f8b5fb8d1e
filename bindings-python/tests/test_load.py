"""Servers that take only so many calls: what those beyond are told."""

from __future__ import annotations

import asyncio
import json

import pytest

from aio import RAW, run
from spanwire import Channel, Code, Context, RpcError, Server

PUSHBACK = "grpc-retry-pushback-ms"


def test_calls_beyond_a_rate_limit_are_told_when_to_come_back() -> None:
    async def get(request: bytes, context: Context) -> bytes:
        return request

    # The next one may come in 100 seconds.
    limits = json.dumps([{"burst": 1, "perSecond": 0.01, "methods": ["/test.Raw/Get"], "forEachClient": True}])

    async def main() -> None:
        async with (
            Server(handlers={RAW: get}, address="127.0.0.1:0", rate_limits=limits) as server,
            Channel(server.target) as channel,
        ):
            assert await channel.call(RAW, b"a") == b"a"
            with pytest.raises(RpcError, match="rate_limits let 1 through") as raised:
                await channel.call(RAW, b"")
            assert raised.value.code == Code.RESOURCE_EXHAUSTED
            assert 50_000 < int(raised.value.trailing_metadata[PUSHBACK]) <= 100_000

    run(main())


def test_calls_beyond_those_that_may_run_are_told_when_to_come_back() -> None:
    async def main() -> None:
        running, done = asyncio.Event(), asyncio.Event()

        async def get(request: bytes, context: Context) -> bytes:
            running.set()
            await done.wait()
            return request

        async with (
            Server(handlers={RAW: get}, address="127.0.0.1:0", max_running_calls=1) as server,
            Channel(server.target) as channel,
        ):
            first = channel.call(RAW, b"a")
            await running.wait()
            with pytest.raises(RpcError, match="max_running_calls: 1") as raised:
                await channel.call(RAW, b"")
            assert raised.value.code == Code.UNAVAILABLE
            assert 500 <= int(raised.value.trailing_metadata[PUSHBACK]) <= 1500
            done.set()
            assert await first == b"a"

    run(main())


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ("burst", "rate_limits: is no JSON"),
        ('[{"burst": 0, "perSecond": 1}]', r"rate_limits: limits\[0\]\.burst: must be a whole number"),
        ('[{"burst": 1, "perSecond": 0}]', r"rate_limits: limits\[0\]\.perSecond: must be above 0"),
    ],
)
def test_mistakes_in_rate_limits_are_named(limits: str, error: str) -> None:
    async def get(request: bytes, context: Context) -> bytes:
        return request

    async def main() -> None:
        with pytest.raises(ValueError, match=error):
            await Server(handlers={RAW: get}, address="127.0.0.1:0", rate_limits=limits).start()

    run(main())
