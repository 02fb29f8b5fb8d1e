"""Bearer tokens that the program gets for itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aio import run
from spanwire import Channel, Code, Method, RpcError
from spanwire import sync as blocking
from spanwire.sync import Context
from sync_service import LIMIT_SECONDS

WHO = Method.unary("/test.Token/Who")


def who(request: bytes, context: Context) -> bytes:
    """What the request was authorized with."""
    return str(context.metadata["authorization"]).encode()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[str]:
    address = f"unix:{tmp_path}/socket"
    with blocking.Server(handlers={WHO: who}, address=address) as server:
        yield address
        server.close(grace=0)


def test_function_is_asked_once_on_a_thread_of_its_own(target: str) -> None:
    threads: list[str] = []

    def token() -> tuple[str, datetime]:
        threads.append(threading.current_thread().name)
        return f"token {len(threads)}", datetime.now(UTC) + timedelta(hours=1)

    with blocking.Channel(target, bearer_token=token) as channel:
        for _ in range(3):
            assert channel.unary(WHO, b"", timeout=LIMIT_SECONDS) == b"Bearer token 1"
    assert len(threads) == 1
    assert threads[0] != threading.current_thread().name


def test_coroutine_runs_on_the_loop_of_its_channel(target: str) -> None:
    async def main() -> None:
        loops = set()

        async def token() -> str:
            loops.add(asyncio.get_running_loop())
            await asyncio.sleep(0)
            return "awaited"

        async with Channel(target, bearer_token=token) as channel:
            calls = [channel.call(WHO, b"", timeout=LIMIT_SECONDS) for _ in range(5)]
            assert await asyncio.gather(*calls) == [b"Bearer awaited"] * 5
        assert loops == {asyncio.get_running_loop()}

    run(main())


def test_coroutine_of_a_channel_without_a_loop_has_one_of_its_own(target: str) -> None:
    async def token() -> tuple[str, float]:
        await asyncio.sleep(0)
        return "own", time.time() + 3600

    with blocking.Channel(target, bearer_token=token) as channel:
        assert channel.unary(WHO, b"", timeout=LIMIT_SECONDS) == b"Bearer own"


def test_failures_are_those_of_the_calls(target: str) -> None:
    def refused() -> str:
        raise RpcError(Code.PERMISSION_DENIED, "not you")

    def broken() -> str:
        raise KeyError("vault")

    wrong: Any = lambda: 5  # noqa: E731
    for source, code, message in [
        (refused, Code.PERMISSION_DENIED, "not you"),
        (broken, Code.UNAVAILABLE, "bearer_token: KeyError: 'vault'"),
        (wrong, Code.UNAVAILABLE, "bearer_token: TypeError: "),
    ]:
        with blocking.Channel(target, bearer_token=source) as channel, pytest.raises(RpcError) as failed:
            channel.unary(WHO, b"", timeout=LIMIT_SECONDS)
        assert failed.value.code is code
        assert failed.value.message.startswith(message)


def test_calls_that_wait_keep_their_deadline(target: str) -> None:
    go_on = threading.Event()

    def token() -> str:
        go_on.wait(LIMIT_SECONDS)
        return "late"

    with blocking.Channel(target, bearer_token=token) as channel:
        with pytest.raises(RpcError) as failed:
            channel.unary(WHO, b"", timeout=0.02)
        assert failed.value.code is Code.DEADLINE_EXCEEDED
        go_on.set()
        assert channel.unary(WHO, b"", timeout=LIMIT_SECONDS) == b"Bearer late"
